// QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear, QLinearMatMul, QLinearConv.

#include <cmath>
#include <limits>

#include "reference/convolution.h"
#include "reference/linear.h"
#include "reference/registry.h"

namespace disco::reference {

namespace {

bool is_byte(DataType type) { return type == DataType::Int8 || type == DataType::UInt8; }

// Ties to even, in the quantised type's range; NaN becomes 0.
double quantise(double scaled, double zero, DataType type) {
  const double low = type == DataType::Int8 ? -128 : 0;
  const double high = type == DataType::Int8 ? 127 : 255;
  if (std::isnan(scaled)) return std::clamp(zero, low, high);
  return std::clamp(std::nearbyint(scaled) + zero, low, high);
}

/// A scale and zero point for the whole tensor, or one for each position along an axis.
struct Scaling {
  Doubles scales;
  Doubles zeros;
  AxisView view;
  [[nodiscard]] std::size_t index(std::size_t element) const {
    if (scales.size() == 1) return 0;
    return element / static_cast<std::size_t>(view.inner) % scales.size();
  }
};

Result<Scaling> read_scaling(const Node& node, const Shape& shape, const Tensor& scale, const Tensor& zero) {
  if (!is_floating(scale.type()) || scale.rank() > 1) {
    return error(ErrorCode::ShapeMismatch, "{}: a scale of type {} and shape {}", node.op,
                 to_string(scale.type()), to_string(scale.shape()));
  }
  if (!zero.empty() && zero.elements() != scale.elements()) {
    return error(ErrorCode::ShapeMismatch, "{}: a scale of shape {} with a zero point of shape {}", node.op,
                 to_string(scale.shape()), to_string(zero.shape()));
  }
  Scaling scaling{to_doubles(scale), Doubles(static_cast<std::size_t>(scale.elements()), 0.0), {}};
  if (!zero.empty()) scaling.zeros = to_doubles(zero);
  if (scaling.scales.size() != 1) {
    DISCO_TRY(const std::int64_t axis,
              axis_attribute(node, "axis", 1, static_cast<std::int64_t>(shape.size())));
    scaling.view = view_axis(shape, axis);
    if (scaling.view.extent != scale.elements()) {
      return error(ErrorCode::ShapeMismatch, "{}: {} scales for an extent of {}", node.op, scale.elements(),
                   scaling.view.extent);
    }
  }
  return scaling;
}

Result<Outputs> evaluate_quantize(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 3));
  const Tensor& x = inputs[0];
  const Tensor& zero = input_at(inputs, 2);
  if (!is_floating(x.type()) && x.type() != DataType::Int32) {
    return error(ErrorCode::ShapeMismatch, "QuantizeLinear of type {}", to_string(x.type()));
  }
  const DataType type = zero.empty() ? DataType::UInt8 : zero.type();
  if (!is_byte(type)) return error(ErrorCode::Unsupported, "QuantizeLinear to {}", to_string(type));
  DISCO_TRY(const Scaling scaling, read_scaling(node, x.shape(), inputs[1], zero));
  Doubles y = to_doubles(x);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t at = scaling.index(i);
    // The quotient is float32 by definition: a tie in float32 need not be one in float64.
    const float scaled = static_cast<float>(y[i]) / static_cast<float>(scaling.scales[at]);
    y[i] = quantise(scaled, scaling.zeros[at], type);
  }
  return Outputs{from_doubles(type, x.shape(), y)};
}

Result<Outputs> evaluate_dequantize(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 3));
  const Tensor& x = inputs[0];
  const Tensor& zero = input_at(inputs, 2);
  if (!is_byte(x.type()) && x.type() != DataType::Int32) {
    return error(ErrorCode::Unsupported, "DequantizeLinear of type {}", to_string(x.type()));
  }
  if (!zero.empty() && zero.type() != x.type()) {
    return error(ErrorCode::ShapeMismatch, "DequantizeLinear: a zero point of type {} for {}",
                 to_string(zero.type()), to_string(x.type()));
  }
  DISCO_TRY(const Scaling scaling, read_scaling(node, x.shape(), inputs[1], zero));
  Doubles y = to_doubles(x);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t at = scaling.index(i);
    y[i] = (y[i] - scaling.zeros[at]) * scaling.scales[at];
  }
  return Outputs{from_doubles(inputs[1].type(), x.shape(), y)};
}

Result<Outputs> evaluate_dynamic_quantize(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  const Tensor& x = inputs[0];
  if (x.type() != DataType::Float32) {
    return error(ErrorCode::ShapeMismatch, "DynamicQuantizeLinear of type {}", to_string(x.type()));
  }
  float low = 0;  // the range always holds 0
  float high = 0;
  for (const float value : x.values<float>()) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  const float scale = (high - low) / 255.0F;
  const double zero = scale == 0 ? 0 : quantise(-low / scale, 0, DataType::UInt8);
  Doubles y = to_doubles(x);
  for (double& value : y) {
    value = scale == 0 ? zero : quantise(static_cast<float>(value) / scale, zero, DataType::UInt8);
  }
  return Outputs{from_doubles(DataType::UInt8, x.shape(), y), Tensor::scalar<float>(scale),
                 from_doubles(DataType::UInt8, {}, {zero})};
}

// What one quantised operand brings: its values less the zero point; the scales stay apart.
Status check_quantised(const Node& node, const Tensor& x, const Tensor& scale, const Tensor& zero) {
  if (is_byte(x.type()) && is_floating(scale.type()) && zero.type() == x.type() &&
      zero.elements() == scale.elements() && scale.elements() >= 1) {
    return {};
  }
  return error(ErrorCode::ShapeMismatch,
               "{}: an operand of type {}, scale {} of shape {}, zero point {} of shape {}", node.op,
               to_string(x.type()), to_string(scale.type()), to_string(scale.shape()), to_string(zero.type()),
               to_string(zero.shape()));
}

// Reads the result's scale and zero point, both scalars.
Result<std::pair<double, double>> result_scaling(const Node& node, const Tensor& scale, const Tensor& zero) {
  if (!is_floating(scale.type()) || !is_byte(zero.type()) || scale.elements() != 1 || zero.elements() != 1) {
    return error(ErrorCode::Unsupported, "{}: the result needs one scale and one zero point of int8 or uint8",
                 node.op);
  }
  return std::pair{to_doubles(scale)[0], to_doubles(zero)[0]};
}

Result<Outputs> evaluate_qlinear_matmul(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 8, 8));
  DISCO_CHECK(check_quantised(node, inputs[0], inputs[1], inputs[2]));
  DISCO_CHECK(check_quantised(node, inputs[3], inputs[4], inputs[5]));
  DISCO_TRY(const auto scaling, result_scaling(node, inputs[6], inputs[7]));
  // Dequantised in double, which is exact for the product of bytes and scales that float32 holds to within
  // rounding.
  const auto dequantised = [&](const Tensor& x, const Tensor& scale, const Tensor& zero,
                               bool per_row) -> Result<Tensor> {
    const bool scalar = scale.elements() == 1;
    const bool column = per_row && scale.rank() == 1;
    const Shape shape = scalar ? Shape{} : column ? Shape{scale.elements(), 1} : scale.shape();
    DISCO_TRY(const Doubles scales, broadcast_to(node, scale.reshaped(shape), x.shape()));
    DISCO_TRY(const Doubles zeros, broadcast_to(node, zero.reshaped(shape), x.shape()));
    Doubles values = to_doubles(x);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = (values[i] - zeros[i]) * scales[i];
    return from_doubles(DataType::Float64, x.shape(), values);
  };
  DISCO_TRY(const Tensor a, dequantised(inputs[0], inputs[1], inputs[2], true));
  DISCO_TRY(const Tensor b, dequantised(inputs[3], inputs[4], inputs[5], false));
  DISCO_TRY(const Tensor product, matmul(node, a, b, DataType::Float64));
  Doubles y = to_doubles(product);
  for (double& value : y) value = quantise(value / scaling.first, scaling.second, inputs[7].type());
  return Outputs{from_doubles(inputs[7].type(), product.shape(), y)};
}

Result<Outputs> evaluate_qlinear_conv(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 8, 9));
  DISCO_CHECK(check_quantised(node, inputs[0], inputs[1], inputs[2]));
  DISCO_CHECK(check_quantised(node, inputs[3], inputs[4], inputs[5]));
  DISCO_TRY(const auto scaling, result_scaling(node, inputs[6], inputs[7]));
  const Tensor& x = inputs[0];
  const Tensor& w = inputs[3];
  DISCO_TRY(const Window window, convolution_window(node, x.shape(), w.shape()));
  DISCO_TRY(const Doubles values, centred_activations(node, x, inputs[2]));
  DISCO_TRY(const Tensor weights, centred_weights(node, w, inputs[5]));
  const std::int64_t maps = w.shape()[0];
  const Doubles w_scales = to_doubles(inputs[4]);
  const double x_scale = to_doubles(inputs[1])[0];
  const Tensor& bias = input_at(inputs, 8);
  if (!bias.empty() && (bias.type() != DataType::Int32 || bias.rank() != 1 || bias.elements() != maps)) {
    return error(ErrorCode::ShapeMismatch,
                 "QLinearConv: a bias of type {} and shape {} for {} output channels", to_string(bias.type()),
                 to_string(bias.shape()), maps);
  }
  Doubles y = convolve(values, x.shape(), weights, node.int_or("group", 1), window);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t map = i / static_cast<std::size_t>(window.out()) % static_cast<std::size_t>(maps);
    if (!bias.empty()) y[i] += bias.data<std::int32_t>()[map];
    const double scale = x_scale * w_scales[w_scales.size() == 1 ? 0 : map] / scaling.first;
    y[i] = quantise(y[i] * scale, scaling.second, inputs[7].type());
  }
  return Outputs{from_doubles(inputs[7].type(), window.out_shape(x.shape()[0], maps), y)};
}

}  // namespace

void register_quantisation(Registry& registry) {
  registry[{"", "QuantizeLinear"}] = evaluate_quantize;
  registry[{"", "DequantizeLinear"}] = evaluate_dequantize;
  registry[{"", "DynamicQuantizeLinear"}] = evaluate_dynamic_quantize;
  registry[{"", "QLinearMatMul"}] = evaluate_qlinear_matmul;
  registry[{"", "QLinearConv"}] = evaluate_qlinear_conv;
}

}  // namespace disco::reference
