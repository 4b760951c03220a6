#pragma once
// What a partition's exchanges carry, and which of it may be left out.

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "partition/plan.h"

namespace disco {

/// A sharded value whose features linear maps contract, as they are or derived from them (see
/// ValuePlan::derived), so that they need not travel to every node.
struct Exchangeable {
  ValueId value = kNoValue;  ///< the one that is sent
  std::int64_t channels = 0;
  std::int64_t channel_bytes = 0;           ///< of one channel, as fp32 or whatever type the value has
  std::vector<std::int32_t> owner{};        ///< by channel
  std::vector<std::vector<bool>> forced{};  ///< [rank][channel]: travels whatever the linear maps keep
};

/// Where an input channel of a linear map comes from.
struct Column {
  static constexpr std::size_t kEverywhere = static_cast<std::size_t>(-1);  ///< every node has it
  std::size_t value = kEverywhere;                                          ///< index into Traffic::values
  std::int32_t channel = 0;                                                 ///< of that value
};

/// A linear map with a contracted, sharded input: y_i = W_ii x_i + sum over j of W_ij x_j.
struct LinearMap {
  std::size_t node = 0;               ///< in the graph
  std::vector<Column> columns{};      ///< by input channel
  std::vector<std::int32_t> owner{};  ///< by output channel
  std::int64_t pair_bytes = 0;        ///< of the weights between one input and one output channel
  std::int64_t pair_macs = 0;         ///< likewise, multiply-accumulates
};

struct Traffic {
  int nodes = 1;
  std::vector<Exchangeable> values;           ///< in the order of the graph
  std::vector<LinearMap> maps;                ///< in the order of the graph
  std::int64_t dense_bytes = 0;               ///< of all nodes, one inference, everything sent
  std::int64_t fixed_bytes = 0;               ///< the part that travels whatever is kept
  std::int64_t weight_bytes = 0;              ///< of the unsplit model
  std::vector<std::int64_t> least_weights{};  ///< by rank: bytes of weights held whatever is kept
  std::vector<std::int64_t> least_macs{};     ///< by rank: multiply-accumulates whatever is kept

  /// The rank that owns what a column reads; -1: every rank has it.
  [[nodiscard]] std::int32_t owner_of(const Column& column) const {
    if (column.value == Column::kEverywhere) return -1;
    return values[column.value].owner[static_cast<std::size_t>(column.channel)];
  }
  [[nodiscard]] bool is_own(const Column& column, std::int32_t rank) const {
    const std::int32_t owner = owner_of(column);
    return owner < 0 || owner == rank;
  }

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

/// Whether what a column of another node reads travels to a rank.
[[nodiscard]] inline bool is_kept(const KeptChannels& kept, const Column& column, std::size_t rank) {
  return column.value == Column::kEverywhere ||
         kept[column.value][rank][static_cast<std::size_t>(column.channel)];
}

/// Nothing kept but what must travel.
[[nodiscard]] KeptChannels keep_forced(const Traffic& traffic);
/// Everything kept.
[[nodiscard]] KeptChannels keep_all(const Traffic& traffic);

/// Writes the keep-sets into a partition.
void set_keep(const Graph& graph, const Traffic& traffic, const KeptChannels& kept, Partition& partition);
/// The keep-sets of a partition; what it does not name is kept.
[[nodiscard]] KeptChannels kept_of(const Graph& graph, const Traffic& traffic, const Partition& partition);

}  // namespace disco
