#pragma once
// Numbers drawn alike on every machine, which the standard library's distributions do not promise.

#include <cmath>
#include <cstdint>
#include <numbers>

namespace disco {

/// SplitMix64 (Steele, Lea, Flood 2014): any seed will do, near ones too.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15ULL;
    return mix(state_);
  }
  /// In [0, limit), limit of at least 1.
  std::uint64_t below(std::uint64_t limit) {
    const std::uint64_t whole = ~std::uint64_t{0} - ~std::uint64_t{0} % limit;
    std::uint64_t number = next();
    while (number >= whole) number = next();
    return number % limit;
  }
  /// In [0, 1).
  double unit() { return static_cast<double>(next() >> 11U) * 0x1p-53; }
  /// Of mean 0 and variance 1 (Box and Muller 1958).
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - unit()));
    return radius * std::cos(2.0 * std::numbers::pi * unit());
  }
  double between(double low, double high) { return low + (high - low) * unit(); }

  static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31U);
  }

 private:
  std::uint64_t state_;
};

}  // namespace disco
