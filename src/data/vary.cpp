#include "data/vary.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "base/random.h"

namespace disco {

void vary(Picture& picture, std::uint64_t seed) {
  switch (kind_of(picture.truth)) {
    case TruthKind::Objects: return vary_objects(picture, seed);
    case TruthKind::LabelMap: return vary_label_map(picture, seed);
    case TruthKind::Image: return vary_image_pair(picture, seed);
    case TruthKind::None:
    case TruthKind::Class: return;
  }
}

namespace {

/// A linear map of colours, 0..255.
struct ColourMap {
  std::array<std::array<double, 3>, 3> factor{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  std::array<double, 3> offset{};

  /// What this does first and `other` then.
  [[nodiscard]] ColourMap then(const ColourMap& other) const {
    ColourMap both;
    for (std::size_t i = 0; i < 3; ++i) {
      both.offset[i] = other.offset[i];
      for (std::size_t j = 0; j < 3; ++j) {
        both.offset[i] += other.factor[i][j] * offset[j];
        both.factor[i][j] = 0;
        for (std::size_t k = 0; k < 3; ++k) both.factor[i][j] += other.factor[i][k] * factor[k][j];
      }
    }
    return both;
  }
  /// In fixed point: a large image has many pixels.
  void apply(Image& image) const {
    constexpr int kOne = 1 << 16;
    std::array<std::array<int, 4>, 3> rows{};
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t j = 0; j < 3; ++j) rows[i][j] = static_cast<int>(factor[i][j] * kOne);
      rows[i][3] = static_cast<int>((offset[i] + .5) * kOne);
    }
    for (std::size_t at = 0; at + 2 < image.rgb.size(); at += 3) {
      std::uint8_t* rgb = &image.rgb[at];
      const int r = rgb[0], g = rgb[1], b = rgb[2];
      for (std::size_t i = 0; i < 3; ++i) {
        const int value = (rows[i][0] * r + rows[i][1] * g + rows[i][2] * b + rows[i][3]) / kOne;
        rgb[i] = static_cast<std::uint8_t>(std::clamp(value, 0, 255));
      }
    }
  }
};

ColourMap brighter(double by) {
  ColourMap map;
  map.offset = {by, by, by};
  return map;
}

ColourMap contrasted(double factor) {
  ColourMap map;
  for (std::size_t i = 0; i < 3; ++i) {
    map.factor[i][i] = factor;
    map.offset[i] = 127.5 * (1 - factor);
  }
  return map;
}

constexpr std::array<double, 3> kLuma = {.299, .587, .114};

ColourMap saturated(double factor) {
  ColourMap map;
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) map.factor[i][j] = kLuma[j] * (1 - factor) + (i == j ? factor : 0.0);
  }
  return map;
}

/// Colours turned around the axis of greys. @param t  the tangent of half the angle
ColourMap turned(double t) {
  const double cosine = (1 - t * t) / (1 + t * t), sine = 2 * t / (1 + t * t);
  constexpr double kThird = 1.0 / 3, kRoot = 0.57735026918962576;  // 1 / sqrt(3)
  ColourMap map;
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      const double across = i == j ? 0.0 : (j == (i + 1) % 3 ? -kRoot : kRoot);
      map.factor[i][j] = (i == j ? cosine : 0.0) + kThird * (1 - cosine) + across * sine;
    }
  }
  return map;
}

}  // namespace

void vary_colours(Image& image, std::uint64_t seed) {
  Random random(seed);
  const auto half = [&] { return random.below(2) == 0; };
  ColourMap map;
  if (half()) map = map.then(brighter(random.between(-32, 32)));
  if (half()) map = map.then(contrasted(random.between(.6, 1.4)));
  if (half()) map = map.then(saturated(random.between(.5, 1.5)));
  if (half()) map = map.then(turned(random.between(-.16, .16)));  // up to 18 degrees
  map.apply(image);
}

void mirror(Image& image) {
  const auto width = static_cast<std::size_t>(image.width);
  for (std::size_t row = 0; row < static_cast<std::size_t>(image.height); ++row) {
    std::uint8_t* pixels = &image.rgb[row * width * 3];
    for (std::size_t left = 0, right = width - 1; left < right; ++left, --right)
      std::swap_ranges(pixels + left * 3, pixels + left * 3 + 3, pixels + right * 3);
  }
}

Image cut_out(const Image& image, int left, int top, int width, int height) {
  Image part{width, height, {}};
  const auto stride = static_cast<std::ptrdiff_t>(image.width) * 3;
  part.rgb.reserve(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  for (int row = top; row < top + height; ++row) {
    const auto first = image.rgb.begin() + row * stride + std::ptrdiff_t{left} * 3;
    part.rgb.insert(part.rgb.end(), first, first + std::ptrdiff_t{width} * 3);
  }
  return part;
}

}  // namespace disco
