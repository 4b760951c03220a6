// Codes against the definition in double, one number after the other.

#include "kernels/quantise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"

namespace disco::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> numbers(float scale, std::int64_t count) {
  Random random(7);
  std::vector<float> x = {0.0F, kNan, kInf, -kInf, 3e38F, -3e38F, 1e-40F};
  for (int k = -300; k < 300; ++k) x.push_back(scale * (static_cast<float>(k) + 0.5F));  // ties
  while (static_cast<std::int64_t>(x.size()) < count)
    x.push_back(scale * static_cast<float>(random.unit() * 600 - 300));
  return x;
}

double level(float x, const Quantisation& by) {
  if (std::isnan(x)) return 0;
  const double steps = std::nearbyint(static_cast<double>(x / by.scale));
  return std::clamp(steps + by.zero, static_cast<double>(by.low), static_cast<double>(by.high)) - by.zero;
}

class Quantise : public ::testing::TestWithParam<Quantisation> {};

TEST_P(Quantise, IsTheDefinition) {
  const Quantisation by = GetParam();
  for (const std::int64_t count : {700, 70'001}) {
    const std::vector<float> x = numbers(by.scale, count);
    std::vector<float> through(x.size()), back(x.size());
    quantise_through(x.data(), through.data(), static_cast<std::int64_t>(x.size()), by, by.scale);
    const auto check = [&](auto code) {
      std::vector<decltype(code)> codes(x.size());
      quantise(x.data(), codes.data(), static_cast<std::int64_t>(x.size()), by);
      dequantise(codes.data(), back.data(), static_cast<std::int64_t>(x.size()), by.scale, by.zero);
      for (std::size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(codes[i], level(x[i], by) + by.zero) << x[i];
        ASSERT_EQ(through[i], static_cast<float>(level(x[i], by)) * by.scale) << x[i];
        ASSERT_EQ(back[i], through[i]) << x[i];
      }
    };
    if (by.low < 0) {
      check(std::int8_t{});
    } else {
      check(std::uint8_t{});
    }
    auto in_place = x;
    quantise_through(in_place.data(), in_place.data(), static_cast<std::int64_t>(x.size()), by, by.scale);
    EXPECT_EQ(in_place, through);
  }
}

INSTANTIATE_TEST_SUITE_P(Scales, Quantise,
                         ::testing::Values(Quantisation{1.0F, 0.0F, 0.0F, 255.0F},
                                           Quantisation{0.1F, 128.0F, 0.0F, 255.0F},
                                           Quantisation{0.037F, 255.0F, 0.0F, 255.0F},
                                           Quantisation{3.0F, 0.0F, -128.0F, 127.0F},
                                           Quantisation{1e-3F, -128.0F, -128.0F, 127.0F},
                                           Quantisation{0.5F, 5.0F, -128.0F, 127.0F}));

TEST(Extremes, AreThoseOfTheList) {
  for (const std::size_t count :
       {std::size_t{1}, std::size_t{63}, std::size_t{64}, std::size_t{129}, std::size_t{100'003}}) {
    Random random(count);
    std::vector<float> x(count);
    for (float& one : x) one = static_cast<float>(random.unit() * 4 - 5);
    EXPECT_EQ(largest(x.data(), static_cast<std::int64_t>(count)), *std::ranges::max_element(x));
    EXPECT_EQ(smallest(x.data(), static_cast<std::int64_t>(count)), *std::ranges::min_element(x));
    x[count / 2] = 9.0F;
    x[count - 1] = count == 1 ? 9.0F : -9.0F;
    EXPECT_EQ(largest(x.data(), static_cast<std::int64_t>(count)), 9.0F);
    EXPECT_EQ(smallest(x.data(), static_cast<std::int64_t>(count)), count == 1 ? 9.0F : -9.0F);
  }
}

}  // namespace
}  // namespace disco::kernels
