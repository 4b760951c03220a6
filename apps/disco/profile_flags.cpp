#include "profile_flags.h"

#include <algorithm>

#include "plan/measure.h"

namespace disco::cli {

void ProfileFlags::add_to(CLI::App& command) {
  command
      .add_option("--cluster", cluster_file,
                  "TOML file that describes nodes and links (docs/plan.md), or a cluster file "
                  "(default: --nodes nodes like this machine)")
      ->type_name("FILE");
  command
      .add_option("--profile", profile_file,
                  "what `disco profile` measured; with --cluster, of the nodes of these names")
      ->type_name("FILE");
  command.add_option("--link", bandwidth, "the bandwidth of links that no file tells of, each way")
      ->type_name("RATE")
      ->capture_default_str();
  command.add_option("--latency", latency, "likewise, their latency one way")
      ->type_name("TIME")
      ->capture_default_str();
  command
      .add_option(
          "--burst", burst,
          "likewise, bytes that pass at once after a pause, as traffic shapers let them (default: none)")
      ->type_name("BYTES");
  command
      .add_option("-t,--threads", threads,
                  "threads a node computes with (default: what the file says, else 1)")
      ->check(CLI::Range(1, 1024))
      ->type_name("T");
  command.add_flag(
      "--estimate", estimate,
      "run no layers here: times follow from measured speeds and each layer's size, less exactly");
}

Result<Profile> ProfileFlags::profile(int nodes) const {
  LinkProfile link;
  DISCO_TRY(link.bytes_per_s, parse_bandwidth(bandwidth));
  DISCO_TRY(link.latency_s, parse_duration(latency));
  if (!burst.empty()) {
    DISCO_TRY(link.burst_bytes, parse_bytes(burst));
  }
  Profile result;
  if (!cluster_file.empty()) {
    DISCO_TRY(result, load_profile(cluster_file, link));
  }
  if (!profile_file.empty()) {
    DISCO_TRY(const Profile known, load_profile(profile_file, link));
    if (cluster_file.empty()) {
      result = known;
    } else {
      // Nodes that the file does not name are no part of the cluster.
      for (NodeProfile& node : result.nodes) {
        if (const auto found = known.find(node.name)) node = known.nodes[*found];
      }
      for (const auto& [pair, measured] : known.links) result.links[pair] = measured;
    }
  }
  if (result.nodes.empty()) result = uniform_profile(std::max(1, nodes), link);
  if (threads > 0) {
    for (NodeProfile& node : result.nodes) node.threads = threads;
  }
  return result;
}

Result<StepCosts> ProfileFlags::costs(const Profile& profile) const {
  const bool measured = std::any_of(profile.nodes.begin(), profile.nodes.end(),
                                    [](const NodeProfile& node) { return node.measured(); });
  Speeds here;
  if (measured || estimate) {
    DISCO_TRY(here, measure_speeds(profile.nodes.front().threads));
  }
  return StepCosts(std::move(here), {.estimate = estimate});
}

}  // namespace disco::cli
