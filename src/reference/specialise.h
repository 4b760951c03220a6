#pragma once
// From a model of symbolic shapes to a graph of fixed ones: what can be known before the first input arrives
// is computed here, once.

#include "base/result.h"
#include "graph/graph.h"

namespace disco {

/// Extents of graph inputs, by input name; those not named take `fallback` for every unknown extent of axis 0
/// (the batch) and must be known otherwise.
struct InputShapes {
  std::map<std::string, Shape> shapes;
  std::int64_t default_batch = 1;
};

/// Binds the inputs' shapes, infers every other shape (ONNX's own inference functions), folds constants node
/// by node (so that Shape → Gather → Concat → Reshape chains vanish), inlines If of a constant condition,
/// drops Identity, Dropout and Casts to the same type, and rewrites a channel shuffle (Reshape, Transpose,
/// Reshape within one axis) as a Gather of constant indices.
///
/// Values whose extents depend on data (NonZero, NonMaxSuppression) keep unknown extents; everything
/// downstream of them is run by the reference evaluator.
///
/// @return the fixed graph, or
///   - ShapeMismatch    a given shape contradicts the model, or an extent other than the batch was left open
///   - InvalidArgument  `shapes` names an input that the model does not have
///   - InvalidModel     inference found a contradiction; the message names the node
///   - Unsupported      an operator that is not claimed: its name, its node, its opset
[[nodiscard]] Result<Graph> specialise(const Graph& graph, const InputShapes& inputs);

}  // namespace disco
