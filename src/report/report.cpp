#include "report/report.h"

#include <nlohmann/json.hpp>

#include "partition/cost.h"

namespace disco {

namespace {

using nlohmann::json;

/// The share of the other nodes that get each channel.
std::vector<double> sent_of(const ValuePlan& value, std::size_t channels, int nodes) {
  std::vector<double> sent(channels);
  for (int from = 0; from < nodes; ++from) {
    for (int to = 0; to < nodes; ++to) {
      if (from == to) continue;
      for (const std::int32_t c : value.exchanged(from, to))
        sent[static_cast<std::size_t>(c)] += 1.0 / (nodes - 1);
    }
  }
  return sent;
}

/// Channels that travel, counted once for every node that gets them.
double exchanged(const ValuePlan& value, int nodes) {
  double count = 0;
  for (int from = 0; from < nodes; ++from) {
    for (int to = 0; to < nodes; ++to)
      count += from == to ? 0 : static_cast<double>(value.exchanged(from, to).size());
  }
  return count;
}

Cost a_sample(Cost cost, std::int64_t batch) {
  for (const auto figure :
       {&Cost::macs, &Cost::bytes_sent, &Cost::bytes_received, &Cost::peak_activation_bytes})
    cost.*figure /= batch;
  return cost;
}

json to_json(const Cost& cost) {
  return {{"macs", cost.macs}, {"weight_bytes", cost.weight_bytes}, {"messages_sent", cost.messages_sent}};
}

}  // namespace

Result<ArtifactReport> picture_of(const SplitModel& split, std::int64_t batch) {
  ArtifactReport report;
  report.unsplit = a_sample(total_cost(split.graph), batch);
  for (const Graph& shard : split.shards) report.nodes.push_back(a_sample(total_cost(shard), batch));
  Partition dense = split.partition;
  dense.keep.clear();
  DISCO_TRY(const SplitPlan all, plan_split(split.graph, dense));
  const int nodes = split.plan.nodes;
  for (const Node& node : split.graph.nodes) {
    for (const ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      const Value& value = split.graph.value(id);
      const ValuePlan& plan = split.plan.value_plans[static_cast<std::size_t>(id)];
      const ValuePlan& dense_plan = all.value_plans[static_cast<std::size_t>(id)];
      if (plan.axis == kReplicate || value.is_constant() || dense_plan.axis == kReplicate) continue;
      const double most = exchanged(dense_plan, nodes);
      if (most == 0) continue;
      const Shape shape = value.shape();
      const std::int64_t channels = shape[static_cast<std::size_t>(plan.axis)];
      const double elements =
          static_cast<double>(element_count(shape) / channels) / static_cast<double>(batch);
      const bool is_rounded = value.type == DataType::Float32 && plan.wire.type != DataType::Float32;
      ExchangePicture picture;
      picture.name = value.name;
      picture.owner.assign(static_cast<std::size_t>(channels), -1);
      for (std::size_t rank = 0; rank < plan.owned.size(); ++rank) {
        for (const std::int32_t c : plan.owned[rank])
          picture.owner[static_cast<std::size_t>(c)] = static_cast<std::int32_t>(rank);
      }
      picture.sent = sent_of(plan, static_cast<std::size_t>(channels), nodes);
      const double travels = exchanged(plan, nodes);
      picture.kept = travels / most;
      picture.bytes =
          travels * elements * static_cast<double>(size_of(is_rounded ? plan.wire.type : value.type));
      picture.dense_bytes = most * elements * static_cast<double>(size_of(value.type));
      report.exchanges.push_back(std::move(picture));
    }
  }
  return report;
}

json to_json(const Report& report) {
  json artifacts = json::array();
  for (const ArtifactReport& artifact : report.artifacts) {
    json document = to_json(artifact.evaluation);
    document["unsplit"] = to_json(artifact.unsplit);
    document["costs"] = json::array();
    for (const Cost& cost : artifact.nodes) document["costs"].push_back(to_json(cost));
    document["exchanges"] = json::array();
    for (const ExchangePicture& picture : artifact.exchanges) {
      document["exchanges"].push_back({{"value", picture.name},
                                       {"channels", picture.owner.size()},
                                       {"owner", picture.owner},
                                       {"sent", picture.sent},
                                       {"kept", picture.kept},
                                       {"bytes", picture.bytes},
                                       {"dense_bytes", picture.dense_bytes}});
    }
    artifacts.push_back(std::move(document));
  }
  json document = {{"model", report.model},
                   {"data", report.data},
                   {"samples", report.samples},
                   {"artifacts", std::move(artifacts)}};
  if (!report.preset.empty()) document["preset"] = report.preset;
  if (report.dense) {
    for (const Figure& figure : report.dense->figures) document["dense"][figure.name] = figure.value;
  }
  return document;
}

}  // namespace disco
