// RoiAlign, MaxRoiPool, NonMaxSuppression.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "reference/numeric.h"
#include "reference/registry.h"

namespace disco::reference {

namespace {

constexpr std::int64_t kLargestGrid = 1 << 14;  // rows or columns of one region's result

/// One output cell's reading of the plane at a fractional point: four elements and their weights.
class BilinearReader {
 public:
  BilinearReader(const double* plane, std::int64_t height, std::int64_t width)
      : plane_(plane), height_(height), width_(width) {}

  /// The four products of weight and element; zeros where the point lies more than one element outside.
  [[nodiscard]] std::array<double, 4> at(double y, double x) const {
    const auto rows = static_cast<double>(height_);
    const auto columns = static_cast<double>(width_);
    if (!(y >= -1 && y <= rows && x >= -1 && x <= columns)) return {0, 0, 0, 0};
    y = std::max(y, 0.0);
    x = std::max(x, 0.0);
    auto y0 = static_cast<std::int64_t>(y);
    auto x0 = static_cast<std::int64_t>(x);
    if (y0 >= height_ - 1) y = static_cast<double>(y0 = height_ - 1);
    if (x0 >= width_ - 1) x = static_cast<double>(x0 = width_ - 1);
    const std::int64_t y1 = std::min(y0 + 1, height_ - 1);
    const std::int64_t x1 = std::min(x0 + 1, width_ - 1);
    const double ty = y - static_cast<double>(y0);
    const double tx = x - static_cast<double>(x0);
    return {(1 - ty) * (1 - tx) * plane_[y0 * width_ + x0], (1 - ty) * tx * plane_[y0 * width_ + x1],
            ty * (1 - tx) * plane_[y1 * width_ + x0], ty * tx * plane_[y1 * width_ + x1]};
  }

 private:
  const double* plane_;
  std::int64_t height_;
  std::int64_t width_;
};

/// One axis of a region: where it starts, the extent of an output cell, and the sampling points in a cell.
struct RoiAxis {
  double start = 0;
  double cell = 0;
  std::int64_t samples = 1;
  [[nodiscard]] double point(std::int64_t position, std::int64_t sample) const {
    return start + static_cast<double>(position) * cell +
           (static_cast<double>(sample) + 0.5) * cell / static_cast<double>(samples);
  }
};

Result<Outputs> evaluate_roi_align(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 3, 3));
  DISCO_CHECK(check_floating(node, inputs, {0, 1}));
  const Shape& in = inputs[0].shape();
  const Tensor& rois = inputs[1];
  const Tensor& batches = inputs[2];
  if (in.size() != 4 || in[2] < 1 || in[3] < 1 || rois.rank() != 2 || rois.shape()[1] != 4 ||
      batches.rank() != 1 || batches.elements() != rois.shape()[0] || batches.type() != DataType::Int64) {
    return error(ErrorCode::ShapeMismatch,
                 "RoiAlign: an input of shape {}, rois {} and batch indices {} ({})", to_string(in),
                 to_string(rois.shape()), to_string(batches.shape()), to_string(batches.type()));
  }
  const std::string coordinates = node.string_or("coordinate_transformation_mode", "half_pixel");
  const std::string mode = node.string_or("mode", "avg");
  const std::int64_t height = node.int_or("output_height", 1);
  const std::int64_t width = node.int_or("output_width", 1);
  const std::int64_t ratio = node.int_or("sampling_ratio", 0);
  if ((coordinates != "half_pixel" && coordinates != "output_half_pixel") ||
      (mode != "avg" && mode != "max") || height < 1 || width < 1 || height > kLargestGrid ||
      width > kLargestGrid || ratio < 0 || ratio > kLargestGrid) {
    return error(ErrorCode::InvalidModel, "RoiAlign: mode '{}', '{}', output {}x{}, sampling_ratio {}", mode,
                 coordinates, height, width, ratio);
  }
  const double scale = node.float_or("spatial_scale", 1);
  const bool half_pixel = coordinates == "half_pixel";
  const std::int64_t count = rois.shape()[0];
  const Shape shape{count, in[1], height, width};
  DISCO_CHECK(check_extents(node, shape));
  const Doubles values = to_doubles(inputs[0]);
  const Doubles boxes = to_doubles(rois);
  const auto axis_of = [&](double begin, double end, std::int64_t cells) {
    const double offset = half_pixel ? 0.5 : 0;
    double extent = (end - begin) * scale;
    if (!half_pixel) extent = std::max(extent, 1.0);  // the older form forces regions of at least one element
    RoiAxis axis{begin * scale - offset, extent / static_cast<double>(cells), ratio};
    if (ratio == 0) {
      const double wanted = std::ceil(axis.cell);
      axis.samples = wanted > 0 ? static_cast<std::int64_t>(std::min(wanted, double{kLargestGrid})) : 0;
    }
    return axis;
  };
  Doubles y;
  for (std::int64_t r = 0; r < count; ++r) {
    const std::int64_t batch = batches.data<std::int64_t>()[r];
    if (batch < 0 || batch >= in[0]) {
      return error(ErrorCode::ShapeMismatch, "RoiAlign: batch index {} of {}", batch, in[0]);
    }
    const double* box = boxes.data() + 4 * r;
    const RoiAxis columns = axis_of(box[0], box[2], width);
    const RoiAxis rows = axis_of(box[1], box[3], height);
    for (std::int64_t c = 0; c < in[1]; ++c) {
      const BilinearReader reader(values.data() + (batch * in[1] + c) * in[2] * in[3], in[2], in[3]);
      for (std::int64_t i = 0; i < height; ++i) {
        for (std::int64_t j = 0; j < width; ++j) {
          double sum = 0;
          double most = -std::numeric_limits<double>::infinity();
          for (std::int64_t p = 0; p < rows.samples; ++p) {
            for (std::int64_t q = 0; q < columns.samples; ++q) {
              for (const double part : reader.at(rows.point(i, p), columns.point(j, q))) {
                sum += part;
                // "max" is over the weighted elements, as ONNX's data and ONNX Runtime have it.
                most = std::max(most, part);
              }
            }
          }
          const std::int64_t points = rows.samples * columns.samples;
          if (points == 0) {
            y.push_back(0);
          } else {
            y.push_back(mode == "avg" ? sum / static_cast<double>(points) : most);
          }
        }
      }
    }
  }
  return Outputs{from_doubles(inputs[0].type(), shape, y)};
}

Result<Outputs> evaluate_max_roi_pool(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  DISCO_CHECK(check_floating(node, inputs, {0, 1}));
  const Shape& in = inputs[0].shape();
  const Tensor& rois = inputs[1];
  const std::vector<std::int64_t> pooled = node.ints_or("pooled_shape", {});
  if (pooled.size() != 2 || pooled[0] < 1 || pooled[1] < 1 || pooled[0] > kLargestGrid ||
      pooled[1] > kLargestGrid) {
    return error(ErrorCode::InvalidModel, "MaxRoiPool: pooled_shape {}", to_string(pooled));
  }
  if (in.size() != 4 || rois.rank() != 2 || rois.shape()[1] != 5) {
    return error(ErrorCode::ShapeMismatch, "MaxRoiPool: rois of shape {} on an input of shape {}",
                 to_string(rois.shape()), to_string(in));
  }
  const double scale = node.float_or("spatial_scale", 1);
  const Shape shape{rois.shape()[0], in[1], pooled[0], pooled[1]};
  DISCO_CHECK(check_extents(node, shape));
  const Doubles values = to_doubles(inputs[0]);
  const Doubles boxes = to_doubles(rois);
  // Regions far outside are cut off early so that the arithmetic stays in range.
  const auto element = [scale](double coordinate) {
    const double rounded = std::round(coordinate * scale);
    return std::isnan(rounded) ? 0.0 : std::clamp(rounded, -1e9, 1e9);
  };
  const auto bound = [](double position, std::int64_t extent) {
    return static_cast<std::int64_t>(std::clamp(position, 0.0, static_cast<double>(extent)));
  };
  Doubles y;
  for (std::int64_t r = 0; r < shape[0]; ++r) {
    const double* box = boxes.data() + 5 * r;
    if (!(box[0] >= 0 && box[0] < static_cast<double>(in[0]))) {
      return error(ErrorCode::ShapeMismatch, "MaxRoiPool: batch index {} of {}", box[0], in[0]);
    }
    const auto batch = static_cast<std::int64_t>(box[0]);
    const double left = element(box[1]);
    const double top = element(box[2]);
    const double cell_width = std::max(element(box[3]) - left + 1, 1.0) / static_cast<double>(pooled[1]);
    const double cell_height = std::max(element(box[4]) - top + 1, 1.0) / static_cast<double>(pooled[0]);
    for (std::int64_t c = 0; c < in[1]; ++c) {
      const double* plane = values.data() + (batch * in[1] + c) * in[2] * in[3];
      for (std::int64_t i = 0; i < pooled[0]; ++i) {
        const std::int64_t y_first = bound(std::floor(static_cast<double>(i) * cell_height) + top, in[2]);
        const std::int64_t y_last = bound(std::ceil(static_cast<double>(i + 1) * cell_height) + top, in[2]);
        for (std::int64_t j = 0; j < pooled[1]; ++j) {
          const std::int64_t x_first = bound(std::floor(static_cast<double>(j) * cell_width) + left, in[3]);
          const std::int64_t x_last = bound(std::ceil(static_cast<double>(j + 1) * cell_width) + left, in[3]);
          const bool nothing = y_first >= y_last || x_first >= x_last;
          double most = nothing ? 0 : -std::numeric_limits<double>::infinity();
          for (std::int64_t py = y_first; py < y_last; ++py) {
            for (std::int64_t px = x_first; px < x_last; ++px) most = std::max(most, plane[py * in[3] + px]);
          }
          y.push_back(most);
        }
      }
    }
  }
  return Outputs{from_doubles(inputs[0].type(), shape, y)};
}

struct Box {
  float y0 = 0, x0 = 0, y1 = 0, x1 = 0;  // float, as the models' authors compared in float
  [[nodiscard]] float area() const { return (y1 - y0) * (x1 - x0); }
};

Box read_box(const float* v, bool centred) {
  if (centred) return {v[1] - v[3] / 2, v[0] - v[2] / 2, v[1] + v[3] / 2, v[0] + v[2] / 2};
  return {std::min(v[0], v[2]), std::min(v[1], v[3]), std::max(v[0], v[2]), std::max(v[1], v[3])};
}

bool overlap_beyond(const Box& a, const Box& b, float threshold) {
  const float height = std::min(a.y1, b.y1) - std::max(a.y0, b.y0);
  const float width = std::min(a.x1, b.x1) - std::max(a.x0, b.x0);
  if (!(height > 0) || !(width > 0)) return false;
  const float common = height * width;
  const float joint = a.area() + b.area() - common;
  return a.area() > 0 && b.area() > 0 && joint > 0 && common / joint > threshold;
}

Result<Outputs> evaluate_non_max_suppression(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 5));
  const Tensor& boxes = inputs[0];
  const Tensor& scores = inputs[1];
  if (boxes.type() != DataType::Float32 || scores.type() != DataType::Float32 || boxes.rank() != 3 ||
      scores.rank() != 3 || boxes.shape()[2] != 4 || boxes.shape()[0] != scores.shape()[0] ||
      boxes.shape()[1] != scores.shape()[2]) {
    return error(ErrorCode::ShapeMismatch, "NonMaxSuppression: boxes {} ({}) with scores {} ({})",
                 to_string(boxes.shape()), to_string(boxes.type()), to_string(scores.shape()),
                 to_string(scores.type()));
  }
  const auto scalar = [&](std::size_t position, DataType type, double fallback) -> Result<double> {
    const Tensor& tensor = input_at(inputs, position);
    if (tensor.empty()) return fallback;
    if (tensor.type() != type || tensor.elements() != 1) {
      return error(ErrorCode::ShapeMismatch, "NonMaxSuppression: input {} is {} of shape {}, not one {}",
                   position, to_string(tensor.type()), to_string(tensor.shape()), to_string(type));
    }
    return to_doubles(tensor)[0];
  };
  DISCO_TRY(const double most, scalar(2, DataType::Int64, 0));
  DISCO_TRY(const double iou, scalar(3, DataType::Float32, 0));
  DISCO_TRY(const double least, scalar(4, DataType::Float32, -std::numeric_limits<double>::infinity()));
  if (!(iou >= 0 && iou <= 1)) {
    return error(ErrorCode::InvalidModel, "NonMaxSuppression: iou_threshold is {}, not in [0, 1]", iou);
  }
  const bool has_least = !input_at(inputs, 4).empty();
  const bool centred = node.int_or("center_point_box", 0) != 0;
  const std::int64_t count = boxes.shape()[1];
  const std::int64_t classes = scores.shape()[1];
  std::vector<std::int64_t> chosen;
  for (std::int64_t batch = 0; batch < boxes.shape()[0]; ++batch) {
    const float* geometry = boxes.data<float>() + batch * count * 4;
    for (std::int64_t c = 0; c < classes; ++c) {
      const float* score = scores.data<float>() + (batch * classes + c) * count;
      std::vector<std::int64_t> order;
      for (std::int64_t i = 0; i < count; ++i) {
        // NaN never qualifies: it would break the order that sorting needs.
        if (!std::isnan(score[i]) && (!has_least || score[i] > least)) order.push_back(i);
      }
      std::stable_sort(order.begin(), order.end(),
                       [&](std::int64_t a, std::int64_t b) { return score[a] > score[b]; });
      std::vector<Box> kept;
      for (const std::int64_t i : order) {
        if (static_cast<double>(kept.size()) >= most) break;
        const Box box = read_box(geometry + 4 * i, centred);
        const auto suppresses = [&](const Box& other) {
          return overlap_beyond(box, other, static_cast<float>(iou));
        };
        if (std::any_of(kept.begin(), kept.end(), suppresses)) continue;
        kept.push_back(box);
        chosen.insert(chosen.end(), {batch, c, i});
      }
    }
  }
  return Outputs{Tensor::of<std::int64_t>({static_cast<std::int64_t>(chosen.size() / 3), 3}, chosen)};
}

}  // namespace

void register_detection(Registry& registry) {
  registry[{"", "RoiAlign"}] = evaluate_roi_align;
  registry[{"", "MaxRoiPool"}] = evaluate_max_roi_pool;
  registry[{"", "NonMaxSuppression"}] = evaluate_non_max_suppression;
}

}  // namespace disco::reference
