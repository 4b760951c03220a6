#pragma once
// Constants that follow a linear map, folded into its weights; and those that follow each other, into one
// pass.

#include <cstdint>
#include <optional>
#include <vector>

#include "compile/rewriter.h"

namespace disco {

/// A constant as one number for each of `channels`: a scalar, or [C, 1, 1] beside maps [N, C, H, W] and the
/// like. nullopt for another one.
///
/// @param rank  of what it stands beside
[[nodiscard]] std::optional<std::vector<float>> by_channel(const Tensor* constant, std::int64_t channels,
                                                           std::int64_t rank);

/// What a node makes of a channel: x * scale + shift.
struct Affine {
  ValueId input = kNoValue;
  std::vector<double> scale, shift;  ///< by channel
};
/// nullopt where a parameter is no constant, or does not fit.
[[nodiscard]] std::optional<Affine> of_batch_norm(const Graph& graph, const Node& norm,
                                                  std::int64_t channels);

/// A batch norm, or a sum, difference, product or quotient with a constant that is the same for all positions
/// of a channel, goes into the weights and the bias of the convolution before it.
void fold_into_convolution(Rewriter& rewriter, Node& node);

/// MatMul of constant weights, then Add of a constant vector: the vector becomes a third input.
void fold_bias(Rewriter& rewriter, Node& add);

/// A product and then a sum with constants of that kind, where no convolution comes before: one batch norm.
void fuse_affine(Rewriter& rewriter, Node& add);

}  // namespace disco
