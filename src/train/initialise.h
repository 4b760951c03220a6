#pragma once
// Weights to begin training with.

#include "train/network.h"

namespace disco::train {

/// Draws all parameters anew, as torchvision and timm do: convolutions by He's normal of the fan-out,
/// products by a uniform of the fan-in, scales 1, shifts 0, embeddings normal of 0.02; running statistics to
/// (0, 1). The same on every machine.
void initialise(const Graph& graph, std::uint64_t seed, Weights& weights);

}  // namespace disco::train
