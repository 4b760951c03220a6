#include "runtime/executor.h"

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/memory.h"

namespace disco {
namespace {

std::int64_t nanoseconds(Clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

double milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

/// 100352 as "100,352".
std::string grouped(std::size_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t place = digits.size(); place > 3; place -= 3) {
    digits.insert(place - 3, 1, ',');
  }
  return digits;
}

Error in_step(const Step& step, const Error& inner) {
  return {inner.code, fmt::format("step '{}' ({}): {}", step.name, step.op, inner.message)};
}

}  // namespace

/// Held by every message of a run that the fabric has not let go of; keeps the wire buffers alive.
struct Executor::Lease {
  std::shared_ptr<Workspace> workspace;
  std::shared_ptr<std::atomic<bool>> released;
  ~Lease() { released->store(true, std::memory_order_release); }
};

/// Adds stretches of time up, and keeps them where a trace is wanted.
struct Executor::Recorder {
  RunStatistics statistics;
  std::vector<TraceEvent>* trace = nullptr;
  Clock::time_point mark = Clock::now();

  /// The time since the last mark went into `phase` of `step`.
  void add(const Step& step, TracePhase phase) {
    const Clock::time_point now = Clock::now();
    double& sum = phase == TracePhase::Compute ? statistics.compute_ms
                  : phase == TracePhase::Wait  ? statistics.wait_ms
                                               : statistics.pack_ms;
    sum += milliseconds(now - mark);
    if (trace != nullptr) {
      trace->push_back(
          {step.name, step.op, phase, nanoseconds(mark), nanoseconds(now), step.wire_bytes, step.peer});
    }
    mark = now;
  }
};

Executor::Executor(std::shared_ptr<const Program> program, const ExecutorOptions& options)
    : program_(std::move(program)), options_(options), workspace_(std::make_shared<Workspace>(*program_)) {}

Executor::~Executor() = default;

Result<ExecutorResult> Executor::run(const NamedTensors& inputs, const RunRequest& request, Fabric* fabric) {
  if (options_.threads > 0) {
    omp_set_num_threads(options_.threads);  // a setting of the calling thread
  }
  if (released_ && !released_->load(std::memory_order_acquire)) {
    workspace_ = std::make_shared<Workspace>(*program_);
  }
  released_ = std::make_shared<std::atomic<bool>>(false);
  lease_ = std::shared_ptr<Lease>(new Lease{workspace_, released_});
  // The run's own hold ends with it; messages still on their way keep theirs.
  struct EndOfRun {
    std::shared_ptr<Lease>& lease;
    ~EndOfRun() { lease.reset(); }
  } const end_of_run{lease_};

  const Clock::time_point start = Clock::now();
  ExecutorResult result;
  Recorder recorder;
  recorder.trace = request.trace ? &result.trace : nullptr;

  const std::vector<std::string>& names = program_->input_names();
  for (const auto& [name, tensor] : inputs) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      return error(ErrorCode::InvalidArgument, "the model has no input '{}'; its inputs are: {}", name,
                   fmt::join(names, ", "));
    }
  }
  for (const std::string& name : names) {
    const auto found = inputs.find(name);
    if (found == inputs.end()) {
      return error(ErrorCode::NotFound, "the input '{}' is missing", name);
    }
    DISCO_CHECK(workspace_->set_input(name, found->second));
  }

  recorder.mark = Clock::now();
  const std::vector<Step>& steps = program_->steps();
  for (std::size_t number = 0; number < steps.size(); ++number) {
    const Step& step = steps[number];
    if (step.kind == StepKind::Compute) {
      if (const Status status = step.kernel->run(*workspace_); !status) {
        return in_step(step, status.error());
      }
      recorder.add(step, TracePhase::Compute);
      continue;
    }
    if (fabric == nullptr) {
      return error(ErrorCode::InvalidArgument, "step '{}' ({}) needs node {}, but this is one node alone",
                   step.name, step.op, step.peer);
    }
    DISCO_CHECK(step.kind == StepKind::Send ? send(number, request, *fabric, recorder)
                                            : receive(number, request, *fabric, recorder));
  }

  for (const std::string& name : program_->output_names()) {
    DISCO_TRY(result.outputs[name], workspace_->output(name));
  }
  result.statistics = recorder.statistics;
  result.statistics.total_ms = milliseconds(Clock::now() - start);
  result.statistics.peak_rss_bytes = peak_memory();
  return result;
}

Status Executor::send(std::size_t number, const RunRequest& request, Fabric& fabric, Recorder& recorder) {
  const Step& step = program_->steps()[number];
  if (const Status status = step.kernel->run(*workspace_); !status) {
    return in_step(step, status.error());
  }
  const std::span<const std::byte> wire = workspace_->wire(number);
  if (wire.size() != step.wire_bytes) {
    return in_step(
        step, error(ErrorCode::Internal, "packed {} bytes where {} are sent", wire.size(), step.wire_bytes));
  }
  const MessageId id{request.epoch, request.request, step.tag};
  const Status sent =
      fabric.send(step.peer, id, {std::shared_ptr<const std::byte>(lease_, wire.data()), wire.size()});
  if (!sent) {
    return error(sent.error().code, "{} while '{}' ({} bytes) was sent to it", sent.error().message,
                 step.name, grouped(step.wire_bytes));
  }
  recorder.statistics.bytes_sent += step.wire_bytes;
  ++recorder.statistics.messages_sent;
  recorder.add(step, TracePhase::Pack);
  return {};
}

Status Executor::receive(std::size_t number, const RunRequest& request, Fabric& fabric, Recorder& recorder) {
  const Step& step = program_->steps()[number];
  auto message = fabric.receive(step.peer, {request.epoch, request.request, step.tag}, request.deadline);
  if (!message) {
    return error(message.error().code, "{} while waiting for '{}' ({} bytes){}", message.error().message,
                 step.name, grouped(step.wire_bytes),
                 message.error().code == ErrorCode::Timeout ? "; is it running?" : "");
  }
  recorder.add(step, TracePhase::Wait);
  if (message->size != step.wire_bytes) {
    return error(ErrorCode::ProtocolMismatch,
                 "{} sent {} bytes for '{}', expected {}; were all nodes given shards of one partition?",
                 fabric.describe(step.peer), grouped(message->size), step.name, grouped(step.wire_bytes));
  }
  workspace_->set_message(number, {message->data.get(), message->size});
  if (const Status status = step.kernel->run(*workspace_); !status) {
    return in_step(step, status.error());
  }
  recorder.statistics.bytes_received += step.wire_bytes;
  ++recorder.statistics.messages_received;
  recorder.add(step, TracePhase::Unpack);
  return {};
}

}  // namespace disco
