#pragma once
// Discrete events over node programs: who computes, who waits and what is on the wire, without running
// anything.

#include <disco/run.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "compile/program.h"
#include "plan/profile.h"

namespace disco {

/// A step with what it costs on its node.
struct SimulatedStep {
  StepKind kind = StepKind::Compute;
  std::string name;
  std::string op;
  double seconds = 0;  ///< of its kernel: computing, packing or unpacking
  int peer = -1;
  std::uint32_t tag = 0;
  std::size_t bytes = 0;  ///< on the wire
};

struct SimulatedProgram {
  std::vector<SimulatedStep> steps;
  std::uint64_t weight_bytes = 0;
  std::uint64_t arena_bytes = 0;  ///< of one request
  std::uint64_t input_bytes = 0;  ///< of the message with which the coordinator begins a request on this node
  std::vector<std::uint64_t> more_input_bytes;  ///< of those that follow, with the next band of inputs each
  std::uint64_t output_bytes = 0;
};

struct SimulationOptions {
  int concurrency = 1;  ///< requests in flight
  int requests = 0;     ///< in all; 0: enough for a steady rate
  bool trace = false;   ///< also fill Simulation::traces and Simulation::wire
};

struct SimulatedNode {
  double compute_ms = 0;  ///< a request, as the node measures it: what moving bytes takes from it included
  double pack_ms = 0;     ///< likewise
  double wait_ms = 0;     ///< likewise
  double busy = 0;        ///< share of the time in which it computes or packs
  std::uint64_t bytes_sent = 0;  ///< a request
  std::uint64_t messages_sent = 0;
  std::uint64_t memory_bytes = 0;  ///< weights, and an arena for each request in flight
};

/// A message on the wire, from its first byte's leaving to its last one's coming.
struct WireSpan {
  int from = 0;
  int to = 0;
  double start_s = 0;
  double end_s = 0;
  double bytes = 0;  ///< with headers
  std::string name;  ///< of the value; "inputs" for what the coordinator sends
};

struct Simulation {
  double latency_ms = 0;  ///< median over the requests, as the caller waits
  double throughput = 0;  ///< requests a second
  std::vector<SimulatedNode> nodes;
  int concurrency = 1;
  std::vector<NodeTrace> traces;
  std::vector<WireSpan> wire;
};

/// Whether `a` serves better than `b`, of as many requests in flight: by answers a second where there are
/// several, else by latency. By a factor of `margin` at least.
[[nodiscard]] inline bool is_faster(const Simulation& a, const Simulation& b, double margin = 1.0) {
  return a.concurrency > 1 ? a.throughput > b.throughput * margin : a.latency_ms * margin < b.latency_ms;
}

/// Runs programs on the nodes of a profile.
///
/// A node computes one step at a time, of the oldest request that can go on; a thread beside it moves bytes,
/// and takes the core from it where they share one. What a node sends to several peers shares its egress in
/// turns, and what it is sent shares its ingress, as at a switch.
///
/// @param programs  by rank, one for each of profile.nodes, or fewer
/// @return the simulation, or InvalidArgument: programs that wait for a message that is never sent (says
/// which), more programs than nodes
/// O(messages · log) in events; a second or so for 64 nodes that all exchange everything.
[[nodiscard]] Result<Simulation> simulate(const std::vector<SimulatedProgram>& programs,
                                          const Profile& profile, const SimulationOptions& options = {});

}  // namespace disco
