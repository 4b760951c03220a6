#include "partition/atoms.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

namespace disco {

void Atoms::add(ValueId value, std::int64_t channels) {
  const auto first = static_cast<std::int32_t>(parent_.size());
  first_[static_cast<std::size_t>(value)] = first;
  parent_.resize(parent_.size() + static_cast<std::size_t>(channels));
  std::iota(parent_.begin() + first, parent_.end(), first);
  count_.resize(parent_.size(), 1);
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
      : graph_(graph), readers_(graph.consumers()), axes_(axes), nodes_(nodes), atoms_(atoms) {}

  /// The axis for a reshape that leaves a choice; nullopt where there is none to make.
  std::optional<ShardAxis> choose(const Node& node) const {
    if (!is_reshape(node) || node.input(0) == kNoValue) return std::nullopt;
    const ValueId in = node.inputs[0];
    const ShardAxis axis = axes_[static_cast<std::size_t>(in)];
    if (axis == kReplicate || !graph_.value(node.outputs[0]).has_shape()) return std::nullopt;
    const Shape from = graph_.value(in).shape();
    const Shape to = graph_.value(node.outputs[0]).shape();
    const std::vector<ShardAxis> choices = preferred(node, reshape_choices(from, to, axis));
    if (choices.size() < 2) return std::nullopt;
    std::set<std::int32_t> held;
    const std::int64_t channels = channels_of(in);
    for (std::int32_t c = 0; c < channels; ++c) held.insert(atoms_.find(in, c));
    std::optional<ShardAxis> best;
    std::size_t most = 0;
    for (const ShardAxis choice : choices) {
      const IndexMap map = *reshape_map(from, axis, to, choice);
      const std::size_t tied = pieces(map, [&](std::int32_t c) { return atoms_.find(in, c); });
      const std::size_t free = pieces(map, [](std::int32_t c) { return c; });
      if (tied == std::min(free, held.size())) return choice;
      if (tied > most) {
        most = tied;
        best = choice;
      }
    }
    return best;
  }

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
  /// The same axes, those last that the next operators take apart: the three of a joint product for q, k and
  /// v.
  [[nodiscard]] std::vector<ShardAxis> preferred(const Node& node, std::vector<ShardAxis> choices) const {
    std::vector<ShardAxis> taken;
    std::erase_if(choices, [&](ShardAxis axis) {
      const bool is_taken = taken_apart(node.outputs[0], axis, kLookAhead);
      if (is_taken) taken.push_back(axis);
      return is_taken;
    });
    if (!taken.empty() && choices.size() >= 2) {
      std::ranges::sort(choices);
      std::rotate(choices.begin(), choices.end() - 2,
                  choices.end() - 1);  // heads, before the features of each
    }
    choices.insert(choices.end(), taken.begin(), taken.end());
    return choices;
  }

  /// Whether an operator soon picks single indices, or runs of them, of an axis.
  [[nodiscard]] bool taken_apart(ValueId id, ShardAxis axis, int steps) const {
    if (steps == 0 || id == kNoValue || !graph_.value(id).has_shape()) return false;
    const Shape shape = graph_.value(id).shape();
    const auto rank = static_cast<std::int64_t>(shape.size());
    for (const std::int32_t n : readers_[static_cast<std::size_t>(id)]) {
      const Node& node = graph_.nodes[static_cast<std::size_t>(n)];
      if (node.input(0) != id || node.outputs.empty() || node.outputs[0] == kNoValue) continue;
      if (node.is("Gather") || node.is("Split")) {
        const std::int64_t along = node.int_or("axis", 0);
        if ((along < 0 ? along + rank : along) == axis) return true;
      }
      if (node.is("Transpose")) {
        const auto perm = node.ints_or("perm", {});
        const auto found = std::ranges::find(perm, axis);
        if (found != perm.end() &&
            taken_apart(node.outputs[0], static_cast<ShardAxis>(found - perm.begin()), steps - 1))
          return true;
      } else if (is_reshape(node) && graph_.value(node.outputs[0]).has_shape()) {
        const Shape to = graph_.value(node.outputs[0]).shape();
        for (const ShardAxis next : reshape_choices(shape, to, axis)) {
          const bool same = to[static_cast<std::size_t>(next)] == shape[static_cast<std::size_t>(axis)];
          if (same && taken_apart(node.outputs[0], next, steps - 1)) return true;
        }
      } else if (graph_.value(node.outputs[0]).dims == graph_.value(id).dims) {
        if (taken_apart(node.outputs[0], axis, steps - 1)) return true;
      }
    }
    return false;
  }

  /// The number of parts that a map falls into, where input channels of the same atom go together.
  template <typename AtomOf>
  static std::size_t pieces(const IndexMap& map, AtomOf&& atom_of) {
    std::map<std::int32_t, std::int32_t> parent;  // over atoms
    const auto root = [&](std::int32_t x) {
      parent.emplace(x, x);
      while (parent[x] != x) x = parent[x];
      return x;
    };
    for (std::int32_t c = 0; c < map.outputs(); ++c) {
      const auto sources = map.sources(c);
      for (const std::int32_t source : sources) parent[root(atom_of(source))] = root(atom_of(sources[0]));
    }
    std::size_t count = 0;
    for (const auto& [atom, up] : parent) count += atom == up ? 1 : 0;
    return count;
  }

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
        count_.resize(atoms_.size(), 0);
        const std::int64_t channels = channels_of(id);
        for (std::int32_t c = 0; c < channels; ++c)
          most = std::max(most, ++count_[static_cast<std::size_t>(atoms_.find(id, c))]);
        for (std::int32_t c = 0; c < channels; ++c) count_[static_cast<std::size_t>(atoms_.find(id, c))] = 0;
        largest.push_back(static_cast<double>(most) / static_cast<double>(channels));
      }
    }
    return largest;
  }

  static constexpr int kLookAhead = 5;  // operators

  const Graph& graph_;
  std::vector<std::vector<std::int32_t>> readers_;
  const std::vector<ShardAxis>& axes_;
  int nodes_;
  Atoms& atoms_;
  std::vector<std::int32_t> count_;  // by atom; zero between calls
};

}  // namespace

TiedLayouts tie_layouts(const Graph& graph, int nodes, const std::map<std::string, ShardAxis>& fixed) {
  TiedLayouts made{{}, Atoms(graph.values.size()), {}};
  Layouts& layouts = made.layouts;
  layouts.axes.assign(graph.values.size(), kReplicate);
  Tying tying(graph, layouts.axes, nodes, made.atoms);
  for (const Node& node : graph.nodes) {
    std::optional<ShardAxis> wanted;
    if (const auto found = node.outputs.empty() || node.outputs[0] == kNoValue
                               ? fixed.end()
                               : fixed.find(graph.value(node.outputs[0]).name);
        found != fixed.end()) {
      wanted = found->second;
    } else {
      wanted = tying.choose(node);
      if (!wanted && sums_cheaply(graph, node, layouts.axes)) wanted = kReplicate;
    }
    const Rule& rule = add_rule(graph, node, wanted, layouts);
    for (const ValueId id : node.outputs) {
      if (id == kNoValue || layouts.axes[static_cast<std::size_t>(id)] == kReplicate) continue;
      made.atoms.add(
          id, graph.value(id).shape()[static_cast<std::size_t>(layouts.axes[static_cast<std::size_t>(id)])]);
    }
    tying.always(node, rule);
    made.apart.push_back(!tying.for_bytes(node, rule));
  }
  return made;
}

}  // namespace disco
