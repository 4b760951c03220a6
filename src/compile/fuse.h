#pragma once
// Graph to graph: what is cheaper as one operator becomes one.

#include <vector>

#include "graph/graph.h"

namespace disco {

/// The domain of operators that only fusion makes: Swish, Gelu, linear maps whose bias came from an Add, and
/// what codes stand for (Requantise, Levels).
inline constexpr std::string_view kFusedDomain = "disco.fused";

/// Whether kernels take a value: float32, of a fixed shape, with at least one element. What only fusion makes
/// is none of the evaluator's operators, and so may be made of such values alone.
[[nodiscard]] bool is_float(const Graph& graph, ValueId id);

/// Folds BatchNormalization into the convolution before it; x * Sigmoid(x), the Erf form of GELU, the forms
/// of HardSwish and the decomposed LayerNormalization each become one operator; an Add of constants after a
/// MatMul becomes its bias. Only patterns whose inner values nothing else reads are touched, so that the
/// result is the same up to rounding.
void fuse_patterns(Graph& graph);

/// An operator that runs inside the one before it.
struct Fused {
  std::size_t base = 0;              ///< the Conv, ConvTranspose, Gemm, MatMul or BatchNormalization
  std::vector<std::size_t> chain{};  ///< activations and sums, in order
};

/// Which nodes run as post-operations of which linear map or batch norm. A chain runs where its last node
/// stood, so that the other summand of an Add is there.
[[nodiscard]] std::vector<Fused> fuse_chains(const Graph& graph);

}  // namespace disco
