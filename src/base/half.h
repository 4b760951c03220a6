#pragma once
// Floats of two bytes, as files and wires hold them; models compute in float32.

#include <disco/tensor.h>

#include <bit>
#include <cstdint>

namespace disco {

/// The value of an IEEE binary16, exactly. Selections in place of branches, so that compilers make vectors of
/// a loop of it.
[[nodiscard]] inline float float_of_half(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16U;
  const std::uint32_t exponent = half >> 10U & 0x1FU;
  const std::uint32_t fraction = half & 0x3FFU;
  const auto subnormal =
      std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>(fraction)) * 0x1.0p-24F);
  const std::uint32_t wide = exponent == 31U ? 0xFFU : exponent + 112U;
  const std::uint32_t normal = wide << 23U | fraction << 13U;
  return std::bit_cast<float>(sign | (exponent == 0U ? subnormal : normal));
}

/// The value of a bfloat16, exactly.
[[nodiscard]] inline float float_of_bfloat(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

/// The same values as float32 where the tensor is of a half type; else the tensor itself.
[[nodiscard]] Tensor widened(Tensor tensor);

}  // namespace disco
