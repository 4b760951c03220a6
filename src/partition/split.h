#pragma once
// From a model to what every node runs, in one step.

#include <disco/split.h>

#include <filesystem>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"
#include "partition/plan.h"

namespace disco {

/// A model of fixed shapes, split.
struct SplitModel {
  Graph graph;
  Partition partition;
  SplitPlan plan;
  std::vector<Graph> shards;  ///< by rank
};

/// Fixes the shapes, takes the partition in the model's metadata or makes one, and writes the shards. Errors:
/// see Split::make.
[[nodiscard]] Result<SplitModel> split_model(const Graph& model, const SplitOptions& options);

/// Writes `model`, with its own symbolic shapes, and the partition in its metadata.
[[nodiscard]] Status save_artifact(Graph model, const Partition& partition,
                                   const std::filesystem::path& path);

/// Writes "node0.onnx" and so on into a folder, which is made where it is missing.
/// @return the files, by rank; Io
[[nodiscard]] Result<std::vector<std::filesystem::path>> save_shards(const std::vector<Graph>& shards,
                                                                     const std::filesystem::path& folder);

}  // namespace disco
