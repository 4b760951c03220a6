#pragma once
// Keep-sets that shrink while training goes on.

#include "sparsify/allocate.h"
#include "train/masks.h"
#include "train/sensitivity.h"

namespace disco::train {

/// The share of the dense exchange's bytes that may travel after `done` of `total` steps: from 1 down to
/// `target` along target + (1 - target)(1 - done/total)^3 (Zhu and Gupta 2017).
[[nodiscard]] double cubic_budget(double target, std::int64_t done, std::int64_t total);

/// Keep-sets for a budget, by the sensitivity of the weights as they are now. A budget below what travels in
/// any case gives the least that can be.
[[nodiscard]] Result<KeptChannels> choose_now(const Network& network, const Weights& weights,
                                              const Traffic& traffic, const Batches& batches,
                                              double communication, std::uint64_t seed);

/// Sum over linear maps, ranks and features of other ranks of the norm of the weights that read the feature
/// there, each times the square root of their number and of the feature's share of the bytes (group lasso;
/// Yuan and Lin 2006).
[[nodiscard]] at::Tensor group_norms(const Graph& graph, const Weights& weights, const Traffic& traffic);

}  // namespace disco::train
