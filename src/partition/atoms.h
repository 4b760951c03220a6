#pragma once
// Private to the dealing of owners: which channels go to one node together.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "partition/partition.h"

namespace disco {

/// Union-find over every channel of every sharded value. Unions can be taken back, latest first.
class Atoms {
 public:
  explicit Atoms(std::size_t values) : first_(values, 0) {}
  /// Gives a value's channels an atom each.
  void add(ValueId value, std::int64_t channels);

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

/// Layouts, and the channels that the operators map to each other tied.
struct TiedLayouts {
  Layouts layouts;
  Atoms atoms;
  std::vector<bool>
      apart;  ///< by node: its outputs are not tied to its inputs, so that they need owners of their own
};

/// Walks the graph forwards. What an operator cannot do without (outputs that share what they are made of) is
/// always tied; what only saves bytes is left out where it would gather too much of a value in one atom for
/// `nodes` nodes, as a shuffle between two grouped convolutions would. Where a reshape leaves a choice, it
/// takes the first axis that keeps apart what is apart so far: (batch · heads) goes back to heads, not to
/// batch.
///
/// @param fixed  axes of reshapes that are given, by the name of the output; kReplicate computes it whole
[[nodiscard]] TiedLayouts tie_layouts(const Graph& graph, int nodes,
                                      const std::map<std::string, ShardAxis>& fixed);

}  // namespace disco
