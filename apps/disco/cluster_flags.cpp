#include "cluster_flags.h"

namespace disco::cli {

void ClusterFlags::add_to(CLI::App& command) {
  command.add_option("--cluster", cluster_file,
                     "TOML file of nodes that run `disco node` (default: start local nodes)");
  command
      .add_option("--transport", transport,
                  "local nodes as processes over ZeroMQ, or as threads of this process")
      ->check(CLI::IsMember({"processes", "threads"}))
      ->capture_default_str();
  command
      .add_option("-t,--threads", threads, "threads a node computes with (default: the cores, shared evenly)")
      ->check(CLI::Range(1, 1024));
  command.add_option("--deadline", deadline_s, "seconds that one run may take")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

Result<std::vector<NodeConfig>> ClusterFlags::remote_nodes() const {
  if (cluster_file.empty()) return std::vector<NodeConfig>{};
  return load_cluster_file(cluster_file);
}

void ClusterFlags::take_shares(const Graph& model, const std::vector<NodeConfig>& remote, SplitFlags& split) {
  if (split.nodes != 0 || !split.shares.empty() || model.metadata.contains(std::string(kPartitionKey)))
    return;
  for (const NodeConfig& node : remote)
    split.shares += fmt::format("{}{}", split.shares.empty() ? "" : ",", node.share);
}

Result<std::unique_ptr<Cluster>> ClusterFlags::start(std::vector<Graph> shards) const {
  ClusterOptions options;
  options.threads = threads;
  DISCO_TRY(const std::vector<NodeConfig> remote, remote_nodes());
  if (!remote.empty()) {
    if (remote.size() != shards.size()) {
      return error(ErrorCode::InvalidArgument,
                   "{}: names {} nodes, but the model is split over {}; leave --nodes out", cluster_file,
                   remote.size(), shards.size());
    }
    return Cluster::connect(remote, std::move(shards), options);
  }
  if (transport == "threads") return Cluster::start_inproc(std::move(shards), options);
  return Cluster::start_local(std::move(shards), options);
}

RunOptions ClusterFlags::run_options(bool trace) const {
  RunOptions options;
  options.deadline = std::chrono::milliseconds(static_cast<std::int64_t>(deadline_s * 1000.0));
  options.trace = trace;
  return options;
}

}  // namespace disco::cli
