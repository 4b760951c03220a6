#pragma once
// A split model at work: nodes that hold a shard each, as one thing that answers.

#include <disco/cluster.h>
#include <disco/result.h>
#include <disco/run.h>
#include <disco/split.h>
#include <disco/tensor.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

namespace disco {

/// Where nodes of this machine live.
enum class Transport {
  Threads,    ///< threads of this process; needs nothing
  Processes,  ///< processes of the `disco` program over TCP, which end when this process does
};

struct SessionOptions {
  /// Machines that run `disco node`, by rank (see load_cluster_file). Empty: this machine, by `transport`.
  std::vector<NodeConfig> cluster{};
  Transport transport = Transport::Threads;
  /// Threads that a node computes with. 0: the machine's cores shared evenly, or a remote node's own choice.
  int threads = 0;
  /// File of this end's secret key (`disco keys new`): everything between it and the nodes, and between the
  /// nodes, is then encrypted, and every node of `cluster` needs its public_key. Empty: in the clear.
  std::filesystem::path key{};
  /// For a node to start and to answer, and for the nodes to find each other; each by itself.
  std::chrono::milliseconds start_timeout{10'000};
  /// For a node to receive and compile its shard.
  std::chrono::milliseconds load_timeout{120'000};
  /// The `disco` program for Transport::Processes. Empty: the environment's DISCO_EXECUTABLE, else the one
  /// that was installed with this library, else the first in PATH.
  std::filesystem::path executable{};
};

/// Used by one thread at a time; may be moved. Destroying it ends the nodes that it started, and frees those
/// that it connected to for others.
class Session {
 public:
  /// Starts or reaches the nodes and gives each its shard.
  ///
  /// @return the session, or
  ///   - InvalidArgument         `cluster` names another number of nodes than the split has; `key` is no key,
  ///   or
  ///                             some have keys and others have none
  ///   - NotFound                there is no `disco` program for Transport::Processes
  ///   - Timeout, PeerLost, Io   names the node that did not start, answer or compile, and why
  ///   - ProtocolMismatch        a node of another version, or of another key
  ///   - Unsupported             a graph of over 1.9 GB, its weights aside
  [[nodiscard]] static Result<Session> start(const Split& split, const SessionOptions& options = {});

  /// Runs the network once, with no other request in flight.
  ///
  /// @param inputs  exactly the model's, by name, row-major, of the extents that the split fixed
  /// (Split::inputs)
  /// @return the outputs, row-major, with what every node spent; or
  ///   - NotFound, InvalidArgument, ShapeMismatch  the inputs
  ///   - Timeout, PeerLost                         names the node, its address and what was waited for
  /// A run that fails leaves the session usable where its nodes still are.
  [[nodiscard]] Result<RunResult> run(const NamedTensors& inputs, const RunOptions& options = {});

  /// Sends a request on its way without waiting for its answer. While one waits for the network, the nodes
  /// compute for another, so that several in flight raise the throughput. Each takes NodeInfo::arena_bytes on
  /// every node.
  ///
  /// @return its number; or run()'s errors of inputs, or Unsupported for more than 16 in flight
  [[nodiscard]] Result<std::uint64_t> submit(const NamedTensors& inputs, const RunOptions& options = {});

  /// Waits until one of the requests in flight is answered; they may overtake each other. Where one fails,
  /// those beside it fail too, one call each.
  ///
  /// @return InvalidArgument where none is in flight
  [[nodiscard]] Result<Completed> next();
  [[nodiscard]] std::size_t in_flight() const;

  /// The nodes, by rank.
  [[nodiscard]] const std::vector<NodeInfo>& nodes() const;

  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace disco
