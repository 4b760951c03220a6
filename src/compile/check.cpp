// What a graph must be before it is compiled. Lowering relies on shapes without looking again; a shard comes
// over the network, or from a file, and may say anything.

#include <algorithm>

#include "compile/lowering.h"
#include "graph/bands.h"
#include "graph/onnx.h"
#include "graph/wire_format.h"
#include "reference/evaluate.h"

namespace disco {

namespace {

constexpr std::int64_t kMostRanks = 1000;

/// What Send and Recv share: where to, and how it is written.
Status check_peer(const Node& node, const Value& value) {
  const std::int64_t peer = node.int_or("peer", -1);
  const std::int64_t tag = node.int_or("tag", 0);
  if (peer < 0 || peer >= kMostRanks) return error(ErrorCode::InvalidModel, "peer={}", peer);
  if (tag < 0 || tag > std::numeric_limits<std::uint32_t>::max())
    return error(ErrorCode::InvalidModel, "tag={}", tag);
  if (!WireFormat::of(node).valid()) return error(ErrorCode::InvalidModel, "its wire format cannot be");
  const Bands bands = named_bands(node);
  if (bands.empty()) return {};
  if (!are_bands_of(bands, value) || node.int_or("axis", 0) != 1)
    return error(ErrorCode::InvalidModel, "bands that '{}' of {} cannot have", value.name,
                 to_string(value.shape()));
  if (tag >= std::int64_t{1} << kBandShift) return error(ErrorCode::InvalidModel, "tag={} of bands", tag);
  return {};
}

Status check_send(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 1 || node.inputs[0] == kNoValue || !node.outputs.empty())
    return error(ErrorCode::InvalidModel, "it takes one input and gives no output");
  const Value& value = graph.value(node.inputs[0]);
  if (!value.has_shape() || size_of(value.type) == 0)
    return error(ErrorCode::InvalidModel, "the shape of '{}' is not known", value.name);
  const Shape shape = value.shape();
  const std::int64_t axis = node.int_or("axis", 0);
  const auto rank = static_cast<std::int64_t>(shape.size());
  if (axis < 0 || axis >= std::max<std::int64_t>(rank, 1))
    return error(ErrorCode::InvalidModel, "axis={} of {}", axis, to_string(shape));
  const auto channels = node.ints_or("channels", {});
  const std::int64_t extent = rank == 0 ? 0 : shape[static_cast<std::size_t>(axis)];
  const bool fit = std::all_of(channels.begin(), channels.end(),
                               [&](std::int64_t channel) { return channel >= 0 && channel < extent; });
  if (!fit || !std::is_sorted(channels.begin(), channels.end(), std::less_equal<>()))
    return error(ErrorCode::InvalidModel, "channels that '{}' of {} does not have, or out of order",
                 value.name, to_string(shape));
  return check_peer(node, value);
}

Status check_receive(const Graph& graph, const Node& node) {
  if (!node.inputs.empty() || node.outputs.size() != 1 || node.outputs[0] == kNoValue)
    return error(ErrorCode::InvalidModel, "it takes no input and gives one output");
  const Shape shape = graph.value(node.outputs[0]).shape();
  const std::int64_t axis = node.int_or("axis", 0);
  if (axis < 0 || axis >= std::max<std::int64_t>(static_cast<std::int64_t>(shape.size()), 1))
    return error(ErrorCode::InvalidModel, "axis={} of {}", axis, to_string(shape));
  return check_peer(node, graph.value(node.outputs[0]));
}

}  // namespace

Status check_graph(Graph& graph) {
  for (const ValueId id : graph.inputs) {
    if (!graph.value(id).has_shape()) {
      return error(ErrorCode::InvalidModel, "input '{}' has open extents; give its shape before compiling",
                   graph.value(id).name);
    }
  }
  for (const Node& node : graph.nodes) {
    const bool sends = node.is_disco("Send");
    const bool receives = node.is_disco("Recv");
    if (!sends && !receives && !reference::is_supported(node.op, node.domain)) {
      return error(ErrorCode::Unsupported, "{}: the operator is not supported; see docs/operators.md",
                   describe(graph, node));
    }
    DISCO_CHECK(infer_node(graph, node));
    const Status status = sends ? check_send(graph, node) : receives ? check_receive(graph, node) : Status();
    if (!status) return in_context(describe(graph, node), status.error());
  }
  return {};
}

}  // namespace disco
