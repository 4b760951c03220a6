#pragma once
// Runs a node program over a fabric.

#include <disco/run.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
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

/// Bands of inputs that come after their request has begun. Asked by the thread that runs it.
class InputSource {
 public:
  virtual ~InputSource() = default;
  /// A band of an input, or nullopt where it has not come; wake the fabric when one does.
  virtual Result<std::optional<Tensor>> take(const std::string& input, std::size_t band) = 0;
};

struct RunRequest {
  std::uint32_t epoch = 0;
  std::uint64_t request = 1;  ///< counts up within an epoch
  Clock::time_point deadline = Clock::time_point::max();
  bool trace = false;
  std::shared_ptr<InputSource> bands;  ///< of inputs that the program takes in bands; null: all come whole
};

struct ExecutorResult {
  NamedTensors outputs;
  RunStatistics statistics;
  std::vector<TraceEvent> trace;  ///< where RunRequest::trace
};

/// A program with what runs of it need. Used by one thread at a time.
///
/// Several requests may be in flight. They share the weights, have a workspace each, and take turns on the
/// calling thread: the oldest that need not wait for a message runs its next step, so that the node computes
/// for one while another waits, and none is overtaken for long.
///
/// A sent message is copied once, by the kernel that packs it: the fabric sends from the workspace's wire
/// buffer itself, which it keeps alive. A workspace is used again once its messages are sent; where they wait
/// longer (the peer stalled, and that run failed), it is left to them, so that nothing waits and nothing is
/// changed under the transport.
class Executor {
 public:
  explicit Executor(std::shared_ptr<const Program> program, const ExecutorOptions& options = {});
  ~Executor();

  [[nodiscard]] const Program& program() const { return *program_; }

  /// Runs all steps of one request, with none in flight. `fabric` may be null for a program without Send and
  /// Receive steps.
  ///
  /// @param inputs  exactly the program's, by name; without those that RunRequest::bands brings
  /// @return the outputs, or
  ///   - NotFound, InvalidArgument, ShapeMismatch  the inputs
  ///   - Timeout, PeerLost                         names the peer, the value and its bytes
  ///   - ProtocolMismatch                          a message of another size than the program's
  Result<ExecutorResult> run(const NamedTensors& inputs, const RunRequest& request, Fabric* fabric);

  /// Takes one more request in; its inputs are copied. Requests begin in the order of their numbers.
  ///
  /// @return NotFound, InvalidArgument or ShapeMismatch for the inputs; nothing is in flight then
  Status begin(const NamedTensors& inputs, const RunRequest& request);

  struct Finished {
    std::uint64_t request = 0;
    Result<ExecutorResult> result;  ///< as of run()
  };
  struct Progress {
    bool moved = false;  ///< false: all requests in flight wait for messages
    std::optional<Finished> finished;
  };
  /// Runs at most one step of one request. Never waits: where nothing moved, wait on the fabric until
  /// deadline().
  Progress advance(Fabric* fabric);

  /// Lets go of all requests in flight.
  void abandon();

  [[nodiscard]] std::size_t in_flight() const { return flights_.size(); }
  /// The earliest of the requests in flight; Clock::time_point::max() where there are none.
  [[nodiscard]] Clock::time_point deadline() const;

 private:
  struct Lease;
  struct Recorder;
  struct Flight;
  enum class Outcome { Ran, Waits };
  void take_workspace(Flight& flight);
  Result<Outcome> step(Flight& flight, Fabric* fabric);
  Status send(Flight& flight, const Step& step, Fabric& fabric);
  Result<Outcome> receive(Flight& flight, const Step& step, Fabric& fabric);
  Result<Outcome> take_band(Flight& flight, const Step& step, const Fabric* fabric);
  Status unpack(Flight& flight, const Step& step, std::span<const std::byte> message);
  void give_back(Flight& flight);
  Finished finish(std::size_t index, Status status);

  /// A workspace that no request uses. Whether a message of an earlier one still holds it, `released` tells.
  struct Idle {
    std::shared_ptr<Workspace> workspace;
    std::shared_ptr<std::atomic<bool>> released;
  };

  std::shared_ptr<const Program> program_;
  ExecutorOptions options_;
  std::deque<std::unique_ptr<Flight>> flights_;  // in the order of begin()
  std::vector<Idle> idle_;
  const Flight* running_ = nullptr;  // whose step ran last
};

}  // namespace disco
