#pragma once
// What a node did when, and the file that shows it.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace disco {

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
[[nodiscard]] Status write_trace(const std::filesystem::path& path, std::span<const NodeTrace> nodes);

}  // namespace disco
