#pragma once
// What the steps of node programs cost: measured here and scaled to a node, or estimated from its profile.

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"
#include "plan/profile.h"
#include "plan/simulate.h"

namespace disco {

struct CostOptions {
  /// From the profile's speeds alone; nothing is run. Nodes without speeds are taken for this machine.
  bool estimate = false;
  int runs = 9;  ///< of a program, at least
};

/// Compiles shards and finds out what their steps cost on the nodes of a profile. Equal steps are measured
/// once, so that many nodes with equal shares cost as much as one, and cost the same.
class StepCosts {
 public:
  /// @param here  what this machine takes, for nodes whose speeds were measured and for estimates; see
  ///              measure_speeds()
  explicit StepCosts(Speeds here, const CostOptions& options = {})
      : here_(std::move(here)), options_(options) {}

  /// @param inputs  how they come; see input_routes()
  /// @return the program with its costs on `node`, or compile's error, or a step's
  [[nodiscard]] Result<SimulatedProgram> of(Graph shard, const NodeProfile& node, InputRoute inputs = {});

  [[nodiscard]] const Speeds& here() const { return here_; }

 private:
  Status measure_steps(const Program& program, const NamedTensors& inputs, int threads);

  Speeds here_;
  CostOptions options_;
  std::map<std::string, double> measured_;  // seconds, by what a step is and a number of threads
};

/// The class of each node of a graph that a step may be named after.
[[nodiscard]] std::map<std::string, WorkClass> work_classes(const Graph& graph);

}  // namespace disco
