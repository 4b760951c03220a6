// disco inspect: what every node computes, holds and sends, beside the unsplit model.

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "graph/onnx.h"
#include "partition/cost.h"

namespace disco::cli {

namespace {

using nlohmann::json;

json to_json(const Cost& cost, bool totals) {
  json result = {{"macs", cost.macs},
                 {"weight_bytes", cost.weight_bytes},
                 {"bytes_sent", cost.bytes_sent},
                 {"bytes_received", cost.bytes_received},
                 {"messages_sent", cost.messages_sent}};
  if (totals) result["peak_activation_bytes"] = cost.peak_activation_bytes;
  return result;
}

json to_json(const std::vector<Cost>& nodes, bool totals) {
  json list = json::array();
  for (const Cost& cost : nodes) list.push_back(to_json(cost, totals));
  return list;
}

/// Operators that every node repeats although a split input feeds them, or that do arithmetic worth
/// splitting.
bool costs_by_replication(const LayerCost& layer) {
  return layer.form == to_string(Form::Replicated) && (!layer.reason.empty() || layer.unsplit.macs > 0);
}

void print_table(const SplitModel& model, const CostTable& table, bool all_layers) {
  fmt::print("{} nodes, method {}\n\n", model.partition.nodes, model.partition.method);
  const auto macs = [](const Cost& c) { return human_count(static_cast<double>(c.macs)); };
  const auto bytes = [](std::int64_t b) { return human_bytes(static_cast<double>(b)); };
  if (all_layers) {
    std::vector<std::string> header = {"layer", "operator", "split", "MACs"};
    for (std::size_t r = 0; r < table.nodes.size(); ++r) {
      header.push_back(fmt::format("MACs@{}", r));
      header.push_back(fmt::format("weights@{}", r));
      header.push_back(fmt::format("sent@{}", r));
      header.push_back(fmt::format("recv@{}", r));
    }
    Table layers(header);
    for (const LayerCost& layer : table.layers) {
      std::vector<std::string> row = {layer.name, layer.op, layer.form, macs(layer.unsplit)};
      for (const Cost& cost : layer.nodes) {
        row.push_back(macs(cost));
        row.push_back(bytes(cost.weight_bytes));
        row.push_back(bytes(cost.bytes_sent));
        row.push_back(bytes(cost.bytes_received));
      }
      layers.add(std::move(row));
    }
    layers.print();
    fmt::print("\n");
  }
  Table totals({"total", "MACs", "of model", "weights", "of model", "peak activations", "sent", "received",
                "messages"});
  const auto add = [&](const std::string& name, const Cost& cost) {
    const auto share = [](std::int64_t part, std::int64_t whole) {
      return whole == 0 ? std::string("-")
                        : fmt::format("{:.3f}", static_cast<double>(part) / static_cast<double>(whole));
    };
    totals.add({name, macs(cost), share(cost.macs, table.unsplit.macs), bytes(cost.weight_bytes),
                share(cost.weight_bytes, table.unsplit.weight_bytes), bytes(cost.peak_activation_bytes),
                bytes(cost.bytes_sent), bytes(cost.bytes_received), fmt::format("{}", cost.messages_sent)});
  };
  add("unsplit", table.unsplit);
  for (std::size_t r = 0; r < table.nodes.size(); ++r) add(fmt::format("node {}", r), table.nodes[r]);
  totals.print();

  bool first = true;
  for (const LayerCost& layer : table.layers) {
    if (table.nodes.size() < 2 || !costs_by_replication(layer)) continue;
    if (first) fmt::print("\nreplicated on every node that needs the result:\n");
    first = false;
    fmt::print("  {} ({}): {}, {}MACs a node\n", layer.name, layer.op,
               layer.reason.empty() ? "no input is split" : layer.reason,
               human_count(static_cast<double>(layer.unsplit.macs)));
  }
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  struct Flags {
    SplitFlags split;
    bool as_json = false;
    bool layers = true;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "inspect", "Shows what each node computes, holds, sends and receives, per layer and in total");
  flags->split.add_to(*command);
  command->add_flag("--json", flags->as_json, "machine-readable");
  command->add_flag("!--totals", flags->layers, "leave the layers out");
  command->callback([flags, &action] {
    action = [flags]() -> Status {
      DISCO_TRY(const SplitModel model, load_and_split(flags->split));
      const CostTable table = cost_table(model.graph, model.plan, model.shards);
      if (!flags->as_json) {
        print_table(model, table, flags->layers);
        return {};
      }
      json layers = json::array();
      for (const LayerCost& layer : table.layers) {
        layers.push_back({{"name", layer.name},
                          {"op", layer.op},
                          {"split", layer.form},
                          {"reason", layer.reason},
                          {"unsplit", to_json(layer.unsplit, false)},
                          {"nodes", to_json(layer.nodes, false)}});
      }
      const json document = {
          {"nodes", model.partition.nodes},       {"method", model.partition.method},
          {"shares", model.partition.shares},     {"unsplit", to_json(table.unsplit, true)},
          {"totals", to_json(table.nodes, true)}, {"layers", layers}};
      fmt::print("{}\n", document.dump(2));
      return {};
    };
  });
}

}  // namespace disco::cli
