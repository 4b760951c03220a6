#include "kernels/layer_norm.h"

#include <cmath>

#include "kernels/simd.h"

namespace disco::kernels {

namespace {

constexpr std::int64_t kShort = 2048;  // elements whose sum is left to fp32, in as many lanes as a vector has

/// Sums of x - centre and of its square.
DISCO_MULTIVERSION
void deviations(const float* x, std::int64_t n, float centre, double* sum, double* squares) {
  *sum = 0.0;
  *squares = 0.0;
  for (std::int64_t first = 0; first < n; first += kShort) {
    const std::int64_t last = std::min(n, first + kShort);
    float s = 0.0F;
    float q = 0.0F;
#pragma omp simd reduction(+ : s, q)
    for (std::int64_t i = first; i < last; ++i) {
      const float d = x[i] - centre;
      s += d;
      q += d * d;
    }
    *sum += static_cast<double>(s);
    *squares += static_cast<double>(q);
  }
}

DISCO_MULTIVERSION
void scale_row(const float* x, float* y, std::int64_t n, float centre, float factor, const float* scale,
               const float* bias) {
  if (bias != nullptr) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = (x[i] - centre) * factor * scale[i] + bias[i];
  } else {
    for (std::int64_t i = 0; i < n; ++i) y[i] = (x[i] - centre) * factor * scale[i];
  }
}

}  // namespace

std::pair<double, double> moments(const float* x, std::int64_t n) {
  double sum = 0.0;
  double squares = 0.0;
  deviations(x, n, 0.0F, &sum, &squares);
  const auto centre = static_cast<float>(sum / static_cast<double>(n));
  deviations(x, n, centre, &sum, &squares);
  const double rest = sum / static_cast<double>(n);  // what rounding left in the mean
  return {static_cast<double>(centre) + rest, squares - rest * sum};
}

void normalise(const float* x, float* y, std::int64_t n, double mean, double variance, float epsilon,
               const float* scale, const float* bias) {
  scale_row(x, y, n, static_cast<float>(mean),
            static_cast<float>(1.0 / std::sqrt(variance + static_cast<double>(epsilon))), scale, bias);
}

}  // namespace disco::kernels
