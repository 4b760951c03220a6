// disco tune: how an artifact is best computed and sent on a cluster; what it answers stays as it is.

#include "plan/tune.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "command.h"
#include "graph/onnx.h"
#include "plan/scenario.h"
#include "profile_flags.h"

namespace disco::cli {

namespace {

using nlohmann::json;

constexpr const char* kExamples =
    "Examples:\n"
    "  disco tune sparse.onnx --cluster boards.toml -o tuned.onnx        for nodes and links as described\n"
    "  disco tune sparse.onnx --profile cluster.json -o tuned.onnx       as `disco profile` measured them\n"
    "  disco tune sparse.onnx --link 100Mbit/s --latency 0.2ms           what it would bring, writing "
    "nothing\n"
    "  disco tune sparse.onnx --concurrency 4 -o tuned.onnx              for many answers a second";

struct Flags {
  SplitFlags split;
  ProfileFlags profile;
  std::string output;
  int concurrency = 1;
  bool as_json = false;
};

json to_json(const Simulation& simulation) {
  return {{"latency_ms", simulation.latency_ms}, {"throughput", simulation.throughput}};
}

void print(const Tuned& tuned, const Simulation& alone) {
  Table table({"predicted", "latency", "a second"});
  const auto add = [&](const std::string& name, const Simulation& simulation) {
    table.add({name, fmt::format("{:.2f} ms", simulation.latency_ms),
               fmt::format("{:.2f}", simulation.throughput)});
  };
  add("one node", alone);
  add("as it is", tuned.as_given);
  add("tuned", tuned.simulation);
  table.print();
  fmt::print("\n{} of {} layers that wait for features run in two parts; feature maps travel {}\n",
             tuned.two_parts, tuned.maps,
             tuned.partition.bands > 1 ? fmt::format("in {} bands", tuned.partition.bands) : "whole");
  if (!is_faster(tuned.simulation, alone)) fmt::print("on this network one node alone is faster\n");
}

Status run(const Flags& flags) {
  if (!flags.output.empty()) DISCO_CHECK(check_writable(flags.output));
  DISCO_TRY(const Graph loaded, load_onnx(flags.split.model));
  DISCO_TRY(const SplitModel model, split(loaded, flags.split));
  if (model.partition.nodes < 2) {
    return error(ErrorCode::InvalidArgument,
                 "{}: is not split, so there is nothing to tune; say over how many nodes, with --nodes N or "
                 "--shares 3,1, or give an artifact of `disco sparsify` or `disco partition`",
                 flags.split.model);
  }
  DISCO_TRY(const Profile profile, flags.profile.profile(model.partition.nodes));
  DISCO_TRY(StepCosts costs, flags.profile.costs(profile));
  DISCO_TRY(const Alone alone, best_alone(model.graph, profile, costs, flags.concurrency));
  constexpr std::size_t kAboutSoMany = 11;
  Progress progress("tune", kAboutSoMany);
  auto tuned = tune_overlap(model.graph, model.partition, profile, costs, flags.concurrency,
                            [&](std::size_t done) { progress.step(std::min(done, kAboutSoMany)); });
  if (!tuned) return tuned.error();
  if (!flags.output.empty()) DISCO_CHECK(save_artifact(loaded, tuned->partition, flags.output));
  if (flags.as_json) {
    const json document = {{"concurrency", flags.concurrency},
                           {"one_node", to_json(alone.simulation)},
                           {"as_it_is", to_json(tuned->as_given)},
                           {"tuned", to_json(tuned->simulation)},
                           {"layers", tuned->maps},
                           {"in_two_parts", tuned->two_parts},
                           {"bands", tuned->partition.bands}};
    fmt::print("{}\n", document.dump(2, ' ', false, json::error_handler_t::replace));
    return {};
  }
  print(*tuned, alone.simulation);
  if (!flags.output.empty()) fmt::print("wrote {}\n", flags.output);
  return {};
}

}  // namespace

void add_tune(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "tune",
      "Chooses how an artifact is best computed and sent on a cluster.\n"
      "What travels, and what is answered, stays as it is. By simulation: which layers run in two parts, so "
      "that the first hides the wait for the network, and in how many bands feature maps travel. See `disco "
      "simulate` for how clusters are described.");
  command->footer(kExamples);
  flags->split.add_to(*command);
  flags->profile.add_to(*command);
  command
      ->add_option("--concurrency", flags->concurrency, "requests in flight; above 1 answers a second count")
      ->check(CLI::Range(1, 256))
      ->type_name("K")
      ->capture_default_str();
  command->add_option("-o,--output", flags->output, "where to write the tuned artifact")->type_name("FILE");
  command->add_flag("--json", flags->as_json, "the figures, for programs");
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace disco::cli
