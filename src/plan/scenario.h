#pragma once
// Partitions as they would be: other keep-sets, wire formats and shares, without samples or training.

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "partition/split.h"
#include "plan/costs.h"
#include "plan/profile.h"
#include "plan/simulate.h"

namespace disco {

/// A split of a graph of fixed shapes by a given partition.
[[nodiscard]] Result<SplitModel> split_as(Graph graph, Partition partition);

/// The partition with a share of what linear maps exchange, and a format on the wire.
///
/// Which features a sparse artifact keeps is only known with samples; here every value keeps the same share
/// of its channels, spread evenly, and at least what must travel whatever is kept.
///
/// @param keep  of the dense exchange's bytes, as `disco sparsify --communication`; 1 keeps the partition's
/// own
///              keep-sets
/// @param wire  "fp32", "fp16", "u8"; empty: as the partition says
/// @return the partition, or InvalidArgument for a share that cannot be met (says the smallest)
[[nodiscard]] Result<Partition> with_exchanges(const Graph& graph, const Partition& partition, double keep,
                                               const std::string& wire);

/// One node with the whole model.
struct Alone {
  std::size_t node = 0;  ///< the fastest, of those that have the memory for it where any has
  bool fits = true;
  Simulation simulation;
};
[[nodiscard]] Result<Alone> best_alone(const Graph& graph, const Profile& profile, StepCosts& costs,
                                       int concurrency);

/// All ranks' programs with their costs. `done` is told how many of them are.
/// @return the programs, or InvalidArgument: more shards than nodes; or the error of a step
[[nodiscard]] Result<std::vector<SimulatedProgram>> programs_of(
    std::vector<Graph> shards, const Profile& profile, StepCosts& costs,
    const std::function<void(std::size_t)>& done = nullptr);

}  // namespace disco
