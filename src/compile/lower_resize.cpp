// Resize of feature maps: nearest and (bi)linear, as two separable passes of precomputed taps.

#include <algorithm>
#include <cmath>

#include "compile/lowering.h"
#include "kernels/simd.h"

namespace disco {

namespace {

/// For every output position of one axis: two source positions and the weight of the second.
struct Taps {
  std::vector<std::int32_t> low, high;
  std::vector<float> weight;
};

std::optional<Taps> taps_of(const Node& node, std::int64_t in, std::int64_t out, double scale) {
  const std::string mode = node.string_or("mode", "nearest");
  const std::string transform = node.string_or("coordinate_transformation_mode", "half_pixel");
  const std::string rounding = node.string_or("nearest_mode", "round_prefer_floor");
  // As ONNX's own data have it: the exact product, not the rounded extent.
  const double length = scale * static_cast<double>(in);
  Taps taps;
  for (std::int64_t o = 0; o < out; ++o) {
    double x = 0.0;
    if (transform == "half_pixel")
      x = (static_cast<double>(o) + 0.5) / scale - 0.5;
    else if (transform == "pytorch_half_pixel")
      x = out > 1 ? (static_cast<double>(o) + 0.5) / scale - 0.5 : 0.0;
    else if (transform == "align_corners")
      x = length == 1.0 ? 0.0 : static_cast<double>(o) * static_cast<double>(in - 1) / (length - 1.0);
    else if (transform == "asymmetric")
      x = static_cast<double>(o) / scale;
    else
      return std::nullopt;
    if (mode == "nearest") {
      double r = 0.0;
      if (rounding == "round_prefer_floor")
        r = std::ceil(x - 0.5);
      else if (rounding == "round_prefer_ceil")
        r = std::floor(x + 0.5);
      else if (rounding == "floor")
        r = std::floor(x);
      else if (rounding == "ceil")
        r = std::ceil(x);
      else
        return std::nullopt;
      const auto at = static_cast<std::int32_t>(std::clamp<double>(r, 0.0, static_cast<double>(in - 1)));
      taps.low.push_back(at);
      taps.high.push_back(at);
      taps.weight.push_back(0.0F);
    } else {
      const double clamped = std::clamp<double>(x, 0.0, static_cast<double>(in - 1));
      const double floor = std::floor(clamped);
      taps.low.push_back(static_cast<std::int32_t>(floor));
      taps.high.push_back(
          static_cast<std::int32_t>(std::min<double>(floor + 1.0, static_cast<double>(in - 1))));
      taps.weight.push_back(static_cast<float>(clamped - floor));
    }
  }
  return taps;
}

}  // namespace

bool Lowering::lower_resize(const Node& node) {
  if (!node.is("Resize") || !is_float(node.inputs[0]) || !is_float(node.outputs[0])) return false;
  const std::string mode = node.string_or("mode", "nearest");
  const Shape in = value(node.inputs[0]).shape();
  const Shape out = value(node.outputs[0]).shape();
  if (in.size() != 4 || in[0] != out[0] || in[1] != out[1] || (mode != "nearest" && mode != "linear"))
    return false;
  double scale_y = static_cast<double>(out[2]) / static_cast<double>(in[2]);
  double scale_x = static_cast<double>(out[3]) / static_cast<double>(in[3]);
  if (node.input(2) != kNoValue) {
    const Tensor* scales = graph_.constant(node.inputs[2]);
    if (scales == nullptr) return false;
    if (scales->elements() == 4) {
      scale_y = scales->data<float>()[2];
      scale_x = scales->data<float>()[3];
    }
  }
  const auto y = taps_of(node, in[2], out[2], scale_y);
  const auto x = taps_of(node, in[3], out[3], scale_x);
  if (!y || !x) return false;
  const Placed src = plain(node.inputs[0]);
  const Placed dst = place_plain(node.outputs[0]);
  const bool nearest = mode == "nearest";
  add_function(node, "separable", {src.buffer, dst.buffer}, [=](Workspace::Impl& workspace) -> Status {
    const float* from = workspace.as<float>(src.buffer);
    float* planes = workspace.as<float>(dst.buffer);
    kernels::parallel_runs(in[0] * in[1], out[2] * out[3], [&](std::int64_t first, std::int64_t last) {
      std::vector<float> row(static_cast<std::size_t>(in[3]));
      for (std::int64_t plane = first; plane < last; ++plane) {
        const float* image = from + plane * in[2] * in[3];
        float* to = planes + plane * out[2] * out[3];
        for (std::int64_t oy = 0; oy < out[2]; ++oy, to += out[3]) {
          const auto i = static_cast<std::size_t>(oy);
          const float* a = image + y->low[i] * in[3];
          if (nearest) {
            for (std::int64_t ox = 0; ox < out[3]; ++ox) to[ox] = a[x->low[static_cast<std::size_t>(ox)]];
            continue;
          }
          const float* b = image + y->high[i] * in[3];
          const float w = y->weight[i];
          for (std::int64_t ix = 0; ix < in[3]; ++ix)
            row[static_cast<std::size_t>(ix)] = a[ix] + (b[ix] - a[ix]) * w;
          for (std::int64_t ox = 0; ox < out[3]; ++ox) {
            const auto j = static_cast<std::size_t>(ox);
            const float left = row[static_cast<std::size_t>(x->low[j])];
            to[ox] = left + (row[static_cast<std::size_t>(x->high[j])] - left) * x->weight[j];
          }
        }
      }
    });
    return {};
  });
  return true;
}

}  // namespace disco
