#pragma once
// Inference rules of our own: for the disco domain, and where onnx's functions say less than can be known.
// Private to src/graph.

#include <optional>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"

namespace disco {

/// What is known of one output.
struct Inferred {
  DataType type = DataType::Undefined;
  std::optional<std::vector<Dimension>> dims;
};

using InferenceRule = Status (*)(const Graph& graph, const Node& node, std::vector<Inferred>& results);

/// nullptr where onnx's own function serves.
[[nodiscard]] InferenceRule find_own_rule(const Node& node);

}  // namespace disco
