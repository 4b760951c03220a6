// Images as bytes come back bit by bit; what is no image is left alone; what lies is refused.

#include "cluster/palette.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <utility>

namespace disco {
namespace {

/// Pixels of 8 bits, normalised channel by channel as presets do.
Tensor image(const Shape& shape, int channel_axis, unsigned seed) {
  std::mt19937 generator(seed);
  Tensor tensor(DataType::Float32, shape);
  std::int64_t run = 1;
  for (std::size_t d = static_cast<std::size_t>(channel_axis) + 1; d < shape.size(); ++d) run *= shape[d];
  for (std::int64_t i = 0; i < tensor.elements(); ++i) {
    const auto channel = static_cast<float>(i / run % shape[static_cast<std::size_t>(channel_axis)]);
    const auto pixel = static_cast<float>(generator() % 255);
    tensor.data<float>()[i] = (pixel / 255.0F - 0.4F - 0.01F * channel) / (0.22F + 0.003F * channel);
  }
  return tensor;
}

TEST(Palette, ImagesComeBackBitByBit) {
  const std::pair<Shape, int> cases[] = {{{1, 3, 224, 224}, 1},
                                         {{4, 3, 33, 65}, 1},
                                         {{1, 1, 64, 64}, 1},
                                         {{2, 97, 81, 3}, 3},
                                         {{1, 128, 128, 1}, 3}};
  const auto curved = [](Tensor& tensor) {
    for (std::int64_t i = 0; i < tensor.elements(); ++i) {
      float& value = tensor.data<float>()[i];
      value = std::copysign(std::sqrt(std::abs(value)), value);
    }
  };
  const std::pair<const char*, std::function<void(Tensor&)>> kinds[] = {
      {"values a step apart", [](Tensor&) {}},
      {"curved", curved},
      {"two zeros", [](Tensor& tensor) { tensor.data<float>()[1] = -0.0F; }},
      {"a NaN with the bits of no value",
       [](Tensor& tensor) { tensor.data<float>()[2] = std::bit_cast<float>(0x7FC0D15CU); }},
      {"one value", [](Tensor& tensor) { std::fill_n(tensor.data<float>(), tensor.elements(), -3.25F); }},
      {"a constant half",
       [](Tensor& tensor) { std::fill_n(tensor.data<float>(), tensor.elements() / 2, 1.0F); }}};
  for (const auto& [shape, axis] : cases) {
    for (const auto& [kind, change] : kinds) {
      Tensor tensor = image(shape, axis, 7);
      change(tensor);
      const auto packed = palette::pack(tensor);
      ASSERT_TRUE(packed) << kind << " " << to_string(shape);
      EXPECT_LE(packed->bytes.size(), tensor.bytes() / 2) << kind << " " << to_string(shape);
      Tensor back(DataType::Float32, shape);
      const Status status = palette::unpack(packed->layout, packed->bytes, back);
      ASSERT_TRUE(status.ok()) << kind << " " << to_string(shape) << ": " << status.error().message;
      EXPECT_EQ(std::memcmp(tensor.raw(), back.raw(), tensor.bytes()), 0) << kind << " " << to_string(shape);
    }
  }
}

TEST(Palette, WhatIsNoImageIsLeftAlone) {
  std::mt19937 generator(3);
  std::normal_distribution<float> normal;
  Tensor noise(DataType::Float32, {1, 3, 64, 64});
  for (std::int64_t i = 0; i < noise.elements(); ++i) noise.data<float>()[i] = normal(generator);
  EXPECT_FALSE(palette::pack(noise));
  EXPECT_FALSE(palette::pack(image({1, 3, 8, 8}, 1, 1))) << "small: its tables weigh more";
  EXPECT_FALSE(palette::pack(image({1, 512, 4, 4}, 1, 1))) << "many planes of few elements";
  EXPECT_FALSE(palette::pack(Tensor::zeros(DataType::Int64, {1, 3, 64, 64})));
  Tensor almost = image({1, 1, 64, 64}, 1, 1);
  for (int i = 0; i < 300; ++i) almost.data<float>()[4095 - i] = static_cast<float>(i);
  EXPECT_FALSE(palette::pack(almost)) << "its 257th value comes late";
  Tensor strange = image({1, 1, 64, 64}, 1, 1);
  strange.data<float>()[5] = std::nanf("7");
  strange.data<float>()[6] = INFINITY;
  strange.data<float>()[7] = strange.data<float>()[8];
  const auto packed = palette::pack(strange);
  if (packed) {
    Tensor back(DataType::Float32, strange.shape());
    ASSERT_TRUE(palette::unpack(packed->layout, packed->bytes, back).ok());
    EXPECT_EQ(std::memcmp(strange.raw(), back.raw(), strange.bytes()), 0);
  }
}

TEST(Palette, SizesThatLieAreErrors) {
  const Tensor tensor = image({1, 3, 64, 64}, 1, 5);
  const auto packed = palette::pack(tensor);
  ASSERT_TRUE(packed);
  const std::span<const std::byte> bytes = packed->bytes;
  const palette::Layout good = packed->layout;
  const std::pair<palette::Layout, std::size_t> cases[] = {{{0, good.run}, bytes.size()},
                                                           {{good.planes, 0}, bytes.size()},
                                                           {{good.planes + 1, good.run}, bytes.size()},
                                                           {{~std::uint64_t{0}, good.run}, bytes.size()},
                                                           {{std::uint64_t{1} << 54U, 1}, bytes.size()},
                                                           {{good.planes, 4095}, bytes.size()},
                                                           {good, bytes.size() - 1},
                                                           {good, 0}};
  for (const auto& [layout, size] : cases) {
    Tensor back(DataType::Float32, tensor.shape());
    const Status status = palette::unpack(layout, bytes.first(size), back);
    ASSERT_FALSE(status.ok()) << layout.planes << " " << layout.run << " " << size;
    EXPECT_EQ(status.error().code, ErrorCode::ProtocolMismatch);
  }
}

}  // namespace
}  // namespace disco
