#include "partition/local_norm.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/take.h"

namespace disco {

namespace {

ValueId add_ints(Graph& graph, const std::string& name, const std::vector<std::int64_t>& values) {
  return graph.add_constant(name,
                            Tensor::of<std::int64_t>({static_cast<std::int64_t>(values.size())}, values));
}

/// Nodes for one normalisation; its output keeps its id.
class Rewrite {
 public:
  Rewrite(Graph& graph, const Node& norm, const ValuePlan& input, const Graph& fixed, const Node& fixed_norm)
      : graph_(graph),
        norm_(norm),
        fixed_(fixed),
        fixed_norm_(fixed_norm),
        name_(graph.value(norm.outputs[0]).name) {
    for (const ChannelSet& owned : input.owned) {
      if (owned.empty()) continue;
      order_.insert(order_.end(), owned.begin(), owned.end());
      parts_.emplace_back(owned.begin(), owned.end());
    }
  }

  std::vector<Node> nodes() {
    // Positions in `order_` of the channels as they lie.
    std::vector<std::int64_t> back(order_.size());
    for (std::size_t i = 0; i < order_.size(); ++i)
      back[static_cast<std::size_t>(order_[i])] = static_cast<std::int64_t>(i);
    const bool contiguous = std::is_sorted(order_.begin(), order_.end());
    ValueId x = norm_.inputs[0];
    if (!contiguous) x = gather("/by_owner", x, order_, graph_.add_value(name_ + "/by_owner"));
    std::vector<std::int64_t> sizes;
    Node split = made("/split", "Split", {x, kNoValue}, {}, -1);
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      sizes.push_back(static_cast<std::int64_t>(parts_[i].size()));
      split.outputs.push_back(graph_.add_value(fmt::format("{}/part{}", name_, i)));
    }
    split.inputs[1] = add_ints(graph_, name_ + "/parts", sizes);
    Node join = made("/join", "Concat", {}, {}, -1);
    const std::vector<ValueId> pieces = split.outputs;
    nodes_.push_back(std::move(split));
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      Node part = norm_;
      part.name = fmt::format("{}/{}", norm_.name.empty() ? name_ : norm_.name, i);
      part.inputs = {pieces[i], slice(1, i)};
      if (fixed_norm_.input(2) != kNoValue) part.inputs.push_back(slice(2, i));
      part.outputs = {graph_.add_value(fmt::format("{}/normalised{}", name_, i))};
      join.inputs.push_back(part.outputs[0]);
      nodes_.push_back(std::move(part));
    }
    const ValueId joined = contiguous ? norm_.outputs[0] : graph_.add_value(name_ + "/joined");
    join.outputs = {joined};
    nodes_.push_back(std::move(join));
    if (!contiguous) gather("/back", joined, back, norm_.outputs[0]);
    return std::move(nodes_);
  }

 private:
  Node made(const std::string& suffix, const std::string& op, std::vector<ValueId> inputs,
            std::vector<ValueId> outputs, std::int64_t axis) const {
    Node node;
    node.name = name_ + suffix;
    node.op = op;
    node.inputs = std::move(inputs);
    node.outputs = std::move(outputs);
    node.attributes["axis"] = axis;
    return node;
  }

  ValueId gather(const std::string& suffix, ValueId from, const std::vector<std::int64_t>& order,
                 ValueId to) {
    nodes_.push_back(
        made(suffix, "Gather", {from, add_ints(graph_, name_ + suffix + "_indices", order)}, {to}, -1));
    return to;
  }

  /// Scale or shift of one part.
  ValueId slice(std::size_t input, std::size_t part) {
    const ValueId id = fixed_norm_.inputs[input];
    return graph_.add_constant(fmt::format("{}/{}", fixed_.value(id).name, part),
                               take(*fixed_.constant(id), 0, parts_[part]));
  }

  Graph& graph_;
  const Node& norm_;
  const Graph& fixed_;
  const Node& fixed_norm_;
  std::string name_;
  std::vector<std::int64_t> order_;               // channels, by owner
  std::vector<std::vector<std::int64_t>> parts_;  // one an owner
  std::vector<Node> nodes_;
};

/// Over the last axis only, with constant scale and shift, and nothing but the normalised values as a result.
bool can_be_local(const Graph& fixed, const Node& node, const NodePlan& plan) {
  if (!node.is("LayerNormalization") || plan.rule.form != Form::LayerNorm) return false;
  const auto rank = static_cast<std::int64_t>(fixed.value(node.inputs[0]).shape().size());
  const std::int64_t axis = node.int_or("axis", -1);
  if (axis != -1 && axis != rank - 1) return false;
  if (node.outputs.size() > 1 &&
      std::any_of(node.outputs.begin() + 1, node.outputs.end(), [](ValueId id) { return id != kNoValue; }))
    return false;
  return fixed.constant(node.input(1)) != nullptr &&
         (node.input(2) == kNoValue || fixed.constant(node.input(2)) != nullptr);
}

}  // namespace

Result<Graph> localise_norms(const Graph& model, const Graph& fixed, const SplitPlan& plan) {
  std::map<std::string, std::size_t> local;  // by the name of the result, in `fixed`
  for (std::size_t n = 0; n < fixed.nodes.size(); ++n) {
    const Node& node = fixed.nodes[n];
    if (can_be_local(fixed, node, plan.node_plans[n])) local[fixed.value(node.outputs[0]).name] = n;
  }
  Graph result = model;
  std::size_t done = 0;
  std::vector<Node> nodes;
  for (const Node& node : model.nodes) {
    const auto found =
        node.is("LayerNormalization") ? local.find(model.value(node.outputs[0]).name) : local.end();
    const Node* fixed_node = found == local.end() ? nullptr : &fixed.nodes[found->second];
    const auto owners = [&](const ValuePlan& value) {
      return std::count_if(value.owned.begin(), value.owned.end(),
                           [](const ChannelSet& set) { return !set.empty(); });
    };
    if (fixed_node == nullptr ||
        owners(plan.value_plans[static_cast<std::size_t>(fixed_node->inputs[0])]) < 2) {
      nodes.push_back(node);
      continue;
    }
    const ValuePlan& input = plan.value_plans[static_cast<std::size_t>(fixed_node->inputs[0])];
    for (Node& made : Rewrite(result, node, input, fixed, *fixed_node).nodes())
      nodes.push_back(std::move(made));
    ++done;
  }
  if (done == 0) {
    return error(ErrorCode::Unsupported,
                 "no node exchanges statistics of a LayerNormalization: there is nothing to make local");
  }
  result.nodes = std::move(nodes);
  result.remove_dead();
  return result;
}

}  // namespace disco
