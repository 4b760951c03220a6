#pragma once
// Node programs with invented costs, whose schedules follow by hand.

#include <string>
#include <vector>

#include "plan/simulate.h"

namespace disco::testing {

/// The same speeds whatever the work is.
inline Speeds alike(const std::vector<SpeedSample>& samples) {
  Speeds speeds;
  speeds.fill(samples);
  return speeds;
}

inline SimulatedStep compute(double seconds) {
  return {.kind = StepKind::Compute, .name = "layer", .op = "Conv", .seconds = seconds};
}
inline SimulatedStep send(int peer, std::uint32_t tag, std::size_t bytes, double seconds = 0) {
  return {.kind = StepKind::Send,
          .name = "value",
          .op = "Send",
          .seconds = seconds,
          .peer = peer,
          .tag = tag,
          .bytes = bytes};
}
inline SimulatedStep receive(int peer, std::uint32_t tag, std::size_t bytes, double seconds = 0) {
  return {.kind = StepKind::Receive,
          .name = "value",
          .op = "Recv",
          .seconds = seconds,
          .peer = peer,
          .tag = tag,
          .bytes = bytes};
}
inline SimulatedProgram program(std::vector<SimulatedStep> steps) {
  SimulatedProgram result;
  result.steps = std::move(steps);
  return result;
}

/// Nodes on which nothing costs anything but the steps themselves.
inline Profile free_of_overhead(int nodes, double bytes_per_s, double latency_s) {
  Profile profile = uniform_profile(nodes, {.bytes_per_s = bytes_per_s, .latency_s = latency_s});
  for (NodeProfile& node : profile.nodes) {
    node.messages = {0, 0, 0, 0, 0, 0, 0, 0, 0};
    node.request_s = node.request_byte_s = node.ask_s = node.ask_byte_s = 0;
  }
  return profile;
}

/// `layers` times, every node computes its share of a second, and sends `bytes` to all others.
inline std::vector<SimulatedProgram> all_to_all(int nodes, int layers, double seconds, std::size_t bytes) {
  std::vector<SimulatedProgram> programs(static_cast<std::size_t>(nodes));
  for (int n = 0; n < nodes; ++n) {
    auto& steps = programs[static_cast<std::size_t>(n)].steps;
    for (int layer = 0; layer < layers; ++layer) {
      const auto tag = static_cast<std::uint32_t>(layer);
      steps.push_back(compute(seconds / nodes));
      for (int peer = 0; peer < nodes; ++peer) {
        if (peer != n) steps.push_back(send(peer, tag, bytes));
      }
      for (int peer = 0; peer < nodes; ++peer) {
        if (peer != n) steps.push_back(receive(peer, tag, bytes));
      }
    }
  }
  return programs;
}

}  // namespace disco::testing
