#include "partition/split.h"

#include <nlohmann/json.hpp>

#include "graph/onnx.h"
#include "reference/specialise.h"

namespace disco {

Result<std::optional<Partition>> stored_partition(const Graph& model, int nodes) {
  const auto stored = model.metadata.find(std::string(kPartitionKey));
  if (stored == model.metadata.end()) return std::optional<Partition>();
  auto partition = partition_from_json(stored->second);
  if (!partition && nodes == 0) return partition.error();
  if (!partition || (nodes != 0 && nodes != partition->nodes)) return std::optional<Partition>();
  return std::optional(std::move(*partition));
}

Result<SplitModel> split_model(const Graph& model, const SplitOptions& options) {
  if (model.metadata.contains("disco.shard")) {
    return error(
        ErrorCode::InvalidModel,
        "it is one node's part of a split model, with Send and Recv; give the model that it was made from");
  }
  SplitModel result;
  DISCO_TRY(result.graph, specialise(model, {options.shapes, options.batch}));

  std::optional<Partition> made_for;
  if (options.shares.empty()) {
    DISCO_TRY(made_for, stored_partition(model, options.nodes));
  }
  if (made_for) {
    result.partition = std::move(*made_for);
  } else {
    const int nodes = options.nodes != 0       ? options.nodes
                      : options.shares.empty() ? 1
                                               : static_cast<int>(options.shares.size());
    DISCO_TRY(result.partition, partition_channels(result.graph, {nodes, options.shares}));
  }
  if (options.bands < 0 || options.bands > kMostChosenBands) {
    return error(ErrorCode::InvalidArgument, "{} bands: choose 1 to {}", options.bands, kMostChosenBands);
  }
  if (options.bands != 0) result.partition.bands = options.bands;
  DISCO_TRY(result.plan, plan_split(result.graph, result.partition));
  for (int rank = 0; rank < result.plan.nodes; ++rank) {
    DISCO_TRY(Graph shard, make_shard(result.graph, result.plan, rank));
    result.shards.push_back(std::move(shard));
  }
  return result;
}

Status save_artifact(Graph model, const Partition& partition, const std::filesystem::path& path) {
  model.metadata[std::string(kPartitionKey)] = to_json(partition);
  return save_onnx(model, path);
}

Result<std::vector<std::filesystem::path>> save_shards(const std::vector<Graph>& shards,
                                                       const std::filesystem::path& folder) {
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  if (problem) {
    return error(ErrorCode::Io, "{}: cannot make the folder: {}", folder.string(), problem.message());
  }
  std::vector<std::filesystem::path> files;
  for (std::size_t rank = 0; rank < shards.size(); ++rank) {
    Graph shard = shards[rank];
    shard.metadata["disco.shard"] = nlohmann::json({{"rank", rank}, {"nodes", shards.size()}}).dump();
    files.push_back(folder / fmt::format("node{}.onnx", rank));
    DISCO_CHECK(save_onnx(shard, files.back()));
  }
  return files;
}

}  // namespace disco
