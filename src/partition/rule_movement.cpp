// Operators that move channels: where each output channel comes from.

#include "partition/rule_context.h"

namespace disco {

namespace {

Rule transpose_rule(const RuleContext& context) {
  const std::size_t rank = context.in(0).size();
  std::vector<std::int64_t> perm;
  for (std::size_t d = rank; d-- > 0;) perm.push_back(static_cast<std::int64_t>(d));
  perm = context.node.ints_or("perm", perm);
  const auto found = std::find(perm.begin(), perm.end(), context.axes[0]);
  return context.carried(context.axes[0], static_cast<ShardAxis>(found - perm.begin()));
}

Rule concat_rule(const RuleContext& context) {
  const Shape out = context.out();
  const auto joined = static_cast<ShardAxis>(normalise_axis(context.node.int_or("axis", 0), out.size()));
  ShardAxis axis = kReplicate;
  std::int64_t best = -1;
  for (std::size_t k = 0; k < context.inputs(); ++k) {
    if (context.sharded(k) && context.in_bytes(k) > best) {
      best = context.in_bytes(k);
      axis = context.axes[k];
    }
  }
  Rule rule = context.with_form(Form::Local, axis);
  std::int64_t offset = 0;
  for (std::size_t k = 0; k < context.inputs(); ++k) {
    const std::int64_t channels = extent(context.in(k), axis);
    if (axis != joined) {
      rule.inputs[k] = RuleContext::mapped(axis, IndexMap::identity(channels));
      continue;
    }
    std::vector<std::int32_t> source(static_cast<std::size_t>(extent(out, axis)), -1);
    for (std::int64_t c = 0; c < channels; ++c) {
      source[static_cast<std::size_t>(offset + c)] = static_cast<std::int32_t>(c);
    }
    rule.inputs[k] = RuleContext::mapped(axis, IndexMap::single(source));
    offset += channels;
  }
  return rule;
}

Rule split_op_rule(const RuleContext& context) {
  for (const ValueId part : context.node.outputs) {
    if (part == kNoValue) return context.replicated("a part of it has no name");
  }
  const Shape in = context.in(0);
  const ShardAxis axis = context.axes[0];
  const auto cut = static_cast<ShardAxis>(normalise_axis(context.node.int_or("axis", 0), in.size()));
  Rule rule = context.with_form(Form::Local, axis);
  rule.inputs[0] = {UseKind::Mapped, axis, {}};
  std::int64_t offset = 0;
  for (std::size_t o = 0; o < context.node.outputs.size(); ++o) {
    if (cut != axis) {
      rule.inputs[0].maps.push_back(IndexMap::identity(extent(in, axis)));
      continue;
    }
    std::vector<std::int32_t> source(static_cast<std::size_t>(extent(context.out(o), axis)));
    for (std::size_t c = 0; c < source.size(); ++c)
      source[c] = static_cast<std::int32_t>(offset + static_cast<std::int64_t>(c));
    rule.inputs[0].maps.push_back(IndexMap::single(source));
    offset += extent(context.out(o), axis);
  }
  return rule;
}

Rule slice_rule(const RuleContext& context) {
  const Shape in = context.in(0);
  const ShardAxis axis = context.axes[0];
  for (std::size_t k = 1; k < context.inputs(); ++k) {
    if (context.present(k) && !context.constant(k)) return context.replicated("its bounds are not constant");
  }
  const std::vector<std::int64_t> starts = context.const_ints(1);
  std::vector<std::int64_t> axes = context.const_ints(3);
  if (axes.empty()) {
    for (std::size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  }
  const std::vector<std::int64_t> steps = context.const_ints(4);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (normalise_axis(axes[i], in.size()) != axis) continue;
    const std::int64_t channels = extent(in, axis);
    const std::int64_t step = steps.empty() ? 1 : steps[i];
    std::int64_t start = starts[i] < 0 ? starts[i] + channels : starts[i];
    start = step > 0 ? std::clamp<std::int64_t>(start, 0, channels)
                     : std::clamp<std::int64_t>(start, 0, channels - 1);
    std::vector<std::int32_t> source(static_cast<std::size_t>(extent(context.out(), axis)));
    for (std::size_t c = 0; c < source.size(); ++c) {
      source[c] = static_cast<std::int32_t>(start + static_cast<std::int64_t>(c) * step);
    }
    Rule rule = context.with_form(Form::Local, axis);
    rule.inputs[0] = RuleContext::mapped(axis, IndexMap::single(source));
    return rule;
  }
  return context.carried(axis, axis);
}

Rule gather_rule(const RuleContext& context) {
  const Shape in = context.in(0);
  const ShardAxis axis = context.axes[0];
  const auto along = static_cast<ShardAxis>(normalise_axis(context.node.int_or("axis", 0), in.size()));
  const auto index_rank = static_cast<int>(context.in(1).size());
  if (along != axis) return context.carried(axis, axis > along ? axis - 1 + index_rank : axis);
  if (!context.constant(1) || index_rank != 1) return context.replicated("gathers along the sharded axis");
  std::vector<std::int32_t> source;
  for (std::int64_t index : context.const_ints(1)) {
    if (index < 0) index += extent(in, axis);
    if (index < 0 || index >= extent(in, axis)) return context.replicated("an index is out of range");
    source.push_back(static_cast<std::int32_t>(index));
  }
  Rule rule = context.with_form(Form::Local, axis);
  rule.inputs[0] = RuleContext::mapped(axis, IndexMap::single(source));
  return rule;
}

Rule pad_rule(const RuleContext& context) {
  const Shape in = context.in(0);
  const ShardAxis axis = context.axes[0];
  if (!context.constant(1)) return context.replicated("its pads are not constant");
  if (context.present(2) && !context.constant(2)) return context.replicated("its value is not constant");
  const std::vector<std::int64_t> pads = context.const_ints(1);
  const std::int64_t before = pads[static_cast<std::size_t>(axis)];
  const std::int64_t after = pads[static_cast<std::size_t>(axis) + in.size()];
  if (before == 0 && after == 0) return context.carried(axis, axis);
  if (context.node.string_or("mode", "constant") != "constant")
    return context.replicated("mirrors across channels");
  std::vector<std::int32_t> source(static_cast<std::size_t>(extent(context.out(), axis)), -1);
  for (std::size_t c = 0; c < source.size(); ++c) {
    const std::int64_t from = static_cast<std::int64_t>(c) - before;
    if (from >= 0 && from < extent(in, axis)) source[c] = static_cast<std::int32_t>(from);
  }
  Rule rule = context.with_form(Form::Local, axis);
  rule.inputs[0] = RuleContext::mapped(axis, IndexMap::single(source));
  return rule;
}

}  // namespace

Rule movement_rule(const RuleContext& context) {
  const Node& node = context.node;
  if (node.is("Transpose")) return transpose_rule(context);
  if (node.is("Concat")) return concat_rule(context);
  if (node.is("Split")) return split_op_rule(context);
  if (node.is("Slice")) return slice_rule(context);
  if (node.is("Gather")) return gather_rule(context);
  if (node.is("Pad")) return pad_rule(context);
  // Expand, Tile, Resize: free as long as the sharded axis keeps its extent.
  const Shape in = context.in(0);
  const Shape out = context.out();
  const int axis = context.axes[0] + static_cast<int>(out.size()) - static_cast<int>(in.size());
  if (extent(in, context.axes[0]) != extent(out, axis)) return context.replicated("changes the sharded axis");
  if (node.is("Resize") && node.string_or("coordinate_transformation_mode", "") == "tf_crop_and_resize") {
    return context.replicated("crops by a region of interest");
  }
  return context.carried(context.axes[0], axis);
}

}  // namespace disco
