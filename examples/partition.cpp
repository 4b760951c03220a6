// partition MODEL.onnx NODES FOLDER: what a split costs, the artifact, and a file a node.

#include <disco/disco.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace {

int fail(const disco::Error& error) {
  std::fprintf(stderr, "partition: %s\n", error.message.c_str());
  return 1;
}

void print(const char* name, const disco::Cost& cost, const disco::Cost& unsplit) {
  const auto share = [](std::int64_t part, std::int64_t whole) {
    return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
  };
  std::printf(
      "%-8s  %.3f of the multiply-accumulates, %.3f of the weights, sends %.2f MB, receives %.2f MB\n", name,
      share(cost.macs, unsplit.macs), share(cost.weight_bytes, unsplit.weight_bytes),
      static_cast<double>(cost.bytes_sent) / 1e6, static_cast<double>(cost.bytes_received) / 1e6);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) {
    std::fprintf(stderr, "usage: partition MODEL.onnx NODES FOLDER\n");
    return 2;
  }
  const auto model = disco::Model::load(arguments[1]);
  if (!model) return fail(model.error());
  const auto split = disco::Split::make(*model, {.nodes = std::atoi(arguments[2])});
  if (!split) return fail(split.error());

  const auto costs = split->costs();
  if (!costs) return fail(costs.error());
  print("unsplit", costs->unsplit, costs->unsplit);
  for (std::size_t rank = 0; rank < costs->nodes.size(); ++rank) {
    print(("node " + std::to_string(rank)).c_str(), costs->nodes[rank], costs->unsplit);
  }

  const std::filesystem::path folder = arguments[3];
  const auto shards = split->save_shards(folder);
  if (!shards) return fail(shards.error());
  const auto artifact = folder / "model.onnx";
  if (const auto written = split->save_artifact(artifact); !written) return fail(written.error());
  std::printf("wrote %s", artifact.c_str());
  for (const auto& shard : *shards) std::printf(", %s", shard.filename().c_str());
  std::printf("\n");
  return 0;
}
