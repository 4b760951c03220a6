#pragma once
// The requests in flight on one node.

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "runtime/executor.h"

namespace disco {

/// An executor, and who waits for its requests. Used by one worker thread, whose tasks begin requests and
/// then drive what is in flight until it is done or the next task waits.
class Runner {
 public:
  /// Called once for every request that was begun, on the worker's thread.
  using Done = std::function<void(Result<ExecutorResult>)>;

  /// The most requests in flight: each holds a workspace.
  static constexpr std::size_t kMostInFlight = 16;

  Runner(std::shared_ptr<const Program> program, const ExecutorOptions& options)
      : executor_(std::move(program), options) {}

  void begin(const NamedTensors& inputs, const RunRequest& request, Done done);

  /// Runs steps and waits for messages until nothing is in flight, or until `interrupted` (asked between
  /// steps; wake the fabric after it became true) and there is room for more.
  void drive(Fabric* fabric, const std::function<bool()>& interrupted);

  /// Ends what is in flight with this error.
  void give_up(const Error& why);

  [[nodiscard]] const Program& program() const { return executor_.program(); }

 private:
  void finish(std::uint64_t request, Result<ExecutorResult> result);

  Executor executor_;
  std::map<std::uint64_t, Done> waiting_;  // by request
};

}  // namespace disco
