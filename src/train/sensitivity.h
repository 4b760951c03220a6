#pragma once
// Samples of the sensitivities that choose what to send.

#include <functional>

#include "sparsify/importance.h"
#include "train/network.h"

namespace disco::train {

/// Batches of inputs, each in the order of Graph::inputs.
using Batches = std::vector<std::vector<at::Tensor>>;

/// One sample a batch: the gradient of a random combination of the outputs, summed over the batch's items,
/// whose signs are independent. Its square is, on average, the sum of the squares of its items' own, so that
/// large models can take batches where small ones take single items.
///
/// @param seed  of the combinations
/// @return by Traffic::maps, or an error of the forward pass
[[nodiscard]] Result<std::vector<Sensitivity>> sample_sensitivity(
    const Network& network, const Weights& weights, const Traffic& traffic, const Batches& batches,
    std::uint64_t seed, const std::function<void(std::size_t)>& progress = {});

}  // namespace disco::train
