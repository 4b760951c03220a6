#include "engine.h"

namespace disco::cli {

namespace {

std::map<std::string, Shape> shapes_of(const NamedTensors& tensors) {
  std::map<std::string, Shape> shapes;
  for (const auto& [name, tensor] : tensors) shapes[name] = tensor.shape();
  return shapes;
}

/// The inputs that a cluster's nodes read. A model may have others, whose values nothing depends on.
NamedTensors inputs_for(const Cluster& cluster, const NamedTensors& all) {
  NamedTensors inputs;
  for (const NodeInfo& node : cluster.nodes()) {
    for (const std::string& name : node.inputs) inputs.emplace(name, all.at(name));
  }
  return inputs;
}

}  // namespace

Status Engine::start(const NamedTensors& inputs) {
  if (!model_) return error(ErrorCode::Internal, "inputs of another shape than was announced");
  nodes_.reset();
  whole_.reset();
  shapes_ = shapes_of(inputs);
  DISCO_TRY(SplitModel model, split(*model_, split_, shapes_));
  if (verify_) {
    std::vector<Graph> unsplit;
    unsplit.push_back(std::move(model.graph));
    DISCO_TRY(whole_, Cluster::start_inproc(std::move(unsplit)));
  }
  DISCO_TRY(nodes_, cluster_.start(std::move(model.shards)));
  return {};
}

Result<RunResult> Engine::run(const NamedTensors& inputs, bool trace, bool last_shape) {
  if (!nodes_ || shapes_of(inputs) != shapes_) DISCO_CHECK(start(inputs));
  if (last_shape) model_.reset();
  return nodes_->run(inputs_for(*nodes_, inputs), cluster_.run_options(trace));
}

Result<NamedTensors> Engine::run_whole(const NamedTensors& inputs) {
  DISCO_TRY(RunResult result, whole_->run(inputs_for(*whole_, inputs), cluster_.run_options(false)));
  return std::move(result.outputs);
}

}  // namespace disco::cli
