#pragma once
// A node as a child process.

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "fabric/fabric.h"
#include "fabric/keys.h"

namespace disco {

/// OpenMP's runtime reads how long its threads spin before main() runs, and by default they spin for
/// milliseconds. Unless the environment says how, this replaces the process by itself with short waits; it
/// returns where nothing is to do, or nothing can be done. Call it first in main(), with main's arguments.
void restart_with_short_waits(char** arguments);

/// What an encrypted node is told by who starts it: its own keys, and whom alone it serves.
struct NodeIdentity {
  KeyPair::Shared keys;  ///< null: it speaks in the clear
  PublicKey coordinator;
};

/// Takes over what start() gave the child; by the socket pair, so that the secret is in no argument, variable
/// or file. @return Io where it does not come within 10 s.
[[nodiscard]] Result<NodeIdentity> identity_from_parent(int parent_fd);

/// A child that runs a node server. It ends when this object does, and when this process does, even by
/// SIGKILL: the child watches its end of a socket pair whose other end only this process holds.
class NodeProcess {
 public:
  /// Starts `executable arguments… --listen 127.0.0.1:0 --parent-fd N`, and with keys `--parent-keys 1`: see
  /// identity_from_parent. OpenMP's waits are made short by its
  /// environment where the user did not set them. Its standard error goes to memory, for
  /// messages. It keeps to `cpus`, if any.
  [[nodiscard]] static Result<NodeProcess> start(const std::filesystem::path& executable,
                                                 const std::vector<std::string>& arguments,
                                                 const NodeIdentity& identity = {},
                                                 const std::vector<int>& cpus = {});
  NodeProcess() = default;
  NodeProcess(NodeProcess&& other) noexcept { *this = std::move(other); }
  NodeProcess& operator=(NodeProcess&& other) noexcept;
  ~NodeProcess() { end(); }

  /// Waits for the line that says where it listens; Io where it ends before, with its last words; Timeout.
  [[nodiscard]] Result<std::string> address(Clock::time_point deadline);

  /// "killed by signal 9 (Killed)", "ended with status 1: <last line of its standard error>"; empty while it
  /// runs.
  [[nodiscard]] std::string fate();

  /// Ends it, by force after two seconds, and reaps it.
  void end();
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  [[nodiscard]] std::string last_words() const;

  pid_t pid_ = -1;
  int lifeline_ = -1;
  int standard_error_ = -1;
  std::string fate_;
};

}  // namespace disco
