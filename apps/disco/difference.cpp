#include "difference.h"

#include <cmath>
#include <limits>

#include "reference/numeric.h"

namespace disco::cli {

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

/// Of one output: its largest |difference| and its largest |element|.
struct Pair {
  double difference = 0;
  double largest = 0;
};

Pair compare(const Tensor& want, const Tensor& got) {
  if (want.type() != got.type() || want.shape() != got.shape()) return {kInfinite, 0};
  const reference::Doubles a = reference::to_doubles(want);
  const reference::Doubles b = reference::to_doubles(got);
  Pair pair;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isfinite(a[i])) pair.largest = std::max(pair.largest, std::abs(a[i]));
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    const double difference = std::abs(a[i] - b[i]);
    pair.difference = std::max(pair.difference, std::isnan(difference) ? kInfinite : difference);
  }
  return pair;
}

}  // namespace

void Difference::add(const NamedTensors& want, const NamedTensors& got) {
  for (const auto& [name, tensor] : want) {
    const auto found = got.find(name);
    const Pair pair = found == got.end() ? Pair{kInfinite, 0} : compare(tensor, found->second);
    const double ratio = pair.difference == 0 ? 0 : pair.difference / pair.largest;  // by 0: infinite
    absolute = std::max(absolute, pair.difference);
    if (ratio > relative || output.empty()) {
      relative = ratio;
      largest = pair.largest;
      output = name;
    }
  }
}

}  // namespace disco::cli
