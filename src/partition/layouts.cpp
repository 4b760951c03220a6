#include <algorithm>

#include "partition/partition.h"

namespace disco {

const Rule& add_rule(const Graph& graph, const Node& node, std::optional<ShardAxis> wanted,
                     Layouts& layouts) {
  std::vector<ShardAxis> axes;
  for (const ValueId id : node.inputs) {
    axes.push_back(id == kNoValue ? kReplicate : layouts.axes[static_cast<std::size_t>(id)]);
  }
  Rule rule = split_rule(graph, node, axes, wanted);
  for (std::size_t o = 0; o < node.outputs.size(); ++o) {
    if (node.outputs[o] != kNoValue)
      layouts.axes[static_cast<std::size_t>(node.outputs[o])] = rule.output_axes[o];
  }
  layouts.rules.push_back(std::move(rule));
  return layouts.rules.back();
}

Layouts infer_layouts(const Graph& graph, const std::map<std::string, ShardAxis>& chosen_axes) {
  Layouts layouts;
  layouts.axes.assign(graph.values.size(), kReplicate);
  for (const Node& node : graph.nodes) {
    std::optional<ShardAxis> wanted;
    if (!node.outputs.empty() && node.outputs[0] != kNoValue) {
      const auto found = chosen_axes.find(graph.value(node.outputs[0]).name);
      if (found != chosen_axes.end()) wanted = found->second;
    }
    add_rule(graph, node, wanted, layouts);
  }
  return layouts;
}

bool ties_channels(const Graph& graph, const Node& node, const Rule& rule, int nodes) {
  if (rule.form == Form::Replicated) return false;
  if (rule.form == Form::Linear) return rule.groups > 1 && rule.groups >= nodes;
  if (node.is("DepthToSpace") || node.is("SpaceToDepth")) {
    const std::int64_t in = graph.value(node.inputs[0]).shape()[1];
    const std::int64_t out = graph.value(node.outputs[0]).shape()[1];
    return rule.output_axes[0] != 1 || std::min(in, out) >= nodes;
  }
  return true;
}

bool begins_channels(const Graph& graph, const Node& node, const Rule& rule,
                     const std::vector<ShardAxis>& axes, int nodes) {
  if (rule.output_axes.empty() || rule.output_axes[0] == kReplicate) return false;
  bool carried = false;  // some input's owners are carried over
  bool padded = node.is("Pad");
  for (std::size_t k = 0; k < rule.inputs.size(); ++k) {
    const InputUse& use = rule.inputs[k];
    if (node.inputs[k] == kNoValue || axes[static_cast<std::size_t>(node.inputs[k])] != use.axis) continue;
    if (use.axis == kReplicate) continue;
    carried = carried || use.kind == UseKind::Mapped || use.kind == UseKind::Owned;
  }
  if (node.is("Concat") && rule.form == Form::Local) {
    // Pieces that every node holds (constants, replicated values) bring channels without an owner.
    const auto axis = static_cast<std::size_t>(rule.output_axes[0]);
    const auto rank = static_cast<std::int64_t>(graph.value(node.outputs[0]).dims->size());
    const std::int64_t joined = node.int_or("axis", 0);
    if ((joined < 0 ? joined + rank : joined) == static_cast<std::int64_t>(axis)) {
      for (const ValueId id : node.inputs)
        padded = padded || axes[static_cast<std::size_t>(id)] != rule.output_axes[0];
    }
  }
  return padded || !carried || !ties_channels(graph, node, rule, nodes);
}

}  // namespace disco
