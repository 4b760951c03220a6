#pragma once
// Who owns which channel, so that what must cross the cut is worth little.

#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "partition/partition.h"
#include "sparsify/allocate.h"
#include "sparsify/importance.h"

namespace disco {

struct OwnerSearchOptions {
  int sweeps = 4;
  /// Called after each sweep with its number and the objective.
  std::function<void(int sweep, double objective)> on_sweep{};
};

/// Swaps channels between nodes to lower the sum over features of min(score, price of its bytes): what is
/// left out hurts by its score, what is sent costs its bytes. The price is found again from the byte budget
/// after every sweep. Only channels that lie in the same values are swapped, so that every value, and every
/// piece of a concatenation, stays as balanced as it was; tied channels move together.
///
/// @param partition      the owners to start from
/// @param sensitivities  by Traffic::maps of (graph, partition)
/// @return the partition with other owners and no keep-sets, or allocate's error
/// Each sweep is O(atoms x candidates x samples x inputs) a space.
[[nodiscard]] Result<Partition> search_owners(const Graph& graph, const Partition& partition,
                                              const std::vector<Sensitivity>& sensitivities,
                                              const Budget& budget, const OwnerSearchOptions& options = {});

}  // namespace disco
