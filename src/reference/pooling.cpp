// MaxPool, AveragePool, LpPool, MaxUnpool, and their global forms.

#include <cmath>
#include <limits>

#include "reference/numeric.h"
#include "reference/registry.h"
#include "reference/window.h"

namespace disco::reference {

namespace {

// Calls visit(offset in the plane, z, y, x) for every input element under the window of one output.
template <typename Visit>
void visit_window(const Window& window, std::int64_t z, std::int64_t y, std::int64_t x, Visit visit) {
  const auto& [depth, height, width] = window.axes;
  const auto [z_first, z_last] = depth.taps(z);
  const auto [y_first, y_last] = height.taps(y);
  const auto [x_first, x_last] = width.taps(x);
  for (std::int64_t kz = z_first; kz < z_last; ++kz) {
    for (std::int64_t ky = y_first; ky < y_last; ++ky) {
      for (std::int64_t kx = x_first; kx < x_last; ++kx) {
        const std::int64_t iz = depth.source(z, kz);
        const std::int64_t iy = height.source(y, ky);
        const std::int64_t ix = width.source(x, kx);
        visit((iz * height.in + iy) * width.in + ix, iz, iy, ix);
      }
    }
  }
}

// Calls pool(plane, plane's number, z, y, x) for every output, in row-major order, and keeps what it returns.
template <typename Pool>
Doubles pool_planes(const Window& window, const Doubles& x, std::int64_t planes, Pool pool) {
  Doubles y;
  y.reserve(static_cast<std::size_t>(planes * window.out()));
  for (std::int64_t plane = 0; plane < planes; ++plane) {
    const double* in = x.data() + plane * window.in();
    for (std::int64_t oz = 0; oz < window.axes[0].out; ++oz) {
      for (std::int64_t oy = 0; oy < window.axes[1].out; ++oy) {
        for (std::int64_t ox = 0; ox < window.axes[2].out; ++ox) y.push_back(pool(in, plane, oz, oy, ox));
      }
    }
  }
  return y;
}

// What the maximum over padding alone is: no number is less.
double lowest(DataType type) {
  switch (type) {
    case DataType::Int8: return std::numeric_limits<std::int8_t>::lowest();
    case DataType::UInt8: return 0;
    default: return -std::numeric_limits<double>::infinity();
  }
}

// Offsets of a plane stored with its last axis outermost (storage_order 1).
std::int64_t column_major_index(const Window& window, std::int64_t z, std::int64_t y, std::int64_t x) {
  const auto& [depth, height, width] = window.axes;
  if (window.rank == 3) return z + (y + x * height.in) * depth.in;
  return window.rank == 2 ? y + x * height.in : x;
}

Result<Window> pool_window(const Node& node, const Tensor& x) {
  DISCO_TRY(const Window window,
            slide_window(node, x.shape(), std::nullopt, node.int_or("ceil_mode", 0) != 0));
  DISCO_CHECK(check_extents(node, window.out_shape(x.shape()[0], x.shape()[1])));
  return window;
}

Result<Outputs> evaluate_max_pool(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  const Tensor& x = inputs[0];
  if (!is_floating(x.type()) && x.type() != DataType::Int8 && x.type() != DataType::UInt8) {
    return error(ErrorCode::ShapeMismatch, "MaxPool of type {}", to_string(x.type()));
  }
  DISCO_TRY(const Window window, pool_window(node, x));
  const bool column_major = node.int_or("storage_order", 0) != 0;
  const std::int64_t planes = x.shape()[0] * x.shape()[1];
  std::vector<std::int64_t> indices;
  const Doubles y = pool_planes(
      window, to_doubles(x), planes,
      [&](const double* in, std::int64_t plane, std::int64_t oz, std::int64_t oy, std::int64_t ox) {
        double best = lowest(x.type());
        std::int64_t index = -1;
        visit_window(
            window, oz, oy, ox, [&](std::int64_t offset, std::int64_t iz, std::int64_t iy, std::int64_t ix) {
              if (index < 0 || in[offset] > best || (std::isnan(in[offset]) && !std::isnan(best))) {
                best = in[offset];
                index =
                    plane * window.in() + (column_major ? column_major_index(window, iz, iy, ix) : offset);
              }
            });
        indices.push_back(index);
        return best;
      });
  const Shape shape = window.out_shape(x.shape()[0], x.shape()[1]);
  Outputs outputs{from_doubles(x.type(), shape, y)};
  if (wants_output(node, 1)) outputs.push_back(Tensor::of<std::int64_t>(shape, indices));
  return outputs;
}

Result<Outputs> evaluate_average_pool(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  DISCO_CHECK(check_floating(node, inputs, {0}));
  const Tensor& x = inputs[0];
  DISCO_TRY(const Window window, pool_window(node, x));
  const bool include_pad = node.int_or("count_include_pad", 0) != 0;
  // With padding counted, a window reaching beyond the trailing padding (ceil_mode) counts its taps up to
  // there only.
  const auto padded_taps = [](const WindowAxis& axis, std::int64_t position) {
    const std::int64_t room = axis.in + axis.begin + axis.end - position * axis.stride;
    return std::min(axis.kernel, (room + axis.dilation - 1) / axis.dilation);
  };
  const Doubles y = pool_planes(
      window, to_doubles(x), x.shape()[0] * x.shape()[1],
      [&](const double* in, std::int64_t, std::int64_t oz, std::int64_t oy, std::int64_t ox) {
        double sum = 0;
        double count = 0;
        visit_window(window, oz, oy, ox, [&](std::int64_t offset, std::int64_t, std::int64_t, std::int64_t) {
          sum += in[offset];
          ++count;
        });
        if (include_pad) {
          count = static_cast<double>(padded_taps(window.axes[0], oz)) *
                  static_cast<double>(padded_taps(window.axes[1], oy)) *
                  static_cast<double>(padded_taps(window.axes[2], ox));
        }
        return count > 0 ? sum / count : 0.0;
      });
  return Outputs{from_doubles(x.type(), window.out_shape(x.shape()[0], x.shape()[1]), y)};
}

// The p-norm of what `add` was called with.
class Norm {
 public:
  explicit Norm(std::int64_t p) : p_(static_cast<double>(p)) {}
  void add(double value) { sum_ += p_ == 2 ? value * value : std::pow(std::fabs(value), p_); }
  [[nodiscard]] double value() const { return p_ == 2 ? std::sqrt(sum_) : std::pow(sum_, 1 / p_); }

 private:
  double p_;
  double sum_ = 0;
};

Result<std::int64_t> norm_order(const Node& node) {
  const std::int64_t p = node.int_or("p", 2);
  if (p < 1) return error(ErrorCode::InvalidModel, "{}: p is {}", node.op, p);
  return p;
}

Result<Outputs> evaluate_lp_pool(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  DISCO_CHECK(check_floating(node, inputs, {0}));
  DISCO_TRY(const std::int64_t p, norm_order(node));
  const Tensor& x = inputs[0];
  DISCO_TRY(const Window window, pool_window(node, x));
  const Doubles y = pool_planes(
      window, to_doubles(x), x.shape()[0] * x.shape()[1],
      [&](const double* in, std::int64_t, std::int64_t oz, std::int64_t oy, std::int64_t ox) {
        Norm norm(p);
        visit_window(window, oz, oy, ox, [&](std::int64_t offset, std::int64_t, std::int64_t, std::int64_t) {
          norm.add(in[offset]);
        });
        return norm.value();
      });
  return Outputs{from_doubles(x.type(), window.out_shape(x.shape()[0], x.shape()[1]), y)};
}

// Reduces every plane of [N, C, spatial…] to one element; `reduce` gets the plane and its number of elements.
template <typename Reduce>
Result<Outputs> pool_globally(const Node& node, const Inputs& inputs, Reduce reduce) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  DISCO_CHECK(check_floating(node, inputs, {0}));
  const Tensor& x = inputs[0];
  if (x.rank() < 2) return error(ErrorCode::ShapeMismatch, "{} of shape {}", node.op, to_string(x.shape()));
  const std::int64_t plane = count_between(x.shape(), 2, x.shape().size());
  if (plane == 0) return error(ErrorCode::ShapeMismatch, "{} of shape {}", node.op, to_string(x.shape()));
  Shape shape(x.shape().size(), 1);
  shape[0] = x.shape()[0];
  shape[1] = x.shape()[1];
  const Doubles values = to_doubles(x);
  Doubles y;
  for (std::int64_t i = 0; i < shape[0] * shape[1]; ++i)
    y.push_back(reduce(values.data() + i * plane, plane));
  return Outputs{from_doubles(x.type(), shape, y)};
}

Result<Outputs> evaluate_global_average_pool(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  return pool_globally(node, inputs, [](const double* plane, std::int64_t count) {
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i) sum += plane[i];
    return sum / static_cast<double>(count);
  });
}

Result<Outputs> evaluate_global_max_pool(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  return pool_globally(node, inputs, [](const double* plane, std::int64_t count) {
    double best = plane[0];
    for (std::int64_t i = 1; i < count; ++i) {
      if (plane[i] > best || std::isnan(plane[i])) best = plane[i];
    }
    return best;
  });
}

Result<Outputs> evaluate_global_lp_pool(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_TRY(const std::int64_t p, norm_order(node));
  return pool_globally(node, inputs, [p](const double* plane, std::int64_t count) {
    Norm norm(p);
    for (std::int64_t i = 0; i < count; ++i) norm.add(plane[i]);
    return norm.value();
  });
}

Result<Outputs> evaluate_max_unpool(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 3));
  DISCO_CHECK(check_floating(node, inputs, {0}));
  const Tensor& x = inputs[0];
  const Tensor& indices = inputs[1];
  if (indices.type() != DataType::Int64 || indices.shape() != x.shape()) {
    return error(ErrorCode::ShapeMismatch,
                 "MaxUnpool: indices of type {} and shape {} for an input of shape {}",
                 to_string(indices.type()), to_string(indices.shape()), to_string(x.shape()));
  }
  DISCO_TRY(const Window window, read_window(node, x.shape(), std::nullopt));
  // The pool's input as its attributes tell it: what the indices count in. output_shape may be larger.
  Shape inferred{x.shape()[0], x.shape()[1]};
  for (std::size_t i = 3 - window.rank; i < 3; ++i) {
    const WindowAxis& axis = window.axes[i];
    inferred.push_back((axis.in - 1) * axis.stride + axis.span() - axis.begin - axis.end);
  }
  DISCO_CHECK(check_extents(node, inferred));
  Shape shape = inferred;
  const Tensor& wanted = input_at(inputs, 2);
  if (!wanted.empty()) {
    if (wanted.type() != DataType::Int64 || wanted.elements() != x.rank()) {
      return error(ErrorCode::ShapeMismatch, "MaxUnpool: output_shape must be {} int64", x.rank());
    }
    shape = to_int64s(wanted);
    DISCO_CHECK(check_extents(node, shape));
  }
  const Doubles values = to_doubles(x);
  Doubles y(static_cast<std::size_t>(element_count(shape)), 0.0);
  const std::int64_t limit = element_count(inferred);
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::int64_t rest = indices.data<std::int64_t>()[i];
    bool inside = rest >= 0 && rest < limit;
    std::int64_t offset = 0;
    std::int64_t stride = 1;
    for (std::size_t axis = shape.size(); inside && axis-- > 0;) {
      const std::int64_t position = rest % inferred[axis];
      rest /= inferred[axis];
      inside = position < shape[axis];
      offset += position * stride;
      stride *= shape[axis];
    }
    if (!inside) {
      return error(ErrorCode::ShapeMismatch, "MaxUnpool: index {} does not lie in the output",
                   indices.data<std::int64_t>()[i]);
    }
    y[static_cast<std::size_t>(offset)] = values[i];
  }
  return Outputs{from_doubles(x.type(), shape, y)};
}

}  // namespace

void register_pooling(Registry& registry) {
  registry[{"", "MaxPool"}] = evaluate_max_pool;
  registry[{"", "AveragePool"}] = evaluate_average_pool;
  registry[{"", "LpPool"}] = evaluate_lp_pool;
  registry[{"", "MaxUnpool"}] = evaluate_max_unpool;
  registry[{"", "GlobalAveragePool"}] = evaluate_global_average_pool;
  registry[{"", "GlobalMaxPool"}] = evaluate_global_max_pool;
  registry[{"", "GlobalLpPool"}] = evaluate_global_lp_pool;
}

}  // namespace disco::reference
