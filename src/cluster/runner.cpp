#include "cluster/runner.h"

#include <exception>
#include <new>
#include <utility>

namespace disco {

void Runner::begin(const NamedTensors& inputs, const RunRequest& request, Done done) {
  if (waiting_.contains(request.request)) {
    return done(error(ErrorCode::ProtocolMismatch, "request {} is in flight already", request.request));
  }
  Status begun;
  try {
    begun = executor_.begin(inputs, request);
  } catch (const std::bad_alloc&) {
    begun = error(ErrorCode::Io, "out of memory");
  }
  if (!begun) {
    return done(begun.error());
  }
  waiting_[request.request] = std::move(done);
}

void Runner::drive(Fabric* fabric, const std::function<bool()>& interrupted) {
  while (executor_.in_flight() > 0) {
    if (executor_.in_flight() < kMostInFlight && interrupted()) {
      return;
    }
    try {
      Executor::Progress progress = executor_.advance(fabric);
      if (progress.finished) {
        finish(progress.finished->request, std::move(progress.finished->result));
      } else if (!progress.moved) {
        fabric->wait(executor_.deadline());
      }
    } catch (const std::bad_alloc&) {
      give_up({ErrorCode::Io, "out of memory"});
    } catch (const std::exception& exception) {
      give_up({ErrorCode::Internal, exception.what()});
    }
  }
}

void Runner::give_up(const Error& why) {
  executor_.abandon();
  while (!waiting_.empty()) {
    finish(waiting_.begin()->first, why);
  }
}

void Runner::finish(std::uint64_t request, Result<ExecutorResult> result) {
  const auto found = waiting_.find(request);
  const Done done = std::move(found->second);
  waiting_.erase(found);
  done(std::move(result));
}

}  // namespace disco
