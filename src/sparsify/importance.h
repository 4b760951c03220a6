#pragma once
// How much the output depends on one input channel of one output channel of a linear map.

#include <cstdint>
#include <vector>

#include "sparsify/allocate.h"
#include "sparsify/traffic.h"

namespace disco {

/// Samples of a linear map's sensitivity: values[output][sample][input] = sum over kernel taps of (dL/dW) *
/// W, where L is a random zero-mean combination of the model's outputs. To first order it is what leaving out
/// W[output, input] does to L; its mean square over samples and combinations needs no labels and is
/// comparable across layers.
struct Sensitivity {
  std::int64_t outputs = 0, samples = 0, inputs = 0;
  std::vector<float> values;

  [[nodiscard]] const float* row(std::int64_t output) const {
    return values.data() + static_cast<std::size_t>(output * samples * inputs);
  }
};

/// By how much more than in proportion a feature's bytes count by default, see weigh_by_size().
inline constexpr double kBytePower = 1.5;

/// Lowers the sensitivities to features of many bytes, so that what is kept by score per byte is kept by
/// score / bytes^power. At 1, what is kept hurts least at once; above 1 the small features of deep layers
/// come first: a sensitivity is what leaving out costs before anything else has changed, and weights that are
/// fitted or trained afterwards make up for features of large early maps, where many say much the same,
/// better than for those of deep ones.
void weigh_by_size(const Traffic& traffic, double power, std::vector<Sensitivity>& sensitivities);

/// Sums of sensitivities over the outputs of each rank: [rank][sample][input].
[[nodiscard]] std::vector<std::vector<float>> sum_by_rank(const Sensitivity& sensitivity,
                                                          const std::vector<std::int32_t>& owner, int nodes);

/// Mean over samples of the square of `sums` ([sample][input]), added to `into` ([input]).
void add_mean_square(const std::vector<float>& sums, std::int64_t samples, std::vector<double>& into);

/// The score of every (value, rank, channel): mean over samples of (sum over the rank's outputs)^2, added
/// over the maps that read the value there.
/// @param sensitivities  by Traffic::maps
[[nodiscard]] Scores score(const Traffic& traffic, const std::vector<Sensitivity>& sensitivities);

}  // namespace disco
