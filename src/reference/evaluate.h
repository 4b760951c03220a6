#pragma once
// A plain, slow, complete evaluator of every operator that is claimed: it folds constants, runs what no fast
// kernel covers, and is the oracle of the tests. Semantics are those of ONNX opset 17 (see graph/graph.h).

#include <string_view>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"

namespace disco::reference {

/// The node's inputs by position; an absent optional input is an empty Tensor.
using Inputs = std::vector<Tensor>;
using Outputs = std::vector<Tensor>;

/// Looks an outer value up by name for subgraphs (If, Loop); nullptr where there is none.
struct Scope {
  const NamedTensors* values = nullptr;
  const Scope* outer = nullptr;
  [[nodiscard]] const Tensor* find(const std::string& name) const;
};

/// Whether `evaluate` knows the operator.
[[nodiscard]] bool is_supported(std::string_view op, std::string_view domain);

/// Every claimed operator of the ONNX domain, sorted.
[[nodiscard]] std::vector<std::string_view> supported_operators();

/// Computes one node. Arithmetic is in the tensors' own type; float sums accumulate in double.
///
/// @return one tensor an output position (an unused output may be empty), or
///   - Unsupported    the operator, or this form of it (3-D, sequence types …)
///   - ShapeMismatch  inputs that do not fit each other
///   - InvalidModel   an attribute that cannot be
[[nodiscard]] Result<Outputs> evaluate(const Node& node, const Inputs& inputs, const Scope& scope = {});

/// Interprets a whole graph, of any shapes; disco.Send and disco.Recv are not among what it runs.
///
/// @param inputs  by name, all of Graph::inputs
/// @return the outputs by name, or the first node's error, with the node's name before it
[[nodiscard]] Result<NamedTensors> run(const Graph& graph, const NamedTensors& inputs,
                                       const Scope& scope = {});

}  // namespace disco::reference
