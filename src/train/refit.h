#pragma once
// Least squares: what the kept features can still say about the dense model's activations.

#include <functional>

#include "sparsify/traffic.h"
#include "train/network.h"
#include "train/sensitivity.h"

namespace disco::train {

struct RefitOptions {
  double ridge = 1e-3;           ///< times the mean diagonal, toward the original weights
  std::int64_t positions = 128;  ///< at most so many positions (pixels, tokens) an item enter the sums
  std::uint64_t seed = 1;        ///< of the positions
  /// Called before each layer with its index among the layers and their number.
  std::function<void(std::size_t layer, std::size_t layers)> on_layer{};
};

/// Layer by layer, in order: every node's rows of a linear map are solved for anew, over its own and its kept
/// input channels and an intercept, so that they come closest to the dense model's pre-activations on what
/// the already sparsified model feeds them. Rows of pruned channels become zero. Intercepts go to the map's
/// bias, to the running mean of the batch norm behind it, or to the constant added behind it; a map with none
/// of these is fitted without. Where the output enters a sum whose other summand is known by then, as a
/// residual's trunk, the target also holds what that summand lacks, so that errors do not pile up along the
/// trunk. Convolutions in groups, of which nothing is left out, are solved for anew group by group.
///
/// @param dense   the model as it was
/// @param sparse  the same graph on `weights`, which are changed
/// @param kept    by Traffic::values
/// @return the first failing layer's error
/// Streams: holds one Gram matrix, (taps · inputs)^2 doubles, and the live activations of all batches, twice.
/// Source: the refit of the project's own study; ridge regression in float64 by Cholesky.
[[nodiscard]] Status refit(const Network& dense, const Network& sparse, Weights& weights,
                           const Traffic& traffic, const KeptChannels& kept, const Batches& batches,
                           const RefitOptions& options);

/// A bias of zeros for every constant-weight convolution that has none and is not followed by a batch norm,
/// so that the refit has a place for intercepts. On the model before it is specialised.
void add_missing_biases(Graph& graph);

}  // namespace disco::train
