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

Status Cluster::check_inputs(const NamedTensors& inputs) const {
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
