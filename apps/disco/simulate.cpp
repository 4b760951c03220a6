// disco simulate: how long a split run would take on a described cluster.

#include "plan/simulate.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "command.h"
#include "graph/onnx.h"
#include "plan/scenario.h"
#include "plan/timeline.h"
#include "profile_flags.h"

namespace disco::cli {

namespace {

using nlohmann::json;

constexpr const char* kExamples =
    "Examples:\n"
    "  disco simulate resnet50.onnx -n 4 --link 100Mbit/s --latency 0.2ms     four nodes like this machine\n"
    "  disco simulate sparse.onnx --cluster boards.toml                       nodes and links as described\n"
    "  disco simulate sparse.onnx --profile cluster.json --concurrency 4      as `disco profile` measured "
    "them\n"
    "  disco simulate resnet50.onnx -n 2 --keep 0.2 --wire u8                 if a fifth of the features "
    "travelled\n"
    "  disco simulate sparse.onnx -n 2 --timeline timeline.html               and a picture of who waits for "
    "whom";

struct Flags {
  SplitFlags split;
  ProfileFlags profile;
  double keep = 1.0;
  std::string wire, trace, timeline;
  int concurrency = 1;
  bool as_json = false;
};

json node_json(const SimulatedNode& node, const std::string& name) {
  return {{"name", name},
          {"compute_ms", node.compute_ms},
          {"pack_ms", node.pack_ms},
          {"wait_ms", node.wait_ms},
          {"busy", node.busy},
          {"bytes_sent", node.bytes_sent},
          {"messages", node.messages_sent},
          {"memory_bytes", node.memory_bytes}};
}

json to_json(const Simulation& simulation, const Profile& profile) {
  json nodes = json::array();
  for (std::size_t n = 0; n < simulation.nodes.size(); ++n)
    nodes.push_back(node_json(simulation.nodes[n], profile.nodes[n].name));
  return {{"latency_ms", simulation.latency_ms}, {"throughput", simulation.throughput}, {"nodes", nodes}};
}

void print(const Simulation& one, const std::string& one_name, const Simulation& split,
           const Profile& profile, const Flags& flags) {
  Table table({"", "latency", "a second", "compute", "pack", "wait", "busy", "sent", "messages", "memory"});
  const auto ms = [](double value) { return fmt::format("{:.2f} ms", value); };
  const auto add = [&](const std::string& name, const Simulation& simulation, bool alone) {
    table.add({name, ms(simulation.latency_ms), fmt::format("{:.2f}", simulation.throughput)});
    for (std::size_t n = 0; n < simulation.nodes.size(); ++n) {
      const SimulatedNode& node = simulation.nodes[n];
      table.add({"  " + (alone ? one_name : profile.nodes[n].name), "", "", ms(node.compute_ms),
                 ms(node.pack_ms), ms(node.wait_ms), fmt::format("{:.0f} %", 100.0 * node.busy),
                 human_bytes(static_cast<double>(node.bytes_sent)), fmt::format("{}", node.messages_sent),
                 human_bytes(static_cast<double>(node.memory_bytes))});
    }
  };
  add("one node", one, true);
  add("split", split, false);
  fmt::print("predicted, with {}\n\n", flags.concurrency == 1
                                           ? "one request at a time"
                                           : fmt::format("{} requests in flight", flags.concurrency));
  table.print();
  const double ratio = split.latency_ms / one.latency_ms;
  const double rate = split.throughput / one.throughput;
  fmt::print("\nthe split run would take {:.3f}x of one node's time{}", ratio,
             ratio >= 1.0 ? ": on this network one node alone is faster" : "");
  if (flags.concurrency > 1) fmt::print("; {:.2f}x as many answers a second", rate);
  fmt::print("\n");
}

Status run(const Flags& flags) {
  for (const std::string& file : {flags.trace, flags.timeline}) {
    if (!file.empty()) DISCO_CHECK(check_writable(file));
  }
  DISCO_TRY(const Graph loaded, load_onnx(flags.split.model));
  DISCO_TRY(const std::vector<double> shares, flags.split.parsed_shares());
  const bool fixed = flags.split.nodes != 0 || !shares.empty();
  DISCO_TRY(Profile profile,
            flags.profile.profile(std::max(flags.split.nodes, static_cast<int>(shares.size()))));
  SplitFlags how = flags.split;
  const bool artifact = loaded.metadata.contains(std::string(kPartitionKey));
  if (!fixed && !artifact) how.nodes = static_cast<int>(profile.nodes.size());
  DISCO_TRY(SplitModel model, split(loaded, how));
  if (flags.keep < 1.0 || !flags.wire.empty()) {
    DISCO_TRY(const Partition partition,
              with_exchanges(model.graph, model.partition, flags.keep, flags.wire));
    DISCO_TRY(model, split_as(std::move(model.graph), partition));
  }
  if (flags.profile.cluster_file.empty() && flags.profile.profile_file.empty()) {
    DISCO_TRY(profile, flags.profile.profile(model.partition.nodes));
  }
  DISCO_TRY(StepCosts costs, flags.profile.costs(profile));
  DISCO_TRY(const auto alone, best_alone(model.graph, profile, costs, flags.concurrency));
  Progress progress("layers", model.shards.size());
  DISCO_TRY(const auto programs, programs_of(std::move(model.shards), profile, costs,
                                             [&](std::size_t done) { progress.step(done); }));
  DISCO_TRY(const Simulation result, simulate(programs, profile,
                                              {.concurrency = flags.concurrency,
                                               .trace = !flags.trace.empty() || !flags.timeline.empty()}));
  if (!flags.timeline.empty()) {
    const std::string page = timeline_page(
        result, fmt::format("{} on {} nodes", std::filesystem::path(flags.split.model).filename().string(),
                            programs.size()));
    DISCO_CHECK(write_file(flags.timeline, std::as_bytes(std::span(page.data(), page.size()))));
  }
  if (!flags.trace.empty()) DISCO_CHECK(write_trace(flags.trace, result.traces));
  const std::string& one_name = profile.nodes[alone.node].name;
  if (flags.as_json) {
    json document = to_json(result, profile);
    document["concurrency"] = flags.concurrency;
    document["one_node"] = {{"latency_ms", alone.simulation.latency_ms},
                            {"throughput", alone.simulation.throughput},
                            {"node", node_json(alone.simulation.nodes[0], one_name)}};
    document["ratio"] = result.latency_ms / alone.simulation.latency_ms;
    fmt::print("{}\n", document.dump(2, ' ', false, json::error_handler_t::replace));
  } else {
    print(alone.simulation, one_name, result, profile, flags);
  }
  return {};
}

}  // namespace

void add_simulate(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "simulate",
      "Predicts how long a split model would take.\n"
      "On a cluster that is described, or was measured by `disco profile`; nothing is deployed. Each node's "
      "program is compiled here, its layers are timed here and scaled to the node, and discrete events tell "
      "who "
      "computes, who waits and what is on the wire.");
  command->footer(kExamples);
  flags->split.add_to(*command);
  flags->profile.add_to(*command);
  command
      ->add_option("--keep", flags->keep,
                   "suppose that this share of what linear maps exchange travels, as after `disco sparsify`")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("SHARE");
  command
      ->add_option("--wire", flags->wire,
                   "suppose this format on the wire: fp32, fp16 or u8 (default: what the artifact says)")
      ->check(CLI::IsMember({"fp32", "fp16", "u8"}))
      ->type_name("FORMAT");
  command->add_option("--concurrency", flags->concurrency, "requests in flight")
      ->check(CLI::Range(1, 256))
      ->type_name("K")
      ->capture_default_str();
  command
      ->add_option("--trace", flags->trace,
                   "write what every node would do as Chrome trace JSON, for https://ui.perfetto.dev")
      ->type_name("FILE");
  command
      ->add_option(
          "--timeline", flags->timeline,
          "write the same as a picture: a page (HTML) of who computes, waits and is on the wire when")
      ->type_name("FILE");
  command->add_flag("--json", flags->as_json, "the figures, for programs");
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace disco::cli
