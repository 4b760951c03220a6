// Any bytes: reading gives a graph or an Error; what was read can be inferred, written and read again.

#include <cstdlib>
#include <span>

#include "graph/onnx.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace disco;
  Result<Graph> graph = parse_onnx(std::as_bytes(std::span(data, size)));
  if (!graph) {
    if (graph.error().code == ErrorCode::Internal || graph.error().message.empty()) std::abort();
    return 0;
  }
  const Result<std::string> written = serialise_onnx(*graph);
  if (!written || !parse_onnx(std::as_bytes(std::span(*written)))) std::abort();
  for (const Node& node : graph->nodes) (void)infer_node(*graph, node);
  return 0;
}
