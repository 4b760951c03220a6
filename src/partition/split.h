#pragma once
// From a model to what every node runs, in one step.

#include <disco/split.h>

#include <filesystem>
#include <optional>
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

/// The partition in an artifact's metadata, where it is for so many nodes (0: for whatever number it says).
/// Nothing where there is none for them, or none that can be read: a split of one's own is the way out of
/// that.
/// @return or partition_from_json's error, with 0 nodes
[[nodiscard]] Result<std::optional<Partition>> stored_partition(const Graph& model, int nodes);

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
