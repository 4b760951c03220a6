#pragma once
// Private to make_shard: the values that one rank holds while its graph is written.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/take.h"
#include "partition/plan.h"

namespace disco {

/// `tensor` restricted to these channels of `axis`, in that order.
[[nodiscard]] Tensor take(const Tensor& tensor, int axis, const ChannelSet& channels);

/// A local value, and which channels of the whole one it holds, in its own order.
struct Held {
  ValueId id = kNoValue;
  ChannelSet channels{};
};

/// Hands out local values: owned parts, received parts, selections of them, slices of constants. Receives are
/// written just before their first reader.
class ShardBuilder {
 public:
  ShardBuilder(const Graph& whole, const SplitPlan& plan, int rank);

  Graph& shard() { return shard_; }
  [[nodiscard]] const std::vector<std::string>& local_first() const { return local_first_; }
  [[nodiscard]] const Graph& whole() const { return whole_; }
  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int nodes() const { return plan_.nodes; }
  [[nodiscard]] const ValuePlan& plan_of(ValueId id) const {
    return plan_.value_plans[static_cast<std::size_t>(id)];
  }
  [[nodiscard]] const ChannelSet& owned(ValueId id) const {
    return plan_of(id).owned[static_cast<std::size_t>(rank_)];
  }

  /// A new local value shaped like `of`, with `count` channels along `axis` (all of them for kReplicate).
  ValueId add_local(const std::string& name, ValueId of, ShardAxis axis, std::int64_t count);
  /// Appends the local form of a node of the whole graph, under its name, and returns it; its outputs must
  /// have been made with add_local.
  Node& add_node(const Node& like, std::vector<ValueId> inputs, std::vector<ValueId> outputs);
  Node& add_node(std::string name, std::string op, std::vector<ValueId> inputs, std::vector<ValueId> outputs);
  ValueId add_ints(const std::string& name, const std::vector<std::int64_t>& values);

  /// All of a value on this rank, in natural order.
  ValueId whole_value(ValueId id);
  /// Exactly these channels along `axis`, in this order (duplicates allowed).
  ValueId channels(ValueId id, ShardAxis axis, const ChannelSet& list);
  /// These channels out of a local value; `of` is a whole value of the same other extents.
  ValueId select(const Held& held, ShardAxis axis, const ChannelSet& list, ValueId of);
  /// The same of channels that `peer` owns: received from it, or derived from what was.
  ValueId channels_of_peer(ValueId id, int peer, ShardAxis axis, const ChannelSet& list);
  /// What this rank holds of a value that is contracted along `axis`, in whatever order it lies.
  Held contracted(ValueId id, ShardAxis axis);

  /// See kLocalFirst.
  void run_in_two_parts(const std::string& node) { local_first_.push_back(node); }

  /// Says where a value's part of this rank is, once it is computed, and sends what others need of it.
  void publish(ValueId id, ValueId local);
  /// The same for a whole, replicated value.
  void publish_whole(ValueId id, ValueId local) { whole_values_[id] = local; }

  /// Gives a part of every listed rank to this one: sends `own` (if any) to `to`, and receives from `from`.
  /// The result has one value a rank of `from`, in order. Used for summands and statistics.
  std::vector<ValueId> exchange(ValueId own, const std::vector<int>& from, const std::vector<int>& to,
                                std::uint32_t tag, const std::string& name, const std::vector<Shape>& shapes,
                                DataType type);

 private:
  const Held& assembled(ValueId id);
  /// What this rank needs of what `peer` owns of a value; no value where it needs nothing.
  const Held& part_of_peer(ValueId id, int peer);
  /// The bands of a message with this many channels of a value, on its Send or Recv.
  void write_bands(Node& exchange, ValueId id, std::size_t channels) const;
  void add_send(ValueId local, int peer, std::uint32_t tag, const std::string& name);
  ValueId add_receive(int peer, std::uint32_t tag, const std::string& name, const Shape& shape,
                      DataType type);

  const Graph& whole_;
  const SplitPlan& plan_;
  int rank_;
  Graph shard_;
  std::map<ValueId, ValueId> whole_values_;
  std::map<ValueId, Held> own_;
  std::map<ValueId, Held> assembled_;
  std::map<std::pair<ValueId, int>, Held> peers_;
  std::vector<std::int32_t> producers_;                           // of the whole graph
  std::map<std::pair<ValueId, ChannelSet>, ValueId> selections_;  // local value, positions
  std::vector<std::string> local_first_;
};

/// Writes the local form of one node (every form but Replicated is in shard_ops.cpp).
void localise(ShardBuilder& builder, const Node& node, const NodePlan& plan);

/// The same for channels that `peer` owns of a derived value; returns the local value with them.
[[nodiscard]] ValueId derive(ShardBuilder& builder, const Node& node, const NodePlan& plan, int peer,
                             const ChannelSet& channels);

}  // namespace disco
