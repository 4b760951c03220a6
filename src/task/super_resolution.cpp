#include "task/super_resolution.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "reference/numeric.h"

namespace disco {

namespace {

/// A plane without `rows` and `columns` of samples at each side; empty where none are left.
Plane inside(const Plane& plane, int rows, int columns) {
  Plane result{std::max(0, plane.width - 2 * columns), std::max(0, plane.height - 2 * rows)};
  if (result.width == 0 || result.height == 0) return {};
  for (int y = rows; y < plane.height - rows; ++y) {
    const auto row = plane.samples.begin() + std::ptrdiff_t{y} * plane.width + columns;
    result.samples.insert(result.samples.end(), row, row + result.width);
  }
  return result;
}

/// All channels, as one plane three times as wide.
Plane channels_of(const Image& image) {
  return {image.width * 3, image.height, std::vector<double>(image.rgb.begin(), image.rgb.end())};
}

bool has_colours(const Image& image) {
  for (std::size_t i = 0; i + 2 < image.rgb.size(); i += 3) {
    if (image.rgb[i] != image.rgb[i + 1] || image.rgb[i] != image.rgb[i + 2]) return true;
  }
  return false;
}

template <typename T>
double mean_square(const std::vector<T>& a, const std::vector<T>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  return sum / static_cast<double>(a.size());
}

constexpr int kWindow = 11;

std::array<double, kWindow> gaussian() {
  std::array<double, kWindow> weights{};
  double sum = 0;
  for (int i = 0; i < kWindow; ++i) {
    const double x = i - kWindow / 2;
    sum += weights[static_cast<std::size_t>(i)] = std::exp(-x * x / (2 * 1.5 * 1.5));
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

/// Weighted means over the windows that lie inside.
std::vector<double> smoothed(const std::vector<double>& values, std::size_t width, std::size_t height) {
  static const std::array<double, kWindow> weights = gaussian();
  const std::size_t across = width - kWindow + 1, down = height - kWindow + 1;
  std::vector<double> narrow(across * height), result(across * down);
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t x = 0; x < across; ++x) {
      double sum = 0;
      for (std::size_t k = 0; k < kWindow; ++k) sum += weights[k] * values[y * width + x + k];
      narrow[y * across + x] = sum;
    }
  }
  for (std::size_t y = 0; y < down; ++y) {
    for (std::size_t x = 0; x < across; ++x) {
      double sum = 0;
      for (std::size_t k = 0; k < kWindow; ++k) sum += weights[k] * narrow[(y + k) * across + x];
      result[y * across + x] = sum;
    }
  }
  return result;
}

class SuperResolutionMetric final : public Metric {
 public:
  explicit SuperResolutionMetric(int border) : border_(border) {}

  Status add(const Answer& answer, const Truth& truth) override {
    if (std::holds_alternative<std::monostate>(truth)) return {};
    const auto* right = std::get_if<Image>(&truth);
    if (right == nullptr) {
      return error(ErrorCode::InvalidArgument,
                   "the model answers with an image, but the data says something else");
    }
    const auto& image = std::get<Image>(answer);
    if (image.width != right->width || image.height != right->height) {
      return error(ErrorCode::InvalidArgument,
                   "the model's answer has {} x {} pixels, the image that it should be {} x {}; is the scale "
                   "right?",
                   image.width, image.height, right->width, right->height);
    }
    const Plane a = inside(studio_luma(image), border_, border_),
                b = inside(studio_luma(*right), border_, border_);
    if (a.samples.empty()) {
      return error(ErrorCode::InvalidArgument, "of {} x {} pixels none is left without {} at each border",
                   image.width, image.height, border_);
    }
    ++samples_;
    psnr_ += psnr(a, b);
    rgb_psnr_ += psnr(inside(channels_of(image), border_, 3 * border_),
                      inside(channels_of(*right), border_, 3 * border_));
    has_colours_ = has_colours_ || has_colours(image);
    if (std::min(a.width, a.height) < kWindow) return {};
    ++windowed_;
    ssim_ += ssim(a, b);
    return {};
  }
  std::int64_t samples() const override { return samples_; }
  std::vector<Figure> figures() const override {
    if (samples_ == 0) return {};
    std::vector<Figure> figures = {{"psnr", psnr_ / static_cast<double>(samples_), Unit::Decibel}};
    if (windowed_ > 0) figures.push_back({"ssim", ssim_ / static_cast<double>(windowed_), Unit::Number});
    if (has_colours_)
      figures.push_back({"rgb_psnr", rgb_psnr_ / static_cast<double>(samples_), Unit::Decibel});
    return figures;
  }

 private:
  int border_;
  std::int64_t samples_ = 0, windowed_ = 0;
  double psnr_ = 0, ssim_ = 0, rgb_psnr_ = 0;
  bool has_colours_ = false;
};

}  // namespace

Result<Image> read_image_answer(const Task& task, const NamedTensors& outputs, std::int64_t sample,
                                std::int64_t batch, int height, int width) {
  const auto found = outputs.find(task.output);
  if (found == outputs.end())
    return error(ErrorCode::InvalidModel, "the model gave no output '{}'", task.output);
  const Tensor& tensor = found->second;
  const Shape& shape = tensor.shape();
  const std::int64_t rows = std::int64_t{height} * task.scale, columns = std::int64_t{width} * task.scale;
  const bool suits = shape.size() == 4 && shape[0] == batch && (shape[1] == 1 || shape[1] == 3) &&
                     shape[2] == rows && shape[3] == columns;
  if (!suits) {
    return error(ErrorCode::InvalidModel,
                 "output '{}' is {}; {} x {} pixels enlarged {} times are [{}, 1 or 3, {}, {}]", task.output,
                 to_string(shape), height, width, task.scale, batch, rows, columns);
  }
  if (!reference::is_floating(tensor.type())) {
    return error(ErrorCode::Unsupported, "output '{}' is {}; images are floating", task.output,
                 to_string(tensor.type()));
  }
  const std::int64_t plane = rows * columns;
  Image image{static_cast<int>(columns), static_cast<int>(rows)};
  image.rgb.resize(static_cast<std::size_t>(plane) * 3);
  reference::Doubles values(static_cast<std::size_t>(plane));
  for (std::int64_t c = 0; c < 3; ++c) {
    const std::int64_t from = shape[1] == 1 ? 0 : task.pixels.bgr ? 2 - c : c;
    if (c < shape[1]) reference::convert(tensor, (sample * shape[1] + from) * plane, plane, values.data());
    for (std::size_t i = 0; i < values.size(); ++i) {
      // Not a number is black.
      const double level = values[i] > 0 ? std::min(values[i] / task.pixels.white, 1.0) * 255 : 0.0;
      image.rgb[i * 3 + static_cast<std::size_t>(c)] = static_cast<std::uint8_t>(std::lround(level));
    }
  }
  return image;
}

Plane studio_luma(const Image& image) {
  Plane luma{image.width, image.height, std::vector<double>(image.rgb.size() / 3)};
  for (std::size_t i = 0; i < luma.samples.size(); ++i) {
    const std::uint8_t* rgb = image.rgb.data() + i * 3;
    luma.samples[i] = 16.0 + (65.481 * rgb[0] + 128.553 * rgb[1] + 24.966 * rgb[2]) / 255.0;
  }
  return luma;
}

double psnr(const Plane& a, const Plane& b) {
  const double error = mean_square(a.samples, b.samples);
  return error == 0 ? kMostPsnr : std::min(kMostPsnr, 10 * std::log10(255.0 * 255.0 / error));
}

double ssim(const Plane& a, const Plane& b) {
  const auto width = static_cast<std::size_t>(a.width), height = static_cast<std::size_t>(a.height);
  const std::vector<double>&x = a.samples, &y = b.samples;
  const auto of_products = [&](const std::vector<double>& u, const std::vector<double>& v) {
    std::vector<double> products(u.size());
    for (std::size_t i = 0; i < u.size(); ++i) products[i] = u[i] * v[i];
    return smoothed(products, width, height);
  };
  const std::vector<double> mean_x = smoothed(x, width, height), mean_y = smoothed(y, width, height);
  const std::vector<double> xx = of_products(x, x), yy = of_products(y, y), xy = of_products(x, y);
  constexpr double c1 = (0.01 * 255) * (0.01 * 255), c2 = (0.03 * 255) * (0.03 * 255);
  double sum = 0;
  for (std::size_t i = 0; i < mean_x.size(); ++i) {
    const double mx = mean_x[i], my = mean_y[i];
    const double vx = xx[i] - mx * mx, vy = yy[i] - my * my, both = xy[i] - mx * my;
    sum += (2 * mx * my + c1) * (2 * both + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2));
  }
  return sum / static_cast<double>(mean_x.size());
}

std::unique_ptr<Metric> make_super_resolution_metric(const Task& task) {
  return std::make_unique<SuperResolutionMetric>(task.scale);
}

double agreement(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height || a.rgb.empty()) return 0.0;
  return 1.0 - std::sqrt(mean_square(a.rgb, b.rgb)) / 255.0;
}

}  // namespace disco
