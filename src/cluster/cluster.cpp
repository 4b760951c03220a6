#include "cluster/cluster.h"

#include <algorithm>
#include <set>

namespace disco {

NamedTensors Cluster::inputs_of(std::size_t rank, const NamedTensors& inputs) const {
  NamedTensors mine;
  for (const std::string& name : nodes_[rank].inputs) {
    if (const auto found = inputs.find(name); found != inputs.end()) {
      mine.insert(*found);
    }
  }
  return mine;
}

std::string Cluster::describe(std::size_t rank) const {
  return fmt::format("node {} ({})", rank, nodes_[rank].label);
}

Error Cluster::said_by(std::size_t rank, const Error& word) const {
  // A complaint about another node begins with that one's name, which is what people look for first.
  return word.message.starts_with("node ") ? error(word.code, "{} (says node {})", word.message, rank)
                                           : in_context(describe(rank), word);
}

Result<RunResult> Cluster::run(const NamedTensors& inputs, const RunOptions& options) {
  if (in_flight() != 0) {
    return error(ErrorCode::InvalidArgument, "{} requests are in flight; collect them with next() first",
                 in_flight());
  }
  DISCO_CHECK(submit(inputs, options));
  DISCO_TRY(Completed completed, next());
  return std::move(completed.result);
}

Status Cluster::check_room() const {
  if (in_flight() >= kMostInFlight) {
    return error(ErrorCode::Unsupported, "more than {} requests in flight; collect some with next() first",
                 kMostInFlight);
  }
  return {};
}

Error Cluster::given_up(const Error& first) {
  return error(first.code, "given up with another request that was in flight: {}", first.message);
}

Status Cluster::check(const NamedTensors& inputs, const RunOptions& options) const {
  if (options.deadline <= std::chrono::milliseconds(0) || options.deadline > std::chrono::hours(24)) {
    return error(ErrorCode::InvalidArgument, "a deadline of {} ms; choose one from 1 ms to 24 h",
                 options.deadline.count());
  }
  std::set<std::string> names;
  for (const NodeInfo& node : nodes_) {
    names.insert(node.inputs.begin(), node.inputs.end());
  }
  for (const auto& [name, tensor] : inputs) {
    if (!names.contains(name)) {
      return error(ErrorCode::InvalidArgument, "the model has no input '{}'; its inputs are: {}", name,
                   fmt::join(names, ", "));
    }
  }
  for (const std::string& name : names) {
    if (!inputs.contains(name)) {
      return error(ErrorCode::NotFound, "the input '{}' is missing", name);
    }
  }
  return {};
}

}  // namespace disco
