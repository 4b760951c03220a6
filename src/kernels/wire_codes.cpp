#include "kernels/wire_codes.h"

#include <bit>

#include "base/half.h"
#include "kernels/simd.h"

namespace disco::kernels {

namespace {

// Selections in place of branches, so that compilers make vectors of them.

inline std::uint16_t to_half(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = bits >> 16U & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  const std::uint32_t odd = magnitude >> 13U & 1U;
  const std::uint32_t normal = (magnitude - 0x38000000U + 0xFFFU + odd) >> 13U;
  // Subnormal: adding 0.5 lines the fraction up with the last bits of the sum, rounded by the addition.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3F000000U;
  const std::uint32_t finite = magnitude < 0x38800000U ? subnormal : normal;
  const std::uint32_t beyond = magnitude > 0x7F800000U ? 0x7E00U : 0x7C00U;
  return static_cast<std::uint16_t>(sign | (magnitude >= 0x477FF000U ? beyond : finite));
}

}  // namespace

DISCO_MULTIVERSION void to_halves(const float* __restrict from, std::uint16_t* __restrict to,
                                  std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = to_half(from[i]);
}

DISCO_MULTIVERSION void from_halves(const std::uint16_t* __restrict from, float* __restrict to,
                                    std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = float_of_half(from[i]);
}

DISCO_MULTIVERSION void to_codes(const float* __restrict from, std::uint8_t* __restrict to,
                                 std::int64_t count, float inverse, float zero) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float q = from[i] * inverse + zero + 0.5F;
    const float low = q > 0.0F ? q : 0.0F;  // NaN compares false
    to[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(low < 255.0F ? low : 255.0F));
  }
}

DISCO_MULTIVERSION void from_codes(const std::uint8_t* __restrict from, float* __restrict to,
                                   std::int64_t count, float scale, std::int32_t zero) {
  for (std::int64_t i = 0; i < count; ++i)
    to[i] = static_cast<float>(static_cast<std::int32_t>(from[i]) - zero) * scale;
}

}  // namespace disco::kernels
