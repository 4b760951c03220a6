// Two passes of a separable filter, as Pillow's ImagingResample does them: coefficients in fixed point, 8
// bits in between.

#include <algorithm>
#include <cmath>
#include <numbers>

#include "data/image.h"

namespace disco {

namespace {

constexpr int kPrecision = 32 - 8 - 2;

double bilinear(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

double lanczos(double x) {
  const auto sinc = [](double t) {
    t *= std::numbers::pi;
    return t == 0.0 ? 1.0 : std::sin(t) / t;
  };
  return std::abs(x) < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0;
}

struct Kernel {
  double (*weight)(double);
  double support;  // in pixels, to one side
};

Kernel kernel_of(Interpolation interpolation) {
  switch (interpolation) {
    case Interpolation::Bicubic: return {bicubic, 2.0};
    case Interpolation::Lanczos: return {lanczos, 3.0};
    default: return {bilinear, 1.0};
  }
}

/// For every output position: the first source position and the weights from there on.
struct Filter {
  std::vector<int> first;
  std::vector<std::vector<std::int32_t>> weights;
};

Filter make_filter(int in, int out, Interpolation interpolation, bool antialias) {
  const double scale = static_cast<double>(in) / out;
  const double stretch = antialias ? std::max(scale, 1.0) : 1.0;
  const Kernel kernel = kernel_of(interpolation);
  const double support = kernel.support * stretch;
  Filter filter;
  if (interpolation == Interpolation::Nearest) {
    double centre = scale * 0.5;  // added up, as Pillow does: it rounds otherwise where pixels' edges meet
    for (int o = 0; o < out; ++o, centre += scale) {
      filter.first.push_back(std::min(in - 1, static_cast<int>(centre)));
      filter.weights.push_back({1 << kPrecision});
    }
    return filter;
  }
  for (int o = 0; o < out; ++o) {
    const double centre = (o + 0.5) * scale;
    const int low = std::max(0, static_cast<int>(centre - support + 0.5));
    const int high = std::min(in, static_cast<int>(centre + support + 0.5));
    std::vector<double> values;
    double sum = 0.0;
    for (int i = low; i < high; ++i) {
      values.push_back(kernel.weight((i - centre + 0.5) / stretch));
      sum += values.back();
    }
    std::vector<std::int32_t> fixed;
    for (const double value : values) {
      const double scaled = (sum != 0.0 ? value / sum : value) * (1 << kPrecision);
      fixed.push_back(static_cast<std::int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5));
    }
    filter.first.push_back(low);
    filter.weights.push_back(std::move(fixed));
  }
  return filter;
}

std::uint8_t to_byte(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kPrecision, 0, 255));
}

}  // namespace

Image resize(const Image& image, int width, int height, Interpolation interpolation, bool antialias) {
  Image wide = image;
  if (width != image.width) {
    const Filter filter = make_filter(image.width, width, interpolation, antialias);
    wide = {width, image.height,
            std::vector<std::uint8_t>(static_cast<std::size_t>(width) *
                                      static_cast<std::size_t>(image.height) * 3)};
    for (int y = 0; y < image.height; ++y) {
      const std::uint8_t* row =
          image.rgb.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(image.width) * 3;
      std::uint8_t* to = wide.rgb.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width) * 3;
      for (std::size_t x = 0; x < static_cast<std::size_t>(width); ++x) {
        for (std::size_t c = 0; c < 3; ++c) {
          std::int32_t sum = 1 << (kPrecision - 1);
          const std::uint8_t* from = row + static_cast<std::size_t>(filter.first[x]) * 3 + c;
          for (const std::int32_t weight : filter.weights[x]) {
            sum += *from * weight;
            from += 3;
          }
          to[x * 3 + c] = to_byte(sum);
        }
      }
    }
  }
  if (height == image.height) return wide;
  const Filter filter = make_filter(image.height, height, interpolation, antialias);
  const std::size_t pitch = static_cast<std::size_t>(width) * 3;
  Image result{width, height, std::vector<std::uint8_t>(pitch * static_cast<std::size_t>(height))};
  for (std::size_t y = 0; y < static_cast<std::size_t>(height); ++y) {
    for (std::size_t x = 0; x < pitch; ++x) {
      std::int32_t sum = 1 << (kPrecision - 1);
      const std::uint8_t* from = wide.rgb.data() + static_cast<std::size_t>(filter.first[y]) * pitch + x;
      for (const std::int32_t weight : filter.weights[y]) {
        sum += *from * weight;
        from += pitch;
      }
      result.rgb[y * pitch + x] = to_byte(sum);
    }
  }
  return result;
}

}  // namespace disco
