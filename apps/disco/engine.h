#pragma once
// A model at work for `disco run`, whatever shapes its inputs come in.

#include <memory>
#include <optional>

#include "cluster_flags.h"
#include "command.h"

namespace disco::cli {

/// The split model on its nodes, and the unsplit one in this process where answers are to be verified. Nodes
/// start with the first run, and anew where an input has another shape than in the run before.
class Engine {
 public:
  Engine(Graph model, SplitFlags split, ClusterFlags cluster, bool verify)
      : model_(std::move(model)), split_(std::move(split)), cluster_(std::move(cluster)), verify_(verify) {}

  /// Runs the split model. @param last_shape  whether no other shapes follow: the model is then let go of
  [[nodiscard]] Result<RunResult> run(const NamedTensors& inputs, bool trace, bool last_shape);

  /// The unsplit model's outputs for the inputs that run() was last given.
  [[nodiscard]] Result<NamedTensors> run_whole(const NamedTensors& inputs);

 private:
  Status start(const NamedTensors& inputs);

  std::optional<Graph> model_;
  SplitFlags split_;
  ClusterFlags cluster_;
  bool verify_;
  std::map<std::string, Shape> shapes_;  // that the nodes were started for
  std::unique_ptr<Cluster> nodes_;
  std::unique_ptr<Cluster> whole_;
};

}  // namespace disco::cli
