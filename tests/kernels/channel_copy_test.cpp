// Wire formats: every half, rounding to nearest, codes of one byte, whatever the layout.

#include "kernels/channel_copy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

namespace disco::kernels {
namespace {

std::vector<std::int32_t> first(std::int64_t count) {
  std::vector<std::int32_t> list(static_cast<std::size_t>(count));
  std::iota(list.begin(), list.end(), 0);
  return list;
}

ChannelCopy whole(std::int64_t count) {
  const ChannelView view = plain_view({count}, 0);
  return {view, first(count), view, first(count)};
}

/// The value of a half by its definition.
double half_value(std::uint16_t h) {
  const int exponent = h >> 10 & 0x1F;
  const double fraction = h & 0x3FF;
  const double sign = (h & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == 31) return fraction != 0 ? std::nan("") : sign * INFINITY;
  return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024.0 + fraction, exponent - 25));
}

TEST(WireFormat, EveryHalfIsItsDefinitionAndComesBack) {
  std::vector<std::uint16_t> halves(65536);
  std::iota(halves.begin(), halves.end(), 0);
  std::vector<float> floats(halves.size());
  const WireFormat format{DataType::Float16};
  const ChannelCopy copy = whole(65536);
  copy.unpack(reinterpret_cast<const std::byte*>(halves.data()), floats.data(), format);
  std::vector<std::uint16_t> back(halves.size());
  copy.pack(floats.data(), reinterpret_cast<std::byte*>(back.data()), format);
  for (std::size_t h = 0; h < halves.size(); ++h) {
    const double want = half_value(halves[h]);
    if (std::isnan(want)) {
      EXPECT_TRUE(std::isnan(floats[h])) << h;
      EXPECT_TRUE(std::isnan(half_value(back[h]))) << h;
      continue;
    }
    EXPECT_EQ(static_cast<double>(floats[h]), want) << h;
    EXPECT_EQ(back[h], halves[h]) << h;
  }
}

TEST(WireFormat, HalvesAreTheNearest) {
  std::mt19937 generator(1);
  std::vector<float> values = {0.0F,  -0.0F,    65504.0F, 65519.9F, 65520.0F, -65520.0F,
                               1e30F, INFINITY, 2.98e-8F, 5.96e-8F, 6.1e-5F};
  std::uniform_real_distribution<float> exponent(-26.0F, 17.0F);
  std::uniform_real_distribution<float> sign(-1.0F, 1.0F);
  for (int i = 0; i < 100000; ++i)
    values.push_back(std::copysign(std::exp2(exponent(generator)), sign(generator)));
  std::vector<std::uint16_t> halves(values.size());
  whole(static_cast<std::int64_t>(values.size()))
      .pack(values.data(), reinterpret_cast<std::byte*>(halves.data()), {DataType::Float16});
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double x = values[i];
    const double got = half_value(halves[i]);
    if (std::abs(x) >= 65520.0) {  // half way to what would come after the largest
      EXPECT_TRUE(std::isinf(got)) << x;
      continue;
    }
    for (const int step : {-1, 1}) {
      const auto code = static_cast<std::uint16_t>(halves[i] & 0x7FFF);
      if ((code == 0 && step < 0) || (code == 0x7BFF && step > 0)) continue;
      const double other = half_value(static_cast<std::uint16_t>(halves[i] + step));
      const double mine = std::abs(x - got);
      EXPECT_LE(mine, std::abs(x - other)) << x;
      if (mine == std::abs(x - other)) EXPECT_EQ(halves[i] & 1, 0) << x << ": a tie goes to even";
    }
  }
}

TEST(WireFormat, BytesAreTheNearestCodeAndStayInRange) {
  for (const WireFormat format :
       {WireFormat{DataType::UInt8, 0.05F, 0}, WireFormat{DataType::UInt8, 0.1F, 128}}) {
    std::vector<float> values = {-1e9F, 1e9F, NAN, 0.0F};
    std::mt19937 generator(2);
    std::uniform_real_distribution<float> uniform(-15.0F, 15.0F);
    for (int i = 0; i < 20000; ++i) values.push_back(uniform(generator));
    std::vector<std::uint8_t> codes(values.size());
    const ChannelCopy copy = whole(static_cast<std::int64_t>(values.size()));
    copy.pack(values.data(), reinterpret_cast<std::byte*>(codes.data()), format);
    std::vector<float> back(values.size());
    copy.unpack(reinterpret_cast<const std::byte*>(codes.data()), back.data(), format);
    EXPECT_EQ(codes[0], 0);
    EXPECT_EQ(codes[1], 255);
    EXPECT_EQ(codes[2], 0);
    EXPECT_EQ(back[3], 0.0F) << "zero stays exact";
    const float low = static_cast<float>(0 - format.zero_point) * format.scale;
    const float high = static_cast<float>(255 - format.zero_point) * format.scale;
    for (std::size_t i = 3; i < values.size(); ++i) {
      const float inside = std::clamp(values[i], low, high);
      EXPECT_NEAR(back[i], inside, format.scale * 0.5001F)
          << values[i] << " zero point " << format.zero_point;
    }
  }
}

TEST(WireFormat, ChosenChannelsOfEveryLayoutTravelAlike) {
  const Shape shape = {2, 24, 5, 3};
  std::vector<float> plain(2 * 24 * 15);
  std::mt19937 generator(3);
  std::uniform_real_distribution<float> uniform(0.0F, 4.0F);
  for (float& value : plain) value = uniform(generator);
  const std::vector<std::int32_t> chosen = {1, 2, 3, 9, 15, 16, 23};
  const auto count = static_cast<std::int64_t>(chosen.size());
  const ChannelView source = plain_view(shape, 1);
  // The same values in blocks of 8 channels.
  ChannelView blocked = source;
  blocked.block = 8;
  blocked.channel_stride = 8 * 15;
  blocked.inner_stride = 8;
  std::vector<float> in_blocks(plain.size());
  ChannelCopy(source, first(24), blocked, first(24)).run(plain.data(), in_blocks.data());
  const ChannelView wire = plain_view({2, count, 5, 3}, 1);
  for (const WireFormat format :
       {WireFormat{}, WireFormat{DataType::Float16}, WireFormat{DataType::UInt8, 4.0F / 255.0F, 0}}) {
    const std::size_t bytes = static_cast<std::size_t>(2 * count * 15) * size_of(format.type);
    std::vector<std::byte> from_plain(bytes);
    std::vector<std::byte> from_blocks(bytes);
    ChannelCopy(source, chosen, wire, first(count)).pack(plain.data(), from_plain.data(), format);
    ChannelCopy(blocked, chosen, wire, first(count)).pack(in_blocks.data(), from_blocks.data(), format);
    EXPECT_EQ(from_plain, from_blocks) << to_string(format.type);
    std::vector<float> back(plain.size(), -1.0F);
    ChannelCopy(wire, first(count), source, chosen).unpack(from_plain.data(), back.data(), format);
    const float error = format.type == DataType::UInt8     ? 2.01F / 255.0F
                        : format.type == DataType::Float16 ? 0.002F
                                                           : 0.0F;
    for (std::int64_t n = 0; n < 2; ++n) {
      for (const std::int32_t c : chosen) {
        for (std::int64_t s = 0; s < 15; ++s) {
          const auto at = static_cast<std::size_t>((n * 24 + c) * 15 + s);
          EXPECT_NEAR(back[at], plain[at], error) << to_string(format.type) << " channel " << c;
        }
      }
    }
    EXPECT_EQ(back[0], -1.0F) << "other channels are left alone";
  }
}

}  // namespace
}  // namespace disco::kernels
