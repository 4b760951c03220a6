// DepthToSpace, SpaceToDepth, GridSample; Resize has a file of its own.

#include <cmath>
#include <cstring>

#include "reference/numeric.h"
#include "reference/registry.h"

namespace disco::reference {

void register_resize(Registry& registry);  // resize.cpp

namespace {

Result<std::int64_t> block_size(const Node& node, const Tensor& x) {
  const std::int64_t block = node.int_or("blocksize", 0);
  if (block < 1 || block > (std::int64_t{1} << 20)) {
    return error(ErrorCode::InvalidModel, "{}: blocksize is {}", node.op, block);
  }
  if (x.rank() != 4) return error(ErrorCode::ShapeMismatch, "{} of shape {}", node.op, to_string(x.shape()));
  return block;
}

// Copies element `from(n, c, y, x)` of the input to each [n, c, y, x] of the output.
template <typename From>
Tensor permute(const Tensor& x, const Shape& shape, From from) {
  Tensor y(x.type(), shape);
  const std::size_t size = size_of(x.type());
  std::byte* out = y.raw();
  for (std::int64_t n = 0; n < shape[0]; ++n) {
    for (std::int64_t c = 0; c < shape[1]; ++c) {
      for (std::int64_t row = 0; row < shape[2]; ++row) {
        for (std::int64_t column = 0; column < shape[3]; ++column, out += size) {
          std::memcpy(out, x.raw() + static_cast<std::size_t>(from(n, c, row, column)) * size, size);
        }
      }
    }
  }
  return y;
}

Result<Outputs> evaluate_depth_to_space(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  DISCO_TRY(const std::int64_t block, block_size(node, inputs[0]));
  const Shape& in = inputs[0].shape();
  const std::string mode = node.string_or("mode", "DCR");
  if (mode != "DCR" && mode != "CRD") return error(ErrorCode::InvalidModel, "DepthToSpace: mode '{}'", mode);
  if (in[1] % (block * block) != 0) {
    return error(ErrorCode::ShapeMismatch, "DepthToSpace: {} channels with blocksize {}", in[1], block);
  }
  const Shape out{in[0], in[1] / (block * block), in[2] * block, in[3] * block};
  DISCO_CHECK(check_extents(node, out));
  return Outputs{permute(inputs[0], out, [&](std::int64_t n, std::int64_t c, std::int64_t y, std::int64_t x) {
    const std::int64_t cell = y % block * block + x % block;
    const std::int64_t channel = mode == "DCR" ? cell * out[1] + c : c * block * block + cell;
    return ((n * in[1] + channel) * in[2] + y / block) * in[3] + x / block;
  })};
}

Result<Outputs> evaluate_space_to_depth(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  DISCO_TRY(const std::int64_t block, block_size(node, inputs[0]));
  const Shape& in = inputs[0].shape();
  if (in[2] % block != 0 || in[3] % block != 0) {
    return error(ErrorCode::ShapeMismatch, "SpaceToDepth: shape {} with blocksize {}", to_string(in), block);
  }
  if (in[1] > kMaxElements) return error(ErrorCode::ShapeMismatch, "SpaceToDepth: {} channels", in[1]);
  const Shape out{in[0], in[1] * block * block, in[2] / block, in[3] / block};
  DISCO_CHECK(check_extents(node, out));
  return Outputs{permute(inputs[0], out, [&](std::int64_t n, std::int64_t c, std::int64_t y, std::int64_t x) {
    const std::int64_t cell = c / in[1];
    return ((n * in[1] + c % in[1]) * in[2] + y * block + cell / block) * in[3] + x * block + cell % block;
  })};
}

enum class Padding { Zeros, Border, Reflection };

/// How GridSample reads an extent beyond its ends.
struct GridAxis {
  std::int64_t extent = 1;
  Padding padding = Padding::Zeros;
  bool align_corners = false;

  /// From [-1, 1] to element positions.
  [[nodiscard]] double position(double normalised) const {
    const auto length = static_cast<double>(extent);
    return align_corners ? (normalised + 1) / 2 * (length - 1) : ((normalised + 1) * length - 1) / 2;
  }
  /// The position that padding puts in place of one outside.
  [[nodiscard]] double bounded(double x) const {
    const double last = static_cast<double>(extent) - 1;
    if (padding == Padding::Border) return std::clamp(x, 0.0, last);
    if (padding != Padding::Reflection) return x;
    const double low = align_corners ? 0 : -0.5;
    const double high = align_corners ? last : last + 0.5;
    const double range = high - low;
    if (range <= 0) return 0;
    double past = std::fmod(std::fabs(x - low), 2 * range);
    if (past > range) past = 2 * range - past;
    return std::clamp(past + low, 0.0, last);
  }
};

class GridReader {
 public:
  GridReader(const double* plane, GridAxis rows, GridAxis columns)
      : plane_(plane), rows_(rows), columns_(columns) {}

  /// The element nearest to a bounded position; 0 outside, which only Padding::Zeros reaches.
  [[nodiscard]] double at(double y, double x) const {
    y = rows_.bounded(y);
    x = columns_.bounded(x);
    const bool inside = y >= 0 && x >= 0 && y <= static_cast<double>(rows_.extent) - 1 &&
                        x <= static_cast<double>(columns_.extent) - 1;
    if (!inside) return 0;  // NaN too
    return plane_[static_cast<std::int64_t>(y) * columns_.extent + static_cast<std::int64_t>(x)];
  }
  [[nodiscard]] double nearest(double y, double x) const {
    return at(std::nearbyint(rows_.bounded(y)), std::nearbyint(columns_.bounded(x)));
  }
  [[nodiscard]] double linear(double y, double x) const {
    y = rows_.bounded(y);
    x = columns_.bounded(x);
    const double y0 = std::floor(y);
    const double x0 = std::floor(x);
    const double ty = y - y0;
    const double tx = x - x0;
    return (1 - ty) * ((1 - tx) * at(y0, x0) + tx * at(y0, x0 + 1)) +
           ty * ((1 - tx) * at(y0 + 1, x0) + tx * at(y0 + 1, x0 + 1));
  }
  [[nodiscard]] double cubic(double y, double x) const {
    const double y0 = std::floor(y);
    const double x0 = std::floor(x);
    const auto wy = weights(y - y0);
    const auto wx = weights(x - x0);
    double sum = 0;
    for (int i = 0; i < 4; ++i) {
      for (int j = 0; j < 4; ++j) sum += wy[i] * wx[j] * at(y0 + i - 1, x0 + j - 1);
    }
    return sum;
  }

 private:
  static std::array<double, 4> weights(double t) {
    constexpr double a = -0.75;
    const auto near = [](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
    const auto far = [](double d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
    return {far(t + 1), near(t), near(1 - t), far(2 - t)};
  }

  const double* plane_;
  GridAxis rows_;
  GridAxis columns_;
};

Result<Outputs> evaluate_grid_sample(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  DISCO_CHECK(check_numeric(node, inputs, {0}));
  DISCO_CHECK(check_floating(node, inputs, {1}));
  const Shape& in = inputs[0].shape();
  const Shape& grid = inputs[1].shape();
  if (in.size() != 4) {
    return error(ErrorCode::Unsupported, "GridSample of shape {}: two spatial axes are supported",
                 to_string(in));
  }
  if (grid.size() != 4 || grid[0] != in[0] || grid[3] != 2 || in[2] < 1 || in[3] < 1) {
    return error(ErrorCode::ShapeMismatch, "GridSample: a grid of shape {} for an input of shape {}",
                 to_string(grid), to_string(in));
  }
  const std::string mode = node.string_or("mode", "bilinear");
  const bool linear = mode == "bilinear" || mode == "linear";
  const bool cubic = mode == "bicubic" || mode == "cubic";
  const std::string padding = node.string_or("padding_mode", "zeros");
  if ((!linear && !cubic && mode != "nearest") ||
      (padding != "zeros" && padding != "border" && padding != "reflection")) {
    return error(ErrorCode::InvalidModel, "GridSample: mode '{}' with padding_mode '{}'", mode, padding);
  }
  const Padding kind = padding == "zeros"    ? Padding::Zeros
                       : padding == "border" ? Padding::Border
                                             : Padding::Reflection;
  const bool align = node.int_or("align_corners", 0) != 0;
  const GridAxis rows{in[2], kind, align};
  const GridAxis columns{in[3], kind, align};
  const Shape shape{in[0], in[1], grid[1], grid[2]};
  DISCO_CHECK(check_extents(node, shape));
  const Doubles values = to_doubles(inputs[0]);
  const Doubles points = to_doubles(inputs[1]);
  const std::int64_t count = grid[1] * grid[2];
  Doubles y;
  for (std::int64_t n = 0; n < in[0]; ++n) {
    for (std::int64_t c = 0; c < in[1]; ++c) {
      const GridReader reader(values.data() + (n * in[1] + c) * in[2] * in[3], rows, columns);
      for (std::int64_t i = 0; i < count; ++i) {
        const double* point = points.data() + (n * count + i) * 2;
        const double px = columns.position(point[0]);
        const double py = rows.position(point[1]);
        y.push_back(linear ? reader.linear(py, px) : cubic ? reader.cubic(py, px) : reader.nearest(py, px));
      }
    }
  }
  return Outputs{from_doubles(inputs[0].type(), shape, y)};
}

}  // namespace

void register_image(Registry& registry) {
  registry[{"", "DepthToSpace"}] = evaluate_depth_to_space;
  registry[{"", "SpaceToDepth"}] = evaluate_space_to_depth;
  registry[{"", "GridSample"}] = evaluate_grid_sample;
  register_resize(registry);
}

}  // namespace disco::reference
