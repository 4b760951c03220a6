#pragma once
// What a partition costs: bytes, multiply-accumulates and memory of every node, beside the unsplit model.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"
#include "partition/plan.h"

namespace disco {

/// Multiply-accumulates of one node: convolutions, Gemm and MatMul; 0 for everything else. Shapes must be
/// known.
[[nodiscard]] std::int64_t macs_of(const Graph& graph, const Node& node);

struct Cost {
  std::int64_t macs = 0;
  std::int64_t weight_bytes = 0;  ///< constants of floating-point type
  std::int64_t bytes_sent = 0;
  std::int64_t bytes_received = 0;
  std::int64_t messages_sent = 0;
  std::int64_t peak_activation_bytes = 0;  ///< by liveness in the order of the graph; totals only
};

/// One operator of the model, as each node runs it.
struct LayerCost {
  std::string name;
  std::string op;
  std::string form;    ///< how it is split, see Form
  std::string reason;  ///< why it is replicated although its input is sharded
  Cost unsplit;
  std::vector<Cost> nodes;  ///< by rank; exchanges count where the travelling value is computed
};

struct CostTable {
  Cost unsplit;
  std::vector<Cost> nodes;        ///< by rank
  std::vector<LayerCost> layers;  ///< in the order of the graph
};

/// Totals of any graph: a model, or a shard with its Sends and Receives.
[[nodiscard]] Cost total_cost(const Graph& graph);

/// The whole table.
/// @param shards  all ranks' graphs, as make_shard wrote them
[[nodiscard]] CostTable cost_table(const Graph& graph, const SplitPlan& plan,
                                   const std::vector<Graph>& shards);

}  // namespace disco
