#pragma once
// What of several measurements counts.

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace disco {

/// The one that a share `q` in [0, 1) of `values` lie below; 0 of none.
[[nodiscard]] inline double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0.0;
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size()));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

[[nodiscard]] inline double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

}  // namespace disco
