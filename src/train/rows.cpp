#include "train/rows.h"

#include <algorithm>
#include <numeric>

namespace disco::train {

namespace {

at::Tensor draw(std::int64_t from, std::int64_t count, std::mt19937_64& generator) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(from));
  std::iota(all.begin(), all.end(), 0);
  for (std::int64_t i = 0; i < count && count < from; ++i) {
    const auto j = i + static_cast<std::int64_t>(generator() % static_cast<std::uint64_t>(from - i));
    std::swap(all[static_cast<std::size_t>(i)], all[static_cast<std::size_t>(j)]);
  }
  all.resize(static_cast<std::size_t>(count));
  return at::tensor(all, at::kLong);
}

}  // namespace

MapWeight weight_of(const Graph& graph, const Node& node) {
  MapWeight weight{graph.value(node.inputs[1]).name};
  if (node.is("ConvTranspose") || node.is("MatMul") || (node.is("Gemm") && node.int_or("transB", 0) == 0)) {
    weight.out_axis = 1;
    weight.in_axis = 0;
  }
  return weight;
}

bool is_matrix(const Graph& graph, const Node& node, const Weights& weights) {
  if (node.is("Conv")) {
    if (node.int_or("group", 1) != 1 || graph.value(node.inputs[0]).shape().size() != 4) return false;
  } else if (node.is("Gemm")) {
    if (node.int_or("transA", 0) != 0 || node.float_or("alpha", 1.0F) != 1.0F) return false;
  } else if (!node.is("MatMul")) {
    return false;
  }
  const Value& weight = graph.value(node.inputs[1]);
  if (!weights.parameters.contains(weight.name)) return false;
  return !node.is("MatMul") || weight.shape().size() == 2;
}

bool is_grouped(const Graph& graph, const Node& node, const Weights& weights) {
  return node.is("Conv") && node.int_or("group", 1) > 1 && graph.value(node.inputs[0]).shape().size() == 4 &&
         weights.parameters.contains(graph.value(node.inputs[1]).name);
}

at::Tensor to_columns(const at::Tensor& weight, const MapWeight& place) {
  at::Tensor w = place.out_axis == 1 ? weight : weight.transpose(0, 1);  // [in, out, taps…]
  if (w.dim() > 2) w = w.flatten(2).permute({0, 2, 1}).flatten(0, 1);
  return w;
}
at::Tensor from_columns(const at::Tensor& columns, const at::Tensor& like, const MapWeight& place) {
  if (like.dim() == 2) return place.out_axis == 1 ? columns : columns.t();
  const std::int64_t inputs = like.size(place.in_axis);
  const at::Tensor w = columns.reshape({inputs, -1, columns.size(1)}).permute({2, 0, 1});  // [out, in, taps]
  return w.reshape(like.sizes());
}

Result<Rows> Rows::of(const Graph& graph, const Node& node) {
  Rows rows;
  if (!node.is("Conv")) return rows;
  const Shape in = graph.value(node.inputs[0]).shape();
  const Shape weight = graph.value(node.inputs[1]).shape();
  DISCO_TRY(rows.window_, reference::slide_window(node, in, Shape(weight.begin() + 2, weight.end()), false));
  rows.convolution_ = true;
  return rows;
}

std::pair<at::Tensor, at::Tensor> Rows::sample(const at::Tensor& input, const at::Tensor& output,
                                               std::int64_t positions, std::mt19937_64& generator) const {
  if (!convolution_) {
    const std::int64_t items = std::max<std::int64_t>(1, input.size(0));
    at::Tensor x = input.reshape({-1, input.size(-1)});
    at::Tensor y = output.defined() ? output.reshape({-1, output.size(-1)}) : at::Tensor();
    const std::int64_t most = positions * items;
    if (x.size(0) > most) {
      const at::Tensor pick = draw(x.size(0), most, generator).to(x.device());
      x = x.index_select(0, pick);
      if (y.defined()) y = y.index_select(0, pick);
    }
    return {x, y};
  }
  const reference::WindowAxis& h = window_.axes[1];
  const reference::WindowAxis& w = window_.axes[2];
  const at::Tensor pick = draw(h.out * w.out, std::min(positions, h.out * w.out), generator);
  const at::Tensor row = at::div(pick, w.out, "floor");
  const at::Tensor column = pick - row * w.out;
  const at::Tensor padded = at::constant_pad_nd(
      input, {w.begin, std::max<std::int64_t>(0, w.end), h.begin, std::max<std::int64_t>(0, h.end)}, 0);
  const std::int64_t width = padded.size(3);
  const at::Tensor flat = padded.flatten(2);
  std::vector<at::Tensor> taps;
  for (std::int64_t r = 0; r < h.kernel; ++r) {
    for (std::int64_t c = 0; c < w.kernel; ++c) {
      const at::Tensor at_tap =
          (row * h.stride + r * h.dilation) * width + column * w.stride + c * w.dilation;
      taps.push_back(flat.index_select(2, at_tap.to(input.device())));  // [items, inputs, positions]
    }
  }
  const at::Tensor x = at::stack(taps, 3).permute({0, 2, 1, 3}).flatten(2).flatten(0, 1);
  if (!output.defined()) return {x, at::Tensor()};
  const at::Tensor y =
      output.flatten(2).index_select(2, pick.to(output.device())).permute({0, 2, 1}).flatten(0, 1);
  return {x, y};
}

}  // namespace disco::train
