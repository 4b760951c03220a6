#pragma once
// What a partition's exchanges carry, and which of it may be left out.

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "partition/plan.h"

namespace disco {

/// A sharded value that linear maps contract, so that features of it need not travel to every node.
struct Exchangeable {
  ValueId value = kNoValue;
  std::int64_t channels = 0;
  std::int64_t channel_bytes = 0;           ///< of one channel, as fp32 or whatever type the value has
  std::vector<std::int32_t> owner{};        ///< by channel
  std::vector<std::size_t> readers{};       ///< indices into Traffic::maps
  std::vector<std::vector<bool>> forced{};  ///< [rank][channel]: travels whatever the linear maps keep
};

/// A linear map with a contracted, sharded input: y_i = W_ii x_i + sum over j of W_ij x_j.
struct LinearMap {
  std::size_t node = 0;               ///< in the graph
  std::size_t input = 0;              ///< index into Traffic::values
  std::vector<std::int32_t> owner{};  ///< by output channel
  std::int64_t pair_bytes = 0;        ///< of the weights between one input and one output channel
};

struct Traffic {
  int nodes = 1;
  std::vector<Exchangeable> values;           ///< in the order of the graph
  std::vector<LinearMap> maps;                ///< in the order of the graph
  std::int64_t dense_bytes = 0;               ///< of all nodes, one inference, everything sent
  std::int64_t fixed_bytes = 0;               ///< the part that travels whatever is kept
  std::int64_t weight_bytes = 0;              ///< of the unsplit model
  std::vector<std::int64_t> least_weights{};  ///< by rank: bytes of weights held whatever is kept

  /// Bytes of all nodes for one inference when `kept[value][rank][channel]` travel to `rank`.
  [[nodiscard]] std::int64_t bytes(const std::vector<std::vector<std::vector<bool>>>& kept) const;
};

/// Reads the traffic of a partition off its plan; the partition's own keep-sets are not looked at.
///
/// @param graph  shapes fixed
/// @return the traffic, or plan_split's error
[[nodiscard]] Result<Traffic> traffic_of(const Graph& graph, const Partition& partition);

/// kept[value][rank][channel]: the features of other nodes that travel to a rank, of Traffic::values.
using KeptChannels = std::vector<std::vector<std::vector<bool>>>;

/// Nothing kept but what must travel.
[[nodiscard]] KeptChannels keep_forced(const Traffic& traffic);
/// Everything kept.
[[nodiscard]] KeptChannels keep_all(const Traffic& traffic);

/// Writes the keep-sets into a partition.
void set_keep(const Graph& graph, const Traffic& traffic, const KeptChannels& kept, Partition& partition);
/// The keep-sets of a partition; what it does not name is kept.
[[nodiscard]] KeptChannels kept_of(const Graph& graph, const Traffic& traffic, const Partition& partition);

}  // namespace disco
