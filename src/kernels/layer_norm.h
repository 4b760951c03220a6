#pragma once
// The rows of layer normalisation.

#include <cstdint>
#include <utility>

namespace disco::kernels {

/// Mean, and sum of squared deviations from it, of n numbers; in two passes.
[[nodiscard]] std::pair<double, double> moments(const float* x, std::int64_t n);

/// y[i] = (x[i] - mean) / sqrt(variance + epsilon) * scale[i] + bias[i]; `bias` may be null.
void normalise(const float* x, float* y, std::int64_t n, double mean, double variance, float epsilon,
               const float* scale, const float* bias);

}  // namespace disco::kernels
