#pragma once
// How far the outputs of a split run are from those of the unsplit one.

#include <disco/tensor.h>

#include <string>

namespace disco::cli {

/// What rounding may cost, relative to max |output|.
inline constexpr double kTolerance = 1e-4;

/// The largest |difference| of all outputs added so far. Equal infinities and NaN at the same place are no
/// difference; an output of another shape or type, or NaN at one side, is an infinite one.
struct Difference {
  double absolute = 0;
  double relative = 0;  ///< largest of |difference| / max |output|, by output
  double largest = 0;   ///< max |output| where `relative` is largest
  std::string output;   ///< the output's name there

  void add(const NamedTensors& want, const NamedTensors& got);
  [[nodiscard]] bool is_rounding() const { return relative <= kTolerance; }
};

}  // namespace disco::cli
