#pragma once
// One run of a network: what the caller asks for, and what comes back.

#include <disco/result.h>
#include <disco/tensor.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace disco {

struct RunOptions {
  std::chrono::milliseconds deadline{30'000};  ///< of the whole run; at most a day
  bool trace = false;                          ///< also fill RunResult::traces
};

/// What one run of one node cost.
struct RunStatistics {
  double compute_ms = 0;  ///< in Compute steps
  double pack_ms = 0;     ///< in the kernels of Send and Receive steps, and copying between wire and fabric
  double wait_ms = 0;     ///< asleep for messages
  double total_ms = 0;    ///< from the first input to the last output
  std::uint64_t bytes_sent = 0;  ///< payload bytes of this run
  std::uint64_t messages_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t messages_received = 0;
  std::uint64_t peak_rss_bytes = 0;  ///< of the process, since it was given its shard
};

enum class TracePhase : std::uint8_t { Compute, Pack, Wait, Unpack };

/// "compute", "pack", "wait", "unpack".
[[nodiscard]] std::string_view to_string(TracePhase phase);

/// One stretch of time of one step. Times are nanoseconds of the node's own steady clock.
struct TraceEvent {
  std::string name;  ///< the step's: a layer, or the value that travels
  std::string op;
  TracePhase phase = TracePhase::Compute;
  std::int64_t start_ns = 0;
  std::int64_t end_ns = 0;
  std::uint64_t bytes = 0;  ///< on the wire, for Pack, Wait and Unpack
  int peer = -1;            ///< likewise
};

struct NodeTrace {
  int rank = 0;
  std::string label;  ///< the node's name or address
  /// Added to this node's times to bring them to the common clock; measured by the coordinator's pings.
  std::int64_t clock_offset_ns = 0;
  std::vector<TraceEvent> events;
};

/// Writes Chrome's trace event format, which Perfetto and chrome://tracing open: one track a node, time from
/// the earliest event on.
///
/// @return Io where the file cannot be written; a file of that name is then as it was
[[nodiscard]] Status write_trace(const std::filesystem::path& path, std::span<const NodeTrace> nodes);

struct RunResult {
  NamedTensors outputs;
  std::vector<RunStatistics> statistics;  ///< by rank
  std::vector<NodeTrace> traces;          ///< by rank, where RunOptions::trace
  double total_ms = 0;                    ///< as the caller waited
};

/// The answer to one of several requests in flight.
struct Completed {
  std::uint64_t request = 0;  ///< as submit() numbered it
  Result<RunResult> result;
};

}  // namespace disco
