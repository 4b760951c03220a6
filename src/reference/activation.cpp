// Activations, on floating types.

#include <algorithm>
#include <cmath>

#include "reference/typed.h"

namespace disco::reference {

void register_activation(Registry& registry);

namespace {

/// Parameters by attribute, with ONNX's defaults.
struct Parameters {
  double a = 0.0, b = 0.0;
};

template <typename F>
Result<Outputs> activate(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  const Parameters p = F::parameters(node);
  return one(dispatch(node, inputs[0].type(), [&]<typename T>(T*) -> Result<Tensor> {
    if constexpr (std::is_same_v<T, bool>)
      return error(ErrorCode::Unsupported, "{}: of booleans", node.op);
    else
      return unary<T>(inputs[0], [&](T x) { return static_cast<T>(F::apply(static_cast<double>(x), p)); });
  }));
}

#define DISCO_ACTIVATION(name, first, second, expression)                                       \
  struct name {                                                                                 \
    static Parameters parameters([[maybe_unused]] const Node& node) { return {first, second}; } \
    static double apply(double x, [[maybe_unused]] const Parameters& p) { return expression; }  \
  };
DISCO_ACTIVATION(ReluF, 0, 0, x > 0 || std::isnan(x) ? x : 0)
DISCO_ACTIVATION(LeakyReluF, node.float_or("alpha", 0.01F), 0, x < 0 ? p.a * x : x)
DISCO_ACTIVATION(EluF, node.float_or("alpha", 1.0F), 0, x < 0 ? p.a * std::expm1(x) : x)
DISCO_ACTIVATION(CeluF, node.float_or("alpha", 1.0F), 0,
                 std::max(0.0, x) + std::min(0.0, p.a* std::expm1(x / p.a)))
DISCO_ACTIVATION(SeluF, node.float_or("alpha", 1.67326319217681884765625F),
                 node.float_or("gamma", 1.05070102214813232421875F), p.b*(x > 0 ? x : p.a * std::expm1(x)))
DISCO_ACTIVATION(SigmoidF, 0, 0, 1.0 / (1.0 + std::exp(-x)))
DISCO_ACTIVATION(HardSigmoidF, node.float_or("alpha", 0.2F), node.float_or("beta", 0.5F),
                 std::max(0.0, std::min(1.0, p.a* x + p.b)))
DISCO_ACTIVATION(HardSwishF, 0, 0, x* std::max(0.0, std::min(1.0, x / 6.0 + 0.5)))
DISCO_ACTIVATION(SoftplusF, 0, 0, std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))))
DISCO_ACTIVATION(SoftsignF, 0, 0, x / (1.0 + std::abs(x)))
DISCO_ACTIVATION(ThresholdedReluF, node.float_or("alpha", 1.0F), 0, x > p.a ? x : 0)
DISCO_ACTIVATION(ShrinkF, node.float_or("lambd", 0.5F), node.float_or("bias", 0.0F),
                 x < -p.a ? x + p.b : (x > p.a ? x - p.b : 0))
#undef DISCO_ACTIVATION

Result<Outputs> parametric_relu(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  if (inputs[0].type() != inputs[1].type())
    return error(ErrorCode::ShapeMismatch, "PRelu: the slope is of another type");
  return one(dispatch(node, inputs[0].type(), [&]<typename T>(T*) {
    return binary<T, T>(node, inputs[0], inputs[1],
                        [](T x, T slope) { return x < T{0} ? static_cast<T>(x * slope) : x; });
  }));
}

}  // namespace

void register_activation(Registry& registry) {
  const auto add = [&](std::string_view name, Operator op) { registry[{"", name}] = op; };
  add("Relu", activate<ReluF>);
  add("LeakyRelu", activate<LeakyReluF>);
  add("Elu", activate<EluF>);
  add("Celu", activate<CeluF>);
  add("Selu", activate<SeluF>);
  add("Sigmoid", activate<SigmoidF>);
  add("HardSigmoid", activate<HardSigmoidF>);
  add("HardSwish", activate<HardSwishF>);
  add("Softplus", activate<SoftplusF>);
  add("Softsign", activate<SoftsignF>);
  add("ThresholdedRelu", activate<ThresholdedReluF>);
  add("Shrink", activate<ShrinkF>);
  add("PRelu", parametric_relu);
}

}  // namespace disco::reference
