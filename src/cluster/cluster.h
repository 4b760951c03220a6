#pragma once
// One network over several nodes, as one thing that answers.

#include <disco/cluster.h>
#include <disco/run.h>
#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/result.h"
#include "cluster/runner.h"
#include "fabric/keys.h"
#include "graph/graph.h"

namespace disco {

struct ClusterOptions {
  /// For a node to start and to answer, and for the nodes to find each other; each by itself.
  std::chrono::milliseconds start_timeout{10'000};
  /// For a node to receive and compile its shard.
  std::chrono::milliseconds load_timeout{120'000};
  /// OpenMP threads a node. 0: the machine's cores shared evenly where all nodes are on this machine, else
  /// the node's own choice.
  int threads = 0;
  /// Local nodes keep to cores of their own where there are enough, see cores_of_nodes().
  bool own_cores = true;
  bool optimise = true;  ///< see CompileOptions
  /// For tests: all ranks but the first get their inputs as if they were on other machines.
  bool pretend_far = false;
  /// The coordinator's own: everything between it and the nodes, and between the nodes, is then encrypted.
  /// connect() needs every node's NodeConfig::public_key; start_local gives its nodes keys of their own, for
  /// as long as they live; start_inproc has no wire. Null: in the clear.
  KeyPair::Shared keys;
  /// What start_local runs; empty: this executable.
  std::filesystem::path executable;
  /// Its arguments, before "--listen 127.0.0.1:0 --parent-fd N".
  std::vector<std::string> arguments = {"node"};
};

/// N nodes that hold a shard each. Used by one thread at a time. Destroying it ends what it started.
///
/// A run that fails leaves the cluster usable where its nodes still are: the next run brings them together
/// again, under a new epoch. All errors name the node; those of a lost or silent node say who waited for
/// what.
class Cluster {
 public:
  virtual ~Cluster() = default;

  /// Ranks as threads of this process. `shards` by rank; one is an unsplit model.
  [[nodiscard]] static Result<std::unique_ptr<Cluster>> start_inproc(std::vector<Graph> shards,
                                                                     const ClusterOptions& options = {});
  /// Ranks as processes of this machine, which end when this process does, however it does.
  ///
  /// @return Io where a node could not be started (with the last line of its standard error), or a load's
  /// error
  [[nodiscard]] static Result<std::unique_ptr<Cluster>> start_local(std::vector<Graph> shards,
                                                                    const ClusterOptions& options = {});
  /// Ranks on machines that run `disco node`.
  ///
  /// @return InvalidArgument where some have keys and others have none,
  ///         Timeout or PeerLost for a node that does not answer, ProtocolMismatch for one of another
  ///         version or that cannot be spoken to (who has no key, or another one),
  ///         Io for one that serves another coordinator, Unsupported for a graph over 1.9 GB beside its
  ///         weights, or a load's error
  [[nodiscard]] static Result<std::unique_ptr<Cluster>> connect(const std::vector<NodeConfig>& nodes,
                                                                std::vector<Graph> shards,
                                                                const ClusterOptions& options = {});

  [[nodiscard]] const std::vector<NodeInfo>& nodes() const { return nodes_; }

  /// What the machine of rank `rank` had before it got its shard; zeros where it does not say.
  [[nodiscard]] MachineMemory memory(std::size_t rank) const {
    return rank < memory_.size() ? memory_[rank] : MachineMemory{};
  }

  /// Runs the network once, with no other request in flight. Inputs go to the nodes whose shards read them.
  ///
  /// @return the outputs, or
  ///   - NotFound, InvalidArgument, ShapeMismatch  the inputs
  ///   - Timeout, PeerLost                         names the node, its address and what was waited for
  [[nodiscard]] Result<RunResult> run(const NamedTensors& inputs, const RunOptions& options = {});

  /// Sends a request on its way without waiting for the answer. Nodes compute for one request while another
  /// waits for the network; each in flight takes a workspace on every node (NodeInfo::arena_bytes).
  ///
  /// @return its number, for next(); or run()'s errors of inputs, or Unsupported for one more than
  /// kMostInFlight
  [[nodiscard]] virtual Result<std::uint64_t> submit(const NamedTensors& inputs,
                                                     const RunOptions& options = {}) = 0;

  using Completed = disco::Completed;
  /// Waits until one of the requests in flight is answered. Where one fails, those that were in flight beside
  /// it fail too, one call each.
  ///
  /// @return InvalidArgument where none is in flight
  [[nodiscard]] virtual Result<Completed> next() = 0;
  [[nodiscard]] virtual std::size_t in_flight() const = 0;

  static constexpr std::size_t kMostInFlight = Runner::kMostInFlight;

  /// Ends the nodes that were started, and leaves those that were connected to to others. Later runs fail.
  virtual void shutdown() = 0;

 protected:
  /// The inputs that rank `rank` reads.
  [[nodiscard]] NamedTensors inputs_of(std::size_t rank, const NamedTensors& inputs) const;
  /// NotFound or InvalidArgument where `inputs` are not exactly what the shards read, or the deadline cannot
  /// be one.
  [[nodiscard]] Status check(const NamedTensors& inputs, const RunOptions& options) const;
  /// "node 2 (10.0.0.7:7001)".
  [[nodiscard]] std::string describe(std::size_t rank) const;
  /// Unsupported where kMostInFlight requests are in flight.
  [[nodiscard]] Status check_room() const;
  /// What is said of the requests that were in flight beside one that failed.
  [[nodiscard]] static Error given_up(const Error& first);
  /// What a node reported, with its name.
  [[nodiscard]] Error said_by(std::size_t rank, const Error& word) const;

  std::vector<NodeInfo> nodes_;
  std::vector<MachineMemory> memory_;  // by rank
};

}  // namespace disco
