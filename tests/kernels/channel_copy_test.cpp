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

/// What a wire makes of one feature, by its definition.
float through_wire(float x, const WireFormat& format) {
  if (format.type == DataType::Float32) return x;
  const float code = std::floor(x / format.scale + static_cast<float>(format.zero_point) + 0.5F);
  return (std::clamp(code, 0.0F, 255.0F) - static_cast<float>(format.zero_point)) * format.scale;
}

/// Packs `chosen` of `source`, an array of so many elements, and unpacks them to where `into` has them; every
/// element of the result is what it should be.
void expect_travels(const ChannelView& source, std::size_t elements, const std::vector<std::int32_t>& chosen,
                    const ChannelView& wire, const ChannelView& into, std::size_t into_elements,
                    const std::vector<std::int32_t>& places) {
  const auto at = [](const ChannelView& view, std::int64_t n, std::int64_t c, std::int64_t s) {
    return static_cast<std::size_t>(n * view.outer_stride + c / view.block * view.channel_stride +
                                    c % view.block + s * view.inner_stride);
  };
  const auto count = static_cast<std::int64_t>(chosen.size());
  const auto travelling = static_cast<std::size_t>(source.outer * count * source.inner);
  std::vector<float> from(elements);
  for (std::size_t i = 0; i < elements; ++i) from[i] = static_cast<float>(i * 7919 % 4001) / 250.0F;
  // An exact scale, so that what is nearest is not a matter of the last bit.
  for (const WireFormat& format : {WireFormat{}, WireFormat{DataType::UInt8, 0.0625F, 3}}) {
    std::vector<std::byte> message(travelling * size_of(format.type));
    ChannelCopy(source, chosen, wire, first(count)).pack(from.data(), message.data(), format);
    std::vector<float> back(into_elements, -1.0F);
    ChannelCopy(wire, first(count), into, places).unpack(message.data(), back.data(), format);
    std::vector<float> want(into_elements, -1.0F);
    for (std::int64_t n = 0; n < source.outer; ++n) {
      for (std::size_t k = 0; k < chosen.size(); ++k) {
        for (std::int64_t s = 0; s < source.inner; ++s)
          want[at(into, n, places[k], s)] = through_wire(from[at(source, n, chosen[k], s)], format);
      }
    }
    ASSERT_EQ(back, want) << to_string(format.type) << " of " << count;
  }
}

TEST(ChannelCopy, ScatteredChannelsOfFeatureMapsArriveInsideAWiderMap) {
  const ChannelView source = wire_view({2, 70, 9, 5}, 1);
  for (const std::int64_t count : {1, 7, 16, 33}) {
    std::vector<std::int32_t> chosen;
    std::vector<std::int32_t> places;
    for (std::int64_t k = 0; k < count; ++k) {
      chosen.push_back(static_cast<std::int32_t>(2 * k + k % 3));
      places.push_back(static_cast<std::int32_t>(20 + k));
    }
    expect_travels(source, 2 * 70 * 45, chosen, wire_view({2, count, 9, 5}, 1), wire_view({2, 64, 9, 5}, 1),
                   2 * 64 * 45, places);
  }
}

TEST(ChannelCopy, ScatteredFeaturesOfTokens) {
  for (const std::int64_t count : {1, 5, 40, 1500, 3000}) {
    const std::int64_t held = 2 * count + 3;
    std::vector<std::int32_t> chosen;
    for (std::int64_t k = 0; k < count; ++k) chosen.push_back(static_cast<std::int32_t>(2 * k + 1 + k % 2));
    expect_travels(plain_view({3, 11, held}, 2), static_cast<std::size_t>(33 * held), chosen,
                   plain_view({3, 11, count}, 2), plain_view({3, 11, count + 4}, 2),
                   static_cast<std::size_t>(33 * (count + 4)), first(count));
  }
}

TEST(ChannelCopy, ChannelsLastIntoPlanesAndBlocks) {
  const std::vector<std::int32_t> chosen = {0, 1, 2, 9, 15, 16, 23};
  ChannelView blocked = plain_view({2, 24, 5, 3}, 1);
  blocked.block = 8;
  blocked.channel_stride = 8 * 15;
  blocked.inner_stride = 8;
  for (const ChannelView& into : {plain_view({2, 24, 5, 3}, 1), blocked}) {
    expect_travels(wire_view({2, 24, 5, 3}, 1), 2 * 24 * 15, chosen, wire_view({2, 7, 5, 3}, 1), into,
                   2 * 24 * 15, chosen);
    expect_travels(into, 2 * 24 * 15, chosen, wire_view({2, 7, 5, 3}, 1), wire_view({2, 24, 5, 3}, 1),
                   2 * 24 * 15, chosen);
    expect_travels(into, 2 * 24 * 15, chosen, plain_view({2, 7, 5, 3}, 1), into, 2 * 24 * 15, chosen);
  }
}

}  // namespace
}  // namespace disco::kernels
