#pragma once
// Private to plan_split: what is sent before it grows. A node that needs channels of an enlarged, padded or
// joined value can compute them itself from what they are made of, which may be fewer bytes, or there
// already.

#include <vector>

#include "graph/graph.h"
#include "partition/plan.h"

namespace disco {

/// The values of which other nodes' channels are computed by who needs them instead of sent: of all choices
/// the one that sends fewest bytes, where a message counts a few thousand, and among equals the one that
/// computes least twice.
///
/// @param plan  owners filled in, and what each node needs in a dense exchange without any of this
/// @return by value
/// A minimum cut between the outputs of linear maps and what is needed of them: every way from the ones to
/// the others passes a value that is sent.
[[nodiscard]] std::vector<bool> choose_derived(const Graph& graph, const SplitPlan& plan);

}  // namespace disco
