// disco plan: over how many nodes, in which shares, and how much may travel.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "command.h"
#include "graph/onnx.h"
#include "plan/planner.h"
#include "profile_flags.h"

namespace disco::cli {

namespace {

using nlohmann::json;

constexpr const char* kExamples =
    "Examples:\n"
    "  disco plan resnet50.onnx --cluster boards.toml                           the fastest exact way\n"
    "  disco plan resnet50.onnx --profile cluster.json --target-latency 60      what must go for 60 ms\n"
    "  disco plan resnet50.onnx --cluster boards.toml --max-memory 64MB -o split.onnx\n"
    "  disco plan resnet50.onnx --cluster boards.toml --communication 0.2 --wire u8   only the nodes and "
    "shares\n"
    "  disco run split.onnx --cluster cluster.toml --input dog.jpg --preset imagenet";

struct Flags {
  std::string model, output, most_bytes, most_memory;
  std::vector<std::string> shapes;
  ProfileFlags profile;
  double target_ms = 0;
  std::vector<double> keeps;
  std::vector<std::string> wires;
  std::vector<int> counts;
  int nodes = 2;
  int concurrency = 1;
  bool as_json = false;
};

std::string names(const PlanCandidate& candidate, const Profile& profile) {
  std::vector<std::string> list;
  for (const std::size_t n : candidate.nodes) list.push_back(profile.nodes[n].name);
  return fmt::format("{}", fmt::join(list, ","));
}

std::string shares_text(const PlanCandidate& candidate) {
  return fmt::format("{}", fmt::join(candidate.shares, ","));
}

/// As people write an estimate.
std::int64_t two_digits(std::int64_t value) {
  std::int64_t unit = 1;
  while (value / unit >= 100) unit *= 10;
  return (value + unit / 2) / unit * unit;
}

/// What to type to get there.
std::vector<std::string> commands(const PlanCandidate& candidate, const Flags& flags) {
  const int cut = candidate.partition.bands;
  const std::string bands = cut > 1 ? fmt::format(" --bands {}", cut) : "";
  if (candidate.exact()) {
    return {fmt::format("disco run {} --shares {}{} …", flags.model, shares_text(candidate), bands)};
  }
  std::string limits;
  if (candidate.keep < 1.0) {
    // The prediction supposes that every layer keeps the same share, and so what a node holds and computes.
    std::vector<double> weights;
    for (const double share : candidate.weights) weights.push_back(std::ceil(share * 1000 - 1e-6) / 1000);
    limits = fmt::format(" --weights {} --message-bytes {}", fmt::join(weights, ","),
                         two_digits(candidate.message_bytes));
  }
  return {fmt::format(
      "disco sparsify {} --shares {}{} --communication {} --wire {}{} --calibrate … -o sparse.onnx",
      flags.model, shares_text(candidate), bands, candidate.keep, candidate.wire, limits)};
}

json candidate_json(const PlanCandidate& candidate, const Profile& profile) {
  json nodes = json::array();
  for (std::size_t r = 0; r < candidate.nodes.size(); ++r) {
    const SimulatedNode& node = candidate.simulation.nodes[r];
    nodes.push_back({{"name", profile.nodes[candidate.nodes[r]].name},
                     {"share", candidate.shares[r]},
                     {"compute_ms", node.compute_ms},
                     {"pack_ms", node.pack_ms},
                     {"wait_ms", node.wait_ms},
                     {"memory_bytes", node.memory_bytes}});
  }
  return {{"nodes", nodes},
          {"communication", candidate.keep},
          {"wire", candidate.wire},
          {"bands", candidate.partition.bands},
          {"latency_ms", candidate.simulation.latency_ms},
          {"throughput", candidate.simulation.throughput},
          {"bytes", candidate.bytes},
          {"memory_bytes", candidate.memory},
          {"fits", candidate.fits},
          {"reaches_target", candidate.reaches}};
}

json plan_json(const Plan& plan, const Profile& profile, const Flags& flags) {
  json document = {{"format", "disco.plan"},
                   {"version", 1},
                   {"model", flags.model},
                   {"concurrency", flags.concurrency},
                   {"one_node",
                    {{"name", profile.nodes[plan.alone.node].name},
                     {"latency_ms", plan.alone.simulation.latency_ms},
                     {"throughput", plan.alone.simulation.throughput},
                     {"memory_bytes", plan.alone.simulation.nodes[0].memory_bytes},
                     {"fits", plan.alone.fits}}},
                   {"one_node_is_better", plan.alone_is_better},
                   {"candidates", json::array()},
                   {"skipped", plan.skipped}};
  for (const PlanCandidate& candidate : plan.candidates)
    document["candidates"].push_back(candidate_json(candidate, profile));
  if (plan.chosen) {
    const PlanCandidate& chosen = plan.candidates[*plan.chosen];
    document["chosen"] = candidate_json(chosen, profile);
    document["commands"] = commands(chosen, flags);
    document["partition"] = json::parse(to_json(chosen.partition));
  }
  return document;
}

void print(const Plan& plan, const Profile& profile, const Flags& flags) {
  Table table({"nodes", "shares", "communication", "wire", "latency", "a second", "bytes", "memory", ""});
  const auto ms = [](double value) { return fmt::format("{:.2f} ms", value); };
  const auto bytes = [](std::uint64_t value) { return human_bytes(static_cast<double>(value)); };
  const Alone& alone = plan.alone;
  table.add({"1", profile.nodes[alone.node].name, "", "", ms(alone.simulation.latency_ms),
             fmt::format("{:.2f}", alone.simulation.throughput), "0 B",
             bytes(alone.simulation.nodes[0].memory_bytes),
             !alone.fits            ? "too little memory"
             : plan.alone_is_better ? "best"
                                    : ""});
  for (std::size_t c = 0; c < plan.candidates.size(); ++c) {
    const PlanCandidate& candidate = plan.candidates[c];
    const bool chosen = plan.chosen && *plan.chosen == c && !plan.alone_is_better;
    const auto [least, most] = std::minmax_element(candidate.shares.begin(), candidate.shares.end());
    table.add({fmt::format("{}", candidate.nodes.size()),
               *most - *least < 0.002        ? "equal"
               : candidate.nodes.size() <= 4 ? shares_text(candidate)
                                             : fmt::format("{} to {}", *least, *most),
               fmt::format("{}", candidate.keep), candidate.wire, ms(candidate.simulation.latency_ms),
               fmt::format("{:.2f}", candidate.simulation.throughput), bytes(candidate.bytes),
               bytes(candidate.memory),
               chosen            ? "chosen"
               : !candidate.fits ? "too little memory"
                                 : ""});
  }
  table.print();
  for (const std::string& reason : plan.skipped) fmt::print("not tried: {}\n", reason);
  fmt::print("\n");
  if (!plan.chosen && !plan.alone_is_better) {
    fmt::print("nothing that was tried {}\n", flags.target_ms > 0 || !flags.most_bytes.empty()
                                                  ? "reaches the target within the nodes' memory"
                                                  : "fits in the nodes' memory");
    return;
  }
  if (plan.alone_is_better) {
    fmt::print(
        "one node alone ({}) is faster than what can be split {}\n", profile.nodes[alone.node].name,
        flags.target_ms > 0 || !flags.most_bytes.empty() ? "and reaches the target" : "with the same answer");
    const auto quicker = std::min_element(plan.candidates.begin(), plan.candidates.end(),
                                          [](const PlanCandidate& a, const PlanCandidate& b) {
                                            return a.simulation.latency_ms < b.simulation.latency_ms;
                                          });
    if (quicker != plan.candidates.end() && quicker->simulation.latency_ms < alone.simulation.latency_ms) {
      fmt::print("fastest of all, with other answers: {:.2f}x of one node's time, after\n",
                 quicker->simulation.latency_ms / alone.simulation.latency_ms);
      for (const std::string& line : commands(*quicker, flags)) fmt::print("  {}\n", line);
    }
    return;
  }
  const PlanCandidate& chosen = plan.candidates[*plan.chosen];
  fmt::print("{} nodes ({}), {:.3f}x of one node's time{}:\n", chosen.nodes.size(), names(chosen, profile),
             chosen.simulation.latency_ms / alone.simulation.latency_ms,
             alone.fits ? "" : ", which has too little memory for the model");
  for (const std::string& line : commands(chosen, flags)) fmt::print("  {}\n", line);
}

Status write(const Plan& plan, const Profile& profile, const Graph& model, const Flags& flags) {
  if (!flags.output.ends_with(".onnx")) {
    const std::string text =
        plan_json(plan, profile, flags).dump(2, ' ', false, json::error_handler_t::replace) + "\n";
    DISCO_CHECK(write_file(flags.output, std::as_bytes(std::span(text.data(), text.size()))));
  } else if (plan.chosen) {
    DISCO_CHECK(save_artifact(model, plan.candidates[*plan.chosen].partition, flags.output));
  } else {
    return error(ErrorCode::InvalidArgument, "there is no split to write to {}", flags.output);
  }
  if (!flags.as_json) fmt::print("wrote {}\n", flags.output);
  return {};
}

Status run(const Flags& flags) {
  if (!flags.output.empty()) DISCO_CHECK(check_writable(flags.output));
  PlanOptions options;
  if (flags.target_ms > 0) options.target_latency_ms = flags.target_ms;
  if (!flags.most_bytes.empty()) {
    DISCO_TRY(options.max_bytes, parse_bytes(flags.most_bytes));
  }
  if (!flags.most_memory.empty()) {
    DISCO_TRY(options.max_memory, parse_bytes(flags.most_memory));
  }
  if (!flags.keeps.empty()) options.keeps = flags.keeps;
  std::sort(options.keeps.begin(), options.keeps.end(), std::greater<>());
  if (!flags.wires.empty()) options.wires = flags.wires;
  options.node_counts = flags.counts;
  options.concurrency = flags.concurrency;
  DISCO_TRY(Graph model, load_onnx(flags.model));
  model.metadata.erase(std::string(kPartitionKey));  // it is split anew
  SplitFlags whole;
  whole.model = flags.model;
  whole.nodes = 1;
  whole.shapes = flags.shapes;
  DISCO_TRY(const SplitModel fixed, split(model, whole));
  const int most =
      flags.counts.empty() ? flags.nodes : *std::max_element(flags.counts.begin(), flags.counts.end());
  DISCO_TRY(const Profile profile, flags.profile.profile(most));
  DISCO_TRY(StepCosts costs, flags.profile.costs(profile));
  auto progress = std::make_shared<std::unique_ptr<Progress>>();
  options.on_progress = [progress](std::size_t done, std::size_t total) {
    if (!*progress) *progress = std::make_unique<Progress>("plan", total);
    (*progress)->step(done);
  };
  auto plan = make_plan(fixed.graph, profile, costs, options);
  progress->reset();
  if (!plan) return in_context(flags.model, plan.error());
  if (flags.as_json) {
    fmt::print("{}\n", plan_json(*plan, profile, flags).dump(2, ' ', false, json::error_handler_t::replace));
  } else {
    print(*plan, profile, flags);
  }
  return flags.output.empty() ? Status() : write(*plan, profile, model, flags);
}

}  // namespace

void add_plan(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "plan",
      "Chooses how to split a model over a cluster.\n"
      "By simulation: how many nodes and which, their shares, how much of the exchange may travel and in "
      "which "
      "format. Says so where one node alone is faster. See `disco simulate` for how clusters are described.");
  command->footer(kExamples);
  command->add_option("model", flags->model, "an ONNX file")->required();
  command
      ->add_option("--shape", flags->shapes, "extents of an input, such as input:1,3,64,64; may be repeated")
      ->allow_extra_args(false)
      ->type_name("NAME:EXTENTS");
  flags->profile.add_to(*command);
  command
      ->add_option("-n,--nodes", flags->nodes,
                   "the nodes there are, where no file says; all like this machine")
      ->check(CLI::Range(1, kMostNodes))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--over", flags->counts, "try just these numbers of nodes, such as 2,4")
      ->delimiter(',')
      ->check(CLI::Range(1, kMostNodes))
      ->type_name("N,M");
  command
      ->add_option("--target-latency", flags->target_ms,
                   "an answer is to take at most so many milliseconds: the most exact way that does")
      ->check(CLI::Range(0.001, 1e7))
      ->type_name("MS");
  command
      ->add_option("--max-bytes", flags->most_bytes,
                   "all nodes together may send so much for one answer, such as 2MB")
      ->type_name("BYTES");
  command
      ->add_option("--max-memory", flags->most_memory,
                   "a node may hold so much, weights and activations, such as 64MB")
      ->type_name("BYTES");
  command
      ->add_option("-c,--communication", flags->keeps,
                   "try just these shares of the dense exchange's bytes (default: 1,0.5,0.3,0.2,0.1,0.05)")
      ->delimiter(',')
      ->check(CLI::Range(0.001, 1.0))
      ->type_name("A,B");
  command->add_option("--wire", flags->wires, "try just these formats on the wire (default: fp32,fp16,u8)")
      ->delimiter(',')
      ->check(CLI::IsMember({"fp32", "fp16", "u8"}))
      ->type_name("A,B");
  command
      ->add_option("--concurrency", flags->concurrency, "requests in flight; above 1 answers a second count")
      ->check(CLI::Range(1, 256))
      ->type_name("K")
      ->capture_default_str();
  command
      ->add_option("-o,--output", flags->output,
                   "write the chosen split: .onnx, an artifact with its owners for `disco run` (exchanging "
                   "everything); else the plan as JSON")
      ->type_name("FILE");
  command->add_flag("--json", flags->as_json, "the plan, for programs");
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace disco::cli
