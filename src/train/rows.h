#pragma once
// A linear map as a matrix: rows of its input and output, columns of its weight.

#include <ATen/ATen.h>

#include <random>

#include "reference/window.h"
#include "sparsify/traffic.h"
#include "train/network.h"

namespace disco::train {

/// Axes of output and input channels of a linear map's weight, and its name.
struct MapWeight {
  std::string name;
  std::int64_t out_axis = 0, in_axis = 1;
};
[[nodiscard]] MapWeight weight_of(const Graph& graph, const Node& node);

/// Whether a node is a linear map that Rows draws from: a convolution without groups over two axes, Gemm, or
/// MatMul, with a weight among the parameters.
[[nodiscard]] bool is_matrix(const Graph& graph, const Node& node, const Weights& weights);

/// Whether a node is a convolution in groups over two axes, with a weight among the parameters; Rows draws
/// from it too.
[[nodiscard]] bool is_grouped(const Graph& graph, const Node& node, const Weights& weights);

/// The weight as [inputs * taps, outputs]; taps of one input channel lie together.
[[nodiscard]] at::Tensor to_columns(const at::Tensor& weight, const MapWeight& place);
/// Back to the layout of `like`.
[[nodiscard]] at::Tensor from_columns(const at::Tensor& columns, const at::Tensor& like,
                                      const MapWeight& place);

/// Draws rows of one linear map: positions of a convolution's output with what lies under its kernel there,
/// tokens of a product.
class Rows {
 public:
  /// Conv (two spatial axes), Gemm and MatMul.
  [[nodiscard]] static Result<Rows> of(const Graph& graph, const Node& node);

  /// At most `positions` an item, drawn anew for each call.
  /// @return input rows [rows, inputs * taps], and output rows [rows, outputs] (undefined where `output` is)
  [[nodiscard]] std::pair<at::Tensor, at::Tensor> sample(const at::Tensor& input, const at::Tensor& output,
                                                         std::int64_t positions,
                                                         std::mt19937_64& generator) const;

 private:
  bool convolution_ = false;
  reference::Window window_;
};

}  // namespace disco::train
