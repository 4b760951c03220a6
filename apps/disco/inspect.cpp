// disco inspect: what every node computes, holds and sends, beside the unsplit model.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "graph/onnx.h"
#include "partition/cost.h"

namespace disco::cli {

namespace {

using nlohmann::json;

constexpr const char* kExamples =
    "MACs are multiply-accumulates; 'live' is what activations take while the layer runs; a kB has 1000\n"
    "bytes. Beside the model's figures stands the most that any node has, or node R's with --node R.\n"
    "\n"
    "Examples:\n"
    "  disco inspect resnet50.onnx -n 4                    layers, totals, and what is not split\n"
    "  disco inspect resnet50.onnx --shares 3,1 --totals   one node takes three times as much\n"
    "  disco inspect artifact.onnx --node 1 --all          every layer as node 1 runs it\n"
    "  disco inspect shards/node0.onnx                     one node's file";

struct Flags {
  SplitFlags split;
  bool as_json = false;
  bool totals_only = false;
  bool all = false;
  int node = -1;
};

json to_json(const Cost& cost) {
  return {{"macs", cost.macs},
          {"weight_bytes", cost.weight_bytes},
          {"bytes_sent", cost.bytes_sent},
          {"bytes_received", cost.bytes_received},
          {"messages_sent", cost.messages_sent},
          {"peak_activation_bytes", cost.peak_activation_bytes}};
}

json to_json(const std::vector<Cost>& nodes) {
  json list = json::array();
  for (const Cost& cost : nodes) list.push_back(to_json(cost));
  return list;
}

json inputs_json(const Graph& graph) {
  json inputs = json::object();
  for (const ValueId id : graph.inputs) inputs[graph.value(id).name] = graph.value(id).shape();
  return inputs;
}

void print_json(const json& document) {
  // Names come from models, which may hold anything: what is not UTF-8 is replaced.
  fmt::print("{}\n", document.dump(2, ' ', false, json::error_handler_t::replace));
}

/// "118M": three digits, so that many columns fit; "-" for nothing.
std::string brief(std::int64_t number) {
  if (number == 0) return "-";
  auto value = static_cast<double>(number);
  std::size_t prefix = 0;
  while (value >= 999.5 && prefix < 5) {
    value /= 1000.0;
    ++prefix;
  }
  const int digits = prefix == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return prefix == 0 ? fmt::format("{}", number)
                     : fmt::format("{:.{}f}{}", value, digits, "kMGTP"[prefix - 1]);
}

/// The columns of the terminal; many where the output goes elsewhere, which has no width.
std::size_t columns() {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 1 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    return size.ws_col;
  return 1000;
}

/// Names come from models: no control characters, and the middle left out where they are too long.
std::string shortened(const std::string& name, std::size_t width) {
  const std::string line = as_one_line(name);
  if (line.size() <= width) return line;
  const std::size_t tail = (width - 2) / 2;
  return line.substr(0, width - 2 - tail) + ".." + line.substr(line.size() - tail);
}

/// The most that any node has of each figure, or one node's figures.
Cost shown(const std::vector<Cost>& nodes, int node) {
  if (node >= 0) return nodes[static_cast<std::size_t>(node)];
  Cost most;
  for (const Cost& cost : nodes) {
    most.macs = std::max(most.macs, cost.macs);
    most.weight_bytes = std::max(most.weight_bytes, cost.weight_bytes);
    most.bytes_sent = std::max(most.bytes_sent, cost.bytes_sent);
    most.bytes_received = std::max(most.bytes_received, cost.bytes_received);
    most.peak_activation_bytes = std::max(most.peak_activation_bytes, cost.peak_activation_bytes);
  }
  return most;
}

/// An operator that nodes repeat although a split input feeds it, or that does arithmetic worth splitting.
bool costs_by_replication(const LayerCost& layer) {
  return layer.form == to_string(Form::Replicated) && (!layer.reason.empty() || layer.unsplit.macs > 0);
}

bool costs_something(const LayerCost& layer) {
  const Cost most = shown(layer.nodes, -1);
  return layer.unsplit.macs > 0 || layer.unsplit.weight_bytes > 0 || most.bytes_sent > 0 ||
         most.bytes_received > 0 || costs_by_replication(layer);
}

void print_layers(const CostTable& table, const Flags& flags) {
  const bool split = table.nodes.size() > 1;
  const std::string node = flags.node >= 0 ? fmt::format("node {}", flags.node) : "a node";
  std::vector<std::string> header = {"layer", "operator"};
  if (split) header.emplace_back("split");
  for (const char* figure : {"MACs", "weights", "live"}) {
    header.emplace_back(figure);
    if (split) header.push_back(node);
  }
  if (split) header.insert(header.end(), {"sent", "recv"});
  const std::size_t numbers = 2 + (split ? 12 + 3 * 8 + 3 * 9 + 2 * 7 : 3 * 9);
  const std::size_t text = std::max<std::size_t>(30, columns() - std::min(columns(), numbers + 2));
  const std::size_t op_width = std::min<std::size_t>(20, text * 2 / 5);

  Table layers(header);
  std::size_t left_out = 0;
  for (const LayerCost& layer : table.layers) {
    if (!flags.all && !costs_something(layer)) {
      ++left_out;
      continue;
    }
    const Cost a_node = shown(layer.nodes, flags.node);
    std::vector<std::string> row = {shortened(layer.name, text - op_width), shortened(layer.op, op_width)};
    if (split) {
      row.push_back(layer.form == to_string(Form::LayerNorm) ? "statistics" : layer.form);
    }
    for (const auto figure : {&Cost::macs, &Cost::weight_bytes, &Cost::peak_activation_bytes}) {
      row.push_back(brief(layer.unsplit.*figure));
      if (split) row.push_back(brief(a_node.*figure));
    }
    if (split) row.insert(row.end(), {brief(a_node.bytes_sent), brief(a_node.bytes_received)});
    layers.add(std::move(row));
  }
  layers.print();
  if (left_out > 0) {
    fmt::print("{} more only move, combine or rename what is there{}; --all shows them\n", left_out,
               split ? ", without a message" : "");
  }
  fmt::print("\n");
}

void print_totals(const CostTable& table) {
  Table totals({"total", "MACs", "of model", "weights", "of model", "peak live", "of model", "sent",
                "received", "messages"});
  const auto bytes = [](std::int64_t b) { return human_bytes(static_cast<double>(b)); };
  const auto share = [](std::int64_t part, std::int64_t whole) {
    return whole == 0 ? std::string("-")
                      : fmt::format("{:.3f}", static_cast<double>(part) / static_cast<double>(whole));
  };
  const auto add = [&](const std::string& name, const Cost& cost) {
    totals.add({name, human_count(static_cast<double>(cost.macs)), share(cost.macs, table.unsplit.macs),
                bytes(cost.weight_bytes), share(cost.weight_bytes, table.unsplit.weight_bytes),
                bytes(cost.peak_activation_bytes),
                share(cost.peak_activation_bytes, table.unsplit.peak_activation_bytes),
                bytes(cost.bytes_sent), bytes(cost.bytes_received), fmt::format("{}", cost.messages_sent)});
  };
  add("unsplit", table.unsplit);
  for (std::size_t r = 0; table.nodes.size() > 1 && r < table.nodes.size(); ++r)
    add(fmt::format("node {}", r), table.nodes[r]);
  totals.print();
}

void print_replicated(const CostTable& table, bool all) {
  constexpr std::size_t kFew = 12;
  std::vector<const LayerCost*> replicated;
  Cost repeated;
  for (const LayerCost& layer : table.layers) {
    if (table.nodes.size() < 2 || !costs_by_replication(layer)) continue;
    replicated.push_back(&layer);
    for (const Cost& cost : layer.nodes) {
      repeated.macs += cost.macs;
      repeated.weight_bytes += cost.weight_bytes;
    }
    repeated.macs -= layer.unsplit.macs;
    repeated.weight_bytes -= layer.unsplit.weight_bytes;
  }
  if (replicated.empty()) {
    if (table.nodes.size() > 1) fmt::print("\nevery operator that takes part of a split value is split\n");
    return;
  }
  fmt::print(
      "\n{} operators are not split; each runs whole on every node that needs its result.\n"
      "The nodes together repeat {}MACs and {} of weights for them:\n",
      replicated.size(), human_count(static_cast<double>(std::max<std::int64_t>(0, repeated.macs))),
      human_bytes(static_cast<double>(std::max<std::int64_t>(0, repeated.weight_bytes))));
  for (std::size_t i = 0; i < replicated.size() && (all || i < kFew); ++i) {
    const LayerCost& layer = *replicated[i];
    const auto runs = std::count_if(layer.nodes.begin(), layer.nodes.end(),
                                    [](const Cost& cost) { return cost.peak_activation_bytes > 0; });
    fmt::print("  {} ({}): {}; {}MACs on {} of {} nodes\n", as_one_line(layer.name), as_one_line(layer.op),
               layer.reason.empty() ? "no input is split" : as_one_line(layer.reason),
               human_count(static_cast<double>(layer.unsplit.macs)), runs, layer.nodes.size());
  }
  if (!all && replicated.size() > kFew)
    fmt::print("  and {} more; --all shows them\n", replicated.size() - kFew);
}

void print_table(const SplitModel& model, const CostTable& table, const Flags& flags) {
  fmt::print("{}: ", flags.split.model);
  if (model.partition.nodes == 1) {
    fmt::print("unsplit (--nodes N splits it)");
  } else {
    fmt::print("{} nodes, {} exchange, shares {}", model.partition.nodes, as_one_line(model.partition.method),
               fmt::join(model.partition.shares, ":"));
    if (model.partition.bands > 1) fmt::print(", maps in {} bands", model.partition.bands);
  }
  for (const ValueId id : model.graph.inputs) {
    const Value& input = model.graph.value(id);
    fmt::print("; {} {} {}", as_one_line(input.name), to_string(input.type), to_string(input.shape()));
  }
  fmt::print("\n\n");
  if (!flags.totals_only) print_layers(table, flags);
  print_totals(table);
  print_replicated(table, flags.all);
}

json table_json(const SplitModel& model, const CostTable& table) {
  json layers = json::array();
  json replicated = json::array();
  for (const LayerCost& layer : table.layers) {
    layers.push_back({{"name", layer.name},
                      {"op", layer.op},
                      {"split", layer.form},
                      {"reason", layer.reason},
                      {"unsplit", to_json(layer.unsplit)},
                      {"nodes", to_json(layer.nodes)}});
    if (costs_by_replication(layer)) replicated.push_back(layer.name);
  }
  return {{"nodes", model.partition.nodes},     {"method", model.partition.method},
          {"shares", model.partition.shares},   {"inputs", inputs_json(model.graph)},
          {"bands", model.partition.bands},     {"unsplit", to_json(table.unsplit)},
          {"totals", to_json(table.nodes)},     {"layers", std::move(layers)},
          {"replicated", std::move(replicated)}};
}

/// One node's file: there is no model to compare it with.
Status inspect_shard(const Graph& shard, const std::string& about, const Flags& flags) {
  const json part = json::parse(about, nullptr, /*allow_exceptions=*/false);
  const bool known = part.is_object() && part.contains("rank") && part["rank"].is_number_integer() &&
                     part.contains("nodes") && part["nodes"].is_number_integer();
  if (!known)
    return error(ErrorCode::InvalidModel, "{}: its metadata 'disco.shard' cannot be read", flags.split.model);
  const Cost total = total_cost(shard);
  if (flags.as_json) {
    print_json({{"rank", part["rank"]},
                {"nodes", part["nodes"]},
                {"inputs", inputs_json(shard)},
                {"operators", shard.nodes.size()},
                {"total", to_json(total)}});
    return {};
  }
  fmt::print("{}: node {} of {}; {} steps\n\n", flags.split.model, part["rank"].get<std::int64_t>(),
             part["nodes"].get<std::int64_t>(), shard.nodes.size());
  if (!flags.totals_only) {
    const std::size_t width = std::min<std::size_t>(60, columns() / 2);
    Table steps({"step", "operator", "peer", "MACs", "result", "bytes"});
    for (const Node& node : shard.nodes) {
      const bool exchange = node.is_disco("Send") || node.is_disco("Recv");
      const ValueId id = node.is_disco("Send")  ? node.inputs[0]
                         : node.outputs.empty() ? kNoValue
                                                : node.outputs[0];
      const bool has_shape = id != kNoValue && shard.value(id).has_shape();
      Shape shape = has_shape ? shard.value(id).shape() : Shape{};
      const auto channels = static_cast<std::int64_t>(node.ints_or("channels", {}).size());
      const std::int64_t axis = node.int_or("axis", 0);
      if (node.is_disco("Send") && channels > 0 && axis >= 0 &&
          axis < static_cast<std::int64_t>(shape.size()))
        shape[static_cast<std::size_t>(axis)] = channels;  // not all of it travels
      if (!flags.all && !exchange && macs_of(shard, node) == 0) continue;
      steps.add({shortened(exchange ? node.string_or("value", "") : node.name, width), shortened(node.op, 20),
                 exchange ? fmt::format("{}", node.int_or("peer", -1)) : "", brief(macs_of(shard, node)),
                 has_shape ? to_string(shape) : "?",
                 !has_shape ? "?"
                            : brief(element_count(shape) *
                                    static_cast<std::int64_t>(size_of(shard.value(id).type)))});
    }
    steps.print();
    fmt::print("\n");
  }
  CostTable table;
  table.unsplit = total;
  fmt::print("{}MACs, {} of weights, peak live {}, sends {} in {} messages, receives {}\n",
             human_count(static_cast<double>(total.macs)),
             human_bytes(static_cast<double>(total.weight_bytes)),
             human_bytes(static_cast<double>(total.peak_activation_bytes)),
             human_bytes(static_cast<double>(total.bytes_sent)), total.messages_sent,
             human_bytes(static_cast<double>(total.bytes_received)));
  return {};
}

Status inspect(const Flags& flags) {
  DISCO_TRY(const Graph model, load_onnx(flags.split.model));
  if (const auto about = model.metadata.find("disco.shard"); about != model.metadata.end())
    return inspect_shard(model, about->second, flags);
  DISCO_TRY(const SplitModel split_model, split(model, flags.split));
  if (flags.node >= split_model.partition.nodes) {
    return error(ErrorCode::InvalidArgument, "--node {}: the nodes are 0 to {}", flags.node,
                 split_model.partition.nodes - 1);
  }
  const CostTable table = cost_table(split_model.graph, split_model.plan, split_model.shards);
  if (flags.as_json) {
    print_json(table_json(split_model, table));
  } else {
    print_table(split_model, table, flags);
  }
  return {};
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "inspect",
      "Shows what each node computes, holds, sends and receives.\n"
      "Per layer and in total, beside the unsplit model, and which operators are not split. Nothing is run.");
  command->footer(kExamples);
  flags->split.add_to(*command);
  command
      ->add_option("--node", flags->node,
                   "show node R's figures beside the model's, not the most of any node")
      ->check(CLI::Range(0, kMostNodes - 1))
      ->type_name("R");
  command->add_flag("--totals", flags->totals_only, "leave the layers out");
  command->add_flag("--all", flags->all, "also the layers that cost nothing");
  command->add_flag("--json", flags->as_json, "everything, for programs");
  command->callback([flags, &action] { action = [flags] { return inspect(*flags); }; });
}

}  // namespace disco::cli
