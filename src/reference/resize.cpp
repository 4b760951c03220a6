// Resize and Upsample: interpolation is separable, so every axis becomes a list of weighted taps for each of
// its outputs.

#include <algorithm>
#include <cmath>
#include <limits>

#include "reference/numeric.h"
#include "reference/registry.h"

namespace disco::reference {

namespace {

struct Tap {
  std::int64_t index = 0;
  double weight = 1;
};

/// The taps of one output position; `outside` where tf_crop_and_resize asks for the extrapolation value.
struct Sample {
  std::vector<Tap> taps;
  bool outside = false;
};

struct Mode {
  std::string interpolation = "nearest";  // nearest, linear, cubic
  std::string coordinates = "half_pixel";
  std::string nearest = "round_prefer_floor";
  double cubic_a = -0.75;
  bool exclude_outside = false;
  double extrapolation = 0;
};

struct ResizeAxis {
  std::int64_t in = 1;
  std::int64_t out = 1;
  double scale = 1;
  double roi_start = 0;
  double roi_end = 1;
};

template <std::size_t N>
bool is_one_of(const std::string& text, const std::array<std::string_view, N>& names) {
  return std::find(names.begin(), names.end(), text) != names.end();
}

Status check_mode(const Node& node, const Mode& mode) {
  if (!is_one_of(mode.interpolation, std::array<std::string_view, 3>{"nearest", "linear", "cubic"})) {
    return error(ErrorCode::InvalidModel, "{}: mode '{}'", node.op, mode.interpolation);
  }
  if (!is_one_of(mode.coordinates,
                 std::array<std::string_view, 7>{"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",
                                                 "align_corners", "asymmetric", "tf_crop_and_resize",
                                                 "tf_half_pixel_for_nn"})) {
    return error(ErrorCode::InvalidModel, "{}: coordinate_transformation_mode '{}'", node.op,
                 mode.coordinates);
  }
  if (!is_one_of(mode.nearest, std::array<std::string_view, 4>{"round_prefer_floor", "round_prefer_ceil",
                                                               "floor", "ceil"})) {
    return error(ErrorCode::InvalidModel, "{}: nearest_mode '{}'", node.op, mode.nearest);
  }
  return {};
}

// Where output `position` lies in the input. The length in the formulas is the exact product of extent and
// scale, which is what ONNX's own test data is made with, not the rounded extent.
double source_of(const Mode& mode, const ResizeAxis& axis, std::int64_t position) {
  const auto x = static_cast<double>(position);
  const double last = static_cast<double>(axis.in) - 1;
  const double length = axis.scale * static_cast<double>(axis.in);
  if (mode.coordinates == "align_corners") return length == 1 ? 0 : x * last / (length - 1);
  if (mode.coordinates == "asymmetric") return x / axis.scale;
  if (mode.coordinates == "tf_half_pixel_for_nn") return (x + 0.5) / axis.scale;
  if (mode.coordinates == "tf_crop_and_resize") {
    const double extent = axis.roi_end - axis.roi_start;
    return length == 1 ? 0.5 * (axis.roi_start + axis.roi_end) * last
                       : axis.roi_start * last + x * extent * last / (length - 1);
  }
  if (mode.coordinates == "pytorch_half_pixel" && axis.out == 1) return 0;
  if (mode.coordinates == "half_pixel_symmetric") {
    const double adjustment = static_cast<double>(axis.out) / length;
    const double centre = static_cast<double>(axis.in) / 2;
    return centre * (1 - adjustment) + (x + 0.5) / axis.scale - 0.5;
  }
  return (x + 0.5) / axis.scale - 0.5;
}

double nearest_of(const Mode& mode, double source) {
  if (mode.nearest == "floor") return std::floor(source);
  if (mode.nearest == "ceil") return std::ceil(source);
  if (mode.nearest == "round_prefer_ceil") return std::floor(source + 0.5);
  return std::ceil(source - 0.5);
}

// Keys's cubic convolution: weights of the four neighbours of a point `t` past the second.
std::array<double, 4> cubic_weights(double t, double a) {
  return {((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a, ((a + 2) * t - (a + 3)) * t * t + 1,
          ((a + 2) * (1 - t) - (a + 3)) * (1 - t) * (1 - t) + 1,
          ((a * (2 - t) - 5 * a) * (2 - t) + 8 * a) * (2 - t) - 4 * a};
}

Sample sample_at(const Mode& mode, const ResizeAxis& axis, std::int64_t position) {
  const double last = static_cast<double>(axis.in) - 1;
  double source = source_of(mode, axis, position);
  Sample sample;
  sample.outside = mode.coordinates == "tf_crop_and_resize" && !(source >= 0 && source <= last);
  // Beyond a few elements outside, every tap is the edge; the bound keeps the conversion to an integer
  // defined.
  source = std::isnan(source) ? 0 : std::clamp(source, -8.0, last + 8.0);
  const auto at_edge = [&](double index) { return static_cast<std::int64_t>(std::clamp(index, 0.0, last)); };
  if (mode.interpolation == "nearest") {
    sample.taps = {{at_edge(nearest_of(mode, source)), 1}};
    return sample;
  }
  const double base = std::floor(source);
  const double t = source - base;
  std::vector<double> weights;
  double first = base;
  if (mode.interpolation == "linear") {
    weights = {1 - t, t};
  } else {
    const auto cubic = cubic_weights(t, mode.cubic_a);
    weights.assign(cubic.begin(), cubic.end());
    first = base - 1;
  }
  double inside = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double index = first + static_cast<double>(i);
    if (index >= 0 && index <= last) inside += weights[i];
  }
  const bool exclude = mode.exclude_outside && inside != 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double index = first + static_cast<double>(i);
    const bool outside = index < 0 || index > last;
    if (exclude && outside) continue;
    if (weights[i] != 0) sample.taps.push_back({at_edge(index), exclude ? weights[i] / inside : weights[i]});
  }
  return sample;
}

Result<Tensor> resize(const Node& node, const Tensor& x, const std::vector<ResizeAxis>& axes,
                      const Mode& mode) {
  DISCO_CHECK(check_mode(node, mode));
  Shape shape = x.shape();
  Shape wanted;
  for (const ResizeAxis& axis : axes) {
    if (axis.in == 0 && axis.out > 0) {
      return error(ErrorCode::ShapeMismatch, "{} of shape {}", node.op, to_string(shape));
    }
    wanted.push_back(axis.out);
  }
  DISCO_CHECK(check_extents(node, wanted));
  Doubles values = to_doubles(x);
  std::vector<std::vector<bool>> outside(axes.size());
  bool any_outside = false;
  for (std::size_t a = 0; a < axes.size(); ++a) {
    const ResizeAxis& axis = axes[a];
    // An axis that stays as it is needs no pass, unless a crop moves it.
    const bool cropped =
        mode.coordinates == "tf_crop_and_resize" && (axis.roi_start != 0 || axis.roi_end != 1);
    if (axis.scale == 1 && axis.out == axis.in && !cropped) continue;
    const AxisView view = view_axis(shape, static_cast<std::int64_t>(a));
    shape[a] = axis.out;
    DISCO_CHECK(check_extents(node, shape));
    Doubles next(static_cast<std::size_t>(element_count(shape)), 0.0);
    outside[a].resize(static_cast<std::size_t>(axis.out));
    for (std::int64_t position = 0; position < axis.out; ++position) {
      const Sample sample = sample_at(mode, axis, position);
      outside[a][static_cast<std::size_t>(position)] = sample.outside;
      any_outside = any_outside || sample.outside;
      for (std::int64_t o = 0; o < view.outer; ++o) {
        double* to = next.data() + (o * axis.out + position) * view.inner;
        for (const Tap& tap : sample.taps) {
          const double* from = values.data() + (o * view.extent + tap.index) * view.inner;
          for (std::int64_t i = 0; i < view.inner; ++i) to[i] += tap.weight * from[i];
        }
      }
    }
    values = std::move(next);
  }
  if (any_outside) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::size_t rest = i;
      for (std::size_t a = axes.size(); a-- > 0;) {
        const auto extent = static_cast<std::size_t>(shape[a]);
        if (!outside[a].empty() && outside[a][rest % extent]) values[i] = mode.extrapolation;
        rest /= extent;
      }
    }
  }
  return from_doubles(x.type(), shape, values);
}

bool is_resizable(DataType type) { return is_floating(type) || is_integer(type) || type == DataType::Bool; }

Status apply_scales(const Node& node, const Doubles& scales, const std::vector<std::size_t>& chosen,
                    std::vector<ResizeAxis>& axes) {
  if (scales.size() != chosen.size()) {
    return error(ErrorCode::ShapeMismatch, "{}: {} scales for {} axes", node.op, scales.size(),
                 chosen.size());
  }
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    ResizeAxis& axis = axes[chosen[i]];
    const double extent = std::floor(static_cast<float>(axis.in) * static_cast<float>(scales[i]));
    if (!(scales[i] > 0) || !(extent <= static_cast<double>(kMaxElements))) {
      return error(ErrorCode::ShapeMismatch, "{}: a scale of {}", node.op, scales[i]);
    }
    axis.scale = scales[i];
    axis.out = static_cast<std::int64_t>(extent);
  }
  return {};
}

// keep_aspect_ratio_policy (opset 18) takes one scale for all chosen axes and rounds half up.
Status apply_sizes(const Node& node, const std::vector<std::int64_t>& sizes,
                   const std::vector<std::size_t>& chosen, std::vector<ResizeAxis>& axes) {
  if (sizes.size() != chosen.size()) {
    return error(ErrorCode::ShapeMismatch, "{}: {} sizes for {} axes", node.op, sizes.size(), chosen.size());
  }
  const std::string policy = node.string_or("keep_aspect_ratio_policy", "stretch");
  const bool smaller = policy == "not_larger";
  if (!smaller && policy != "not_smaller" && policy != "stretch") {
    return error(ErrorCode::InvalidModel, "{}: keep_aspect_ratio_policy '{}'", node.op, policy);
  }
  double common = smaller ? std::numeric_limits<double>::infinity() : 0;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    ResizeAxis& axis = axes[chosen[i]];
    if (sizes[i] < 0 || sizes[i] > kMaxElements || (axis.in == 0 && sizes[i] != 0)) {
      return error(ErrorCode::ShapeMismatch, "{}: from an extent of {} to {}", node.op, axis.in, sizes[i]);
    }
    axis.out = sizes[i];
    axis.scale = axis.in == 0 ? 1 : static_cast<double>(sizes[i]) / static_cast<double>(axis.in);
    common = smaller ? std::min(common, axis.scale) : std::max(common, axis.scale);
  }
  if (policy == "stretch") return {};
  for (const std::size_t a : chosen) {
    axes[a].scale = common;
    axes[a].out = static_cast<std::int64_t>(std::floor(common * static_cast<double>(axes[a].in) + 0.5));
  }
  return {};
}

Result<Outputs> evaluate_resize(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 4));
  const Tensor& x = inputs[0];
  if (!is_resizable(x.type()))
    return error(ErrorCode::ShapeMismatch, "Resize of type {}", to_string(x.type()));
  if (node.int_or("antialias", 0) != 0) return error(ErrorCode::Unsupported, "Resize with antialias");
  Mode mode;
  mode.interpolation = node.string_or("mode", "nearest");
  mode.coordinates = node.string_or("coordinate_transformation_mode", "half_pixel");
  mode.nearest = node.string_or("nearest_mode", "round_prefer_floor");
  mode.cubic_a = node.float_or("cubic_coeff_a", -0.75F);
  mode.exclude_outside = node.int_or("exclude_outside", 0) != 0;
  mode.extrapolation = node.float_or("extrapolation_value", 0);

  std::vector<ResizeAxis> axes;
  std::vector<std::size_t> chosen;
  for (const std::int64_t extent : x.shape()) axes.push_back({extent, extent, 1, 0, 1});
  if (node.has("axes")) {
    for (const std::int64_t given : node.ints_or("axes", {})) {
      DISCO_TRY(const std::int64_t axis, resolve_axis(node, given, x.rank()));
      chosen.push_back(static_cast<std::size_t>(axis));
    }
  } else {
    for (std::size_t a = 0; a < axes.size(); ++a) chosen.push_back(a);
  }
  // Either may be there as a tensor without elements, which means "not given".
  const Tensor& scales = input_at(inputs, 2);
  const Tensor& sizes = input_at(inputs, 3);
  const bool by_size = !sizes.empty() && sizes.elements() > 0;
  const bool by_scale = !scales.empty() && scales.elements() > 0;
  if (by_size == by_scale && x.rank() > 0) {
    return error(ErrorCode::InvalidModel, "Resize needs either scales or sizes");
  }
  if (by_size) {
    if (sizes.type() != DataType::Int64)
      return error(ErrorCode::ShapeMismatch, "Resize: sizes must be int64");
    DISCO_CHECK(apply_sizes(node, to_int64s(sizes), chosen, axes));
  } else if (by_scale) {
    if (!is_floating(scales.type())) return error(ErrorCode::ShapeMismatch, "Resize: scales must be floats");
    DISCO_CHECK(apply_scales(node, to_doubles(scales), chosen, axes));
  }
  if (mode.coordinates == "tf_crop_and_resize") {
    const Tensor& roi = input_at(inputs, 1);
    if (roi.empty() || !is_floating(roi.type()) ||
        roi.elements() != 2 * static_cast<std::int64_t>(chosen.size())) {
      return error(ErrorCode::ShapeMismatch, "Resize: tf_crop_and_resize needs a roi of {} floats",
                   2 * chosen.size());
    }
    const Doubles bounds = to_doubles(roi);
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      axes[chosen[i]].roi_start = bounds[i];
      axes[chosen[i]].roi_end = bounds[i + chosen.size()];
    }
  }
  DISCO_TRY(Tensor y, resize(node, x, axes, mode));
  return Outputs{std::move(y)};
}

Result<Outputs> evaluate_upsample(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 2));
  const Tensor& x = inputs[0];
  if (!is_resizable(x.type()))
    return error(ErrorCode::ShapeMismatch, "Upsample of type {}", to_string(x.type()));
  Mode mode;
  mode.interpolation = node.string_or("mode", "nearest");
  if (mode.interpolation == "bilinear") mode.interpolation = "linear";
  mode.coordinates = "asymmetric";
  mode.nearest = "floor";
  Doubles scales;
  const Tensor& given = input_at(inputs, 1);
  if (!given.empty()) {
    if (!is_floating(given.type())) return error(ErrorCode::ShapeMismatch, "Upsample: scales must be floats");
    scales = to_doubles(given);
  } else {
    const std::vector<float> attribute = floats_or(node, "scales", {});  // opset 7
    scales.assign(attribute.begin(), attribute.end());
  }
  std::vector<ResizeAxis> axes;
  std::vector<std::size_t> chosen;
  for (const std::int64_t extent : x.shape()) {
    chosen.push_back(axes.size());
    axes.push_back({extent, extent, 1, 0, 1});
  }
  DISCO_CHECK(apply_scales(node, scales, chosen, axes));
  DISCO_TRY(Tensor y, resize(node, x, axes, mode));
  return Outputs{std::move(y)};
}

}  // namespace

void register_resize(Registry& registry) {
  registry[{"", "Resize"}] = evaluate_resize;
  registry[{"", "Upsample"}] = evaluate_upsample;
}

}  // namespace disco::reference
