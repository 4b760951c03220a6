#pragma once
// Another function of the same weights: normalisation over the channels that one node owns, which needs no
// statistics of others.

#include "base/result.h"
#include "graph/graph.h"
#include "partition/plan.h"

namespace disco {

/// Writes every LayerNormalization whose statistics nodes exchange as one a node: the channels are gathered
/// by owner and split, each part is normalised by its own mean and variance, and they are joined again. Any
/// ONNX tool runs that on one machine; split by the same partition, each part lies on one node and nothing
/// travels for it.
///
/// @param model  the model, with its symbolic shapes
/// @param fixed  the same at fixed shapes
/// @param plan   of `fixed`
/// @return the model, in which values keep their names, or Unsupported where no statistics are exchanged
[[nodiscard]] Result<Graph> localise_norms(const Graph& model, const Graph& fixed, const SplitPlan& plan);

}  // namespace disco
