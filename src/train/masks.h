#pragma once
// Keep-sets as masks over weights.

#include "sparsify/traffic.h"
#include "train/network.h"

namespace disco::train {

/// keep[output channel][input channel] of a linear map: 1 where the input's owner is the output's or the
/// channel is kept for it.
[[nodiscard]] at::Tensor block_mask(const Traffic& traffic, const LinearMap& map, const KeptChannels& kept);
/// 1 where one rank owns both, 0 elsewhere.
[[nodiscard]] at::Tensor own_mask(const Traffic& traffic, const LinearMap& map);
/// A mask [outputs, inputs] in the axes of the map's weight, to be multiplied with it.
[[nodiscard]] at::Tensor along_weight(at::Tensor mask, const Graph& graph, const LinearMap& map,
                                      const at::Tensor& weight);

/// Which elements of which weights stay; made once, applied after every step.
class Masks {
 public:
  Masks() = default;
  Masks(const Graph& graph, const Traffic& traffic, const KeptChannels& kept, const Weights& weights);
  /// Zeroes what is left out, in place.
  void apply(Weights& weights) const;
  /// The mask of a weight, to be broadcast over its taps; null where all of it stays.
  [[nodiscard]] const at::Tensor* of(const std::string& weight) const;

 private:
  std::vector<std::pair<std::string, at::Tensor>> masks_;
};

}  // namespace disco::train
