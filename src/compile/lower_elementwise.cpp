// Activations, and arithmetic with broadcasting.

#include <algorithm>
#include <cmath>

#include "compile/lowering.h"

namespace disco {

using kernels::Desc;
using kernels::Dims;

std::optional<std::vector<EltwiseOp>> eltwise_ops(const Graph& graph, const Node& node) {
  using dnnl::algorithm;
  const auto one = [](algorithm a, float alpha = 0.0F, float beta = 0.0F) {
    return std::vector<EltwiseOp>{{a, alpha, beta}};
  };
  if (node.domain == kFusedDomain) {
    if (node.op == "Swish") return one(algorithm::eltwise_swish, 1.0F);
    if (node.op == "Gelu") return one(algorithm::eltwise_gelu_erf);
    return std::nullopt;
  }
  if (!node.domain.empty()) return std::nullopt;
  const auto bound = [&](std::size_t k, float fallback) -> std::optional<float> {
    if (node.input(k) == kNoValue) return fallback;
    const Tensor* tensor = graph.constant(node.inputs[k]);
    if (tensor == nullptr || tensor->elements() != 1 || tensor->type() != DataType::Float32)
      return std::nullopt;
    return tensor->data<float>()[0];
  };
  const std::string& op = node.op;
  if (op == "Relu") return one(algorithm::eltwise_relu);
  if (op == "LeakyRelu") return one(algorithm::eltwise_relu, node.float_or("alpha", 0.01F));
  if (op == "Sigmoid") return one(algorithm::eltwise_logistic);
  if (op == "Tanh") return one(algorithm::eltwise_tanh);
  if (op == "Elu") return one(algorithm::eltwise_elu, node.float_or("alpha", 1.0F));
  if (op == "Exp") return one(algorithm::eltwise_exp);
  if (op == "Sqrt") return one(algorithm::eltwise_sqrt);
  if (op == "Abs") return one(algorithm::eltwise_abs);
  if (op == "Neg") return one(algorithm::eltwise_linear, -1.0F, 0.0F);
  if (op == "HardSigmoid") {
    return std::vector<EltwiseOp>{
        {algorithm::eltwise_linear, node.float_or("alpha", 0.2F), node.float_or("beta", 0.5F)},
        {algorithm::eltwise_clip, 0.0F, 1.0F}};
  }
  if (op == "HardSwish") {
#if DNNL_VERSION_MAJOR >= 3
    return one(algorithm::eltwise_hardswish, 1.0F / 6.0F, 0.5F);
#else
    return one(algorithm::eltwise_hardswish);
#endif
  }
  if (op == "Clip") {
    constexpr float kLargest = std::numeric_limits<float>::max();
    const auto low = bound(1, -kLargest);
    const auto high = bound(2, kLargest);
    if (!low || !high || *low > *high) return std::nullopt;
    return one(algorithm::eltwise_clip, *low, *high);
  }
  return std::nullopt;
}

bool Lowering::lower_unary(const Node& node) {
  const auto ops = eltwise_ops(graph_, node);
  if (!ops || !is_float(node.inputs[0]) || !is_float(node.outputs[0])) return false;
  try {
    Placed src = at(node.inputs[0]);
    // One channel in a block of sixteen: the padding costs more than a pass that leaves it behind.
    const auto bytes = static_cast<std::size_t>(element_count(src.shape)) * sizeof(float);
    if (src.desc.get_size() >= 2 * bytes) src = plain(node.inputs[0]);
    std::vector<dnnl::eltwise_forward::primitive_desc> descs;
    for (const EltwiseOp& op : *ops) {
      descs.push_back(kernels::eltwise(op.algorithm, src.desc, op.alpha, op.beta, kernels::PostOps().attr()));
    }
    if (is_reference(descs[0].impl_info_str()) && value(node.inputs[0]).shape().size() > 5) return false;
    const bool in_place = dies_here(node.inputs[0]);
    Placed dst;
    if (in_place) {
      dst = src;
      dst.shape = value(node.outputs[0]).shape();
      alias(node.outputs[0], dst);
    } else {
      dst = place(node.outputs[0], src.desc);
    }
    // One pass an operation: oneDNN drops what should follow another in one primitive where its kernel is
    // `ref`.
    BufferId from = src.buffer;
    const std::string name = name_of(graph_, node);
    for (std::size_t k = 0; k < descs.size(); ++k) {
      const bool banded =
          lies_by_rows(src.desc) && add_in_bands(node.outputs[0], name, node.op, 0, [&](RowRange rows) {
            const Argument in = argument_of_rows(DNNL_ARG_SRC, src.desc, from, rows);
            const auto pd = kernels::eltwise((*ops)[k].algorithm, in.desc, (*ops)[k].alpha, (*ops)[k].beta,
                                             kernels::PostOps().attr());
            return Primitive{dnnl::eltwise_forward(pd),
                             pd.impl_info_str(),
                             pd.scratchpad_desc(),
                             {in, argument_of_rows(DNNL_ARG_DST, src.desc, dst.buffer, rows)}};
          });
      const auto& pd = descs[k];
      if (!banded) {
        add_primitive(name, node.op,
                      {dnnl::eltwise_forward(pd),
                       pd.impl_info_str(),
                       pd.scratchpad_desc(),
                       {{DNNL_ARG_SRC, src.desc, from}, {DNNL_ARG_DST, src.desc, dst.buffer}}});
      }
      from = dst.buffer;
    }
    return true;
  } catch (const dnnl::error&) {
    return false;
  }
}

namespace {

enum class Arithmetic { Add, Sub, Mul, Div, Max, Min };

std::optional<Arithmetic> arithmetic_of(const Node& node) {
  if (!node.domain.empty()) return std::nullopt;
  if (node.op == "Add" || node.op == "Sum") return Arithmetic::Add;
  if (node.op == "Sub") return Arithmetic::Sub;
  if (node.op == "Mul") return Arithmetic::Mul;
  if (node.op == "Div") return Arithmetic::Div;
  if (node.op == "Max") return Arithmetic::Max;
  if (node.op == "Min") return Arithmetic::Min;
  return std::nullopt;
}

dnnl::algorithm algorithm_of(Arithmetic op) {
  switch (op) {
    case Arithmetic::Add: return dnnl::algorithm::binary_add;
    case Arithmetic::Sub: return dnnl::algorithm::binary_sub;
    case Arithmetic::Mul: return dnnl::algorithm::binary_mul;
    case Arithmetic::Div: return dnnl::algorithm::binary_div;
    case Arithmetic::Max: return dnnl::algorithm::binary_max;
    case Arithmetic::Min: return dnnl::algorithm::binary_min;
  }
  return dnnl::algorithm::undef;
}

/// Row-major operands of any broadcasting, as loops over at most `out`'s axes.
struct Broadcast {
  Shape shape;
  std::vector<std::int64_t> a, b;  // strides, 0 where broadcast

  Broadcast(const Shape& in_a, const Shape& in_b, const Shape& out)
      : shape(out), a(strides(in_a, out)), b(strides(in_b, out)) {}
  static std::vector<std::int64_t> strides(const Shape& in, const Shape& out) {
    std::vector<std::int64_t> result(out.size(), 0);
    std::int64_t stride = 1;
    for (std::size_t d = in.size(); d-- > 0;) {
      const std::size_t o = d + out.size() - in.size();
      result[o] = in[d] == 1 ? 0 : stride;
      stride *= in[d];
    }
    return result;
  }
  template <typename F>
  void run(const float* x, const float* y, float* z, F&& f) const {
    if (shape.empty()) {
      *z = f(*x, *y);
      return;
    }
    level(0, x, y, z, f);
  }

 private:
  template <typename F>
  float* level(std::size_t d, const float* x, const float* y, float* z, F&& f) const {
    const std::int64_t n = shape[d];
    if (d + 1 < shape.size()) {
      for (std::int64_t i = 0; i < n; ++i) z = level(d + 1, x + i * a[d], y + i * b[d], z, f);
      return z;
    }
    if (a[d] == 1 && b[d] == 1) {
      for (std::int64_t i = 0; i < n; ++i) z[i] = f(x[i], y[i]);
    } else if (a[d] == 1) {
      for (std::int64_t i = 0; i < n; ++i) z[i] = f(x[i], *y);
    } else {
      for (std::int64_t i = 0; i < n; ++i) z[i] = f(x[i * a[d]], y[i * b[d]]);
    }
    return z + n;
  }
};

void run_broadcast(const Broadcast& loops, Arithmetic op, const float* x, const float* y, float* z) {
  switch (op) {
    case Arithmetic::Add: return loops.run(x, y, z, [](float p, float q) { return p + q; });
    case Arithmetic::Sub: return loops.run(x, y, z, [](float p, float q) { return p - q; });
    case Arithmetic::Mul: return loops.run(x, y, z, [](float p, float q) { return p * q; });
    case Arithmetic::Div: return loops.run(x, y, z, [](float p, float q) { return p / q; });
    case Arithmetic::Max:
      return loops.run(x, y, z, [](float p, float q) { return p > q || std::isnan(p) ? p : q; });
    case Arithmetic::Min:
      return loops.run(x, y, z, [](float p, float q) { return p < q || std::isnan(p) ? p : q; });
  }
}

}  // namespace

bool Lowering::lower_binary(const Node& node) {
  const auto op = arithmetic_of(node);
  if (!op || node.inputs.size() != 2 || !all_float(node)) return false;
  ValueId x = node.inputs[0];
  ValueId y = node.inputs[1];
  const ValueId z = node.outputs[0];
  const Shape out = value(z).shape();
  const bool commutes = *op == Arithmetic::Add || *op == Arithmetic::Mul;
  if (commutes && (value(x).shape() != out || graph_.constant(x) != nullptr)) std::swap(x, y);
  const Shape shape_y = value(y).shape();
  if (value(x).shape() == out && !out.empty() && out.size() <= 5 && graph_.constant(x) == nullptr) {
    Shape wide(out.size() - shape_y.size(), 1);
    wide.insert(wide.end(), shape_y.begin(), shape_y.end());
    const Desc desc_x = at(x).desc;
    const Desc desc_y = shape_y == out ? desc_x : kernels::plain_desc(wide);
    try {
      const auto pd = kernels::binary(algorithm_of(*op), desc_x, desc_y, desc_x, kernels::PostOps().attr());
      if (!is_reference(pd.impl_info_str())) {
        const Placed placed_y = shape_y == out ? in_layout(y, desc_x) : plain(y);
        const Placed placed_x = at(x);
        Placed placed_z;
        if (dies_here(x) && placed_x.buffer != placed_y.buffer) {
          placed_z = placed_x;
          alias(z, placed_z);
        } else {
          placed_z = place(z, desc_x);
        }
        const std::string name = name_of(graph_, node);
        const bool by_rows = shape_y == out && lies_by_rows(desc_x);
        const bool banded =
            by_rows && add_in_bands(z, name, node.op, 0, [&](RowRange rows) {
              const Argument a = argument_of_rows(DNNL_ARG_SRC_0, desc_x, placed_x.buffer, rows);
              const auto part =
                  kernels::binary(algorithm_of(*op), a.desc, a.desc, a.desc, kernels::PostOps().attr());
              return Primitive{dnnl::binary(part),
                               part.impl_info_str(),
                               part.scratchpad_desc(),
                               {a, argument_of_rows(DNNL_ARG_SRC_1, desc_x, placed_y.buffer, rows),
                                argument_of_rows(DNNL_ARG_DST, desc_x, placed_z.buffer, rows)}};
            });
        if (!banded) {
          add_primitive(name, node.op,
                        {dnnl::binary(pd),
                         pd.impl_info_str(),
                         pd.scratchpad_desc(),
                         {{DNNL_ARG_SRC_0, desc_x, placed_x.buffer},
                          {DNNL_ARG_SRC_1, desc_y, placed_y.buffer},
                          {DNNL_ARG_DST, desc_x, placed_z.buffer}}});
        }
        return true;
      }
    } catch (const dnnl::error&) {
      // Broadcasts that oneDNN lacks are ours, below.
    }
  }
  const Placed placed_x = plain(node.inputs[0]);
  const Placed placed_y = plain(node.inputs[1]);
  const Placed placed_z = place_plain(z);
  const Broadcast loops(placed_x.shape, placed_y.shape, out);
  add_function(node, "broadcast", {placed_x.buffer, placed_y.buffer, placed_z.buffer},
               [=, op = *op](Workspace::Impl& workspace) -> Status {
                 run_broadcast(loops, op, workspace.as<float>(placed_x.buffer),
                               workspace.as<float>(placed_y.buffer), workspace.as<float>(placed_z.buffer));
                 return {};
               });
  return true;
}

}  // namespace disco
