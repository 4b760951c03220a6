// Operators that move elements: views where nothing has to move, strided reorders and channel copies
// otherwise.

#include <algorithm>
#include <cstring>
#include <numeric>

#include "compile/lowering.h"

namespace disco {

using kernels::ChannelView;
using kernels::Desc;
using kernels::Dims;

namespace {

constexpr auto kF32 = dnnl::memory::data_type::f32;
constexpr std::size_t kMostDims = 6;  // what oneDNN's jit reorder takes comfortably

bool is_view(const Node& node) {
  return node.is("Reshape") || node.is("Flatten") || node.is("Squeeze") || node.is("Unsqueeze") ||
         node.is("Identity") || node.is("Dropout");
}

Dims permuted(const Dims& dims, const std::vector<std::int64_t>& perm) {
  Dims result;
  for (const std::int64_t p : perm) result.push_back(dims[static_cast<std::size_t>(p)]);
  return result;
}

}  // namespace

bool Lowering::lower_movement(const Node& node) {
  if (node.outputs.empty() || node.outputs[0] == kNoValue) return false;
  const ValueId out = node.outputs[0];
  if (is_view(node)) {
    if (graph_.constant(node.inputs[0]) != nullptr || !value(out).has_shape() ||
        value(out).type != value(node.inputs[0]).type || !value(node.inputs[0]).has_shape() ||
        element_count(value(out).shape()) != element_count(value(node.inputs[0]).shape()))
      return false;
    if (node.outputs.size() > 1 && node.outputs[1] != kNoValue) return false;
    const Placed from = node.is("Identity") ? at(node.inputs[0]) : plain(node.inputs[0]);
    if (from.buffer == kNoBuffer) return false;
    Placed view = from;
    view.shape = value(out).shape();
    if (!node.is("Identity") && view.type == DataType::Float32 && element_count(view.shape) > 0)
      view.desc = kernels::plain_desc(view.shape);
    alias(out, view);
    return true;
  }
  if (!is_float(node.inputs[0]) || !is_float(out)) return false;
  const Shape in = value(node.inputs[0]).shape();
  const Shape to = value(out).shape();

  // dst[...] = src[...] over `dims`, each side with strides of its own and an offset.
  const auto strided = [&](const Placed& src, const Desc& src_desc, std::size_t src_offset, const Placed& dst,
                           const Desc& dst_desc, std::size_t dst_offset) {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::reorder::primitive_desc pd(kernels::cpu_engine(), src_desc, kernels::cpu_engine(), dst_desc,
                                           attr);
    add_primitive(name_of(graph_, node), node.op,
                  {dnnl::reorder(pd),
                   pd.impl_info_str(),
                   pd.scratchpad_desc(),
                   {{DNNL_ARG_FROM, src_desc, src.buffer, src_offset * sizeof(float)},
                    {DNNL_ARG_TO, dst_desc, dst.buffer, dst_offset * sizeof(float)}}});
  };

  if (node.is("Transpose")) {
    if (in.empty() || in.size() > kMostDims) return false;
    std::vector<std::int64_t> perm(in.size());
    std::iota(perm.rbegin(), perm.rend(), 0);
    perm = node.ints_or("perm", perm);
    Placed src = at(node.inputs[0]);
    kernels::BlockedLayout layout;
    if (kernels::describe_layout(src.desc, layout) && layout.block_axis < 0) {
      // Channels-last results of convolutions need not move to become channels-last values, nor these to be
      // read by convolutions.
      Placed view = src;
      view.shape = to;
      view.desc = Desc(permuted(layout.dims, perm), kF32, permuted(layout.strides, perm));
      view.plain = view.desc == kernels::plain_desc(to);
      const Dims dims(to.begin(), to.end());
      if (view.plain || (to.size() == 4 && view.desc == kernels::channels_last_desc(dims))) {
        alias(out, view);
        return true;
      }
    }
    const Placed dst = place_plain(out);
    // The result's strides, in the order of the input's axes.
    const Dims strides = kernels::plain_strides(Dims(to.begin(), to.end()));
    Dims by_input(in.size());
    for (std::size_t d = 0; d < perm.size(); ++d) by_input[static_cast<std::size_t>(perm[d])] = strides[d];
    strided(src, src.desc, 0, dst, Desc(Dims(in.begin(), in.end()), kF32, by_input), 0);
    return true;
  }

  // Channels c of the input, in an order of their own, along one axis.
  const auto channel_copy = [&](int axis, const std::vector<std::int32_t>& channels, ValueId result,
                                const Shape& shape_with_axis) {
    Placed src = at(node.inputs[0]);
    ChannelView from;
    ChannelView into;
    Desc desc = same_format(src.desc, shape_with_axis);
    const bool same_rank = value(result).shape().size() == shape_with_axis.size();
    if (!same_rank || !kernels::view_of(src.desc, axis, from) || !kernels::view_of(desc, axis, into)) {
      src = plain(node.inputs[0]);
      from = kernels::plain_view(in, axis);
      desc = kernels::plain_desc(shape_with_axis);
      into = kernels::plain_view(shape_with_axis, axis);
    }
    const Placed dst = same_rank ? place(result, desc) : place_plain(result);
    std::vector<std::int32_t> order(channels.size());
    std::iota(order.begin(), order.end(), 0);
    const kernels::ChannelCopy copy(from, channels, into, order);
    add_function(node, "channel copy", {src.buffer, dst.buffer}, [=](Workspace::Impl& workspace) -> Status {
      copy.run(workspace.as<float>(src.buffer), workspace.as<float>(dst.buffer));
      kernels::zero_padding(into, workspace.as<float>(dst.buffer));
      return {};
    });
  };

  if (node.is("Gather")) {
    const Tensor* indices = graph_.constant(node.inputs[1]);
    if (indices == nullptr || indices->rank() > 1) return false;
    std::int64_t axis = node.int_or("axis", 0);
    if (axis < 0) axis += static_cast<std::int64_t>(in.size());
    std::vector<std::int32_t> channels;
    for (std::int64_t index : to_int64s(*indices)) {
      if (index < 0) index += in[static_cast<std::size_t>(axis)];
      if (index < 0 || index >= in[static_cast<std::size_t>(axis)]) return false;
      channels.push_back(static_cast<std::int32_t>(index));
    }
    Shape with_axis = in;
    with_axis[static_cast<std::size_t>(axis)] = static_cast<std::int64_t>(channels.size());
    channel_copy(static_cast<int>(axis), channels, out, with_axis);
    return true;
  }

  if (node.is("Split")) {
    std::int64_t axis = node.int_or("axis", 0);
    if (axis < 0) axis += static_cast<std::int64_t>(in.size());
    std::int32_t offset = 0;
    for (const ValueId part : node.outputs) {
      if (!is_float(part)) return false;
    }
    for (const ValueId part : node.outputs) {
      std::vector<std::int32_t> channels(
          static_cast<std::size_t>(value(part).shape()[static_cast<std::size_t>(axis)]));
      std::iota(channels.begin(), channels.end(), offset);
      offset += static_cast<std::int32_t>(channels.size());
      channel_copy(static_cast<int>(axis), channels, part, value(part).shape());
    }
    return true;
  }

  if (node.is("Slice")) {
    for (std::size_t k = 1; k < node.inputs.size(); ++k) {
      if (node.inputs[k] != kNoValue && graph_.constant(node.inputs[k]) == nullptr) return false;
    }
    const auto starts = to_int64s(*graph_.constant(node.inputs[1]));
    std::vector<std::int64_t> axes(starts.size());
    std::iota(axes.begin(), axes.end(), 0);
    if (node.input(3) != kNoValue) axes = to_int64s(*graph_.constant(node.inputs[3]));
    std::vector<std::int64_t> steps(starts.size(), 1);
    if (node.input(4) != kNoValue) steps = to_int64s(*graph_.constant(node.inputs[4]));
    std::vector<std::int64_t> begin(in.size(), 0);
    std::vector<std::int64_t> step(in.size(), 1);
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const auto d =
          static_cast<std::size_t>(axes[i] < 0 ? axes[i] + static_cast<std::int64_t>(in.size()) : axes[i]);
      if (steps[i] < 1) return false;
      begin[d] = std::clamp<std::int64_t>(starts[i] < 0 ? starts[i] + in[d] : starts[i], 0, in[d]);
      step[d] = steps[i];
    }
    // One axis only: a channel copy keeps the layout.
    std::vector<std::size_t> cut;
    for (std::size_t d = 0; d < in.size(); ++d) {
      if (in[d] != to[d] || begin[d] != 0) cut.push_back(d);
    }
    if (cut.size() <= 1) {
      const std::size_t axis = cut.empty() ? 0 : cut[0];
      std::vector<std::int32_t> channels;
      for (std::int64_t c = 0; c < to[axis]; ++c)
        channels.push_back(static_cast<std::int32_t>(begin[axis] + c * step[axis]));
      channel_copy(static_cast<int>(axis), channels, out, to);
      return true;
    }
    if (in.size() > kMostDims) return false;
    const Placed src = plain(node.inputs[0]);
    const Placed dst = place_plain(out);
    Dims strides = kernels::plain_strides(Dims(in.begin(), in.end()));
    std::size_t offset = 0;
    for (std::size_t d = 0; d < in.size(); ++d) {
      offset += static_cast<std::size_t>(begin[d] * strides[d]);
      strides[d] *= step[d];
    }
    strided(src, kernels::strided_desc(to, strides), offset, dst, kernels::plain_desc(to), 0);
    return true;
  }

  if (node.is("Pad")) {
    const Tensor* pads = graph_.constant(node.inputs[1]);
    if (pads == nullptr || node.string_or("mode", "constant") != "constant" || in.size() > kMostDims ||
        in.empty())
      return false;
    float fill = 0.0F;
    if (node.input(2) != kNoValue) {
      const Tensor* given = graph_.constant(node.inputs[2]);
      if (given == nullptr || given->elements() != 1) return false;
      fill = given->data<float>()[0];
    }
    const auto amounts = to_int64s(*pads);
    if (std::any_of(amounts.begin(), amounts.end(), [](std::int64_t p) { return p < 0; })) return false;
    const Placed src = plain(node.inputs[0]);
    const Placed dst = place_plain(out);
    const std::int64_t elements = element_count(to);
    add_function(node, "fill", {dst.buffer}, [=](Workspace::Impl& workspace) -> Status {
      std::fill_n(workspace.as<float>(dst.buffer), elements, fill);
      return {};
    });
    const Dims strides = kernels::plain_strides(Dims(to.begin(), to.end()));
    std::size_t offset = 0;
    for (std::size_t d = 0; d < in.size(); ++d) offset += static_cast<std::size_t>(amounts[d] * strides[d]);
    strided(src, kernels::plain_desc(in), 0, dst, kernels::strided_desc(in, strides), offset);
    return true;
  }

  if (node.is("DepthToSpace") || node.is("SpaceToDepth")) {
    if (in.size() != 4) return false;
    const std::int64_t b = node.int_or("blocksize", 1);
    const bool to_space = node.is("DepthToSpace");
    const bool column_row = to_space && node.string_or("mode", "DCR") == "CRD";
    // (n, by, bx, c, h, w) of the smaller channel count; both sides as strides over it.
    const Shape& deep = to_space ? in : to;
    const Shape& wide = to_space ? to : in;
    const std::int64_t c = wide[1], h = deep[2], w = deep[3];
    const Dims dims = {in[0], b, b, c, h, w};
    const std::int64_t plane = h * w;
    const Dims deep_strides = column_row ? Dims{deep[1] * plane, b * plane, plane, b * b * plane, w, 1}
                                         : Dims{deep[1] * plane, b * c * plane, c * plane, plane, w, 1};
    const std::int64_t row = w * b;
    const Dims wide_strides = {wide[1] * wide[2] * wide[3], row, 1, wide[2] * wide[3], row * b, b};
    const Placed src = plain(node.inputs[0]);
    const Placed dst = place_plain(out);
    strided(src, Desc(dims, kF32, to_space ? deep_strides : wide_strides), 0, dst,
            Desc(dims, kF32, to_space ? wide_strides : deep_strides), 0);
    return true;
  }
  return false;
}

}  // namespace disco
