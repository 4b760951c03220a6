#pragma once
// Runs a node program over a fabric.

#include <disco/run.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "compile/program.h"
#include "fabric/fabric.h"

namespace disco {

struct ExecutorOptions {
  /// OpenMP threads of every kernel; 0 leaves OpenMP's own choice. OpenMP's waiting threads spin, and take
  /// the core from the thread that moves the messages: see restart_with_short_waits().
  int threads = 0;
};

struct RunRequest {
  std::uint32_t epoch = 0;
  std::uint64_t request = 1;  ///< counts up within an epoch
  Clock::time_point deadline = Clock::time_point::max();
  bool trace = false;
};

struct ExecutorResult {
  NamedTensors outputs;
  RunStatistics statistics;
  std::vector<TraceEvent> trace;  ///< where RunRequest::trace
};

/// A program with what a run of it needs. One run at a time.
///
/// A sent message is copied once, by the kernel that packs it: the fabric sends from the workspace's wire
/// buffer itself, which it keeps alive. Should a message of an earlier run still wait to be sent when the
/// next run begins (its peer stalled, and that run failed), then the next run gets a new workspace, so that
/// nothing waits and nothing is changed under the transport.
class Executor {
 public:
  explicit Executor(std::shared_ptr<const Program> program, const ExecutorOptions& options = {});
  ~Executor();

  [[nodiscard]] const Program& program() const { return *program_; }

  /// Runs all steps. `fabric` may be null for a program without Send and Receive steps.
  ///
  /// @param inputs  exactly the program's, by name
  /// @return the outputs, or
  ///   - NotFound, InvalidArgument, ShapeMismatch  the inputs
  ///   - Timeout, PeerLost                         names the peer, the value and its bytes
  ///   - ProtocolMismatch                          a message of another size than the program's
  Result<ExecutorResult> run(const NamedTensors& inputs, const RunRequest& request, Fabric* fabric);

 private:
  struct Lease;
  struct Recorder;
  Status send(std::size_t number, const RunRequest& request, Fabric& fabric, Recorder& recorder);
  Status receive(std::size_t number, const RunRequest& request, Fabric& fabric, Recorder& recorder);

  std::shared_ptr<const Program> program_;
  ExecutorOptions options_;
  std::shared_ptr<Workspace> workspace_;
  std::shared_ptr<std::atomic<bool>> released_;  // whether no message of earlier runs holds workspace_
  std::shared_ptr<Lease> lease_;                 // of the current run
};

}  // namespace disco
