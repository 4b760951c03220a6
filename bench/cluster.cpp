// One model over the nodes of a cluster: answers "run" on standard input with what one run took, as a line of
// JSON, so that another program can interleave its own runs with these. Ends with its input.
//
//   bench_cluster MODEL.onnx CLUSTER.toml [--key FILE] [--shape INPUT EXTENT … .] …
//
// The model is split as its partition says, or densely over the nodes of the cluster file, which choose their
// threads.

#include "cluster/cluster.h"

#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "graph/onnx.h"
#include "inputs.h"
#include "partition/split.h"

namespace {

using namespace disco;  // NOLINT(google-build-using-namespace)
using nlohmann::json;

void say(const json& line) {
  fmt::print("{}\n", line.dump());
  std::fflush(stdout);
}

Status serve(const char* path, const char* cluster_file, const char* key, const InputShapes& shapes) {
  DISCO_TRY(const std::vector<NodeConfig> nodes, load_cluster_file(cluster_file));
  DISCO_TRY(Graph model, load_onnx(path));
  SplitOptions options{.shapes = shapes.shapes};
  if (!model.metadata.contains(std::string(kPartitionKey))) {
    for (const NodeConfig& node : nodes) options.shares.push_back(node.share);
  }
  DISCO_TRY(SplitModel split, split_model(model, options));
  model = {};
  const NamedTensors inputs = random_inputs(split.graph);
  split.graph = {};
  ClusterOptions how;
  if (key != nullptr) {
    DISCO_TRY(how.keys, KeyPair::load(key));
  }
  DISCO_TRY(const std::unique_ptr<Cluster> cluster, Cluster::connect(nodes, std::move(split.shards), how));
  json about = json::array();
  for (const NodeInfo& node : cluster->nodes())
    about.push_back({{"weight_bytes", node.weight_bytes}, {"arena_bytes", node.arena_bytes}});
  say({{"ready", true}, {"nodes", about}});
  for (std::string line; std::getline(std::cin, line);) {
    DISCO_TRY(const RunResult result, cluster->run(inputs));
    json statistics = json::array();
    for (const RunStatistics& node : result.statistics) {
      statistics.push_back({{"compute_ms", node.compute_ms},
                            {"pack_ms", node.pack_ms},
                            {"wait_ms", node.wait_ms},
                            {"total_ms", node.total_ms},
                            {"bytes_sent", node.bytes_sent},
                            {"messages", node.messages_sent},
                            {"bytes_received", node.bytes_received},
                            {"peak_rss_bytes", node.peak_rss_bytes}});
    }
    say({{"ms", result.total_ms}, {"nodes", statistics}});
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr,
               "usage: bench_cluster MODEL.onnx CLUSTER.toml [--key FILE] [--shape INPUT EXTENT … .] …\n");
    return 2;
  }
  const char* key = argc > 4 && std::string_view(argv[3]) == "--key" ? argv[4] : nullptr;
  if (const auto status = serve(argv[1], argv[2], key, bench::shapes_of(argc, argv, 3)); !status) {
    fmt::print(stderr, "bench_cluster: {}\n", status.error().message);
    return 1;
  }
  return 0;
}
