#include <limits>

#include "train/operators.h"

namespace disco::train {

namespace {

using Tensors = std::vector<at::Tensor>;
using Unary = at::Tensor (*)(const at::Tensor&);
using Binary = at::Tensor (*)(const at::Tensor&, const at::Tensor&);

template <Unary F>
Result<Operator> unary(const Graph&, const Node&) {
  return Operator([](const Tensors& in, const Mode&) { return Tensors{F(in[0])}; });
}

template <Binary F>
Result<Operator> binary(const Graph&, const Node&) {
  return Operator([](const Tensors& in, const Mode&) { return Tensors{F(in[0], in[1])}; });
}

/// Add, Min, … of any number of inputs.
template <Binary F>
Result<Operator> variadic(const Graph&, const Node&) {
  return Operator([](const Tensors& in, const Mode&) {
    at::Tensor result = in[0];
    for (std::size_t k = 1; k < in.size(); ++k) result = F(result, in[k]);
    return Tensors{result};
  });
}

Result<Operator> mean_of_inputs(const Graph&, const Node&) {
  return Operator([](const Tensors& in, const Mode&) {
    at::Tensor result = in[0];
    for (std::size_t k = 1; k < in.size(); ++k) result = result + in[k];
    return Tensors{result / static_cast<double>(in.size())};
  });
}

Result<Operator> divide(const Graph& graph, const Node& node) {
  const DataType type = graph.value(node.inputs[0]).type;
  if (type == DataType::Float32 || type == DataType::Float64) {
    return Operator([](const Tensors& in, const Mode&) { return Tensors{in[0] / in[1]}; });
  }
  return Operator([](const Tensors& in, const Mode&) { return Tensors{at::div(in[0], in[1], "trunc")}; });
}

Result<Operator> clip(const Graph& graph, const Node& node) {
  const auto bound = [&](std::size_t k, double fallback) {
    const Tensor* tensor = graph.constant(node.input(k));
    return tensor != nullptr && tensor->type() == DataType::Float32 && tensor->elements() == 1
               ? static_cast<double>(*tensor->data<float>())
               : fallback;
  };
  for (std::size_t k = 1; k < 3; ++k) {
    if (node.input(k) != kNoValue && graph.constant(node.input(k)) == nullptr) {
      return error(ErrorCode::Unsupported, "Clip with computed bounds");
    }
  }
  const double low = bound(1, -std::numeric_limits<double>::infinity());
  const double high = bound(2, std::numeric_limits<double>::infinity());
  return Operator(
      [low, high](const Tensors& in, const Mode&) { return Tensors{at::clamp(in[0], low, high)}; });
}

Result<Operator> hard_sigmoid(const Graph&, const Node& node) {
  const double alpha = node.float_or("alpha", 0.2F);
  const double beta = node.float_or("beta", 0.5F);
  return Operator(
      [=](const Tensors& in, const Mode&) { return Tensors{at::clamp(in[0] * alpha + beta, 0.0, 1.0)}; });
}

Result<Operator> leaky_relu(const Graph&, const Node& node) {
  const double alpha = node.float_or("alpha", 0.01F);
  return Operator([=](const Tensors& in, const Mode&) { return Tensors{at::leaky_relu(in[0], alpha)}; });
}

Result<Operator> elu(const Graph&, const Node& node) {
  const double alpha = node.float_or("alpha", 1.0F);
  return Operator([=](const Tensors& in, const Mode&) { return Tensors{at::elu(in[0], alpha)}; });
}

Result<Operator> celu(const Graph&, const Node& node) {
  const double alpha = node.float_or("alpha", 1.0F);
  return Operator([=](const Tensors& in, const Mode&) { return Tensors{at::celu(in[0], alpha)}; });
}

Result<Operator> selu(const Graph&, const Node& node) {
  const double alpha = node.float_or("alpha", 1.67326319F);
  const double gamma = node.float_or("gamma", 1.05070102F);
  return Operator([=](const Tensors& in, const Mode&) { return Tensors{at::elu(in[0], alpha) * gamma}; });
}

Result<Operator> thresholded_relu(const Graph&, const Node& node) {
  const double alpha = node.float_or("alpha", 1.0F);
  return Operator([=](const Tensors& in, const Mode&) { return Tensors{at::threshold(in[0], alpha, 0.0)}; });
}

at::Tensor softsign(const at::Tensor& x) { return x / (1 + x.abs()); }
at::Tensor softplus(const at::Tensor& x) { return at::softplus(x); }
at::Tensor hard_swish(const at::Tensor& x) { return x * at::clamp(x / 6.0 + 0.5, 0.0, 1.0); }
at::Tensor identity(const at::Tensor& x) { return x; }
at::Tensor add(const at::Tensor& a, const at::Tensor& b) { return at::add(a, b); }
at::Tensor sub(const at::Tensor& a, const at::Tensor& b) { return at::sub(a, b); }
at::Tensor prelu(const at::Tensor& x, const at::Tensor& slope) { return at::where(x >= 0, x, x * slope); }
at::Tensor power(const at::Tensor& a, const at::Tensor& b) {
  // The gradient to a constant exponent is not wanted, and log of a negative base would be nan.
  return b.numel() == 1 && !b.requires_grad() ? at::pow(a, b.item()) : at::pow(a, b);
}

Result<Operator> where(const Graph&, const Node&) {
  return Operator([](const Tensors& in, const Mode&) { return Tensors{at::where(in[0], in[1], in[2])}; });
}

Result<Operator> cast(const Graph& graph, const Node& node) {
  const DataType to = graph.value(node.outputs[0]).type;
  if (to != DataType::Float32 && to != DataType::Float64)
    return error(ErrorCode::Unsupported, "Cast to {}", to_string(to));
  const at::ScalarType type = to == DataType::Float32 ? at::kFloat : at::kDouble;
  return Operator([type](const Tensors& in, const Mode&) { return Tensors{in[0].to(type)}; });
}

}  // namespace

void add_elementwise(Makers& makers) {
  makers["Relu"] = unary<at::relu>;
  makers["Sigmoid"] = unary<at::sigmoid>;
  makers["Tanh"] = unary<at::tanh>;
  makers["Exp"] = unary<at::exp>;
  makers["Log"] = unary<at::log>;
  makers["Sqrt"] = unary<at::sqrt>;
  makers["Neg"] = unary<at::neg>;
  makers["Abs"] = unary<at::abs>;
  makers["Erf"] = unary<at::erf>;
  makers["Reciprocal"] = unary<at::reciprocal>;
  makers["Sin"] = unary<at::sin>;
  makers["Cos"] = unary<at::cos>;
  makers["Softplus"] = unary<softplus>;
  makers["Softsign"] = unary<softsign>;
  makers["HardSwish"] = unary<hard_swish>;
  makers["Identity"] = unary<identity>;
  makers["Dropout"] = unary<identity>;  // the reader keeps its inference form
  makers["Add"] = binary<add>;
  makers["Sub"] = binary<sub>;
  makers["Mul"] = binary<at::mul>;
  makers["Div"] = divide;
  makers["Pow"] = binary<power>;
  makers["PRelu"] = binary<prelu>;
  makers["Sum"] = variadic<add>;
  makers["Min"] = variadic<at::minimum>;
  makers["Max"] = variadic<at::maximum>;
  makers["Mean"] = mean_of_inputs;
  makers["Clip"] = clip;
  makers["HardSigmoid"] = hard_sigmoid;
  makers["LeakyRelu"] = leaky_relu;
  makers["Elu"] = elu;
  makers["Celu"] = celu;
  makers["Selu"] = selu;
  makers["ThresholdedRelu"] = thresholded_relu;
  makers["Where"] = where;
  makers["Cast"] = cast;
}

}  // namespace disco::train
