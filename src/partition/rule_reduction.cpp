// Operators that work along given axes: free where the sharded axis is not among them, exchanged summands or
// statistics where it is.

#include <unordered_set>

#include "partition/rule_context.h"

namespace disco {

namespace {

const std::unordered_set<std::string_view> kPartial = {
    "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceSumSquare", "ReduceL2"};

Rule reduce_rule(const RuleContext& context) {
  const Node& node = context.node;
  const std::size_t rank = context.in(0).size();
  const ShardAxis axis = context.axes[0];
  std::vector<bool> reduced(rank, false);
  std::vector<std::int64_t> axes = node.ints_or("axes", {});
  if (context.present(1)) {
    if (!context.constant(1)) return context.replicated("its axes are not constant");
    axes = context.const_ints(1);
  }
  for (const std::int64_t a : axes) reduced[static_cast<std::size_t>(normalise_axis(a, rank))] = true;
  if (axes.empty()) {
    if (node.int_or("noop_with_empty_axes", 0) != 0) return context.carried(axis, axis);
    reduced.assign(rank, true);
  }
  if (!reduced[static_cast<std::size_t>(axis)]) {
    int out = axis;
    if (node.int_or("keepdims", 1) == 0) {
      for (int d = 0; d < axis; ++d) out -= reduced[static_cast<std::size_t>(d)] ? 1 : 0;
    }
    return context.carried(axis, out);
  }
  if (!kPartial.contains(node.op)) return context.replicated("reduces over the sharded axis");
  // A mean of integers is rounded once.
  const DataType type = context.graph.value(node.inputs[0]).type;
  const bool exact =
      node.is("ReduceMax") || node.is("ReduceMin") || type == DataType::Float32 || type == DataType::Float64;
  if (!exact && !node.is("ReduceSum"))
    return context.replicated("reduces over the sharded axis in a type that would be rounded twice");
  Rule rule = context.with_form(Form::PartialSum, kReplicate);
  rule.inputs[0] = {UseKind::Owned, axis, {}};
  return rule;
}

Rule layer_norm_rule(const RuleContext& context) {
  const Shape in = context.in(0);
  const ShardAxis axis = context.axes[0];
  const auto first = static_cast<int>(normalise_axis(context.node.int_or("axis", -1), in.size()));
  for (std::size_t o = 1; o < context.node.outputs.size(); ++o) {
    if (context.node.outputs[o] != kNoValue) return context.replicated("its statistics are outputs");
  }
  Rule rule = context.carried(axis, axis);
  if (axis < first) return rule;
  rule.form = Form::LayerNorm;
  rule.inputs[0] = {UseKind::Owned, axis, {}};
  for (std::size_t k = 1; k < context.inputs(); ++k) {
    if (!context.present(k)) continue;
    const Shape parameter = context.in(k);
    const int own = axis - (static_cast<int>(in.size()) - static_cast<int>(parameter.size()));
    if (own < 0 || extent(parameter, own) != extent(in, axis)) continue;
    rule.inputs[k] = RuleContext::mapped(own, IndexMap::identity(extent(in, axis)));
  }
  return rule;
}

}  // namespace

Rule reduction_rule(const RuleContext& context) {
  const Node& node = context.node;
  if (node.op.starts_with("Reduce")) return reduce_rule(context);
  if (node.is("LayerNormalization")) return layer_norm_rule(context);
  const ShardAxis axis = context.axes[0];
  const std::size_t rank = context.in(0).size();
  std::int64_t worked =
      normalise_axis(node.int_or("axis", node.is("ArgMax") || node.is("ArgMin") ? 0 : -1), rank);
  if (node.is("CumSum")) {
    if (!context.constant(1)) return context.replicated("its axis is not constant");
    worked = normalise_axis(context.const_ints(1).at(0), rank);
  }
  if (worked != axis) {
    const bool dropped =
        (node.is("ArgMax") || node.is("ArgMin")) && node.int_or("keepdims", 1) == 0 && worked < axis;
    Rule rule = context.carried(axis, dropped ? axis - 1 : axis);
    if (node.is("TopK")) rule.inputs[0].maps.resize(node.outputs.size(), rule.inputs[0].maps[0]);
    return rule;
  }
  if (!node.is("Softmax") && !node.is("LogSoftmax"))
    return context.replicated("works along the sharded axis");
  Rule rule = context.carried(axis, axis);
  rule.form = Form::Softmax;
  rule.inputs[0] = {UseKind::Owned, axis, {}};
  return rule;
}

}  // namespace disco
