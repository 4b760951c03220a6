#pragma once
// How far answers lie from each other.

#include <disco/tensor.h>

#include <algorithm>
#include <cmath>

namespace disco::testing {

/// max |difference| / max |want| over the outputs.
inline double relative_error(const NamedTensors& want, const NamedTensors& got) {
  if (want.size() != got.size()) return INFINITY;
  double worst = 0.0;
  for (const auto& [name, tensor] : want) {
    const auto found = got.find(name);
    if (found == got.end() || found->second.shape() != tensor.shape()) return INFINITY;
    double difference = 0.0;
    double scale = 1e-30;
    for (std::int64_t i = 0; i < tensor.elements(); ++i) {
      const double a = tensor.data<float>()[i];
      const double b = found->second.data<float>()[i];
      if (!std::isfinite(b)) return INFINITY;
      difference = std::max(difference, std::abs(a - b));
      scale = std::max(scale, std::abs(a));
    }
    worst = std::max(worst, difference / scale);
  }
  return worst;
}

}  // namespace disco::testing
