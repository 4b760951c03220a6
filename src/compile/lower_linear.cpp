// Convolutions and matrix products on oneDNN, with activations and sums as post-operations.

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>

#include "compile/lowering.h"

namespace disco {

using kernels::Desc;
using kernels::Dims;

namespace {

constexpr auto kF32 = dnnl::memory::data_type::f32;

void append_activation(kernels::PostOps& ops, const Graph& graph, const Node& node) {
  const auto activation = eltwise_ops(graph, node);
  for (const EltwiseOp& op : *activation) ops.eltwise(op.algorithm, op.alpha, op.beta);
}

}  // namespace

kernels::ConvolutionShape window_shape(const Node& node, const Shape& in, const Shape& out,
                                       const Shape& kernel, bool transposed) {
  kernels::ConvolutionShape shape;
  for (std::size_t d = 0; d < kernel.size(); ++d) {
    const Window window = window_along(node, in[d + 2], out[d + 2], kernel[d], d, kernel.size(), transposed);
    shape.strides.push_back(window.stride);
    shape.dilations.push_back(window.dilation - 1);
    shape.pads_begin.push_back(window.pad_begin);
    shape.pads_end.push_back(window.pad_end);
  }
  return shape;
}

RowRange rows_read(kernels::ConvolutionShape& window, std::int64_t kernel, std::int64_t in, RowRange out) {
  const std::int64_t stride = window.strides[0];
  const std::int64_t first = out.begin * stride - window.pads_begin[0];
  const std::int64_t last =
      (out.end - 1) * stride - window.pads_begin[0] + (kernel - 1) * (window.dilations[0] + 1);
  const RowRange read{std::max<std::int64_t>(first, 0), std::min(last + 1, in)};
  window.pads_begin[0] = read.begin - first;
  window.pads_end[0] = last + 1 - read.end;
  return read;
}

namespace {

/// Some rows of a convolution whose arguments are these; none where oneDNN has no kernel like that for all
/// rows, or one that wants its weights otherwise.
std::optional<Primitive> convolution_of_rows(std::vector<Argument> arguments,
                                             kernels::ConvolutionShape window, std::int64_t kernel,
                                             std::int64_t in, RowRange rows, const dnnl::primitive_attr& attr,
                                             const std::string& implementation) {
  const RowRange read = rows_read(window, kernel, in, rows);
  if (read.count() <= 0) return std::nullopt;
  Desc src, dst, weights, bias;
  bool biased = false;
  for (Argument& argument : arguments) {
    switch (argument.name) {
      case DNNL_ARG_SRC:
        argument = Lowering::argument_of_rows(DNNL_ARG_SRC, argument.desc, argument.buffer, read);
        src = argument.desc;
        break;
      case DNNL_ARG_DST:
        argument = Lowering::argument_of_rows(DNNL_ARG_DST, argument.desc, argument.buffer, rows);
        dst = argument.desc;
        break;
      case DNNL_ARG_WEIGHTS: weights = argument.desc; break;
      default: bias = argument.desc; biased = true;
    }
  }
  const auto pd = kernels::convolution(src, weights, biased ? &bias : nullptr, dst, window, attr);
  if (std::string(pd.impl_info_str()) != implementation) return std::nullopt;
  return Primitive{dnnl::convolution_forward(pd), implementation, pd.scratchpad_desc(), std::move(arguments)};
}

}  // namespace

bool Lowering::lower_linear(const Node& node, const std::vector<const Node*>& chain) {
  if (node.is("Conv") || node.is("ConvTranspose")) return lower_convolution(node, chain);
  if (node.is("Gemm") || node.op == "MatMul") {
    return lower_constant_product(node, chain) || (chain.empty() && node.is("MatMul") && lower_product(node));
  }
  return false;
}

bool Lowering::lower_convolution(const Node& node, const std::vector<const Node*>& chain) {
  const bool transposed = node.is("ConvTranspose");
  // oneDNN computes what follows a transposed convolution, post-operations and the bias, an element at a
  // time, up to a hundred times slower than the convolution itself.
  if (transposed && !chain.empty()) return false;
  const Tensor* weight = graph_.constant(node.inputs[1]);
  const ValueId bias_id = node.input(2);
  if (weight == nullptr || !all_float(node) || (bias_id != kNoValue && graph_.constant(bias_id) == nullptr))
    return false;
  const Shape in = value(node.inputs[0]).shape();
  const Shape out = value(node.outputs[0]).shape();
  const Shape& w = weight->shape();
  if (in.size() < 3 || in.size() > 5) return false;
  const std::int64_t groups = node.int_or("group", 1);
  const std::int64_t inputs = transposed ? w[0] / groups : w[1];
  const std::int64_t outputs = transposed ? w[1] : w[0] / groups;
  const Shape kernel(w.begin() + 2, w.end());
  const auto window = window_shape(node, in, out, kernel, transposed);

  // Weights as [groups,] outputs, inputs, taps; a transposed convolution stores inputs first.
  Dims dims = {outputs, inputs};
  dims.insert(dims.end(), kernel.begin(), kernel.end());
  Dims strides = kernels::plain_strides(dims);
  if (transposed) {
    const std::int64_t taps = element_count(kernel);
    strides[0] = taps;
    strides[1] = outputs * taps;
  }
  if (groups > 1) {
    dims.insert(dims.begin(), groups);
    strides.insert(strides.begin(), outputs * inputs * element_count(kernel));
  }
  const Desc user_weights(dims, kF32, strides);
  const Desc any_weights(dims, kF32, dnnl::memory::format_tag::any);
  const Desc bias_desc({out[1]}, kF32, dnnl::memory::format_tag::x);
  const Desc* bias = bias_id != kNoValue && !transposed ? &bias_desc : nullptr;
  const ValueId result = chain.empty() ? node.outputs[0] : chain.back()->outputs[0];

  kernels::PostOps ops;
  ValueId summand = kNoValue;
  std::string names;  // "+Add+Relu"
  ValueId current = node.outputs[0];
  for (const Node* member : chain) {
    names += "+" + member->op;
    if (member->is("Add")) {
      summand = member->inputs[0] == current ? member->inputs[1] : member->inputs[0];
      ops.sum();
    } else {
      append_activation(ops, graph_, *member);
    }
    current = member->outputs[0];
  }
  if (summand != kNoValue && !placed_[static_cast<std::size_t>(summand)]) return false;

  const auto attr = ops.attr();
  const auto lower = [&](auto pd, const auto& primitive) {
    const std::string implementation = pd.impl_info_str();
    if (is_reference(implementation)) {
      if (!chain.empty()) return false;  // without post-operations there may be a fast one
      spdlog::warn("{}: oneDNN has only '{}' for this convolution; it will be slow", describe(graph_, node),
                   implementation);
    }
    kernels::ChannelView view;
    const bool shifted = transposed && bias_id != kNoValue;
    if (shifted && !kernels::view_of(pd.dst_desc(), 1, view)) return false;
    const Placed src = in_layout(node.inputs[0], pd.src_desc());
    const BufferId packed = add_constant(pd.weights_desc().get_size());
    reorder_now(user_weights, weight->raw(), pd.weights_desc(), program_.buffers.back().constant.get());
    std::vector<Argument> arguments = {{DNNL_ARG_SRC, pd.src_desc(), src.buffer},
                                       {DNNL_ARG_WEIGHTS, pd.weights_desc(), packed}};
    if (bias != nullptr) arguments.push_back({DNNL_ARG_BIAS, bias_desc, constant(bias_id).buffer});
    Placed placed;
    if (summand != kNoValue) {
      // The sum happens in the summand's own place, or in a copy of it.
      placed = at(summand).desc == pd.dst_desc() && dies_here(summand) ? at(summand)
                                                                       : copied(summand, pd.dst_desc());
      alias(result, placed);
    } else {
      placed = place(result, pd.dst_desc());
    }
    arguments.push_back({DNNL_ARG_DST, pd.dst_desc(), placed.buffer});
    const std::int64_t macs = transposed ? element_count(in) * (weight->elements() / w[0])
                                         : element_count(out) * (weight->elements() / w[0]);
    const std::string name = name_of(graph_, node);
    const bool by_rows = !transposed && lies_by_rows(pd.src_desc()) && lies_by_rows(pd.dst_desc());
    const bool banded =
        by_rows && add_in_bands(result, name, node.op + names, macs, [&](RowRange rows) {
          return convolution_of_rows(arguments, window, kernel[0], in[2], rows, attr, implementation);
        });
    if (!banded) {
      add_primitive(name, node.op + names,
                    {primitive, implementation, pd.scratchpad_desc(), std::move(arguments)}, macs);
    }
    if (shifted) add_channel_shift(node, placed.buffer, view, *graph_.constant(bias_id));
    return true;
  };
  const Desc src_any = kernels::any_desc(in);
  const Desc dst_any = kernels::any_desc(out);
  try {
    if (transposed) {
      const auto pd = kernels::deconvolution(src_any, any_weights, bias, dst_any, window, attr);
      return lower(pd, dnnl::deconvolution_forward(pd));
    }
    auto pd = kernels::convolution(src_any, any_weights, bias, dst_any, window, attr);
    if (summand != kNoValue && at(summand).desc != pd.dst_desc()) {
      // The summand's layout saves a pass where the same kernel takes it; a slower kernel costs more than the
      // pass.
      try {
        const auto like = kernels::convolution(src_any, any_weights, bias, at(summand).desc, window, attr);
        if (std::string(like.impl_info_str()) == pd.impl_info_str()) pd = like;
      } catch (const dnnl::error&) {
        // No kernel at all takes it.
      }
    }
    return lower(pd, dnnl::convolution_forward(pd));
  } catch (const dnnl::error&) {
    return false;  // a form that oneDNN lacks; the evaluator has it
  }
}

std::optional<Desc> Lowering::wanted_by_convolution(ValueId id) {
  for (const std::int32_t n : readers_[static_cast<std::size_t>(id)]) {
    const Node& node = graph_.nodes[static_cast<std::size_t>(n)];
    if (!node.is("Conv") || node.inputs[0] != id || !all_float(node)) continue;
    const Tensor* weight = graph_.constant(node.inputs[1]);
    if (weight == nullptr) continue;
    const Shape in = value(id).shape();
    const Shape out = value(node.outputs[0]).shape();
    const Shape& w = weight->shape();
    const std::int64_t groups = node.int_or("group", 1);
    Dims dims = {w[0] / groups, w[1]};
    dims.insert(dims.end(), w.begin() + 2, w.end());
    if (groups > 1) dims.insert(dims.begin(), groups);
    try {
      const auto pd = kernels::convolution(
          kernels::any_desc(in), {dims, kF32, dnnl::memory::format_tag::any}, nullptr, kernels::any_desc(out),
          window_shape(node, in, out, Shape(w.begin() + 2, w.end()), false), kernels::PostOps().attr());
      return pd.src_desc();
    } catch (const dnnl::error&) {
      continue;
    }
  }
  return std::nullopt;
}

bool Lowering::lower_constant_product(const Node& node, const std::vector<const Node*>& chain) {
  const Tensor* weight = graph_.constant(node.inputs[1]);
  if (weight == nullptr || weight->rank() != 2 || !all_float(node)) return false;
  const Shape in = value(node.inputs[0]).shape();
  const Shape out = value(node.outputs[0]).shape();
  if (in.size() < 2 || out.empty()) return false;
  const bool gemm = node.is("Gemm");
  if (gemm && node.int_or("transA", 0) != 0) return false;
  const bool transposed = gemm && node.int_or("transB", 0) != 0;
  const float alpha = gemm ? node.float_or("alpha", 1.0F) : 1.0F;
  const float beta = gemm ? node.float_or("beta", 1.0F) : 1.0F;
  const std::int64_t k = in.back();
  const std::int64_t n = out.back();
  const std::int64_t m = element_count(in) / std::max<std::int64_t>(1, k);
  const ValueId bias_id = node.input(2);
  const Tensor* bias = bias_id == kNoValue ? nullptr : graph_.constant(bias_id);
  if (bias_id != kNoValue && (bias == nullptr || (bias->elements() != n && bias->elements() != 1)))
    return false;
  if (bias != nullptr && bias->elements() == n && n > 1 && bias->shape().back() != n)
    return false;  // a column

  const Shape flat_in = {m, k};
  const Shape flat_out = {m, n};
  const Desc src_desc = kernels::plain_desc(flat_in);
  const Desc dst_desc = kernels::plain_desc(flat_out);
  const Desc user_weights({k, n}, kF32, transposed ? Dims{1, k} : Dims{n, 1});
  const Desc any_weights({k, n}, kF32, dnnl::memory::format_tag::any);
  const Desc bias_desc({1, n}, kF32, Dims{n, 1});

  ValueId summand = kNoValue;
  ValueId current = node.outputs[0];
  for (const Node* member : chain) {
    if (member->is("Add")) summand = member->inputs[0] == current ? member->inputs[1] : member->inputs[0];
    current = member->outputs[0];
  }
  if (summand != kNoValue && !placed_[static_cast<std::size_t>(summand)]) return false;
  const bool in_place = summand != kNoValue && at(summand).plain && dies_here(summand);
  kernels::PostOps ops;
  int summand_position = 0;
  std::string names;
  for (const Node* member : chain) {
    names += "+" + member->op;
    if (!member->is("Add")) {
      append_activation(ops, graph_, *member);
    } else if (in_place) {
      ops.sum();
    } else {
      summand_position = ops.size();
      ops.binary(dnnl::algorithm::binary_add, dst_desc);
    }
  }
  try {
    const auto attempt = [&](const Desc& weights) {
      return kernels::matmul(src_desc, weights, bias != nullptr ? &bias_desc : nullptr, dst_desc, ops.attr());
    };
    auto pd = attempt(any_weights);
    const std::string implementation = pd.impl_info_str();
    // Blocks of 64 columns pad a third to 96, which 2 of 48 hold as they are, at the same speed.
    using tag = dnnl::memory::format_tag;
    for (const tag blocks : {tag::BA16a48b, tag::BA16a32b}) {
      const Desc narrower({k, n}, kF32, blocks);
      if (!implementation.starts_with("brg") || narrower.get_size() >= pd.weights_desc().get_size()) continue;
      const auto other = attempt(narrower);
      if (other.impl_info_str() == implementation) pd = other;
    }
    if (is_reference(implementation)) {
      if (!chain.empty()) return false;
      spdlog::warn("{}: oneDNN has only '{}' for this product; it will be slow", describe(graph_, node),
                   implementation);
    }
    const Placed src = plain(node.inputs[0]);
    const Placed beside = summand != kNoValue ? plain(summand) : Placed{};
    Tensor scaled = *weight;
    if (alpha != 1.0F) {
      scaled = weight->clone();
      for (std::int64_t i = 0; i < scaled.elements(); ++i) scaled.data<float>()[i] *= alpha;
    }
    const BufferId packed = add_constant(pd.weights_desc().get_size());
    reorder_now(user_weights, scaled.raw(), pd.weights_desc(), program_.buffers.back().constant.get());
    std::vector<Argument> arguments = {{DNNL_ARG_SRC, src_desc, src.buffer},
                                       {DNNL_ARG_WEIGHTS, pd.weights_desc(), packed}};
    if (bias != nullptr) {
      const BufferId held = add_constant(static_cast<std::size_t>(n) * sizeof(float));
      auto* to = reinterpret_cast<float*>(program_.buffers.back().constant.get());
      for (std::int64_t i = 0; i < n; ++i) to[i] = beta * bias->data<float>()[bias->elements() == 1 ? 0 : i];
      arguments.push_back({DNNL_ARG_BIAS, bias_desc, held});
    }
    const ValueId result = chain.empty() ? node.outputs[0] : chain.back()->outputs[0];
    Placed placed;
    if (in_place) {
      placed = at(summand);
      alias(result, placed);
    } else {
      placed = place_plain(result);
      if (summand != kNoValue) {
        arguments.push_back(
            {DNNL_ARG_ATTR_MULTIPLE_POST_OP(summand_position) | DNNL_ARG_SRC_1, dst_desc, beside.buffer});
      }
    }
    arguments.push_back({DNNL_ARG_DST, dst_desc, placed.buffer});
    add_primitive(name_of(graph_, node), node.op + names,
                  {dnnl::matmul(pd), implementation, pd.scratchpad_desc(), std::move(arguments)}, m * n * k);
    return true;
  } catch (const dnnl::error&) {
    return false;
  }
}

bool Lowering::lower_product(const Node& node) {
  if (!all_float(node)) return false;
  const Shape a = value(node.inputs[0]).shape();
  const Shape b = value(node.inputs[1]).shape();
  const Shape out = value(node.outputs[0]).shape();
  if (a.size() < 2 || b.size() < 2 || out.size() > 6) return false;
  const auto widened = [&](const Shape& shape) {
    Shape wide(out.size() - shape.size(), 1);
    wide.insert(wide.end(), shape.begin(), shape.end());
    return kernels::plain_desc(wide);
  };
  try {
    const auto pd =
        kernels::matmul(widened(a), widened(b), nullptr, kernels::plain_desc(out), kernels::PostOps().attr());
    const std::string implementation = pd.impl_info_str();
    if (is_reference(implementation)) return false;
    const Placed src = plain(node.inputs[0]);
    const Placed weights = plain(node.inputs[1]);
    const Placed dst = place_plain(node.outputs[0]);
    add_primitive(name_of(graph_, node), node.op,
                  {dnnl::matmul(pd),
                   implementation,
                   pd.scratchpad_desc(),
                   {{DNNL_ARG_SRC, widened(a), src.buffer},
                    {DNNL_ARG_WEIGHTS, widened(b), weights.buffer},
                    {DNNL_ARG_DST, kernels::plain_desc(out), dst.buffer}}},
                  element_count(out) * a.back());
    return true;
  } catch (const dnnl::error&) {
    return false;
  }
}

}  // namespace disco
