#pragma once
// What a partition costs: bytes, multiply-accumulates and memory of every node, beside the unsplit model.

#include <disco/cost.h>

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

/// Totals of any graph: a model, or a shard with its Sends and Receives.
[[nodiscard]] Cost total_cost(const Graph& graph);

/// The whole table.
/// @param shards  all ranks' graphs, as make_shard wrote them
[[nodiscard]] CostTable cost_table(const Graph& graph, const SplitPlan& plan,
                                   const std::vector<Graph>& shards);

}  // namespace disco
