#include <numeric>

#include "reference/window.h"
#include "train/operators.h"

namespace disco::train {

namespace {

using Tensors = std::vector<at::Tensor>;
using Ints = std::vector<std::int64_t>;

/// Kernel, strides, dilations and padding of a window over an input of fixed shape.
struct WindowShape {
  Ints kernel, stride, dilation, begin, end, out;
  [[nodiscard]] bool symmetric() const { return begin == end; }
  /// Padding as torch's constant_pad_nd wants it: last axis first.
  [[nodiscard]] Ints padding() const {
    Ints pad;
    for (std::size_t d = begin.size(); d-- > 0;) {
      pad.push_back(begin[d]);
      pad.push_back(end[d]);
    }
    return pad;
  }
};

Result<WindowShape> window_of(const Node& node, const Shape& in, std::optional<Shape> kernel,
                              bool ceil_mode) {
  DISCO_TRY(const reference::Window window, reference::slide_window(node, in, std::move(kernel), ceil_mode));
  WindowShape shape;
  for (std::size_t d = 3 - window.rank; d < 3; ++d) {
    const reference::WindowAxis& axis = window.axes[d];
    shape.kernel.push_back(axis.kernel);
    shape.stride.push_back(axis.stride);
    shape.dilation.push_back(axis.dilation);
    shape.begin.push_back(axis.begin);
    // What the last window reaches: less than the padding where rows are left over, more with ceil_mode.
    shape.end.push_back(
        std::max<std::int64_t>(axis.end, (axis.out - 1) * axis.stride + axis.span() - axis.in - axis.begin));
    shape.out.push_back(axis.out);
  }
  return shape;
}

Shape kernel_of(const Shape& weight) { return {weight.begin() + 2, weight.end()}; }

Result<Operator> convolution(const Graph& graph, const Node& node) {
  const Shape in = graph.value(node.inputs[0]).shape();
  const Shape weight = graph.value(node.inputs[1]).shape();
  DISCO_TRY(const WindowShape window, window_of(node, in, kernel_of(weight), false));
  const std::int64_t groups = node.int_or("group", 1);
  return Operator([window, groups](const Tensors& in, const Mode&) {
    const at::Tensor bias = in.size() > 2 ? in[2] : at::Tensor();
    const Ints zero(window.begin.size(), 0);
    if (window.symmetric()) {
      return Tensors{at::convolution(in[0], in[1], bias, window.stride, window.begin, window.dilation, false,
                                     zero, groups)};
    }
    const at::Tensor padded = at::constant_pad_nd(in[0], window.padding(), 0);
    return Tensors{
        at::convolution(padded, in[1], bias, window.stride, zero, window.dilation, false, zero, groups)};
  });
}

Result<Operator> transposed_convolution(const Graph& graph, const Node& node) {
  const Shape in = graph.value(node.inputs[0]).shape();
  const Shape out = graph.value(node.outputs[0]).shape();
  const Shape weight = graph.value(node.inputs[1]).shape();
  const std::size_t axes = in.size() - 2;
  const Ints stride = node.ints_or("strides", Ints(axes, 1));
  const Ints dilation = node.ints_or("dilations", Ints(axes, 1));
  const std::int64_t groups = node.int_or("group", 1);
  // The full result is computed and cut to the model's extents, whatever way it gives them.
  const Ints pads = node.ints_or("pads", Ints(2 * axes, 0));
  const std::string automatic = node.string_or("auto_pad", "NOTSET");
  Ints begin(axes, 0);
  Ints extra(axes, 0);
  for (std::size_t d = 0; d < axes; ++d) {
    const std::int64_t full = (in[d + 2] - 1) * stride[d] + (weight[d + 2] - 1) * dilation[d] + 1;
    const std::int64_t total = full - out[d + 2];
    begin[d] = pads[d];
    if (node.has("output_shape") || automatic.starts_with("SAME")) {
      const std::int64_t cut = std::max<std::int64_t>(total, 0);
      begin[d] = automatic == "SAME_UPPER" ? cut / 2 : cut - cut / 2;
    }
    extra[d] = std::max<std::int64_t>(0, out[d + 2] + begin[d] - full);
  }
  return Operator([=](const Tensors& in, const Mode&) {
    const at::Tensor bias = in.size() > 2 ? in[2] : at::Tensor();
    const Ints zero(axes, 0);
    // Output padding must stay below the stride, so rows that no input reaches are added by hand.
    at::Tensor y = at::convolution(in[0], in[1], {}, stride, zero, dilation, true, zero, groups);
    Ints grow;
    for (std::size_t d = axes; d-- > 0;) {
      grow.push_back(0);
      grow.push_back(extra[d]);
    }
    if (std::any_of(grow.begin(), grow.end(), [](std::int64_t e) { return e > 0; }))
      y = at::constant_pad_nd(y, grow, 0);
    for (std::size_t d = 0; d < axes; ++d)
      y = y.narrow(static_cast<std::int64_t>(d) + 2, begin[d], out[d + 2]);
    if (bias.defined()) {
      Ints shape(axes + 2, 1);
      shape[1] = -1;
      y = y + bias.reshape(shape);
    }
    return Tensors{y};
  });
}

Result<Operator> gemm(const Graph&, const Node& node) {
  const double alpha = node.float_or("alpha", 1.0F);
  const double beta = node.float_or("beta", 1.0F);
  const bool trans_a = node.int_or("transA", 0) != 0;
  const bool trans_b = node.int_or("transB", 0) != 0;
  return Operator([=](const Tensors& in, const Mode&) {
    at::Tensor y = at::matmul(trans_a ? in[0].t() : in[0], trans_b ? in[1].t() : in[1]);
    if (alpha != 1.0) y = y * alpha;
    if (in.size() > 2 && in[2].defined()) y = y + (beta == 1.0 ? in[2] : in[2] * beta);
    return Tensors{y};
  });
}

Result<Operator> product(const Graph&, const Node&) {
  return Operator([](const Tensors& in, const Mode&) { return Tensors{at::matmul(in[0], in[1])}; });
}

Result<Operator> batch_norm(const Graph&, const Node& node) {
  const double epsilon = node.float_or("epsilon", 1e-5F);
  return Operator([epsilon](const Tensors& in, const Mode& mode) {
    return Tensors{
        at::batch_norm(in[0], in[1], in[2], in[3], in[4], mode.training, mode.momentum, epsilon, false)};
  });
}

Result<Operator> layer_norm(const Graph& graph, const Node& node) {
  if (node.outputs.size() > 1)
    return error(ErrorCode::Unsupported, "LayerNormalization with several outputs");
  const Shape shape = graph.value(node.inputs[0]).shape();
  std::int64_t axis = node.int_or("axis", -1);
  if (axis < 0) axis += static_cast<std::int64_t>(shape.size());
  const Ints normalised(shape.begin() + axis, shape.end());
  const double epsilon = node.float_or("epsilon", 1e-5F);
  return Operator([=](const Tensors& in, const Mode&) {
    const at::Tensor scale = in[1].expand(normalised);
    const at::Tensor bias = in.size() > 2 && in[2].defined() ? in[2].expand(normalised) : at::Tensor();
    return Tensors{at::layer_norm(in[0], normalised, scale, bias, epsilon, false)};
  });
}

Result<Operator> instance_norm(const Graph&, const Node& node) {
  const double epsilon = node.float_or("epsilon", 1e-5F);
  return Operator([epsilon](const Tensors& in, const Mode&) {
    return Tensors{at::instance_norm(in[0], in[1], in[2], {}, {}, true, 0.0, epsilon, false)};
  });
}

template <bool kLog>
Result<Operator> softmax(const Graph&, const Node& node) {
  const std::int64_t axis = node.int_or("axis", -1);
  return Operator([axis](const Tensors& in, const Mode&) {
    return Tensors{kLog ? at::log_softmax(in[0], axis) : at::softmax(in[0], axis)};
  });
}

Result<Operator> max_pool(const Graph& graph, const Node& node) {
  const Shape in = graph.value(node.inputs[0]).shape();
  if (in.size() != 4 || node.outputs.size() > 1) return error(ErrorCode::Unsupported, "MaxPool of this form");
  DISCO_TRY(const WindowShape window, window_of(node, in, std::nullopt, node.int_or("ceil_mode", 0) != 0));
  return Operator([window](const Tensors& in, const Mode&) {
    const at::Tensor padded =
        at::constant_pad_nd(in[0], window.padding(), -std::numeric_limits<float>::infinity());
    const at::Tensor y = at::max_pool2d(padded, window.kernel, window.stride, Ints(2, 0), window.dilation);
    return Tensors{y.narrow(2, 0, window.out[0]).narrow(3, 0, window.out[1])};
  });
}

Result<Operator> average_pool(const Graph& graph, const Node& node) {
  const Shape in = graph.value(node.inputs[0]).shape();
  if (in.size() != 4) return error(ErrorCode::Unsupported, "AveragePool of this form");
  DISCO_TRY(const WindowShape window, window_of(node, in, std::nullopt, node.int_or("ceil_mode", 0) != 0));
  if (window.dilation != Ints(2, 1)) return error(ErrorCode::Unsupported, "dilated AveragePool");
  // How much of each window counts: the input, and the model's own padding where it says so.
  at::Tensor counted = at::ones({1, 1, in[2], in[3]});
  const Ints own = node.ints_or("pads", Ints(4, 0));
  Ints rest = window.padding();
  if (node.int_or("count_include_pad", 0) != 0) {
    counted = at::constant_pad_nd(counted, {window.begin[1], own[3], window.begin[0], own[2]}, 1);
    rest = {0, window.end[1] - own[3], 0, window.end[0] - own[2]};
  }
  counted = at::constant_pad_nd(counted, rest, 0);
  const at::Tensor share = at::avg_pool2d(counted, window.kernel, window.stride);
  return Operator([window, share](const Tensors& in, const Mode&) {
    const at::Tensor padded = at::constant_pad_nd(in[0], window.padding(), 0);
    const at::Tensor y = at::avg_pool2d(padded, window.kernel, window.stride) / share.to(in[0].device());
    return Tensors{y.narrow(2, 0, window.out[0]).narrow(3, 0, window.out[1])};
  });
}

template <bool kMax>
Result<Operator> global_pool(const Graph& graph, const Node& node) {
  Ints axes(graph.value(node.inputs[0]).shape().size() - 2);
  std::iota(axes.begin(), axes.end(), 2);
  return Operator([axes](const Tensors& in, const Mode&) {
    return Tensors{kMax ? at::amax(in[0], axes, true) : at::mean(in[0], axes, true)};
  });
}

}  // namespace

void add_linear(Makers& makers) {
  makers["Conv"] = convolution;
  makers["ConvTranspose"] = transposed_convolution;
  makers["Gemm"] = gemm;
  makers["MatMul"] = product;
  makers["BatchNormalization"] = batch_norm;
  makers["LayerNormalization"] = layer_norm;
  makers["InstanceNormalization"] = instance_norm;
  makers["Softmax"] = softmax<false>;
  makers["LogSoftmax"] = softmax<true>;
  makers["MaxPool"] = max_pool;
  makers["AveragePool"] = average_pool;
  makers["GlobalAveragePool"] = global_pool<false>;
  makers["GlobalMaxPool"] = global_pool<true>;
}

}  // namespace disco::train
