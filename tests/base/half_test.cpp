// Halves against their definition: sign, exponent and fraction, put together in double.

#include "base/half.h"

#include <gtest/gtest.h>

#include <cmath>

namespace disco {
namespace {

TEST(Half, EveryPatternIsTheNumberThatItsFieldsSay) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const double sign = (bits & 0x8000U) != 0 ? -1 : 1;
    const int exponent = static_cast<int>(bits >> 10 & 0x1FU);
    const double fraction = bits & 0x3FFU;
    const float got = float_of_half(static_cast<std::uint16_t>(bits));
    if (exponent == 31) {
      EXPECT_EQ(std::isnan(got), fraction != 0) << bits;
      EXPECT_EQ(std::isinf(got), fraction == 0) << bits;
    } else {
      EXPECT_EQ(got, sign * (exponent == 0 ? std::ldexp(fraction, -24)
                                           : std::ldexp(1024 + fraction, exponent - 25)))
          << bits;
    }
    EXPECT_EQ(std::signbit(got), sign < 0) << bits;
  }
}

TEST(Half, EveryBfloatIsTheNumberThatItsFieldsSay) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const double sign = (bits & 0x8000U) != 0 ? -1 : 1;
    const int exponent = static_cast<int>(bits >> 7 & 0xFFU);
    const double fraction = bits & 0x7FU;
    const float got = float_of_bfloat(static_cast<std::uint16_t>(bits));
    if (exponent == 255) {
      EXPECT_EQ(std::isnan(got), fraction != 0) << bits;
    } else {
      EXPECT_EQ(got, sign * (exponent == 0 ? std::ldexp(fraction, -133)
                                           : std::ldexp(128 + fraction, exponent - 134)))
          << bits;
    }
  }
}

TEST(Half, TensorsOfOtherTypesStayAsTheyAre) {
  const Tensor integers = Tensor::of<std::int32_t>({2}, {3, -4});
  EXPECT_EQ(widened(integers).raw(), integers.raw());
  Tensor halves(DataType::Float16, {2});
  halves.data<std::uint16_t>()[0] = 0x3C00;  // 1
  halves.data<std::uint16_t>()[1] = 0xC100;  // -2.5
  const Tensor wide = widened(halves);
  ASSERT_EQ(wide.type(), DataType::Float32);
  EXPECT_EQ(wide.values<float>()[0], 1.0F);
  EXPECT_EQ(wide.values<float>()[1], -2.5F);
}

}  // namespace
}  // namespace disco
