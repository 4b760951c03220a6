#include "sparsify/traffic.h"

#include <algorithm>
#include <map>
#include <utility>

#include "partition/cost.h"

namespace disco {

namespace {

std::vector<std::int32_t> owners_of(const ValuePlan& plan, std::int64_t channels) {
  std::vector<std::int32_t> owner(static_cast<std::size_t>(channels), -1);
  for (std::size_t rank = 0; rank < plan.owned.size(); ++rank) {
    for (const std::int32_t c : plan.owned[rank]) {
      owner[static_cast<std::size_t>(c)] = static_cast<std::int32_t>(rank);
    }
  }
  return owner;
}

/// The channel that is sent for one that is read, through what nodes derive themselves; kNoValue where every
/// node has it.
std::pair<ValueId, std::int32_t> source_of(const Graph& graph, const SplitPlan& plan,
                                           const std::vector<std::int32_t>& producers, ValueId id,
                                           std::int32_t channel) {
  while (plan.value_plans[static_cast<std::size_t>(id)].derived) {
    const auto n = static_cast<std::size_t>(producers[static_cast<std::size_t>(id)]);
    const Node& node = graph.nodes[n];
    ValueId from = kNoValue;
    for (std::size_t k = 0; k < node.inputs.size() && from == kNoValue; ++k) {
      if (node.inputs[k] == kNoValue || graph.value(node.inputs[k]).is_constant()) continue;
      const auto sources = plan.node_plans[n].rule.inputs[k].maps[0].sources(channel);
      if (sources.empty()) continue;
      from = node.inputs[k];
      channel = sources[0];
    }
    if (from == kNoValue) return {kNoValue, 0};
    id = from;
  }
  return {id, channel};
}

Exchangeable exchangeable(const Graph& graph, const SplitPlan& plan, ValueId id) {
  const ValuePlan& value = plan.value_plans[static_cast<std::size_t>(id)];
  const Shape shape = graph.value(id).shape();
  Exchangeable entry;
  entry.value = id;
  entry.channels = shape[static_cast<std::size_t>(value.axis)];
  entry.channel_bytes =
      element_count(shape) / entry.channels * static_cast<std::int64_t>(size_of(graph.value(id).type));
  entry.owner = owners_of(value, entry.channels);
  return entry;
}

/// Bytes that a plan's values exchange, without summands and statistics.
std::int64_t exchanged_bytes(const Graph& graph, const SplitPlan& plan) {
  std::int64_t total = 0;
  for (std::size_t v = 0; v < plan.value_plans.size(); ++v) {
    const ValuePlan& value = plan.value_plans[v];
    if (value.axis == kReplicate || value.derived || graph.values[v].is_constant()) continue;
    const Shape shape = graph.values[v].shape();
    const std::int64_t channel_bytes = element_count(shape) / shape[static_cast<std::size_t>(value.axis)] *
                                       static_cast<std::int64_t>(size_of(graph.values[v].type));
    for (int from = 0; from < plan.nodes; ++from) {
      for (int to = 0; to < plan.nodes; ++to) {
        total += channel_bytes * static_cast<std::int64_t>(value.exchanged(from, to).size());
      }
    }
  }
  return total;
}

}  // namespace

std::int64_t Traffic::bytes(const KeptChannels& kept) const {
  std::int64_t total = fixed_bytes;
  for (std::size_t v = 0; v < values.size(); ++v) {
    const Exchangeable& value = values[v];
    for (std::size_t rank = 0; rank < kept[v].size(); ++rank) {
      for (std::size_t c = 0; c < value.owner.size(); ++c) {
        const bool remote = value.owner[c] != static_cast<std::int32_t>(rank);
        if (remote && kept[v][rank][c] && !value.forced[rank][c]) total += value.channel_bytes;
      }
    }
  }
  return total;
}

Result<Traffic> traffic_of(const Graph& graph, const Partition& partition) {
  Partition dense = partition;
  dense.keep.clear();
  DISCO_TRY(const SplitPlan plan, plan_split(graph, dense));
  Traffic traffic;
  traffic.nodes = partition.nodes;

  std::map<ValueId, std::size_t> index;
  const std::vector<std::int32_t> producers = graph.producers();
  Partition independent = dense;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    const Rule& rule = plan.node_plans[n].rule;
    if (rule.form != Form::Linear || rule.inputs[0].kind != UseKind::Contracted) continue;
    const ValueId in = node.inputs[0];
    const ValuePlan& value = plan.value_plans[static_cast<std::size_t>(in)];
    if (graph.value(in).is_constant() || value.axis != rule.inputs[0].axis) continue;
    independent.keep[graph.value(in).name] = {};
    const ValueId out = node.outputs[0];
    const ValuePlan& result = plan.value_plans[static_cast<std::size_t>(out)];
    LinearMap map;
    map.node = n;
    map.owner = owners_of(result, graph.value(out).shape()[static_cast<std::size_t>(result.axis)]);
    const std::int64_t channels = graph.value(in).shape()[static_cast<std::size_t>(value.axis)];
    for (std::int32_t c = 0; c < channels; ++c) {
      const auto [id, channel] = source_of(graph, plan, producers, in, c);
      Column column;
      if (id != kNoValue) {
        const auto [found, is_new] = index.emplace(id, traffic.values.size());
        if (is_new) traffic.values.push_back(exchangeable(graph, plan, id));
        column = {found->second, channel};
      }
      map.columns.push_back(column);
    }
    const std::int64_t pairs =
        std::max<std::int64_t>(1, static_cast<std::int64_t>(map.owner.size()) * channels);
    if (const Tensor* weight = graph.constant(node.input(1)); weight != nullptr)
      map.pair_bytes = static_cast<std::int64_t>(weight->bytes()) / pairs;
    map.pair_macs = macs_of(graph, node) / pairs;
    traffic.maps.push_back(std::move(map));
  }

  // What other operators need travels even when the linear maps keep nothing.
  DISCO_TRY(const SplitPlan least, plan_split(graph, independent));
  for (Exchangeable& value : traffic.values) {
    const ValuePlan& needs = least.value_plans[static_cast<std::size_t>(value.value)];
    for (int rank = 0; rank < traffic.nodes; ++rank) {
      std::vector<bool> forced(static_cast<std::size_t>(value.channels), false);
      for (const std::int32_t c : needs.needed[static_cast<std::size_t>(rank)]) {
        forced[static_cast<std::size_t>(c)] = value.owner[static_cast<std::size_t>(c)] != rank;
      }
      value.forced.push_back(std::move(forced));
    }
  }
  std::int64_t sent = 0;
  for (int rank = 0; rank < traffic.nodes; ++rank) {
    DISCO_TRY(const Graph shard, make_shard(graph, plan, rank));
    sent += total_cost(shard).bytes_sent;
    DISCO_TRY(const Graph smallest, make_shard(graph, least, rank));
    const Cost cost = total_cost(smallest);
    traffic.least_weights.push_back(cost.weight_bytes);
    traffic.least_macs.push_back(cost.macs);
  }
  traffic.weight_bytes = total_cost(graph).weight_bytes;
  const std::int64_t optional = exchanged_bytes(graph, plan) - exchanged_bytes(graph, least);
  traffic.dense_bytes = sent;
  traffic.fixed_bytes = sent - optional;
  return traffic;
}

KeptChannels keep_forced(const Traffic& traffic) {
  KeptChannels kept;
  for (const Exchangeable& value : traffic.values) kept.push_back(value.forced);
  return kept;
}

KeptChannels keep_all(const Traffic& traffic) {
  KeptChannels kept;
  for (const Exchangeable& value : traffic.values) {
    kept.emplace_back(static_cast<std::size_t>(traffic.nodes), std::vector<bool>(value.owner.size(), true));
  }
  return kept;
}

void set_keep(const Graph& graph, const Traffic& traffic, const KeptChannels& kept, Partition& partition) {
  partition.keep.clear();
  for (const LinearMap& map : traffic.maps) {
    const auto [links, is_new] =
        partition.keep.try_emplace(graph.value(graph.nodes[map.node].inputs[0]).name);
    if (!is_new) continue;
    for (int to = 0; to < traffic.nodes; ++to) {
      for (std::size_t c = 0; c < map.columns.size(); ++c) {
        const Column& column = map.columns[c];
        if (traffic.is_own(column, to) || !is_kept(kept, column, static_cast<std::size_t>(to))) continue;
        links->second[{traffic.owner_of(column), to}].push_back(static_cast<std::int32_t>(c));
      }
    }
  }
}

KeptChannels kept_of(const Graph& graph, const Traffic& traffic, const Partition& partition) {
  KeptChannels kept = keep_forced(traffic);
  for (const LinearMap& map : traffic.maps) {
    const auto keep = [&](const Column& column, std::size_t rank) {
      if (column.value != Column::kEverywhere)
        kept[column.value][rank][static_cast<std::size_t>(column.channel)] = true;
    };
    const auto found = partition.keep.find(graph.value(graph.nodes[map.node].inputs[0]).name);
    if (found == partition.keep.end()) {
      for (const Column& column : map.columns) {
        for (std::size_t rank = 0; rank < static_cast<std::size_t>(traffic.nodes); ++rank) keep(column, rank);
      }
      continue;
    }
    for (const auto& [link, channels] : found->second) {
      for (const std::int32_t c : channels) {
        if (static_cast<std::size_t>(c) < map.columns.size())
          keep(map.columns[static_cast<std::size_t>(c)], static_cast<std::size_t>(link.second));
      }
    }
  }
  return kept;
}

}  // namespace disco
