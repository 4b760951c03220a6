#pragma once
// A partition resolved against a graph: what every node holds, needs and runs. Shards and costs are read off
// it.

#include <vector>

#include "base/result.h"
#include "graph/bands.h"
#include "graph/graph.h"
#include "partition/partition.h"

namespace disco {

/// How one value lies over the nodes, and who needs what of it.
struct ValuePlan {
  ShardAxis axis = kReplicate;
  std::vector<ChannelSet> owned{};   ///< by rank; sharded values only
  std::vector<ChannelSet> needed{};  ///< by rank, own ones included; sharded values only
  std::vector<bool> whole{};         ///< by rank; replicated values: who needs it
  std::uint32_t tag = 0;             ///< numbers the value's exchange
  WireFormat wire{};                 ///< of its features
  Bands bands{};                     ///< in which it is sent, where a message is large enough
  bool derived = false;              ///< channels of others are computed by who needs them, not sent
  /// The channels of `from` that `to` needs; empty where nothing travels.
  [[nodiscard]] ChannelSet exchanged(int from, int to) const;
};

struct NodePlan {
  Rule rule;
  std::vector<bool> runs{};  ///< by rank
  std::vector<ChannelSet>
      work{};                ///< by rank, for partial sums and statistics: the input channels it contributes
  std::uint32_t tag = 0;     ///< numbers the exchange of summands or statistics
  bool local_first = false;  ///< a linear map that runs in two parts, see Partition
};

struct SplitPlan {
  int nodes = 1;
  std::int64_t band_bytes = 0;         ///< see Partition
  std::vector<NodePlan> node_plans;    ///< by node
  std::vector<ValuePlan> value_plans;  ///< by value
};

/// Resolves `partition` for `graph`: owners are carried forward through the operators, needs backward from
/// the outputs, which rank 0 holds whole at the end.
///
/// @return the plan, or InvalidModel where the partition does not fit the graph (names the value)
[[nodiscard]] Result<SplitPlan> plan_split(const Graph& graph, const Partition& partition);

/// The graph that one rank runs: ONNX operators on its slices, and disco.Send and disco.Recv. Constants are
/// sliced, so that it holds just the weights that the rank owns. Values are named after the whole ones: "x@1"
/// is rank 1's part. Ranks other than 0 have no outputs.
///
/// @pre rank in [0, plan.nodes)
[[nodiscard]] Result<Graph> make_shard(const Graph& graph, const SplitPlan& plan, int rank);

/// All ranks' shards.
[[nodiscard]] Result<std::vector<Graph>> make_shards(const Graph& graph, const Partition& partition);

}  // namespace disco
