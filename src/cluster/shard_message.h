#pragma once
// How a shard travels from coordinator to node: its graph as ONNX, its weights beside it, so that a node
// never holds them in protobuf's form too.

#include "base/result.h"
#include "cluster/control.h"
#include "graph/graph.h"

namespace disco::control {

/// Puts the shard in the message. Its larger constants go as tensors, and are let go of on the way.
///
/// @return Unsupported where the rest is too large for one message
[[nodiscard]] Status put_shard(Message& message, Graph shard);

/// The shard of a message. Parts are freed as they are copied.
///
/// @return ProtocolMismatch where the weights are not those of the graph, or parse_onnx's errors
[[nodiscard]] Result<Graph> take_shard(Message& message);

}  // namespace disco::control
