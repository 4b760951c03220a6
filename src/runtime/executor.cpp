#include "runtime/executor.h"

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/memory.h"
#include "kernels/simd.h"

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

/// An input that came whole, band by band.
class WholeInputs final : public InputSource {
 public:
  void add(const BandedInput& input, const Tensor& tensor) { inputs_[input.name] = {&input, tensor.clone()}; }
  Result<std::optional<Tensor>> take(const std::string& input, std::size_t band) override {
    const auto& [about, tensor] = inputs_.at(input);
    return std::optional(rows_of_band(tensor, about->bands, band));
  }

 private:
  std::map<std::string, std::pair<const BandedInput*, Tensor>> inputs_;
};

/// One request between its first step and its last.
struct Executor::Flight {
  RunRequest request;
  Clock::time_point start = Clock::now();
  std::shared_ptr<Workspace> workspace;
  std::shared_ptr<std::atomic<bool>> released;
  std::shared_ptr<Lease> lease;     // its own hold; messages on their way keep theirs
  std::size_t next = 0;             // step
  bool waits = false;               // for the message of that step …
  Clock::time_point waits_since{};  // … from then on
  ExecutorResult result;
  Recorder recorder;

  void begin_to_wait() {
    if (!waits) waits_since = Clock::now();
    waits = true;
  }
};

Executor::Executor(std::shared_ptr<const Program> program, const ExecutorOptions& options)
    : program_(std::move(program)), options_(options) {
  idle_.push_back({std::make_shared<Workspace>(*program_), std::make_shared<std::atomic<bool>>(true)});
}

Executor::~Executor() = default;

Result<ExecutorResult> Executor::run(const NamedTensors& inputs, const RunRequest& request, Fabric* fabric) {
  if (in_flight() != 0) {
    return error(ErrorCode::Internal, "a run beside {} others that are in flight", in_flight());
  }
  DISCO_CHECK(begin(inputs, request));
  while (true) {
    Progress progress = advance(fabric);
    if (progress.finished) {
      return std::move(progress.finished->result);
    }
    if (!progress.moved) {
      if (fabric == nullptr) {
        abandon();
        return error(ErrorCode::Internal, "a run without a fabric that waits");
      }
      fabric->wait(request.deadline);
    }
  }
}

Status Executor::begin(const NamedTensors& inputs, const RunRequest& request) {
  auto flight = std::make_unique<Flight>();
  flight->request = request;
  const std::vector<std::string>& names = program_->input_names();
  for (const auto& [name, tensor] : inputs) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      return error(ErrorCode::InvalidArgument, "the model has no input '{}'; its inputs are: {}", name,
                   fmt::join(names, ", "));
    }
  }
  take_workspace(*flight);
  std::shared_ptr<WholeInputs> whole;
  const auto set_input = [&](const std::string& name) -> Status {
    const BandedInput* in_bands = program_->banded_input(name);
    if (in_bands != nullptr && request.bands != nullptr) {
      return {};
    }
    const auto found = inputs.find(name);
    if (found == inputs.end()) {
      return error(ErrorCode::NotFound, "the input '{}' is missing", name);
    }
    if (in_bands == nullptr) {
      return flight->workspace->set_input(name, found->second);
    }
    DISCO_CHECK(check_input(name, found->second, DataType::Float32, in_bands->shape));
    if (whole == nullptr) {
      flight->request.bands = whole = std::make_shared<WholeInputs>();
    }
    whole->add(*in_bands, found->second);
    return {};
  };
  for (const std::string& name : names) {
    if (const Status set = set_input(name); !set) {
      give_back(*flight);
      return set;
    }
  }
  flight->recorder.trace = request.trace ? &flight->result.trace : nullptr;
  flights_.push_back(std::move(flight));
  return {};
}

void Executor::take_workspace(Flight& flight) {
  const auto free = std::find_if(idle_.begin(), idle_.end(), [](const Idle& idle) {
    return idle.released->load(std::memory_order_acquire);
  });
  if (free != idle_.end()) {
    flight.workspace = std::move(free->workspace);
    idle_.erase(free);
  } else {
    flight.workspace = std::make_shared<Workspace>(*program_);
    if (!idle_.empty()) {
      idle_.pop_back();  // its messages keep it as long as they need it
    }
  }
  flight.released = std::make_shared<std::atomic<bool>>(false);
  flight.lease = std::shared_ptr<Lease>(new Lease{flight.workspace, flight.released});
}

void Executor::give_back(Flight& flight) {
  flight.lease.reset();
  idle_.push_back({std::move(flight.workspace), std::move(flight.released)});
}

Executor::Progress Executor::advance(Fabric* fabric) {
  // A setting of the calling thread.
  omp_set_num_threads(
      kernels::usable_threads(options_.threads > 0 ? options_.threads : omp_get_max_threads()));
  for (std::size_t index = 0; index < flights_.size(); ++index) {
    Flight& flight = *flights_[index];
    if (flight.next == 0 && fabric != nullptr) {
      fabric->forget_before(flights_.front()->request.epoch, flights_.front()->request.request);
    }
    if (flight.next < program_->steps().size()) {
      const auto outcome = step(flight, fabric);
      if (!outcome) {
        return {true, finish(index, outcome.error())};
      }
      if (*outcome == Outcome::Waits) {
        continue;
      }
    }
    if (flight.next < program_->steps().size()) {
      return {true, std::nullopt};
    }
    return {true, finish(index, {})};
  }
  return {};
}

Clock::time_point Executor::deadline() const {
  Clock::time_point earliest = Clock::time_point::max();
  for (const auto& flight : flights_) {
    earliest = std::min(earliest, flight->request.deadline);
  }
  return earliest;
}

void Executor::abandon() {
  for (const auto& flight : flights_) {
    give_back(*flight);
  }
  flights_.clear();
  running_ = nullptr;
}

Executor::Finished Executor::finish(std::size_t index, Status status) {
  const std::unique_ptr<Flight> flight = std::move(flights_[index]);
  flights_.erase(flights_.begin() + static_cast<std::ptrdiff_t>(index));
  running_ = nullptr;
  for (const std::string& name : program_->output_names()) {
    if (!status) break;
    auto output = flight->workspace->output(name);
    if (output) {
      flight->result.outputs[name] = std::move(*output);
    } else {
      status = output.error();
    }
  }
  give_back(*flight);
  if (!status) {
    return {flight->request.request, status.error()};
  }
  RunStatistics& statistics = flight->result.statistics = flight->recorder.statistics;
  statistics.total_ms = milliseconds(Clock::now() - flight->start);
  statistics.peak_rss_bytes = peak_memory();
  return {flight->request.request, std::move(flight->result)};
}

Result<Executor::Outcome> Executor::step(Flight& flight, Fabric* fabric) {
  const Step& step = program_->steps()[flight.next];
  if (running_ != &flight && !flight.waits) {
    flight.recorder.mark = Clock::now();  // others had their turn
  }
  if (step.kind == StepKind::Compute) {
    if (const Status status = step.kernel->run(*flight.workspace); !status) {
      return in_step(step, status.error());
    }
    flight.recorder.add(step, TracePhase::Compute);
  } else if (step.kind == StepKind::Receive && step.peer == kCaller) {
    DISCO_TRY(const Outcome outcome, take_band(flight, step, fabric));
    if (outcome == Outcome::Waits) {
      return outcome;
    }
  } else if (fabric == nullptr) {
    return error(ErrorCode::InvalidArgument, "step '{}' ({}) needs node {}, but this is one node alone",
                 step.name, step.op, step.peer);
  } else if (step.kind == StepKind::Send) {
    DISCO_CHECK(send(flight, step, *fabric));
  } else {
    DISCO_TRY(const Outcome outcome, receive(flight, step, *fabric));
    if (outcome == Outcome::Waits) {
      return outcome;
    }
  }
  ++flight.next;
  running_ = &flight;
  return Outcome::Ran;
}

Status Executor::send(Flight& flight, const Step& step, Fabric& fabric) {
  if (const Status status = step.kernel->run(*flight.workspace); !status) {
    return in_step(step, status.error());
  }
  const std::span<const std::byte> wire = flight.workspace->wire(flight.next);
  if (wire.size() != step.wire_bytes) {
    return in_step(
        step, error(ErrorCode::Internal, "packed {} bytes where {} are sent", wire.size(), step.wire_bytes));
  }
  const MessageId id{flight.request.epoch, flight.request.request, step.tag};
  const Status sent =
      fabric.send(step.peer, id, {std::shared_ptr<const std::byte>(flight.lease, wire.data()), wire.size()});
  if (!sent) {
    return error(sent.error().code, "{} while '{}' ({} bytes) was sent to it", sent.error().message,
                 step.name, grouped(step.wire_bytes));
  }
  flight.recorder.statistics.bytes_sent += step.wire_bytes;
  ++flight.recorder.statistics.messages_sent;
  flight.recorder.add(step, TracePhase::Pack);
  return {};
}

Result<Executor::Outcome> Executor::receive(Flight& flight, const Step& step, Fabric& fabric) {
  const MessageId id{flight.request.epoch, flight.request.request, step.tag};
  const bool late = flight.waits && Clock::now() >= flight.request.deadline;
  auto message = fabric.try_receive(step.peer, id);
  if (message && !*message && late) {
    const std::chrono::duration<double> silent = Clock::now() - flight.waits_since;
    message =
        error(ErrorCode::Timeout, "{} sent nothing for {:.1f} s", fabric.describe(step.peer), silent.count());
  }
  if (!message) {
    return error(message.error().code, "{} while waiting for '{}' ({} bytes){}", message.error().message,
                 step.name, grouped(step.wire_bytes),
                 message.error().code == ErrorCode::Timeout ? "; is it running?" : "");
  }
  if (!*message) {
    flight.begin_to_wait();
    return Outcome::Waits;
  }
  flight.waits = false;
  const Payload& payload = **message;
  flight.recorder.add(step, TracePhase::Wait);
  if (payload.size != step.wire_bytes) {
    return error(ErrorCode::ProtocolMismatch,
                 "{} sent {} bytes for '{}', expected {}; were all nodes given shards of one partition?",
                 fabric.describe(step.peer), grouped(payload.size), step.name, grouped(step.wire_bytes));
  }
  DISCO_CHECK(unpack(flight, step, payload.bytes()));
  flight.recorder.statistics.bytes_received += step.wire_bytes;
  ++flight.recorder.statistics.messages_received;
  return Outcome::Ran;
}

Result<Executor::Outcome> Executor::take_band(Flight& flight, const Step& step, const Fabric* fabric) {
  auto band = flight.request.bands->take(step.name, band_of_tag(step.tag));
  if (!band) {
    return in_step(step, band.error());
  }
  if (!*band) {
    if (fabric != nullptr) {
      DISCO_CHECK(fabric->check_cancelled());
    }
    if (flight.waits && Clock::now() >= flight.request.deadline) {
      return error(ErrorCode::Timeout, "the rest of the input '{}' did not come in time", step.name);
    }
    flight.begin_to_wait();
    return Outcome::Waits;
  }
  flight.waits = false;
  flight.recorder.add(step, TracePhase::Wait);
  const Tensor& rows = **band;
  if (rows.type() != DataType::Float32 || rows.bytes() != step.wire_bytes) {
    return error(ErrorCode::ProtocolMismatch, "a part of the input '{}' has {} bytes, expected {}", step.name,
                 grouped(rows.bytes()), grouped(step.wire_bytes));
  }
  DISCO_CHECK(unpack(flight, step, {rows.raw(), rows.bytes()}));
  return Outcome::Ran;
}

Status Executor::unpack(Flight& flight, const Step& step, std::span<const std::byte> message) {
  flight.workspace->set_message(flight.next, message);
  if (const Status status = step.kernel->run(*flight.workspace); !status) {
    return in_step(step, status.error());
  }
  flight.recorder.add(step, TracePhase::Unpack);
  return {};
}

}  // namespace disco
