#pragma once
// Measures this machine, and the nodes and links of a cluster, through programs that nodes run anyway.

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/cluster.h"
#include "graph/graph.h"
#include "plan/profile.h"

namespace disco {

/// Speeds of this machine with so many threads; takes about a second.
[[nodiscard]] Result<Speeds> measure_speeds(int threads);

struct MeasureOptions {
  int threads = 0;  ///< of nodes whose configuration does not say
  /// About how long each link is kept busy, in seconds.
  double link_seconds = 0.4;
  std::string coordinator{};  ///< the node on whose machine this runs, by name; see Profile
  std::function<void(std::size_t done, std::size_t total)> on_progress{};
};

/// How one measurement reaches nodes: shards for these nodes become a cluster.
using StartCluster = std::function<Result<std::unique_ptr<Cluster>>(const std::vector<std::size_t>& nodes,
                                                                    std::vector<Graph>)>;

/// Measures nodes and every link between them. Pairs that share no node are measured at the same time, so
/// that n nodes take n rounds.
///
/// @param nodes  names and threads; the rest is filled in
/// @return the profile, or the error of a node that was lost
[[nodiscard]] Result<Profile> measure_cluster(std::vector<NodeProfile> nodes, const StartCluster& start,
                                              const MeasureOptions& options = {});

/// Layers of several sizes, for speeds: one a class and size, named after both.
[[nodiscard]] Graph speed_graph();

}  // namespace disco
