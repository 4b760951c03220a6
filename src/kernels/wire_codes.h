#pragma once
// Contiguous features to and from what a wire carries: halves, and codes of one byte.

#include <cstdint>

namespace disco::kernels {

/// IEEE halves, rounded to nearest even; what is too large becomes infinite, NaN stays NaN.
void to_halves(const float* from, std::uint16_t* to, std::int64_t count);
void from_halves(const std::uint16_t* from, float* to, std::int64_t count);

/// clamp(round(x * inverse + zero), 0, 255); NaN becomes 0.
void to_codes(const float* from, std::uint8_t* to, std::int64_t count, float inverse, float zero);
/// (code - zero) * scale.
void from_codes(const std::uint8_t* from, float* to, std::int64_t count, float scale, std::int32_t zero);

}  // namespace disco::kernels
