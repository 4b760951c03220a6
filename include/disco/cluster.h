#pragma once
// The machines of a cluster, and what each of them reports.

#include <disco/result.h>
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace disco {

/// One `[[node]]` of a cluster file.
struct NodeConfig {
  std::string address;  ///< "10.0.0.7:7001", where `disco node` listens
  std::string name;     ///< for messages; the address where empty
  double share = 1;     ///< of the channels, on any scale
  int threads = 0;      ///< 0: the node's own choice
  /// "disco-public-…" of a node that is started with --key; the link to it is then encrypted, and the session
  /// needs a key too.
  std::string public_key;
};

/// Reads a cluster file (TOML): `[[node]]` tables in order of rank, each with `address` and optionally
/// `name`, `share`, `threads`, `public_key`.
///
/// @return the nodes, or NotFound, Io, or InvalidArgument: one line with file:line, also for keys that do not
/// exist
[[nodiscard]] Result<std::vector<NodeConfig>> load_cluster_file(const std::filesystem::path& path);

struct NodeInfo {
  std::string label;  ///< as messages name it: its name or address
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::uint64_t weight_bytes = 0;  ///< as held in memory, in the layouts of its kernels
  std::uint64_t arena_bytes = 0;   ///< peak activations of one run
  pid_t process = -1;              ///< of a node that was started as a process of this machine
};

}  // namespace disco
