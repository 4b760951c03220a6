#pragma once
// Constants that follow a linear map, folded into its weights; and those that follow each other, into one
// pass.

#include "compile/rewriter.h"

namespace disco {

/// A batch norm, or a sum, difference, product or quotient with a constant that is the same for all positions
/// of a channel, goes into the weights and the bias of the convolution before it.
void fold_into_convolution(Rewriter& rewriter, Node& node);

/// MatMul of constant weights, then Add of a constant vector: the vector becomes a third input.
void fold_bias(Rewriter& rewriter, Node& add);

/// A product and then a sum with constants of that kind, where no convolution comes before: one batch norm.
void fuse_affine(Rewriter& rewriter, Node& add);

}  // namespace disco
