#pragma once
// What a node runs: it waits for a coordinator, takes its shard, and computes.

#include <functional>
#include <string>

#include "base/result.h"
#include "fabric/doorman.h"
#include "fabric/zmq_fabric.h"

namespace disco {

struct NodeServerOptions {
  /// Where coordinators connect, "host:port"; port 0 takes a free one.
  std::string listen = "127.0.0.1:7001";
  /// Where the other nodes connect, on the same host; 0 takes a free one for every load.
  int fabric_port = 0;
  /// OpenMP threads of a run; 0 leaves it to the coordinator, and then to OpenMP.
  int threads = 0;
  /// A stream socket whose other end only the starting process holds, or -1: the address is written to it as
  /// one line, and its end ends this process at once. (PR_SET_PDEATHSIG would watch the starting thread
  /// only.)
  int parent_fd = -1;
  /// Readable: end the server; -1: none. For signal handlers and tests.
  int stop_fd = -1;
  /// This node's own keys: it then speaks encrypted only, to coordinators that `judge` lets in, and to the
  /// nodes that such a coordinator names. Null: whoever reaches the port may use the node.
  KeyPair::Shared keys;
  Judge judge;
  /// How this node joins the mesh of its cluster where there is a transport already, such as MPI's; null:
  /// over TCP, by TcpFabric in the clear and by ZmqFabric with keys.
  std::function<Result<std::unique_ptr<Fabric>>(const Membership&)> join;
  /// Told of strangers that were refused, the same line once a minute at most; from any thread.
  OnRefusal on_refusal;
  /// Called once with the address, when coordinators can connect.
  std::function<void(const std::string& address)> on_ready;
};

/// Serves coordinators, one at a time, until stop_fd (or the parent's end). Threads: the calling one answers
/// the control socket at all times; one more does the work (loads, joins, runs), so that pings and cancels
/// never wait. Runs that a coordinator asks for at the same time are interleaved (see Executor).
///
/// Nothing that a coordinator or another peer sends ends it: every error is an answer. When its coordinator
/// vanishes, what runs is cancelled and the shard is dropped.
///
/// @return Io where the port is in use (it is named), InvalidArgument where `listen` cannot be an address or
///         there are keys without a judge, Unsupported for keys where libzmq has no CURVE
[[nodiscard]] Status run_node_server(const NodeServerOptions& options);

}  // namespace disco
