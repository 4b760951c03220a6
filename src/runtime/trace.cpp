#include <disco/run.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/file.h"

namespace disco {

std::string_view to_string(TracePhase phase) {
  switch (phase) {
    case TracePhase::Compute: return "compute";
    case TracePhase::Pack: return "pack";
    case TracePhase::Wait: return "wait";
    case TracePhase::Unpack: return "unpack";
  }
  return "unknown";
}

Status write_trace(const std::filesystem::path& path, std::span<const NodeTrace> nodes) {
  using nlohmann::json;
  std::int64_t first = std::numeric_limits<std::int64_t>::max();
  for (const NodeTrace& node : nodes) {
    for (const TraceEvent& event : node.events) {
      first = std::min(first, event.start_ns + node.clock_offset_ns);
    }
  }
  json events = json::array();
  for (const NodeTrace& node : nodes) {
    const std::string track = fmt::format("node {} ({})", node.rank, node.label);
    events.push_back(
        {{"ph", "M"}, {"name", "process_name"}, {"pid", node.rank}, {"args", {{"name", track}}}});
    events.push_back({{"ph", "M"},
                      {"name", "process_sort_index"},
                      {"pid", node.rank},
                      {"args", {{"sort_index", node.rank}}}});
    for (const TraceEvent& event : node.events) {
      json arguments = {{"op", event.op}};
      if (event.phase != TracePhase::Compute) {
        arguments["peer"] = event.peer;
        arguments["bytes"] = event.bytes;
      }
      events.push_back({{"ph", "X"},
                        {"name", event.phase == TracePhase::Compute
                                     ? event.name
                                     : fmt::format("{} {}", to_string(event.phase), event.name)},
                        {"cat", to_string(event.phase)},
                        {"pid", node.rank},
                        {"tid", 0},
                        {"ts", static_cast<double>(event.start_ns + node.clock_offset_ns - first) * 1e-3},
                        {"dur", static_cast<double>(event.end_ns - event.start_ns) * 1e-3},
                        {"args", std::move(arguments)}});
    }
  }
  // Names come from models, which may hold anything: what is not UTF-8 is replaced.
  const std::string text = json({{"displayTimeUnit", "ms"}, {"traceEvents", std::move(events)}})
                               .dump(-1, ' ', false, json::error_handler_t::replace);
  return write_file(path, std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace disco
