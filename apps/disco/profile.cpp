// disco profile: how fast nodes are, and the links between them.

#include "plan/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/file.h"
#include "cluster/cores.h"
#include "cluster_flags.h"
#include "command.h"
#include "plan/measure.h"

namespace disco::cli {

namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  disco profile -o here.json                              this machine\n"
    "  disco profile -n 2 -t 1 -o local.json                   two processes on it, and what is between "
    "them\n"
    "  disco profile --cluster cluster.toml -o cluster.json    the machines of a cluster, and their links\n"
    "  disco simulate resnet50.onnx --profile cluster.json";

struct Flags {
  ClusterFlags cluster;
  int nodes = 0;
  std::string output;
  std::vector<std::string> merged;
  std::string coordinator;
  bool as_json = false;
};

double giga_a_second(const NodeProfile& node, WorkClass work) {
  double best = 0;
  for (const SpeedSample& sample : node.speeds[static_cast<std::size_t>(work)])
    best = std::max(best, sample.work / sample.seconds);
  return best * 1e-9;
}

void print(const Profile& profile) {
  Table nodes(
      {"node", "threads", "convolution", "depthwise", "matmul", "memory", "pack", "a message", "a request"});
  for (const NodeProfile& node : profile.nodes) {
    const auto macs = [&](WorkClass work) { return fmt::format("{:.2f} GMAC/s", giga_a_second(node, work)); };
    const auto bytes = [&](WorkClass work) { return fmt::format("{:.2f} GB/s", giga_a_second(node, work)); };
    nodes.add({node.name, fmt::format("{}", node.threads), macs(WorkClass::Convolution),
               macs(WorkClass::Depthwise), macs(WorkClass::MatMul), bytes(WorkClass::Memory),
               bytes(WorkClass::Pack),
               fmt::format("{:.1f} us", 1e6 * (node.messages.send_s + node.messages.receive_s)),
               fmt::format("{:.2f} ms", 1e3 * node.request_s)});
  }
  nodes.print();
  if (profile.links.empty()) return;
  fmt::print("\n");
  Table links({"link", "both ways at once", "latency"});
  for (const auto& [pair, link] : profile.links) {
    links.add({fmt::format("{} -> {}", pair.first, pair.second),
               fmt::format("{:.2f} Mbit/s", link.bytes_per_s * 8e-6),
               fmt::format("{:.1f} us", link.latency_s * 1e6)});
  }
  links.print();
}

Status run(const Flags& flags) {
  if (!flags.output.empty()) DISCO_CHECK(check_writable(flags.output));
  DISCO_TRY(const std::vector<NodeConfig> remote, flags.cluster.remote_nodes());
  const std::size_t count =
      remote.empty() ? static_cast<std::size_t>(std::max(1, flags.nodes)) : remote.size();
  std::vector<NodeProfile> nodes(count);
  for (std::size_t n = 0; n < count; ++n) {
    const int asked = flags.cluster.threads > 0 ? flags.cluster.threads
                      : remote.empty()          ? 0
                                                : remote[n].threads;
    nodes[n].threads = asked > 0 ? asked : even_share_of_cores(count);
    nodes[n].name = remote.empty()           ? fmt::format("node{}", n)
                    : remote[n].name.empty() ? remote[n].address
                                             : remote[n].name;
  }
  const StartCluster start = [&](const std::vector<std::size_t>& chosen,
                                 std::vector<Graph> shards) -> Result<std::unique_ptr<Cluster>> {
    DISCO_TRY(ClusterOptions options, flags.cluster.options());
    if (remote.empty()) options.threads = nodes[chosen.front()].threads;
    std::vector<NodeConfig> configs;
    for (const std::size_t n : chosen) {
      if (!remote.empty()) configs.push_back(remote[n]);
    }
    return flags.cluster.start(configs, std::move(shards), options);
  };
  MeasureOptions options;
  options.coordinator = flags.coordinator;
  if (!flags.coordinator.empty() && std::none_of(nodes.begin(), nodes.end(), [&](const NodeProfile& node) {
        return node.name == flags.coordinator;
      })) {
    return error(ErrorCode::InvalidArgument, "--coordinator {}: there is no node of this name",
                 flags.coordinator);
  }
  auto progress = std::make_shared<std::unique_ptr<Progress>>();
  options.on_progress = [progress](std::size_t done, std::size_t total) {
    if (!*progress) *progress = std::make_unique<Progress>("profile", total);
    (*progress)->step(done);
  };
  DISCO_TRY(Profile measured, measure_cluster(nodes, start, options));
  progress->reset();
  Profile profile;
  for (const std::string& file : flags.merged) {
    DISCO_TRY(const Profile other, load_profile(file));
    merge(profile, other);
  }
  merge(profile, measured);
  if (flags.merged.empty()) profile.link = measured.link;
  const std::string text = to_json(profile) + "\n";
  if (!flags.output.empty()) {
    DISCO_CHECK(write_file(flags.output, std::as_bytes(std::span(text.data(), text.size()))));
  }
  if (flags.as_json) {
    fmt::print("{}", text);
  } else {
    print(profile);
    if (!flags.output.empty()) fmt::print("\nwrote {}\n", flags.output);
  }
  return {};
}

}  // namespace

void add_profile(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("profile",
                         "Measures nodes and the links between them.\n"
                         "How fast each computes and packs, what a message costs it, and each link's "
                         "bandwidth and latency while both "
                         "directions are busy. `disco simulate` and `disco plan` reckon with it.");
  command->footer(kExamples);
  flags->cluster.add_to(*command);
  command->add_option("-n,--nodes", flags->nodes, "so many processes on this machine, without --cluster")
      ->check(CLI::Range(1, kMostNodes))
      ->type_name("N");
  command->add_option("-o,--output", flags->output, "where to write the profile, as JSON")->type_name("FILE");
  command
      ->add_option("--merge", flags->merged,
                   "also what an earlier profile knows; where both know something, the new one counts; may "
                   "be repeated")
      ->allow_extra_args(false)
      ->type_name("FILE");
  command
      ->add_option("--coordinator", flags->coordinator,
                   "the node on whose machine `disco run` will run, so that inputs for others share its link")
      ->type_name("NODE");
  command->add_flag("--json", flags->as_json, "write the profile to standard output");
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace disco::cli
