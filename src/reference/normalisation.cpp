// BatchNormalization, InstanceNormalization, LayerNormalization, LRN, LpNormalization,
// MeanVarianceNormalization, Softmax, LogSoftmax, Hardmax.

#include <cmath>

#include "reference/numeric.h"
#include "reference/registry.h"

namespace disco::reference {

namespace {

// Every parameter of a per-channel normalisation is a vector of the channels.
Result<Doubles> channel_vector(const Node& node, const Tensor& tensor, std::int64_t channels) {
  if (tensor.rank() != 1 || tensor.elements() != channels || !is_floating(tensor.type())) {
    return error(ErrorCode::ShapeMismatch, "{}: a parameter of type {} and shape {} for {} channels", node.op,
                 to_string(tensor.type()), to_string(tensor.shape()), channels);
  }
  return to_doubles(tensor);
}

Result<Outputs> evaluate_batch_normalization(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 5, 5));
  DISCO_CHECK(check_floating(node, inputs, {0}));
  if (node.int_or("training_mode", 0) != 0) {
    return error(ErrorCode::Unsupported,
                 "BatchNormalization in training mode; export the model for inference");
  }
  const Tensor& x = inputs[0];
  if (x.rank() < 1) return error(ErrorCode::ShapeMismatch, "BatchNormalization of a scalar");
  const std::int64_t channels = x.rank() == 1 ? 1 : x.shape()[1];
  const std::int64_t plane = x.rank() == 1 ? 1 : count_between(x.shape(), 2, x.shape().size());
  DISCO_TRY(const Doubles scale, channel_vector(node, inputs[1], channels));
  DISCO_TRY(const Doubles bias, channel_vector(node, inputs[2], channels));
  DISCO_TRY(const Doubles mean, channel_vector(node, inputs[3], channels));
  DISCO_TRY(const Doubles variance, channel_vector(node, inputs[4], channels));
  const double epsilon = node.float_or("epsilon", 1e-5F);
  Doubles y = to_doubles(x);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t c = i / static_cast<std::size_t>(plane) % static_cast<std::size_t>(channels);
    y[i] = (y[i] - mean[c]) / std::sqrt(variance[c] + epsilon) * scale[c] + bias[c];
  }
  return Outputs{from_doubles(x.type(), x.shape(), y)};
}

struct Moments {
  double mean = 0;
  double variance = 0;
};

// Two passes: the deviations are small even where the mean is large.
Moments moments_of(const double* values, std::int64_t count) {
  Moments moments;
  for (std::int64_t i = 0; i < count; ++i) moments.mean += values[i];
  moments.mean /= static_cast<double>(count);
  for (std::int64_t i = 0; i < count; ++i) {
    moments.variance += (values[i] - moments.mean) * (values[i] - moments.mean);
  }
  moments.variance /= static_cast<double>(count);
  return moments;
}

Result<Outputs> evaluate_instance_normalization(const Node& node, const Inputs& inputs,
                                                const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 3, 3));
  DISCO_CHECK(check_floating(node, inputs, {0, 1, 2}));
  const Tensor& x = inputs[0];
  if (x.rank() < 3) {
    return error(ErrorCode::ShapeMismatch, "InstanceNormalization of shape {}", to_string(x.shape()));
  }
  const std::int64_t channels = x.shape()[1];
  const std::int64_t plane = count_between(x.shape(), 2, x.shape().size());
  DISCO_TRY(const Doubles scale, channel_vector(node, inputs[1], channels));
  DISCO_TRY(const Doubles bias, channel_vector(node, inputs[2], channels));
  const double epsilon = node.float_or("epsilon", 1e-5F);
  Doubles y = to_doubles(x);
  for (std::int64_t i = 0; i < x.shape()[0] * channels; ++i) {
    double* values = y.data() + i * plane;
    const Moments moments = moments_of(values, plane);
    const auto c = static_cast<std::size_t>(i % channels);
    const double factor = scale[c] / std::sqrt(moments.variance + epsilon);
    for (std::int64_t j = 0; j < plane; ++j) values[j] = (values[j] - moments.mean) * factor + bias[c];
  }
  return Outputs{from_doubles(x.type(), x.shape(), y)};
}

Result<Outputs> evaluate_layer_normalization(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 3));
  DISCO_CHECK(check_floating(node, inputs, {0, 1, 2}));
  const Tensor& x = inputs[0];
  DISCO_TRY(const std::int64_t axis, axis_attribute(node, "axis", -1, x.rank()));
  const auto split = static_cast<std::size_t>(axis);
  const Shape normalised(x.shape().begin() + axis, x.shape().end());
  const std::int64_t outer = count_between(x.shape(), 0, split);
  const std::int64_t inner = element_count(normalised);
  // Scale and bias may reach over the outer axes too, though they seldom do.
  const auto parameter = [&](const Tensor& tensor) {
    return broadcast_to(
        node, tensor, tensor.rank() > static_cast<std::int64_t>(normalised.size()) ? x.shape() : normalised);
  };
  DISCO_TRY(const Doubles scale, parameter(inputs[1]));
  Doubles bias;
  if (!input_at(inputs, 2).empty()) {
    DISCO_TRY(bias, parameter(inputs[2]));
  }
  const double epsilon = node.float_or("epsilon", 1e-5F);
  Doubles y = to_doubles(x);
  Doubles means;
  Doubles inverses;
  for (std::int64_t i = 0; i < outer; ++i) {
    double* values = y.data() + i * inner;
    const Moments moments = moments_of(values, inner);
    const double inverse = 1 / std::sqrt(moments.variance + epsilon);
    means.push_back(moments.mean);
    inverses.push_back(inverse);
    for (std::int64_t j = 0; j < inner; ++j) {
      const auto at = static_cast<std::size_t>(i * inner + j);
      values[j] = (values[j] - moments.mean) * inverse * scale[at % scale.size()];
      if (!bias.empty()) values[j] += bias[at % bias.size()];
    }
  }
  Shape reduced = x.shape();
  std::fill(reduced.begin() + axis, reduced.end(), 1);
  // stash_type: the statistics are float32 unless the model asks for another type.
  const auto stash = static_cast<DataType>(node.int_or("stash_type", static_cast<int>(DataType::Float32)));
  if (!is_floating(stash))
    return error(ErrorCode::InvalidModel, "LayerNormalization: stash_type is not a float type");
  Outputs outputs{from_doubles(x.type(), x.shape(), y)};
  if (wants_output(node, 1) || wants_output(node, 2)) {
    outputs.push_back(from_doubles(stash, reduced, means));
    outputs.push_back(from_doubles(stash, reduced, inverses));
  }
  return outputs;
}

Result<Outputs> evaluate_lrn(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  DISCO_CHECK(check_floating(node, inputs, {0}));
  const Tensor& x = inputs[0];
  const std::int64_t size = node.int_or("size", 0);
  if (size < 1 || size > kMaxElements) return error(ErrorCode::InvalidModel, "LRN: size is {}", size);
  if (x.rank() < 2) return error(ErrorCode::ShapeMismatch, "LRN of shape {}", to_string(x.shape()));
  const double scale = node.float_or("alpha", 1e-4F) / static_cast<double>(size);
  const double beta = node.float_or("beta", 0.75F);
  const double bias = node.float_or("bias", 1.0F);
  const AxisView view = view_axis(x.shape(), 1);
  const Doubles values = to_doubles(x);
  Doubles y(values.size());
  for (std::int64_t n = 0; n < view.outer; ++n) {
    for (std::int64_t c = 0; c < view.extent; ++c) {
      const std::int64_t first = std::max<std::int64_t>(0, c - (size - 1) / 2);
      const std::int64_t last = std::min(view.extent - 1, c + size / 2);  // size/2 = ceil((size-1)/2)
      for (std::int64_t i = 0; i < view.inner; ++i) {
        double squares = 0;
        for (std::int64_t k = first; k <= last; ++k) {
          const double value = values[static_cast<std::size_t>((n * view.extent + k) * view.inner + i)];
          squares += value * value;
        }
        const auto at = static_cast<std::size_t>((n * view.extent + c) * view.inner + i);
        y[at] = values[at] / std::pow(bias + scale * squares, beta);
      }
    }
  }
  return Outputs{from_doubles(x.type(), x.shape(), y)};
}

// Rewrites every line of x along `axis` in place: line(values, count).
template <typename Line>
Result<Outputs> map_lines(const Tensor& x, std::int64_t axis, Line line) {
  const AxisView view = view_axis(x.shape(), axis);
  Doubles y = to_doubles(x);
  Doubles values(static_cast<std::size_t>(view.extent));
  for (std::int64_t o = 0; o < view.outer; ++o) {
    for (std::int64_t j = 0; j < view.inner; ++j) {
      double* first = y.data() + o * view.extent * view.inner + j;
      for (std::int64_t i = 0; i < view.extent; ++i)
        values[static_cast<std::size_t>(i)] = first[i * view.inner];
      line(values);
      for (std::int64_t i = 0; i < view.extent; ++i)
        first[i * view.inner] = values[static_cast<std::size_t>(i)];
    }
  }
  return Outputs{from_doubles(x.type(), x.shape(), y)};
}

Result<Outputs> evaluate_lp_normalization(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  DISCO_CHECK(check_floating(node, inputs, {0}));
  const std::int64_t p = node.int_or("p", 2);
  if (p != 1 && p != 2) return error(ErrorCode::InvalidModel, "LpNormalization: p is {}, not 1 or 2", p);
  DISCO_TRY(const std::int64_t axis, axis_attribute(node, "axis", -1, inputs[0].rank()));
  return map_lines(inputs[0], axis, [p](Doubles& line) {
    double norm = 0;
    for (const double value : line) norm += p == 1 ? std::fabs(value) : value * value;
    if (p == 2) norm = std::sqrt(norm);
    for (double& value : line) value = norm == 0 ? 0 : value / norm;
  });
}

Result<Outputs> evaluate_mean_variance_normalization(const Node& node, const Inputs& inputs,
                                                     const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  DISCO_CHECK(check_floating(node, inputs, {0}));
  const Tensor& x = inputs[0];
  std::vector<bool> reduced(x.shape().size(), false);
  for (const std::int64_t given : node.ints_or("axes", {0, 2, 3})) {
    DISCO_TRY(const std::int64_t axis, resolve_axis(node, given, x.rank()));
    reduced[static_cast<std::size_t>(axis)] = true;
  }
  // Which group each element is of: its position along the axes that stay.
  Doubles y = to_doubles(x);
  std::vector<std::size_t> groups(y.size());
  std::size_t count = 1;
  for (std::size_t axis = 0; axis < reduced.size(); ++axis) {
    if (!reduced[axis]) count *= static_cast<std::size_t>(x.shape()[axis]);
  }
  for (std::size_t i = 0; i < y.size(); ++i) {
    std::size_t rest = i;
    std::size_t stride = 1;
    for (std::size_t axis = reduced.size(); axis-- > 0;) {
      const auto extent = static_cast<std::size_t>(x.shape()[axis]);
      if (!reduced[axis]) {
        groups[i] += rest % extent * stride;
        stride *= extent;
      }
      rest /= extent;
    }
  }
  Doubles means(count, 0.0);
  Doubles squares(count, 0.0);
  const double members = static_cast<double>(y.size()) / static_cast<double>(std::max<std::size_t>(count, 1));
  for (std::size_t i = 0; i < y.size(); ++i) means[groups[i]] += y[i] / members;
  for (std::size_t i = 0; i < y.size(); ++i) {
    y[i] -= means[groups[i]];
    squares[groups[i]] += y[i] * y[i] / members;
  }
  // ONNX defines the operator as a function with this epsilon on the deviation.
  for (std::size_t i = 0; i < y.size(); ++i) y[i] /= std::sqrt(squares[groups[i]]) + 1e-9;
  return Outputs{from_doubles(x.type(), x.shape(), y)};
}

double largest(const Doubles& line) {
  double most = line[0];
  for (const double value : line) {
    if (value > most) most = value;
  }
  return most;
}

Result<Outputs> evaluate_softmax(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  DISCO_CHECK(check_floating(node, inputs, {0}));
  DISCO_TRY(const std::int64_t axis, axis_attribute(node, "axis", -1, inputs[0].rank()));
  const bool log = node.op == "LogSoftmax";
  return map_lines(inputs[0], axis, [log](Doubles& line) {
    if (line.empty()) return;
    const double most = largest(line);
    double sum = 0;
    for (const double value : line) sum += std::exp(value - most);
    const double log_sum = std::log(sum);
    for (double& value : line) value = log ? value - most - log_sum : std::exp(value - most) / sum;
  });
}

Result<Outputs> evaluate_hardmax(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  DISCO_CHECK(check_floating(node, inputs, {0}));
  DISCO_TRY(const std::int64_t axis, axis_attribute(node, "axis", -1, inputs[0].rank()));
  return map_lines(inputs[0], axis, [](Doubles& line) {
    const auto best = std::max_element(line.begin(), line.end()) - line.begin();
    std::fill(line.begin(), line.end(), 0.0);
    if (!line.empty()) line[static_cast<std::size_t>(best)] = 1;
  });
}

}  // namespace

void register_normalisation(Registry& registry) {
  registry[{"", "BatchNormalization"}] = evaluate_batch_normalization;
  registry[{"", "InstanceNormalization"}] = evaluate_instance_normalization;
  registry[{"", "LayerNormalization"}] = evaluate_layer_normalization;
  registry[{"", "LRN"}] = evaluate_lrn;
  registry[{"", "LpNormalization"}] = evaluate_lp_normalization;
  registry[{"", "MeanVarianceNormalization"}] = evaluate_mean_variance_normalization;
  registry[{"", "Softmax"}] = evaluate_softmax;
  registry[{"", "LogSoftmax"}] = evaluate_softmax;
  registry[{"", "Hardmax"}] = evaluate_hardmax;
}

}  // namespace disco::reference
