#pragma once
// A job of mpirun as a cluster: every process is a node, and process 0 asks too.

#include <memory>
#include <thread>
#include <vector>

#include "base/result.h"
#include "cluster/cluster.h"
#include "fabric/mpi.h"
#include "fabric/zmq_socket.h"

namespace disco {

/// Features travel by MPI. Shards, inputs, answers and figures travel as with `disco node`, encrypted, with
/// keys that live as long as the job and are told by MPI.
class MpiJob {
 public:
  /// Starts MPI and brings the processes together. All of a job call it.
  ///
  /// @return NotFound or Io where MPI cannot be started (see open_mpi), Unsupported where libzmq has no
  /// CURVE, Io
  ///         where a process could not open its port
  [[nodiscard]] static Result<std::unique_ptr<MpiJob>> start();
  /// On rank 0 this ends the job for all.
  ~MpiJob();
  MpiJob(const MpiJob&) = delete;
  MpiJob& operator=(const MpiJob&) = delete;

  [[nodiscard]] int rank() const { return world_->rank(); }
  /// For Cluster::connect, on rank 0. Their threads are the cores that the launcher left to each process, or
  /// an even share of its machine.
  [[nodiscard]] const std::vector<NodeConfig>& nodes() const { return nodes_; }
  [[nodiscard]] const KeyPair::Shared& keys() const { return keys_; }
  /// On the other ranks: works until rank 0 ends the job.
  [[nodiscard]] Status serve();

 private:
  MpiJob() = default;
  Status open();

  std::unique_ptr<MpiWorld> world_;
  KeyPair::Shared keys_;
  std::vector<NodeConfig> nodes_;
  WakeUp stop_;
  Status served_;
  std::thread node_;
};

}  // namespace disco
