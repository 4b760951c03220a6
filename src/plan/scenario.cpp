#include "plan/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sparsify/traffic.h"

namespace disco {

Result<SplitModel> split_as(Graph graph, Partition partition) {
  SplitModel result;
  result.graph = std::move(graph);
  result.partition = std::move(partition);
  DISCO_TRY(result.plan, plan_split(result.graph, result.partition));
  for (int rank = 0; rank < result.plan.nodes; ++rank) {
    DISCO_TRY(Graph shard, make_shard(result.graph, result.plan, rank));
    result.shards.push_back(std::move(shard));
  }
  return result;
}

namespace {

/// Every value's channels of each owner, at the same share, spread evenly.
KeptChannels keep_evenly(const Traffic& traffic, double share) {
  KeptChannels kept = keep_forced(traffic);
  for (std::size_t v = 0; v < traffic.values.size(); ++v) {
    const Exchangeable& value = traffic.values[v];
    for (std::size_t to = 0; to < kept[v].size(); ++to) {
      std::vector<double> due(kept[v].size(), 0.5);  // by owner
      for (std::size_t c = 0; c < value.owner.size(); ++c) {
        const auto from = static_cast<std::size_t>(value.owner[c]);
        if (from == to || value.forced[to][c]) continue;
        due[from] += share;
        if (due[from] < 1.0) continue;
        due[from] -= 1.0;
        kept[v][to][c] = true;
      }
    }
  }
  return kept;
}

}  // namespace

Result<Partition> with_exchanges(const Graph& graph, const Partition& partition, double keep,
                                 const std::string& wire) {
  Partition result = partition;
  if (keep < 1.0 && partition.nodes > 1) {
    DISCO_TRY(const Traffic traffic, traffic_of(graph, partition));
    const double wanted = keep * static_cast<double>(traffic.dense_bytes);
    if (wanted < static_cast<double>(traffic.fixed_bytes)) {
      return error(ErrorCode::InvalidArgument,
                   "a share of {} cannot be met: operators that need every feature exchange {:.4f} of the "
                   "dense bytes",
                   keep, static_cast<double>(traffic.fixed_bytes) / static_cast<double>(traffic.dense_bytes));
    }
    const auto optional = static_cast<double>(traffic.dense_bytes - traffic.fixed_bytes);
    const double share = optional > 0 ? (wanted - static_cast<double>(traffic.fixed_bytes)) / optional : 1.0;
    set_keep(graph, traffic, keep_evenly(traffic, share), result);
    result.method = "disco";
  }
  if (!wire.empty()) {
    result.wire.clear();
    const DataType type = wire_type_from(wire);
    if (type == DataType::Float32 || partition.nodes == 1) return result;
    DISCO_TRY(const SplitPlan plan, plan_split(graph, result));
    for (std::size_t v = 0; v < graph.values.size(); ++v) {
      const Value& value = graph.values[v];
      if (plan.value_plans[v].axis == kReplicate || value.is_constant() || value.type != DataType::Float32)
        continue;
      // Scales need samples; which one it is makes no difference to time.
      result.wire[value.name] = {type, type == DataType::UInt8 ? 0.05F : 1.0F, 0};
    }
  }
  return result;
}

Result<Alone> best_alone(const Graph& graph, const Profile& profile, StepCosts& costs, int concurrency) {
  std::optional<Alone> best;
  for (std::size_t n = 0; n < profile.nodes.size(); ++n) {
    const Profile one = subset(profile, {n});
    DISCO_TRY(const auto programs, programs_of({graph}, one, costs));
    DISCO_TRY(Simulation simulation, simulate(programs, one, {.concurrency = concurrency}));
    const std::uint64_t memory = profile.nodes[n].memory_free;
    const bool fits = memory == 0 || simulation.nodes[0].memory_bytes <= memory;
    const bool better = !best || (fits && !best->fits) ||
                        (fits == best->fits && simulation.latency_ms < best->simulation.latency_ms);
    if (better) best = Alone{n, fits, std::move(simulation)};
  }
  return std::move(*best);
}

Result<std::vector<SimulatedProgram>> programs_of(std::vector<Graph> shards, const Profile& profile,
                                                  StepCosts& costs,
                                                  const std::function<void(std::size_t)>& done) {
  if (profile.nodes.size() < shards.size()) {
    return error(ErrorCode::InvalidArgument, "the cluster has {} nodes, but the model is split over {}",
                 profile.nodes.size(), shards.size());
  }
  std::vector<bool> near;
  for (std::size_t rank = 0; rank < shards.size(); ++rank)
    near.push_back(profile.nodes[rank].name == profile.coordinator);
  const std::vector<InputRoute> routes = input_routes(shards, near);
  std::vector<SimulatedProgram> programs;
  for (std::size_t rank = 0; rank < shards.size(); ++rank) {
    DISCO_TRY(SimulatedProgram program,
              costs.of(std::exchange(shards[rank], {}), profile.nodes[rank], routes[rank]));
    programs.push_back(std::move(program));
    if (done) done(rank + 1);
  }
  return programs;
}

}  // namespace disco
