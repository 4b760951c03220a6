#pragma once
// Numbers to and from codes of one byte that a network computes with, as ONNX's QuantizeLinear and
// DequantizeLinear have them: a quotient in float32, ties to even.

#include <cstdint>

namespace disco::kernels {

/// One scale and zero point, and the range of codes, all as floats.
struct Quantisation {
  float scale = 1.0F;
  float zero = 0.0F;
  float low = 0.0F, high = 255.0F;  ///< of the codes: 0 and 255, or -128 and 127
};

/// What the codes of `from` stand for, without making them: (clamp(round(x / scale) + zero) - zero) * times.
/// NaN becomes 0. `from` and `to` may be the same.
void quantise_through(const float* from, float* to, std::int64_t count, const Quantisation& by, float times);

/// clamp(round(x / scale) + zero, low, high); NaN becomes the zero point.
void quantise(const float* from, std::uint8_t* to, std::int64_t count, const Quantisation& by);
void quantise(const float* from, std::int8_t* to, std::int64_t count, const Quantisation& by);

/// (code - zero) * scale.
void dequantise(const std::uint8_t* from, float* to, std::int64_t count, float scale, float zero);
void dequantise(const std::int8_t* from, float* to, std::int64_t count, float scale, float zero);

/// The largest, and the smallest, of at least one number; NaNs are passed over.
[[nodiscard]] float largest(const float* from, std::int64_t count);
[[nodiscard]] float smallest(const float* from, std::int64_t count);

}  // namespace disco::kernels
