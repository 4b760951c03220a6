#pragma once
// How a partition's channels are best computed and sent on a described cluster. What travels, and so what is
// answered, stays as it is.

#include <cstddef>
#include <functional>

#include "base/result.h"
#include "partition/partition.h"
#include "plan/costs.h"
#include "plan/profile.h"
#include "plan/simulate.h"

namespace disco {

struct Tuned {
  Partition partition;        ///< with the overlap that was fastest (Partition::local_first, bands)
  Simulation as_given{};      ///< of the partition with its own overlap
  Simulation simulation{};    ///< of the fastest
  std::size_t maps = 0;       ///< linear maps that may run in two parts
  std::size_t two_parts = 0;  ///< of them, those that do now
};

/// Chooses by simulation which linear maps run in two parts, and in how many bands feature maps travel.
///
/// A second product costs 5 to 12 % of a map's time, which only a wait that it hides pays back. So the waits
/// are simulated with every map in one piece, and maps are taken from the one that waits longest on, twice as
/// many each time. Then bands are tried, each of which is a message.
///
/// @param graph    shapes fixed
/// @param profile  at least partition.nodes nodes
/// @param done     is told after every simulation how many there were
/// @return the fastest of all that was simulated: by latency, or by throughput where `concurrency` is above
/// 1, each by 1 % at least; the partition's own overlap where nothing is. Or InvalidArgument: more nodes than
/// the profile has; or the error of a step or a simulation
[[nodiscard]] Result<Tuned> tune_overlap(const Graph& graph, const Partition& partition,
                                         const Profile& profile, StepCosts& costs, int concurrency = 1,
                                         const std::function<void(std::size_t)>& done = nullptr);

}  // namespace disco
