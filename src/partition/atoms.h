#pragma once
// Private to the dealing of owners: which channels go to one node together.

#include <cstdint>
#include <vector>

#include "graph/graph.h"
#include "partition/rule.h"

namespace disco {

/// Union-find over every channel of every sharded value. Unions can be taken back, latest first.
class Atoms {
 public:
  Atoms(const Graph& graph, const std::vector<ShardAxis>& axes);

  /// Names the atom of a channel; the same for two channels that are tied.
  [[nodiscard]] std::int32_t find(ValueId value, std::int32_t channel) const {
    return root(first_[static_cast<std::size_t>(value)] + channel);
  }
  void tie(ValueId a, std::int32_t channel_a, ValueId b, std::int32_t channel_b);
  [[nodiscard]] std::size_t size() const { return parent_.size(); }

  /// A point to return to.
  [[nodiscard]] std::size_t mark() const { return joined_.size(); }
  void undo(std::size_t mark);

 private:
  [[nodiscard]] std::int32_t root(std::int32_t x) const {
    while (parent_[static_cast<std::size_t>(x)] != x) x = parent_[static_cast<std::size_t>(x)];
    return x;
  }
  std::vector<std::int32_t> first_;  // by value
  std::vector<std::int32_t> parent_;
  std::vector<std::int32_t> count_;   // channels below each root
  std::vector<std::int32_t> joined_;  // roots that lost to another, in order
};

/// Ties the channels that the graph's operators map to each other. What an operator cannot do without
/// (outputs that share what they are made of) always holds; what only saves bytes is left out where it would
/// gather too much of a value in one atom for `nodes` nodes, as a shuffle between two grouped convolutions
/// would.
///
/// @return by node: whether its outputs are not tied to its inputs, so that they need owners of their own
[[nodiscard]] std::vector<bool> tie_channels(const Graph& graph, const std::vector<Rule>& rules,
                                             const std::vector<ShardAxis>& axes, int nodes, Atoms& atoms);

}  // namespace disco
