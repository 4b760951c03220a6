#include "partition/atoms.h"

#include <algorithm>
#include <numeric>

#include "partition/partition.h"

namespace disco {

Atoms::Atoms(const Graph& graph, const std::vector<ShardAxis>& axes) : first_(graph.values.size(), 0) {
  std::int32_t count = 0;
  for (std::size_t v = 0; v < graph.values.size(); ++v) {
    first_[v] = count;
    if (axes[v] != kReplicate) {
      count += static_cast<std::int32_t>(graph.values[v].shape()[static_cast<std::size_t>(axes[v])]);
    }
  }
  parent_.resize(static_cast<std::size_t>(count));
  std::iota(parent_.begin(), parent_.end(), 0);
  count_.assign(static_cast<std::size_t>(count), 1);
}

void Atoms::tie(ValueId a, std::int32_t channel_a, ValueId b, std::int32_t channel_b) {
  std::int32_t winner = find(a, channel_a);
  std::int32_t loser = find(b, channel_b);
  if (winner == loser) return;
  // The larger one wins, so that the way to a root stays short.
  if (count_[static_cast<std::size_t>(winner)] < count_[static_cast<std::size_t>(loser)])
    std::swap(winner, loser);
  parent_[static_cast<std::size_t>(loser)] = winner;
  count_[static_cast<std::size_t>(winner)] += count_[static_cast<std::size_t>(loser)];
  joined_.push_back(loser);
}

void Atoms::undo(std::size_t mark) {
  while (joined_.size() > mark) {
    const auto loser = static_cast<std::size_t>(joined_.back());
    count_[static_cast<std::size_t>(parent_[loser])] -= count_[loser];
    parent_[loser] = joined_.back();
    joined_.pop_back();
  }
}

namespace {

class Tying {
 public:
  Tying(const Graph& graph, const std::vector<ShardAxis>& axes, int nodes, Atoms& atoms)
      : graph_(graph), axes_(axes), nodes_(nodes), atoms_(atoms), count_(atoms.size(), 0) {}

  /// What the operator's local form rests on.
  void always(const Node& node, const Rule& rule) {
    if (rule.form == Form::Replicated || rule.form == Form::PartialSum) return;
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      const InputUse& use = rule.inputs[k];
      if (!carries(node, use, k)) continue;
      if (use.kind == UseKind::Owned) one_to_one(node.inputs[k], node.outputs[0], use.axis);
    }
    if (is_reshape(node) && carries(node, rule.inputs[0], 0)) tie_pieces(node, rule.inputs[0].maps[0]);
    // One call computes the same channels of all outputs; only Split can tell them apart.
    for (std::size_t o = 1; o < node.outputs.size(); ++o) {
      if (node.outputs[0] == kNoValue || node.outputs[o] == kNoValue || splits_its_own_axis(node, rule))
        continue;
      one_to_one(node.outputs[0], node.outputs[o], rule.output_axes[o]);
    }
  }

  /// What saves bytes; false where that would leave nodes idle, and nothing was tied.
  bool for_bytes(const Node& node, const Rule& rule) {
    if (!ties_channels(graph_, node, rule, nodes_)) return true;  // owners of its own anyway
    const std::size_t before = atoms_.mark();
    const std::vector<double> largest = largest_atoms(node);
    tie_maps(node, rule);
    if (nodes_ == 1 || atoms_.mark() == before) return true;
    const std::vector<double> grown = largest_atoms(node);
    const double limit = std::min(0.5, 2.0 / nodes_);
    for (std::size_t i = 0; i < grown.size(); ++i) {
      if (grown[i] > std::max(limit, largest[i]) + 1e-9) {
        atoms_.undo(before);
        return false;
      }
    }
    return true;
  }

 private:
  static bool is_reshape(const Node& node) {
    return node.is("Reshape") || node.is("Flatten") || node.is("Squeeze") || node.is("Unsqueeze");
  }

  [[nodiscard]] std::int64_t channels_of(ValueId id) const {
    const ShardAxis axis = axes_[static_cast<std::size_t>(id)];
    return graph_.value(id).shape()[static_cast<std::size_t>(axis)];
  }

  /// Whether input `k` arrives sharded the way the rule uses it.
  [[nodiscard]] bool carries(const Node& node, const InputUse& use, std::size_t k) const {
    const ValueId in = node.inputs[k];
    return in != kNoValue && use.axis != kReplicate && axes_[static_cast<std::size_t>(in)] == use.axis;
  }

  [[nodiscard]] bool splits_its_own_axis(const Node& node, const Rule& rule) const {
    if (!node.is("Split")) return false;
    const auto rank = static_cast<std::int64_t>(graph_.value(node.inputs[0]).shape().size());
    const std::int64_t cut = node.int_or("axis", 0);
    return (cut < 0 ? cut + rank : cut) == rule.output_axes[0];
  }

  void one_to_one(ValueId a, ValueId b, ShardAxis axis) {
    if (axis == kReplicate) return;
    const std::int64_t channels = channels_of(b);
    for (std::int32_t c = 0; c < channels; ++c) atoms_.tie(a, c, b, c);
  }

  /// A reshape moves whole elements: outputs that share an input channel go together.
  void tie_pieces(const Node& node, const IndexMap& map) {
    std::vector<std::int32_t> first_output(static_cast<std::size_t>(channels_of(node.inputs[0])), -1);
    for (std::int32_t c = 0; c < map.outputs(); ++c) {
      for (const std::int32_t source : map.sources(c)) {
        std::int32_t& first = first_output[static_cast<std::size_t>(source)];
        if (first < 0) first = c;
        atoms_.tie(node.outputs[0], first, node.outputs[0], c);
      }
    }
  }

  void tie_maps(const Node& node, const Rule& rule) {
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      const ValueId in = node.inputs[k];
      const InputUse& use = rule.inputs[k];
      if (!carries(node, use, k)) continue;
      if (rule.form == Form::PartialSum) {
        // Factors of a contraction are split alike; the result lies whole.
        for (std::int32_t c = 0; k > 0 && c < use.maps[0].outputs(); ++c)
          atoms_.tie(node.inputs[0], c, in, c);
        continue;
      }
      if (use.kind != UseKind::Mapped) continue;
      for (std::size_t o = 0; o < node.outputs.size(); ++o) {
        const ValueId out = node.outputs[o];
        if (out == kNoValue) continue;
        if (node.is("LRN")) {
          one_to_one(in, out, use.axis);
          continue;
        }
        const IndexMap& map = use.maps[o];
        for (std::int32_t c = 0; c < map.outputs(); ++c) {
          for (const std::int32_t source : map.sources(c)) atoms_.tie(in, source, out, c);
        }
      }
    }
  }

  /// The largest part of each sharded value of the node that is in one atom.
  [[nodiscard]] std::vector<double> largest_atoms(const Node& node) {
    std::vector<double> largest;
    for (const auto* ids : {&node.inputs, &node.outputs}) {
      for (const ValueId id : *ids) {
        if (id == kNoValue || axes_[static_cast<std::size_t>(id)] == kReplicate) continue;
        std::int32_t most = 0;
        const std::int64_t channels = channels_of(id);
        for (std::int32_t c = 0; c < channels; ++c)
          most = std::max(most, ++count_[static_cast<std::size_t>(atoms_.find(id, c))]);
        for (std::int32_t c = 0; c < channels; ++c) count_[static_cast<std::size_t>(atoms_.find(id, c))] = 0;
        largest.push_back(static_cast<double>(most) / static_cast<double>(channels));
      }
    }
    return largest;
  }

  const Graph& graph_;
  const std::vector<ShardAxis>& axes_;
  int nodes_;
  Atoms& atoms_;
  std::vector<std::int32_t> count_;  // by atom; zero between calls
};

}  // namespace

std::vector<bool> tie_channels(const Graph& graph, const std::vector<Rule>& rules,
                               const std::vector<ShardAxis>& axes, int nodes, Atoms& atoms) {
  Tying tying(graph, axes, nodes, atoms);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) tying.always(graph.nodes[n], rules[n]);
  std::vector<bool> apart(graph.nodes.size(), false);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) apart[n] = !tying.for_bytes(graph.nodes[n], rules[n]);
  return apart;
}

}  // namespace disco
