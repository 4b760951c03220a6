#pragma once
// ONNX files in and out. The only files of the project that include onnx and protobuf headers are behind this
// one.

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <utility>

#include "base/result.h"
#include "graph/graph.h"

namespace disco {

/// Reads a model: opset 6 to 17, and newer (to 24) where every operator used has a form of opset 17. fp32
/// weights, raw or typed fields or external data (paths stay inside the model's folder). The ONNX checker
/// runs first; then every node is brought to its form of opset 17, and what is of a half type to float32:
/// weights, inputs and outputs.
///
/// @return the graph, shapes not yet inferred, or
///   - NotFound, Io   the file, or its external data
///   - InvalidModel   truncated, hostile, or refused by the checker
///   - Unsupported    an opset or an operator form out of reach; names operator, node and opset
[[nodiscard]] Result<Graph> load_onnx(const std::filesystem::path& path);

/// The same from memory; external data is looked for in `folder`, and refused where it is empty.
[[nodiscard]] Result<Graph> parse_onnx(std::span<const std::byte> bytes,
                                       const std::filesystem::path& folder = {});

/// A tensor file (TensorProto, as in ONNX's test data) and the name in it; InvalidModel or Unsupported as
/// above.
[[nodiscard]] Result<std::pair<std::string, Tensor>> parse_tensor(std::span<const std::byte> bytes);

/// Writes a valid ONNX file (opset 17, plus the disco domain where a shard uses it), through a temporary file
/// that is renamed when complete. Models over 1.9 GB get their weights in one external file beside it,
/// `<name>.data`.
[[nodiscard]] Status save_onnx(const Graph& graph, const std::filesystem::path& path);

/// The bytes that save_onnx would write, without external data.
[[nodiscard]] Result<std::string> serialise_onnx(const Graph& graph);

/// Infers the output types and extents of one node from its inputs' (and, where they are constants, their
/// data), by ONNX's own inference function of opset 17; used by specialise(). Outputs that depend on data
/// stay unknown.
[[nodiscard]] Status infer_node(Graph& graph, const Node& node);

}  // namespace disco
