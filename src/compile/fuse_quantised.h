#pragma once
// Quantised models in floats: codes that nobody else sees need not be made.

#include "compile/rewriter.h"

namespace disco {

[[nodiscard]] inline bool is_byte(DataType type) { return type == DataType::UInt8 || type == DataType::Int8; }

/// Whether a QuantizeLinear or DequantizeLinear has one scale, in float32, and one zero point at most, given
/// or computed.
[[nodiscard]] bool has_one_scale(const Graph& graph, const Node& node);

/// QuantizeLinear and then DequantizeLinear with the same scale and zero point: one pass ("Requantise" of
/// kFusedDomain) that gives what the codes stand for.
void fuse_requantise(Rewriter& rewriter, Node& dequantise);

/// QuantizeLinear, Cast to float32, less the zero point as a float ("Levels"): what a linear map of quantised
/// numbers multiplies.
void fuse_levels(Rewriter& rewriter, Node& difference);

/// The same of codes whose zero point is 0, which nobody takes off.
void fuse_plain_levels(Rewriter& rewriter, Node& cast);

/// Whether a Conv or MatMul adds up whole numbers: levels, by weights that are integers. A factor that
/// follows stays behind the sum, which is rounded again to codes: folded into the weights it would shift
/// ties.
[[nodiscard]] bool has_whole_sums(Rewriter& rewriter, const Node& linear);

/// float32 to int32 and back, of a linear map of levels with weights that are integers: its sums are whole
/// already.
void drop_whole_casts(Rewriter& rewriter, Node& cast);

}  // namespace disco
