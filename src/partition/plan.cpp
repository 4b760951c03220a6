#include "partition/plan.h"

#include <algorithm>

#include "partition/derive.h"

namespace disco {

ChannelSet ValuePlan::exchanged(int from, int to) const {
  if (derived || axis == kReplicate || from == to) return {};
  return intersect(needed[static_cast<std::size_t>(to)], owned[static_cast<std::size_t>(from)]);
}

namespace {

std::int64_t channels_of(const Graph& graph, ValueId id, ShardAxis axis) {
  return graph.value(id).shape()[static_cast<std::size_t>(axis)];
}

/// Fills `owned` of every sharded value, front to back.
class OwnerPass {
 public:
  OwnerPass(const Graph& graph, const Partition& partition, SplitPlan& plan)
      : graph_(graph), partition_(partition), plan_(plan), owners_(graph.values.size()) {}

  Status run(const Layouts& layouts) {
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      const Node& node = graph_.nodes[n];
      for (std::size_t o = 0; o < node.outputs.size(); ++o) {
        const ValueId out = node.outputs[o];
        if (out == kNoValue || layouts.axes[static_cast<std::size_t>(out)] == kReplicate) continue;
        DISCO_CHECK(own(node, layouts, n, o));
      }
    }
    return {};
  }

 private:
  Status own(const Node& node, const Layouts& layouts, std::size_t n, std::size_t o) {
    const ValueId out = node.outputs[o];
    const ShardAxis axis = layouts.axes[static_cast<std::size_t>(out)];
    const auto channels = static_cast<std::size_t>(channels_of(graph_, out, axis));
    auto& owners = owners_[static_cast<std::size_t>(out)];
    const std::string& name = graph_.value(out).name;
    const auto given = partition_.owners.find(name);
    if (given != partition_.owners.end()) {
      owners = given->second;
      if (owners.size() != channels) {
        return error(ErrorCode::InvalidModel,
                     "the partition gives owners for {} channels of '{}', which has {}", owners.size(), name,
                     channels);
      }
    } else {
      owners = carried(node, layouts, layouts.rules[n], o, channels);
    }
    ValuePlan& value = plan_.value_plans[static_cast<std::size_t>(out)];
    value.owned.resize(static_cast<std::size_t>(plan_.nodes));
    for (std::size_t c = 0; c < channels; ++c) {
      if (owners[c] < 0 || owners[c] >= plan_.nodes) {
        return error(ErrorCode::InvalidModel, "the partition names no owner for channel {} of '{}'", c, name);
      }
      value.owned[static_cast<std::size_t>(owners[c])].push_back(static_cast<std::int32_t>(c));
    }
    return check_box(node, layouts, layouts.rules[n], o);
  }

  /// A reshape moves whole elements only: outputs that share an input channel have one owner.
  Status check_box(const Node& node, const Layouts& layouts, const Rule& rule, std::size_t o) const {
    if (!node.is("Reshape") && !node.is("Flatten")) return {};
    const ValueId in = node.inputs[0];
    if (layouts.axes[static_cast<std::size_t>(in)] != rule.inputs[0].axis) return {};
    const auto& owners = owners_[static_cast<std::size_t>(node.outputs[o])];
    std::vector<std::int32_t> owner_of_input(
        static_cast<std::size_t>(channels_of(graph_, in, rule.inputs[0].axis)), -1);
    const IndexMap& map = rule.inputs[0].maps[o];
    for (std::int32_t c = 0; c < map.outputs(); ++c) {
      for (const std::int32_t source : map.sources(c)) {
        std::int32_t& owner = owner_of_input[static_cast<std::size_t>(source)];
        if (owner >= 0 && owner != owners[static_cast<std::size_t>(c)]) {
          return error(ErrorCode::InvalidModel,
                       "{}: the partition splits channels that the reshape keeps together",
                       describe(graph_, node));
        }
        owner = owners[static_cast<std::size_t>(c)];
      }
    }
    return {};
  }

  std::vector<std::int32_t> carried(const Node& node, const Layouts& layouts, const Rule& rule, std::size_t o,
                                    std::size_t channels) const {
    std::vector<std::int32_t> owners(channels, -1);
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      const ValueId in = node.inputs[k];
      const InputUse& use = rule.inputs[k];
      if (in == kNoValue || use.axis == kReplicate || layouts.axes[static_cast<std::size_t>(in)] != use.axis)
        continue;
      const auto& from = owners_[static_cast<std::size_t>(in)];
      for (std::size_t c = 0; c < channels; ++c) {
        if (owners[c] >= 0) continue;
        if (use.kind == UseKind::Owned || node.is("LRN")) {
          owners[c] = from[c];
        } else if (use.kind == UseKind::Mapped) {
          const auto sources = use.maps[o].sources(static_cast<std::int32_t>(c));
          if (!sources.empty()) owners[c] = from[static_cast<std::size_t>(sources[0])];
        }
      }
    }
    return owners;
  }

  const Graph& graph_;
  const Partition& partition_;
  SplitPlan& plan_;
  std::vector<std::vector<std::int32_t>> owners_;  // by value, by channel
};

using KeepSets = std::map<std::string, std::map<std::pair<int, int>, ChannelSet>>;

/// Fills `needed`, `whole`, `runs` and `work`, back to front.
class NeedPass {
 public:
  NeedPass(const Graph& graph, const KeepSets& keep, SplitPlan& plan)
      : graph_(graph), keep_(keep), plan_(plan) {
    const auto ranks = static_cast<std::size_t>(plan.nodes);
    for (ValuePlan& value : plan.value_plans) {
      value.whole.assign(ranks, false);
      value.needed.assign(ranks, {});
    }
    for (NodePlan& node : plan.node_plans) {
      node.runs.assign(ranks, false);
      node.work.assign(ranks, {});
    }
  }

  void run() {
    for (const ValueId id : graph_.outputs) need_whole(id, 0);
    for (std::size_t n = graph_.nodes.size(); n-- > 0;) visit(n);
  }

 private:
  ValuePlan& plan_of(ValueId id) { return plan_.value_plans[static_cast<std::size_t>(id)]; }

  void need_whole(ValueId id, int rank) {
    if (graph_.value(id).is_constant()) return;
    ValuePlan& value = plan_of(id);
    if (value.axis == kReplicate) {
      value.whole[static_cast<std::size_t>(rank)] = true;
    } else {
      value.needed[static_cast<std::size_t>(rank)] = all_channels(channels_of(graph_, id, value.axis));
    }
  }

  void need_channels(ValueId id, int rank, ShardAxis axis, const ChannelSet& channels) {
    if (graph_.value(id).is_constant() || channels.empty()) return;
    ValuePlan& value = plan_of(id);
    if (value.axis != axis) return need_whole(id, rank);
    auto& needed = value.needed[static_cast<std::size_t>(rank)];
    needed = unite(needed, channels);
  }

  /// Own features, and the kept ones of every other node.
  void need_kept(ValueId id, int rank, ShardAxis axis) {
    if (graph_.value(id).is_constant()) return;
    ValuePlan& value = plan_of(id);
    if (value.axis != axis) return need_whole(id, rank);
    const auto kept = keep_.find(graph_.value(id).name);
    if (kept == keep_.end()) return need_whole(id, rank);
    ChannelSet channels = value.owned[static_cast<std::size_t>(rank)];
    for (int from = 0; from < plan_.nodes; ++from) {
      const auto set = kept->second.find({from, rank});
      if (set == kept->second.end()) continue;
      channels = unite(channels, intersect(set->second, value.owned[static_cast<std::size_t>(from)]));
    }
    need_channels(id, rank, axis, channels);
  }

  [[nodiscard]] bool wanted_anywhere(ValueId id) {
    const ValuePlan& value = plan_of(id);
    if (value.axis == kReplicate)
      return std::find(value.whole.begin(), value.whole.end(), true) != value.whole.end();
    return std::any_of(value.needed.begin(), value.needed.end(),
                       [](const ChannelSet& set) { return !set.empty(); });
  }

  void visit(std::size_t n) {
    const Node& node = graph_.nodes[n];
    NodePlan& node_plan = plan_.node_plans[n];
    const Rule& rule = node_plan.rule;
    std::vector<ValueId> wanted;
    for (const ValueId id : node.outputs) {
      if (id != kNoValue && wanted_anywhere(id)) wanted.push_back(id);
    }
    if (wanted.empty()) return;
    for (int rank = 0; rank < plan_.nodes; ++rank) {
      const auto r = static_cast<std::size_t>(rank);
      if (rule.form == Form::Replicated) {
        node_plan.runs[r] =
            std::any_of(wanted.begin(), wanted.end(), [&](ValueId id) { return plan_of(id).whole[r]; });
      } else if (rule.form == Form::PartialSum) {
        node_plan.work[r] = plan_of(node.inputs[0]).owned[r];
        node_plan.runs[r] = !node_plan.work[r].empty();
      } else {
        node_plan.runs[r] = std::any_of(wanted.begin(), wanted.end(),
                                        [&](ValueId id) { return !plan_of(id).owned[r].empty(); });
        if (rule.form != Form::Local && rule.form != Form::Linear)
          node_plan.work[r] = plan_of(node.inputs[0]).owned[r];
      }
      const bool derives = std::any_of(wanted.begin(), wanted.end(), [&](ValueId id) {
        return plan_of(id).derived && !plan_of(id).needed[r].empty();
      });
      if (node_plan.runs[r] || derives) need_inputs(node, node_plan, rank);
    }
  }

  void need_inputs(const Node& node, const NodePlan& node_plan, int rank) {
    const auto r = static_cast<std::size_t>(rank);
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      const ValueId in = node.inputs[k];
      if (in == kNoValue) continue;
      const InputUse& use = node_plan.rule.inputs[k];
      switch (use.kind) {
        case UseKind::Absent: break;
        case UseKind::Whole: need_whole(in, rank); break;
        case UseKind::Contracted: need_kept(in, rank, use.axis); break;
        case UseKind::Owned: need_channels(in, rank, use.axis, plan_of(in).owned[r]); break;
        case UseKind::Mapped:
          need_channels(in, rank, use.axis, mapped_channels(node, node_plan, use, rank));
          break;
      }
    }
    for (const auto& [key, attribute] : node.attributes) {
      const auto* subgraph = std::get_if<std::shared_ptr<const Graph>>(&attribute);
      if (subgraph == nullptr) continue;
      for (const std::string& name : (*subgraph)->captures) {
        if (const ValueId id = graph_.find_value(name); id != kNoValue) need_whole(id, rank);
      }
    }
  }

  ChannelSet mapped_channels(const Node& node, const NodePlan& node_plan, const InputUse& use, int rank) {
    const auto r = static_cast<std::size_t>(rank);
    if (node_plan.rule.form == Form::PartialSum) return use.maps[0].needed(node_plan.work[r]);
    ChannelSet channels;
    for (std::size_t o = 0; o < node.outputs.size(); ++o) {
      if (node.outputs[o] == kNoValue) continue;
      const ValuePlan& out = plan_of(node.outputs[o]);
      channels = unite(channels,
                       use.maps[o].needed(out.derived ? unite(out.owned[r], out.needed[r]) : out.owned[r]));
    }
    return channels;
  }

  const Graph& graph_;
  const KeepSets& keep_;
  SplitPlan& plan_;
};

}  // namespace

Result<SplitPlan> plan_split(const Graph& graph, const Partition& partition) {
  const auto ranks = static_cast<std::size_t>(partition.nodes);
  Layouts layouts = infer_layouts(graph, partition.chosen_axes);
  SplitPlan plan;
  plan.nodes = partition.nodes;
  plan.band_bytes = partition.band_bytes;
  plan.value_plans.resize(graph.values.size());
  std::uint32_t tag = 0;
  for (std::size_t v = 0; v < graph.values.size(); ++v) {
    ValuePlan& value = plan.value_plans[v];
    value.axis = layouts.axes[v];
    value.tag = tag++;
    if (const auto wire = partition.wire.find(graph.values[v].name);
        wire != partition.wire.end() && graph.values[v].type == DataType::Float32) {
      value.wire = wire->second;
    }
    value.owned.resize(ranks);
  }
  std::vector<Bands> bands = choose_bands(graph, partition.bands);
  for (std::size_t v = 0; v < bands.size(); ++v) plan.value_plans[v].bands = std::move(bands[v]);
  DISCO_CHECK(OwnerPass(graph, partition, plan).run(layouts));
  for (Rule& rule : layouts.rules) {
    NodePlan node;
    node.rule = std::move(rule);
    node.tag = tag++;
    const std::size_t n = plan.node_plans.size();
    node.local_first = node.rule.form == Form::Linear &&
                       (!partition.local_first ||
                        partition.local_first->contains(graph.value(graph.nodes[n].outputs[0]).name));
    plan.node_plans.push_back(std::move(node));
  }
  // What is sent before it grows is chosen by the dense exchange, so that keep-sets change bytes alone.
  NeedPass(graph, {}, plan).run();
  const std::vector<bool> derived = choose_derived(graph, plan);
  for (std::size_t v = 0; v < derived.size(); ++v) plan.value_plans[v].derived = derived[v];
  NeedPass(graph, partition.keep, plan).run();
  return plan;
}

Result<std::vector<Graph>> make_shards(const Graph& graph, const Partition& partition) {
  DISCO_TRY(const SplitPlan plan, plan_split(graph, partition));
  std::vector<Graph> shards;
  for (int rank = 0; rank < plan.nodes; ++rank) {
    DISCO_TRY(Graph shard, make_shard(graph, plan, rank));
    shards.push_back(std::move(shard));
  }
  return shards;
}

}  // namespace disco
