// Conv, ConvInteger, ConvTranspose.

#include "reference/convolution.h"

#include "reference/registry.h"

namespace disco::reference {

namespace {

// A kernel of one tap that touches every element once: its axes are one long row, which sums fastest.
void flatten_pointwise(Window& window) {
  for (const WindowAxis& axis : window.axes) {
    if (axis.kernel != 1 || axis.stride != 1 || axis.begin != 0 || axis.out != axis.in) return;
  }
  WindowAxis& row = window.axes[2];
  row.in = row.out = window.in();
  window.axes[0].in = window.axes[0].out = window.axes[1].in = window.axes[1].out = 1;
}

// out[o] += factor · in[o · stride], for count outputs.
void add_row(double factor, const double* __restrict in, std::int64_t stride, std::int64_t count,
             double* __restrict out) {
  if (stride == 1) {
    for (std::int64_t o = 0; o < count; ++o) out[o] += factor * in[o];
  } else {
    for (std::int64_t o = 0; o < count; ++o) out[o] += factor * in[o * stride];
  }
}

// Adds one input channel's plane, under one filter, to one output channel's plane.
void add_plane(const Window& window, const double* in, const double* filter, double* out) {
  const auto& [depth, height, width] = window.axes;
  std::int64_t tap = 0;
  for (std::int64_t kz = 0; kz < depth.kernel; ++kz) {
    const auto [z_first, z_last] = depth.inside(kz);
    for (std::int64_t ky = 0; ky < height.kernel; ++ky) {
      const auto [y_first, y_last] = height.inside(ky);
      for (std::int64_t kx = 0; kx < width.kernel; ++kx, ++tap) {
        const auto [x_first, x_last] = width.inside(kx);
        if (x_first >= x_last) continue;
        for (std::int64_t z = z_first; z < z_last; ++z) {
          for (std::int64_t y = y_first; y < y_last; ++y) {
            const double* row = in + (depth.source(z, kz) * height.in + height.source(y, ky)) * width.in;
            add_row(filter[tap], row + width.source(x_first, kx), width.stride, x_last - x_first,
                    out + (z * height.out + y) * width.out + x_first);
          }
        }
      }
    }
  }
}

// Pointwise filters of four channels a pass: the output row is loaded and stored once for four products.
void add_pointwise(const double* in, const double* filter, std::int64_t channels, std::int64_t count,
                   double* __restrict out) {
  std::int64_t c = 0;
  for (; c + 4 <= channels; c += 4) {
    const double* __restrict row = in + c * count;
    const double f0 = filter[c], f1 = filter[c + 1], f2 = filter[c + 2], f3 = filter[c + 3];
    for (std::int64_t i = 0; i < count; ++i) {
      out[i] += f0 * row[i] + f1 * row[count + i] + f2 * row[2 * count + i] + f3 * row[3 * count + i];
    }
  }
  for (; c < channels; ++c) add_row(filter[c], in + c * count, 1, count, out);
}

Status add_bias(const Node& node, const Tensor& bias, std::int64_t channels, std::int64_t plane, Doubles& y) {
  if (bias.empty()) return {};
  if (bias.rank() != 1 || bias.elements() != channels) {
    return error(ErrorCode::ShapeMismatch, "{}: a bias of shape {} for {} output channels", node.op,
                 to_string(bias.shape()), channels);
  }
  const Doubles addends = to_doubles(bias);
  for (std::size_t i = 0; i < y.size(); ++i) {
    y[i] += addends[i / static_cast<std::size_t>(plane) % static_cast<std::size_t>(channels)];
  }
  return {};
}

Result<Outputs> evaluate_conv(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 3));
  DISCO_CHECK(check_floating(node, inputs, {0, 1, 2}));
  const Tensor& x = inputs[0];
  const Tensor& w = inputs[1];
  DISCO_TRY(const Window window, convolution_window(node, x.shape(), w.shape()));
  Doubles y = convolve(to_doubles(x), x.shape(), w, node.int_or("group", 1), window);
  DISCO_CHECK(add_bias(node, input_at(inputs, 2), w.shape()[0], window.out(), y));
  return Outputs{from_doubles(x.type(), window.out_shape(x.shape()[0], w.shape()[0]), y)};
}

bool is_byte(DataType type) { return type == DataType::Int8 || type == DataType::UInt8; }

Result<Outputs> evaluate_conv_integer(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 4));
  const Tensor& x = inputs[0];
  const Tensor& w = inputs[1];
  if (!is_byte(x.type()) || !is_byte(w.type())) {
    return error(ErrorCode::ShapeMismatch, "ConvInteger of types {} and {}, not int8 or uint8",
                 to_string(x.type()), to_string(w.type()));
  }
  DISCO_TRY(const Window window, convolution_window(node, x.shape(), w.shape()));
  DISCO_TRY(const Doubles values, centred_activations(node, x, input_at(inputs, 2)));
  DISCO_TRY(const Tensor weights, centred_weights(node, w, input_at(inputs, 3)));
  const Doubles y = convolve(values, x.shape(), weights, node.int_or("group", 1), window);
  return Outputs{from_doubles(DataType::Int32, window.out_shape(x.shape()[0], w.shape()[0]), y)};
}

/// The window of the convolution whose adjoint a ConvTranspose is: `in` is its result's extent, `out` its
/// input's.
Result<Window> transposed_window(const Node& node, const Shape& x, const Shape& w, std::int64_t groups) {
  if (x.size() < 3 || w.size() != x.size() || groups < 1 || x[1] % groups != 0 || w[0] != x[1] || w[1] < 1) {
    return error(ErrorCode::ShapeMismatch,
                 "ConvTranspose: weights of shape {} on an input of shape {} with group {}", to_string(w),
                 to_string(x), groups);
  }
  DISCO_TRY(Window window, read_window(node, x, Shape(w.begin() + 2, w.end())));
  const std::size_t rank = window.rank;
  const std::vector<std::int64_t> extra = node.ints_or("output_padding", {});
  std::vector<std::int64_t> wanted = node.ints_or("output_shape", {});
  if (wanted.size() == rank + 2)
    wanted.erase(wanted.begin(), wanted.begin() + 2);  // some exporters give N and C too
  if ((!extra.empty() && extra.size() != rank) || (!wanted.empty() && wanted.size() != rank)) {
    return error(ErrorCode::InvalidModel, "ConvTranspose: output_padding and output_shape need {} entries",
                 rank);
  }
  const std::string automatic = node.string_or("auto_pad", "NOTSET");
  const bool same = automatic == "SAME_UPPER" || automatic == "SAME_LOWER";
  for (std::size_t i = 0; i < rank; ++i) {
    WindowAxis& axis = window.axes[3 - rank + i];
    const std::int64_t padding = extra.empty() ? 0 : extra[i];
    if (padding < 0 || padding >= std::max(axis.stride, axis.dilation)) {
      return error(ErrorCode::InvalidModel, "ConvTranspose: output_padding {} with stride {} and dilation {}",
                   padding, axis.stride, axis.dilation);
    }
    if (axis.in < 1)
      return error(ErrorCode::ShapeMismatch, "ConvTranspose of an input of shape {}", to_string(x));
    axis.out = axis.in;
    const std::int64_t full = axis.stride * (axis.out - 1) + padding + axis.span();
    if (!wanted.empty() || same) {
      axis.in = wanted.empty() ? axis.out * axis.stride : wanted[i];
      if (axis.in < 0 || axis.in > kMaxElements) {
        return error(ErrorCode::ShapeMismatch, "ConvTranspose: an output extent of {}", axis.in);
      }
      // A wanted extent beyond the full one leaves zeros at the end.
      const std::int64_t total = std::max<std::int64_t>(0, full - axis.in);
      axis.begin = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
      axis.end = total - axis.begin;
    } else {
      axis.in = full - axis.begin - axis.end;
    }
  }
  return window;
}

// The adjoint of add_row's gather: out[i · stride] += factor · in[i].
void scatter_row(double factor, const double* in, std::int64_t stride, std::int64_t count, double* out) {
  for (std::int64_t i = 0; i < count; ++i) out[i * stride] += factor * in[i];
}

void scatter_plane(const Window& window, const double* in, const double* filter, double* out) {
  const auto& [depth, height, width] = window.axes;
  std::int64_t tap = 0;
  for (std::int64_t kz = 0; kz < depth.kernel; ++kz) {
    const auto [z_first, z_last] = depth.inside(kz);
    for (std::int64_t ky = 0; ky < height.kernel; ++ky) {
      const auto [y_first, y_last] = height.inside(ky);
      for (std::int64_t kx = 0; kx < width.kernel; ++kx, ++tap) {
        const auto [x_first, x_last] = width.inside(kx);
        if (x_first >= x_last) continue;
        for (std::int64_t z = z_first; z < z_last; ++z) {
          for (std::int64_t y = y_first; y < y_last; ++y) {
            double* row = out + (depth.source(z, kz) * height.in + height.source(y, ky)) * width.in;
            scatter_row(filter[tap], in + (z * height.out + y) * width.out + x_first, width.stride,
                        x_last - x_first, row + width.source(x_first, kx));
          }
        }
      }
    }
  }
}

Result<Outputs> evaluate_conv_transpose(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 3));
  DISCO_CHECK(check_floating(node, inputs, {0, 1, 2}));
  const Tensor& x = inputs[0];
  const Tensor& w = inputs[1];
  const std::int64_t groups = node.int_or("group", 1);
  DISCO_TRY(const Window window, transposed_window(node, x.shape(), w.shape(), groups));
  const std::int64_t batch = x.shape()[0];
  const std::int64_t channels = x.shape()[1];
  const std::int64_t group_out = w.shape()[1];
  Shape shape{batch, 0};
  for (std::size_t i = 3 - window.rank; i < 3; ++i) shape.push_back(window.axes[i].in);
  if (group_out > kMaxElements / groups)
    return error(ErrorCode::ShapeMismatch, "ConvTranspose: too many channels");
  shape[1] = group_out * groups;
  DISCO_CHECK(check_extents(node, shape));

  const Doubles source = to_doubles(x);
  const Doubles filters = to_doubles(w);
  Doubles y(static_cast<std::size_t>(element_count(shape)), 0.0);
  const std::int64_t group_in = channels / groups;
  for (std::int64_t n = 0; n < batch; ++n) {
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t m = 0; m < group_out; ++m) {
        const std::int64_t out_channel = c / group_in * group_out + m;
        scatter_plane(window, source.data() + (n * channels + c) * window.out(),
                      filters.data() + (c * group_out + m) * window.kernel(),
                      y.data() + (n * shape[1] + out_channel) * window.in());
      }
    }
  }
  DISCO_CHECK(add_bias(node, input_at(inputs, 2), shape[1], window.in(), y));
  return Outputs{from_doubles(x.type(), shape, y)};
}

}  // namespace

Result<Window> convolution_window(const Node& node, const Shape& x, const Shape& w) {
  const std::int64_t groups = node.int_or("group", 1);
  if (x.size() < 3 || w.size() != x.size() || groups < 1 || x[1] % groups != 0 || w[0] % groups != 0 ||
      w[1] != x[1] / groups) {
    return error(ErrorCode::ShapeMismatch, "{}: weights of shape {} on an input of shape {} with group {}",
                 node.op, to_string(w), to_string(x), groups);
  }
  DISCO_TRY(Window window, slide_window(node, x, Shape(w.begin() + 2, w.end()), false));
  DISCO_CHECK(check_extents(node, window.out_shape(x[0], w[0])));
  return window;
}

Doubles convolve(const Doubles& x, const Shape& x_shape, const Tensor& w, std::int64_t groups,
                 Window window) {
  flatten_pointwise(window);
  const std::int64_t batch = x_shape[0];
  const std::int64_t channels = x_shape[1];
  const std::int64_t maps = w.shape()[0];
  const std::int64_t group_in = w.shape()[1];
  const std::int64_t group_out = maps / groups;
  const bool pointwise = window.kernel() == 1 && window.axes[2].stride == 1 && window.out() == window.in();
  Doubles y(static_cast<std::size_t>(batch * maps * window.out()), 0.0);
  Doubles filter(static_cast<std::size_t>(group_in * window.kernel()));
  for (std::int64_t m = 0; m < maps; ++m) {
    convert(w, m * group_in * window.kernel(), group_in * window.kernel(), filter.data());
    for (std::int64_t n = 0; n < batch; ++n) {
      const double* in = x.data() + (n * channels + m / group_out * group_in) * window.in();
      double* out = y.data() + (n * maps + m) * window.out();
      if (pointwise) {
        add_pointwise(in, filter.data(), group_in, window.out(), out);
        continue;
      }
      for (std::int64_t c = 0; c < group_in; ++c) {
        add_plane(window, in + c * window.in(), filter.data() + c * window.kernel(), out);
      }
    }
  }
  return y;
}

Result<Doubles> centred_activations(const Node& node, const Tensor& x, const Tensor& zero) {
  Doubles values = to_doubles(x);
  if (zero.empty()) return values;
  if (zero.elements() != 1) {
    return error(ErrorCode::ShapeMismatch, "{}: a zero point of shape {}, not a scalar", node.op,
                 to_string(zero.shape()));
  }
  const double offset = to_doubles(zero)[0];
  for (double& value : values) value -= offset;
  return values;
}

Result<Tensor> centred_weights(const Node& node, const Tensor& w, const Tensor& zero) {
  Doubles values = to_doubles(w);
  if (!zero.empty()) {
    const Doubles offsets = to_doubles(zero);
    const auto maps = static_cast<std::size_t>(w.shape()[0]);
    if (offsets.size() != 1 && offsets.size() != maps) {
      return error(ErrorCode::ShapeMismatch, "{}: {} zero points for {} output channels", node.op,
                   offsets.size(), maps);
    }
    const std::size_t filter = values.size() / std::max<std::size_t>(maps, 1);
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] -= offsets[offsets.size() == 1 ? 0 : i / filter];
  }
  return from_doubles(DataType::Float64, w.shape(), values);
}

void register_convolution(Registry& registry) {
  registry[{"", "Conv"}] = evaluate_conv;
  registry[{"", "ConvInteger"}] = evaluate_conv_integer;
  registry[{"", "ConvTranspose"}] = evaluate_conv_transpose;
}

}  // namespace disco::reference
