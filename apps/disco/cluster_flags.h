#pragma once
// Flags that say where the nodes run; shared by run and bench.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "cluster/cluster.h"
#include "command.h"

namespace disco::cli {

struct ClusterFlags {
  std::string cluster_file;
  std::string transport = "processes";
  std::string key_file;
  int threads = 0;
  bool shared_cores = false;
  double deadline_s = 30.0;

  void add_to(CLI::App& command);
  /// The nodes of --cluster; empty where it was not given.
  [[nodiscard]] Result<std::vector<NodeConfig>> remote_nodes() const;
  /// Splits over the nodes of the cluster file by their shares, where neither flags nor the model say how.
  static void take_shares(const Graph& model, const std::vector<NodeConfig>& remote, SplitFlags& split);
  /// InvalidArgument where the cluster file names another number of nodes.
  [[nodiscard]] Status check_number(const std::vector<NodeConfig>& remote, std::size_t shards) const;
  /// Threads, keys.
  [[nodiscard]] Result<ClusterOptions> options() const;
  /// Starts or reaches the nodes, as the flags say.
  [[nodiscard]] Result<std::unique_ptr<Cluster>> start(std::vector<Graph> shards) const;
  /// The same, on `remote` and with `options`.
  [[nodiscard]] Result<std::unique_ptr<Cluster>> start(const std::vector<NodeConfig>& remote,
                                                       std::vector<Graph> shards,
                                                       const ClusterOptions& options) const;
  [[nodiscard]] RunOptions run_options(bool trace) const;
};

}  // namespace disco::cli
