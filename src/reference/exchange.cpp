// The two halves of normalisations whose statistics are exchanged: what a rank says about its own part, and
// how the parts' statistics normalise it. Source of the combination: Chan, Golub, LeVeque, "Updating formulae
// and a pairwise algorithm for computing sample variances", 1979.

#include <cmath>
#include <limits>

#include "reference/numeric.h"
#include "reference/registry.h"

namespace disco::reference {

namespace {

/// The statistics that follow the first `leading` inputs, each of `shape`.
Result<std::vector<Doubles>> read_statistics(const Node& node, const Inputs& inputs, std::size_t leading,
                                             const Shape& shape) {
  std::vector<Doubles> parts;
  for (std::size_t i = leading; i < inputs.size(); ++i) {
    if (!is_floating(inputs[i].type()) || inputs[i].shape() != shape) {
      return error(ErrorCode::ShapeMismatch, "{}: statistics {} are {} of shape {}, not floats of shape {}",
                   node.op, i - leading, to_string(inputs[i].type()), to_string(inputs[i].shape()),
                   to_string(shape));
    }
    parts.push_back(to_doubles(inputs[i]));
  }
  if (parts.empty()) return error(ErrorCode::InvalidModel, "{} without statistics", node.op);
  return parts;
}

Result<Outputs> evaluate_layer_norm_statistics(const Node& node, const Inputs& inputs,
                                               const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  DISCO_CHECK(check_floating(node, inputs, {0}));
  const Tensor& x = inputs[0];
  DISCO_TRY(const std::int64_t axis, axis_attribute(node, "axis", -1, x.rank()));
  Shape shape(x.shape().begin(), x.shape().begin() + axis);
  const std::int64_t outer = element_count(shape);
  const std::int64_t inner = count_between(x.shape(), static_cast<std::size_t>(axis), x.shape().size());
  shape.push_back(2);
  const Doubles values = to_doubles(x);
  Doubles statistics;
  for (std::int64_t i = 0; i < outer; ++i) {
    const double* line = values.data() + i * inner;
    double mean = 0;
    double squares = 0;
    for (std::int64_t j = 0; j < inner; ++j) mean += line[j];
    if (inner > 0) mean /= static_cast<double>(inner);
    for (std::int64_t j = 0; j < inner; ++j) squares += (line[j] - mean) * (line[j] - mean);
    statistics.push_back(mean);
    statistics.push_back(squares);
  }
  return Outputs{from_doubles(x.type(), shape, statistics)};
}

Result<Outputs> evaluate_layer_norm_apply(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 2, inputs.size()));
  DISCO_CHECK(check_floating(node, inputs, {0, 1, 2}));
  const Tensor& x = inputs[0];
  DISCO_TRY(const std::int64_t axis, axis_attribute(node, "axis", -1, x.rank()));
  Shape shape(x.shape().begin(), x.shape().begin() + axis);
  const Shape normalised(x.shape().begin() + axis, x.shape().end());
  const std::int64_t outer = element_count(shape);
  const std::int64_t inner = element_count(normalised);
  shape.push_back(2);
  DISCO_TRY(const std::vector<Doubles> parts, read_statistics(node, inputs, 3, shape));
  const std::vector<std::int64_t> counts = node.ints_or("counts", {});
  if (counts.size() != parts.size()) {
    return error(ErrorCode::InvalidModel, "LayerNormApply: {} counts for {} statistics", counts.size(),
                 parts.size());
  }
  double total = 0;
  for (const std::int64_t count : counts) {
    if (count < 0) return error(ErrorCode::InvalidModel, "LayerNormApply: a count of {}", count);
    total += static_cast<double>(count);
  }
  if (total == 0) return error(ErrorCode::InvalidModel, "LayerNormApply: statistics of no elements");
  DISCO_TRY(const Doubles scale, broadcast_to(node, inputs[1], normalised));
  Doubles bias(static_cast<std::size_t>(inner), 0.0);
  if (!input_at(inputs, 2).empty()) {
    DISCO_TRY(bias, broadcast_to(node, inputs[2], normalised));
  }
  const double epsilon = node.float_or("epsilon", 1e-5F);
  Doubles y = to_doubles(x);
  for (std::int64_t i = 0; i < outer; ++i) {
    const auto at = static_cast<std::size_t>(2 * i);
    double mean = 0;
    for (std::size_t k = 0; k < parts.size(); ++k)
      mean += static_cast<double>(counts[k]) / total * parts[k][at];
    double squares = 0;
    for (std::size_t k = 0; k < parts.size(); ++k) {
      const double shift = parts[k][at] - mean;
      squares += parts[k][at + 1] + static_cast<double>(counts[k]) * shift * shift;
    }
    const double inverse = 1 / std::sqrt(squares / total + epsilon);
    for (std::int64_t j = 0; j < inner; ++j) {
      double& value = y[static_cast<std::size_t>(i * inner + j)];
      value =
          (value - mean) * inverse * scale[static_cast<std::size_t>(j)] + bias[static_cast<std::size_t>(j)];
    }
  }
  return Outputs{from_doubles(x.type(), x.shape(), y)};
}

Result<Outputs> evaluate_softmax_statistics(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  DISCO_CHECK(check_floating(node, inputs, {0}));
  const Tensor& x = inputs[0];
  DISCO_TRY(const std::int64_t axis, axis_attribute(node, "axis", -1, x.rank()));
  const AxisView view = view_axis(x.shape(), axis);
  Shape shape = x.shape();
  shape[static_cast<std::size_t>(axis)] = 2;
  const Doubles values = to_doubles(x);
  Doubles statistics(static_cast<std::size_t>(element_count(shape)));
  for (std::int64_t o = 0; o < view.outer; ++o) {
    for (std::int64_t j = 0; j < view.inner; ++j) {
      const double* line = values.data() + o * view.extent * view.inner + j;
      double most = -std::numeric_limits<double>::infinity();
      for (std::int64_t i = 0; i < view.extent; ++i) {
        const double value = line[i * view.inner];
        if (value > most || std::isnan(value)) most = value;
      }
      double sum = 0;
      // A part that is masked throughout (all -infinity) adds nothing, rather than NaN to every other part.
      if (most != -std::numeric_limits<double>::infinity()) {
        for (std::int64_t i = 0; i < view.extent; ++i) sum += std::exp(line[i * view.inner] - most);
      }
      statistics[static_cast<std::size_t>(o * 2 * view.inner + j)] = most;
      statistics[static_cast<std::size_t>((o * 2 + 1) * view.inner + j)] = sum;
    }
  }
  return Outputs{from_doubles(x.type(), shape, statistics)};
}

Result<Outputs> evaluate_softmax_apply(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 1, inputs.size()));
  DISCO_CHECK(check_floating(node, inputs, {0}));
  const Tensor& x = inputs[0];
  DISCO_TRY(const std::int64_t axis, axis_attribute(node, "axis", -1, x.rank()));
  const AxisView view = view_axis(x.shape(), axis);
  Shape shape = x.shape();
  shape[static_cast<std::size_t>(axis)] = 2;
  DISCO_TRY(const std::vector<Doubles> parts, read_statistics(node, inputs, 1, shape));
  const bool log = node.int_or("log", 0) != 0;
  Doubles y = to_doubles(x);
  for (std::int64_t o = 0; o < view.outer; ++o) {
    for (std::int64_t j = 0; j < view.inner; ++j) {
      const auto most_at = static_cast<std::size_t>(o * 2 * view.inner + j);
      const auto sum_at = static_cast<std::size_t>((o * 2 + 1) * view.inner + j);
      double most = -std::numeric_limits<double>::infinity();
      for (const Doubles& part : parts) {
        if (part[most_at] > most || std::isnan(part[most_at])) most = part[most_at];
      }
      double sum = 0;
      for (const Doubles& part : parts) {
        if (part[sum_at] != 0) sum += part[sum_at] * std::exp(part[most_at] - most);
      }
      const double log_sum = std::log(sum);
      double* line = y.data() + o * view.extent * view.inner + j;
      for (std::int64_t i = 0; i < view.extent; ++i) {
        double& value = line[i * view.inner];
        value = log ? value - most - log_sum : std::exp(value - most) / sum;
      }
    }
  }
  return Outputs{from_doubles(x.type(), x.shape(), y)};
}

}  // namespace

void register_disco(Registry& registry) {
  registry[{kDiscoDomain, "LayerNormStatistics"}] = evaluate_layer_norm_statistics;
  registry[{kDiscoDomain, "LayerNormApply"}] = evaluate_layer_norm_apply;
  registry[{kDiscoDomain, "SoftmaxStatistics"}] = evaluate_softmax_statistics;
  registry[{kDiscoDomain, "SoftmaxApply"}] = evaluate_softmax_apply;
}

}  // namespace disco::reference
