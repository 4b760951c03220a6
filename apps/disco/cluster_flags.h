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
  int threads = 0;
  double deadline_s = 30.0;

  void add_to(CLI::App& command);
  /// The nodes of --cluster; empty where it was not given.
  [[nodiscard]] Result<std::vector<NodeConfig>> remote_nodes() const;
  /// Splits over the nodes of the cluster file by their shares, where neither flags nor the model say how.
  static void take_shares(const Graph& model, const std::vector<NodeConfig>& remote, SplitFlags& split);
  /// InvalidArgument where the cluster file names another number of nodes.
  [[nodiscard]] Status check_number(const std::vector<NodeConfig>& remote, std::size_t shards) const;
  [[nodiscard]] Result<std::unique_ptr<Cluster>> start(std::vector<Graph> shards) const;
  [[nodiscard]] RunOptions run_options(bool trace) const;
};

}  // namespace disco::cli
