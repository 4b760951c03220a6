#pragma once
// Flags that say where the nodes run; shared by run and bench.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "cluster/cluster.h"

namespace disco::cli {

struct ClusterFlags {
  std::string cluster_file;
  std::string transport = "processes";
  int threads = 0;
  double deadline_s = 30.0;

  void add_to(CLI::App& command);
  /// The nodes of --cluster; empty where it was not given.
  [[nodiscard]] Result<std::vector<NodeConfig>> remote_nodes() const;
  [[nodiscard]] Result<std::unique_ptr<Cluster>> start(std::vector<Graph> shards) const;
  [[nodiscard]] RunOptions run_options(bool trace) const;
};

}  // namespace disco::cli
