#pragma once
// The order of the nodes of a file. Private to src/graph.

#include <set>
#include <string>

#include "graph/onnx_proto.h"

namespace disco {

/// The names that a graph, with the graphs inside it, takes from outside.
[[nodiscard]] std::set<std::string> free_names(const onnx::GraphProto& graph);

/// Brings the nodes of a graph, and of the graphs inside it, into an order in which each comes after what it
/// reads; a graph in such an order stays as it is. ONNX asks writers for it, but converters to half precision
/// append their casts at the end, and other runtimes take that. Nodes on a cycle stay where the checker finds
/// them.
void sort_nodes(onnx::GraphProto& graph);

}  // namespace disco
