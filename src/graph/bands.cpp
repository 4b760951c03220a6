#include "graph/bands.h"

#include <algorithm>
#include <array>

#include "graph/window.h"

namespace disco {

namespace {

constexpr std::size_t kRows = 2;  // axis

std::int64_t rows_of(const Value& value) { return value.shape()[kRows]; }

/// What computes an element of the same place in each input: rows stay rows.
bool is_pointwise(const Node& node) {
  static constexpr std::array kOps = {
      "Add",     "Sub",         "Mul",       "Div",      "Max",
      "Min",     "Sum",         "Relu",      "Clip",     "LeakyRelu",
      "Sigmoid", "HardSigmoid", "HardSwish", "Tanh",     "Elu",
      "PRelu",   "Softplus",    "Abs",       "Neg",      "Exp",
      "Sqrt",    "Erf",         "Softsign",  "Identity", "BatchNormalization"};
  return node.domain.empty() &&
         std::any_of(kOps.begin(), kOps.end(), [&](const char* op) { return node.op == op; });
}

/// The taps of a window along rows; 0 where the node has none.
std::int64_t taps_of(const Graph& graph, const Node& node) {
  if (node.is("Conv")) {
    const Value& weight = graph.value(node.inputs[1]);
    return weight.has_shape() ? weight.shape()[kRows] : 0;
  }
  if (!node.is("MaxPool") && !node.is("AveragePool")) return 0;
  const auto kernel = node.ints_or("kernel_shape", {});
  return kernel.size() == 2 ? kernel[0] : 0;
}

/// The boundaries, or none where a band would be empty.
Bands checked(Bands bands, std::int64_t rows) {
  std::int64_t last = 0;
  for (const std::int64_t end : bands) {
    if (end <= last || end >= rows) return {};
    last = end;
  }
  return bands;
}

bool is_even(const Bands& bands, std::int64_t rows) {
  constexpr double kLeast = 0.55;  // of an even one
  const double even = static_cast<double>(rows) / static_cast<double>(bands.size() + 1);
  std::int64_t last = 0;
  for (std::size_t k = 0; k <= bands.size(); ++k) {
    const std::int64_t end = k < bands.size() ? bands[k] : rows;
    if (static_cast<double>(end - last) < kLeast * even) return false;
    last = end;
  }
  return true;
}

}  // namespace

bool has_rows(const Value& value) {
  if (value.type != DataType::Float32 || !value.has_shape()) return false;
  const Shape shape = value.shape();
  return shape.size() == 4 && shape[0] == 1 && shape[1] > 0 && shape[kRows] > 1 && shape[3] > 0;
}

bool are_bands_of(const Bands& bands, const Value& value) {
  return !bands.empty() && bands.size() < kMostBands && has_rows(value) &&
         !checked(bands, rows_of(value)).empty();
}

std::pair<std::int64_t, std::int64_t> range_of_band(const Shape& shape, const Bands& bands,
                                                    std::size_t band) {
  return {band == 0 ? 0 : bands[band - 1], band < bands.size() ? bands[band] : shape[kRows]};
}

Tensor rows_of_band(const Tensor& map, const Bands& bands, std::size_t band) {
  const Shape& shape = map.shape();
  const auto [begin, end] = range_of_band(shape, bands, band);
  Tensor rows(DataType::Float32, {1, shape[1], end - begin, shape[3]});
  const std::int64_t row = shape[3], count = (end - begin) * row;
  for (std::int64_t c = 0; c < shape[1]; ++c) {
    std::copy_n(map.data<float>() + (c * shape[kRows] + begin) * row, count, rows.data<float>() + c * count);
  }
  return rows;
}

Bands bands_after(const Graph& graph, const Node& node, const std::vector<Bands>& bands) {
  if (node.outputs.empty() || node.outputs[0] == kNoValue || !has_rows(graph.value(node.outputs[0])))
    return {};
  const Value& out = graph.value(node.outputs[0]);
  const std::int64_t taps = taps_of(graph, node);
  const bool concat = node.is("Concat") && (node.int_or("axis", 0) == 1 || node.int_or("axis", 0) == -3);
  if (taps == 0 && !concat && !is_pointwise(node)) return {};
  Bands least;
  bool first = true;
  for (std::size_t k = 0; k < node.inputs.size(); ++k) {
    const ValueId id = node.inputs[k];
    if (id == kNoValue || graph.constant(id) != nullptr) continue;
    const Value& in = graph.value(id);
    // A factor of a channel is no feature map; who computes with bands sees to it that it is there.
    if (taps == 0 && !concat && in.has_shape() && element_count(in.shape()) != element_count(out.shape()) &&
        !has_rows(in))
      continue;
    const Bands& of_input = bands[static_cast<std::size_t>(id)];
    if (of_input.empty() || (taps == 0 && rows_of(in) != rows_of(out))) return {};
    Bands result = of_input;
    if (taps > 0) {
      const Window window = window_along(node, rows_of(in), rows_of(out), taps, 0, 2, false);
      for (std::int64_t& end : result) end = window.outputs_of(end);
    }
    if (first) least = result;
    if (least.size() != result.size()) return {};
    for (std::size_t b = 0; b < least.size(); ++b) least[b] = std::min(least[b], result[b]);
    first = false;
  }
  return checked(least, rows_of(out));
}

Bands cut_rows(std::int64_t rows, int count) {
  constexpr double kAhead = 0.2;
  Bands bands;
  for (int k = 1; k < count; ++k) {
    bands.push_back(static_cast<std::int64_t>(static_cast<double>(rows) * (k + kAhead) / count));
  }
  return checked(bands, rows);
}

std::vector<Bands> choose_bands(const Graph& graph, int count) {
  std::vector<Bands> bands(graph.values.size());
  if (count < 2 || count > kMostChosenBands) return bands;
  const auto at = [&](ValueId id) -> Bands& { return bands[static_cast<std::size_t>(id)]; };
  for (const ValueId id : graph.inputs) {
    if (has_rows(graph.value(id))) at(id) = cut_rows(rows_of(graph.value(id)), count);
  }
  for (const Node& node : graph.nodes) {
    for (const ValueId id : node.outputs) {
      if (id == kNoValue || !has_rows(graph.value(id))) continue;
      Bands follow = id == node.outputs[0] ? bands_after(graph, node, bands) : Bands();
      const std::int64_t rows = rows_of(graph.value(id));
      at(id) = !follow.empty() && is_even(follow, rows) ? std::move(follow) : cut_rows(rows, count);
    }
  }
  return bands;
}

}  // namespace disco
