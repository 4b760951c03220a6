#include "data/imresize.h"

#include <algorithm>
#include <cmath>

namespace disco {

namespace {

double cubic(double x) {
  x = std::abs(x);
  if (x <= 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x <= 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
  return 0;
}

/// For every output position: source positions and their weights.
struct Taps {
  std::vector<std::size_t> places;
  std::vector<double> weights;
  std::size_t count = 0;  // an output position
};

Taps taps_of(int from, int to) {
  const double scale = static_cast<double>(to) / from;
  const double stretch = std::min(scale, 1.0);
  const double reach = 4.0 / stretch;  // the filter's whole width
  Taps taps;
  taps.count = static_cast<std::size_t>(std::ceil(reach)) + 2;
  for (int o = 0; o < to; ++o) {
    const double centre = (o + 0.5) / scale - 0.5;
    const auto first = static_cast<std::int64_t>(std::floor(centre - reach / 2));
    const std::size_t begin = taps.weights.size();
    double sum = 0;
    for (std::size_t k = 0; k < taps.count; ++k) {
      const std::int64_t at = first + static_cast<std::int64_t>(k);
      // Mirrored with the border's pixel twice, as often as it takes.
      const std::int64_t period = 2 * std::int64_t{from};
      const std::int64_t folded = ((at % period) + period) % period;
      taps.places.push_back(static_cast<std::size_t>(folded < from ? folded : period - 1 - folded));
      taps.weights.push_back(stretch * cubic(stretch * (centre - static_cast<double>(at))));
      sum += taps.weights.back();
    }
    for (std::size_t k = begin; k < taps.weights.size(); ++k) taps.weights[k] /= sum;
  }
  return taps;
}

double to_level(double value) { return std::round(std::clamp(value, 0.0, 255.0)); }

/// @param as_bytes  8-bit images are rounded after each direction, rows first
std::vector<double> resized(const std::vector<double>& plane, int width, int height, int to_width,
                            int to_height, bool as_bytes) {
  const Taps down = taps_of(height, to_height), across = taps_of(width, to_width);
  const auto from = static_cast<std::size_t>(width), to = static_cast<std::size_t>(to_width);
  std::vector<double> result(to * static_cast<std::size_t>(to_height)), row(from);
  for (std::size_t y = 0; y < static_cast<std::size_t>(to_height); ++y) {
    std::fill(row.begin(), row.end(), 0.0);
    for (std::size_t k = y * down.count; k < (y + 1) * down.count; ++k) {
      const double weight = down.weights[k];
      if (weight == 0) continue;
      const double* source = plane.data() + down.places[k] * from;
      for (std::size_t x = 0; x < from; ++x) row[x] += weight * source[x];
    }
    if (as_bytes) std::transform(row.begin(), row.end(), row.begin(), to_level);
    for (std::size_t x = 0; x < to; ++x) {
      double sum = 0;
      for (std::size_t k = x * across.count; k < (x + 1) * across.count; ++k)
        sum += across.weights[k] * row[across.places[k]];
      result[y * to + x] = as_bytes ? to_level(sum) : sum;
    }
  }
  return result;
}

}  // namespace

std::vector<double> imresize(const std::vector<double>& plane, int width, int height, int to_width,
                             int to_height) {
  return resized(plane, width, height, to_width, to_height, /*as_bytes=*/false);
}

Image imresize(const Image& image, int width, int height) {
  Image result{width, height};
  const std::size_t from = image.rgb.size() / 3;
  result.rgb.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  std::vector<double> plane(from);
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t i = 0; i < from; ++i) plane[i] = image.rgb[i * 3 + c];
    const std::vector<double> levels =
        resized(plane, image.width, image.height, width, height, /*as_bytes=*/true);
    for (std::size_t i = 0; i < levels.size(); ++i)
      result.rgb[i * 3 + c] = static_cast<std::uint8_t>(levels[i]);
  }
  return result;
}

ScaledPair degraded(const Image& image, int scale) {
  ScaledPair pair;
  pair.large = {image.width - image.width % scale, image.height - image.height % scale};
  const auto pitch = std::ptrdiff_t{image.width} * 3;
  for (int y = 0; y < pair.large.height; ++y) {
    const auto row = image.rgb.begin() + y * pitch;
    pair.large.rgb.insert(pair.large.rgb.end(), row, row + std::ptrdiff_t{pair.large.width} * 3);
  }
  pair.small = imresize(pair.large, pair.large.width / scale, pair.large.height / scale);
  return pair;
}

}  // namespace disco
