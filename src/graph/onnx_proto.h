#pragma once
// Nodes and attributes between ONNX's protobuf form and ours. Private to src/graph.

#include <onnx/onnx_pb.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "graph/graph.h"

namespace disco {

/// The first sentence of a message that onnx spreads over many lines, at most 300 characters.
[[nodiscard]] std::string one_line(std::string_view message);

/// The domain as the IR spells it: "" for "ai.onnx".
[[nodiscard]] std::string_view canonical_domain(std::string_view domain);

/// A node's protobuf form, with empty graphs in the place of subgraphs.
[[nodiscard]] onnx::NodeProto node_to_onnx(const Graph& graph, const Node& node);

/// The tensor type of a value; without a shape where the rank is unknown.
[[nodiscard]] onnx::TypeProto type_to_onnx(const Value& value);

/// Type and extents from a protobuf type. Extents below 0 are read as unknown, as old exporters meant them.
/// @return Ok, or Unsupported (not a tensor, a type that is not ours), or InvalidModel
[[nodiscard]] Status type_from_onnx(const onnx::TypeProto& type, Value& value);

/// infer_node for a node of the graph, where a failure only means that less is known.
void infer_quietly(Graph& graph, std::size_t node);

/// The whole graph as a model of opset 17. With `weights` false, large constants become graph inputs: enough
/// for the checker, at a fraction of the memory.
[[nodiscard]] Result<onnx::ModelProto> model_to_onnx(const Graph& graph, bool weights = true);

/// onnx's checker on a model, as a value; InvalidModel with one line. The model is the same afterwards.
[[nodiscard]] Status check_model(onnx::ModelProto& model);

/// save_onnx with another size above which weights go to an external file.
[[nodiscard]] Status save_onnx(const Graph& graph, const std::filesystem::path& path,
                               std::size_t external_above);

}  // namespace disco
