#pragma once
// Chooses how to split a model over a described cluster, by simulation.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "plan/costs.h"
#include "plan/profile.h"
#include "plan/scenario.h"

namespace disco {

struct PlanOptions {
  /// What is to be reached; with none, the fastest exact answer.
  std::optional<double> target_latency_ms{};
  std::optional<double> max_bytes{};   ///< that all nodes send for one request
  std::optional<double> max_memory{};  ///< bytes on each node, weights and activations, beside its own limit
  /// Shares of the dense exchange that may travel, and formats, from the most exact on.
  std::vector<double> keeps = {1.0, 0.5, 0.3, 0.2, 0.1, 0.05};
  std::vector<std::string> wires = {"fp32", "fp16", "u8"};
  std::vector<int> node_counts{};  ///< empty: a choice from 2 to all
  int concurrency = 1;
  std::function<void(std::size_t done, std::size_t total)> on_progress{};
};

/// One way to split the model, and what it is predicted to do.
struct PlanCandidate {
  std::vector<std::size_t> nodes;  ///< of the profile, by rank
  std::vector<double> shares;      ///< by rank, of 1
  double keep = 1;
  std::string wire;
  /// Dense owners for these shares, without assumed keep-sets: what `sparsify` and `run` take. The chosen
  /// candidate's also says which linear maps run in two parts, where that is not all of them, and in how many
  /// bands feature maps travel (Partition::local_first, bands).
  Partition partition;
  Simulation simulation;
  std::vector<double> weights;     ///< by rank: share of the model's weights that it then holds
  std::int64_t message_bytes = 0;  ///< what a message costs beside its bytes, as bytes that travel meanwhile
  std::uint64_t bytes = 0;         ///< that all nodes send for one request
  std::uint64_t memory = 0;        ///< of the node that holds most
  bool fits = true;                ///< in the memory of each node
  bool reaches = true;             ///< the targets
  /// Whether the answer is the unsplit model's: everything travels as it is.
  [[nodiscard]] bool exact() const { return keep >= 1.0 && wire == "fp32"; }
};

struct Plan {
  Alone alone;
  std::vector<PlanCandidate> candidates;  ///< from the most exact on; of equal ones the fastest first
  std::optional<std::size_t> chosen;      ///< none where none fits and reaches the targets
  /// Whether one node with the whole model is as good or better than what was chosen, and fits and reaches
  /// the targets.
  bool alone_is_better = false;
  std::vector<std::string> skipped;  ///< what could not be tried, and why
};

/// Tries numbers of nodes (the fastest ones of the cluster), shares that even out their times and keep within
/// their memory, shares of the exchange and formats on the wire.
///
/// With targets, the most exact candidate that reaches them is chosen, and how much of the exchange may
/// travel is narrowed down to a hundredth; without, the fastest exact one.
///
/// @param graph  shapes fixed
/// @return the plan, or the error of a model that cannot be split at all, or whose steps cannot run
[[nodiscard]] Result<Plan> make_plan(const Graph& graph, const Profile& profile, StepCosts& costs,
                                     const PlanOptions& options = {});

}  // namespace disco
