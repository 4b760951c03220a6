#pragma once
// How far answers lie from each other.

#include <disco/tensor.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace disco::testing {

/// max |difference| / max |want|, where equal elements, NaNs and infinities too, do not differ. Infinite
/// where types or shapes do, or what is not fp32, or one of two elements is not finite.
inline double relative_error(const Tensor& want, const Tensor& got) {
  if (want.shape() != got.shape() || want.type() != got.type()) return INFINITY;
  if (want.type() != DataType::Float32) {
    return want.bytes() == 0 || std::memcmp(want.raw(), got.raw(), want.bytes()) == 0 ? 0.0 : INFINITY;
  }
  double difference = 0.0;
  double scale = 1e-30;
  for (std::int64_t i = 0; i < want.elements(); ++i) {
    const double a = want.data<float>()[i];
    const double b = got.data<float>()[i];
    if (std::isfinite(a)) scale = std::max(scale, std::abs(a));
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    if (!std::isfinite(a) || !std::isfinite(b)) return INFINITY;
    difference = std::max(difference, std::abs(a - b));
  }
  return difference / scale;
}

/// The worst of the outputs; infinite where one has other ones, or where an answer is not finite, whatever
/// was wanted.
inline double relative_error(const NamedTensors& want, const NamedTensors& got) {
  if (want.size() != got.size()) return INFINITY;
  double worst = 0.0;
  for (const auto& [name, tensor] : want) {
    const auto found = got.find(name);
    if (found != got.end() && found->second.type() == DataType::Float32) {
      const auto values = found->second.values<float>();
      if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
        return INFINITY;
    }
    worst = std::max(worst, found == got.end() ? INFINITY : relative_error(tensor, found->second));
  }
  return worst;
}

}  // namespace disco::testing
