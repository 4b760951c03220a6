// cluster MODEL.onnx CLUSTER.toml [RUNS]: machines that run `disco node`, one of which may go away.
//
// Each node takes its `share` of the cluster file. A run that fails is tried again once: nodes that are still
// there are brought together anew. The last run is written to cluster-trace.json, which Perfetto opens.

#include <disco/disco.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "input.h"

namespace {

int fail(const disco::Error& error) {
  std::fprintf(stderr, "cluster: %s\n", error.message.c_str());
  return 1;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3 || count > 4) {
    std::fprintf(stderr, "usage: cluster MODEL.onnx CLUSTER.toml [RUNS]\n");
    return 2;
  }
  const int runs = count > 3 ? std::atoi(arguments[3]) : 10;
  const auto nodes = disco::load_cluster_file(arguments[2]);
  if (!nodes) return fail(nodes.error());
  const auto model = disco::Model::load(arguments[1]);
  if (!model) return fail(model.error());

  disco::SplitOptions options;
  for (const disco::NodeConfig& node : *nodes) options.shares.push_back(node.share);
  const auto split = disco::Split::make(*model, options);
  if (!split) return fail(split.error());
  auto session = disco::Session::start(*split, {.cluster = *nodes});
  if (!session) return fail(session.error());

  disco::NamedTensors inputs;
  for (const disco::TensorInfo& info : split->inputs()) {
    auto tensor = make_input(info, "");
    if (!tensor) return fail(tensor.error());
    inputs[info.name] = *tensor;
  }
  for (int run = 0; run < runs; ++run) {
    const disco::RunOptions asked{.deadline = std::chrono::seconds(5), .trace = run + 1 == runs};
    auto result = session->run(inputs, asked);
    if (!result && result.error().code == disco::ErrorCode::Timeout) {
      std::fprintf(stderr, "cluster: %s; once more\n", result.error().message.c_str());
      result = session->run(inputs, asked);
    }
    if (!result) return fail(result.error());
    std::printf("run %d: %.2f ms\n", run, result->total_ms);
    if (asked.trace) {
      if (const auto written = disco::write_trace("cluster-trace.json", result->traces); !written)
        return fail(written.error());
    }
  }
  return 0;
}
