#include "train/network.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "train/bridge.h"

namespace disco::train {

namespace {

/// Input positions of a node that hold what training changes.
std::vector<std::size_t> parameter_positions(const Graph& graph, const Node& node) {
  if (node.is("Conv") || node.is("ConvTranspose") || node.is("Gemm")) return {1, 2};
  if (node.is("BatchNormalization") || node.is("InstanceNormalization") || node.is("LayerNormalization"))
    return {1, 2};
  if (node.is("MatMul") || node.is("Add") || node.is("Mul")) {
    std::vector<std::size_t> positions;
    for (std::size_t k = 0; k < 2; ++k) {
      const Tensor* constant = graph.constant(node.input(k));
      if (constant != nullptr && constant->elements() > 1) positions.push_back(k);
    }
    return positions;
  }
  if (node.is("PRelu")) return {1};
  if (node.is("Concat") && node.int_or("axis", 0) == 1) {
    // Class and distillation tokens, once an image.
    std::vector<std::size_t> positions;
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      const Tensor* constant = graph.constant(node.input(k));
      if (constant != nullptr && constant->rank() == 3) positions.push_back(k);
    }
    return positions;
  }
  return {};
}

/// Constants that are joined to what is computed are spread over the batch; one of the equal rows is kept, so
/// that networks of several batch sizes share it.
bool is_spread(const Tensor& constant) {
  if (constant.rank() < 2 || constant.shape()[0] < 2) return false;
  const std::size_t row = constant.bytes() / static_cast<std::size_t>(constant.shape()[0]);
  for (std::int64_t i = 1; i < constant.shape()[0]; ++i) {
    if (std::memcmp(constant.raw(), constant.raw() + static_cast<std::size_t>(i) * row, row) != 0)
      return false;
  }
  return true;
}

}  // namespace

const at::Tensor* Weights::find(const std::string& name) const {
  for (const auto* group : {&parameters, &buffers, &constants}) {
    if (const auto found = group->find(name); found != group->end()) return &found->second;
  }
  return nullptr;
}

Result<Weights> read_weights(const Graph& graph, at::Device device) {
  Weights weights;
  weights.device = device;
  std::map<ValueId, int> kinds;  // 1: parameter, 2: buffer
  std::set<ValueId> spread;
  for (const Node& node : graph.nodes) {
    if (node.is("Concat") && node.int_or("axis", 0) != 0) {
      for (const ValueId id : node.inputs) {
        const Tensor* constant = graph.constant(id);
        if (constant != nullptr && is_spread(*constant)) spread.insert(id);
      }
    }
    for (const std::size_t k : parameter_positions(graph, node)) {
      const Tensor* constant = graph.constant(node.input(k));
      if (constant != nullptr && constant->type() == DataType::Float32) kinds.emplace(node.input(k), 1);
    }
    if (!node.is("BatchNormalization")) continue;
    for (const std::size_t k : {3U, 4U}) {
      if (graph.constant(node.input(k)) != nullptr) kinds[node.input(k)] = 2;
    }
  }
  for (std::size_t v = 0; v < graph.values.size(); ++v) {
    const Value& value = graph.values[v];
    if (!value.is_constant()) continue;
    const auto kind = kinds.find(static_cast<ValueId>(v));
    auto tensor = to_torch(*value.constant);
    if (!tensor) continue;  // of a type that only the reference evaluator reads
    if (value.type == DataType::Float32 && !tensor->isfinite().all().item<bool>() && kind != kinds.end()) {
      return error(ErrorCode::InvalidModel, "weight '{}' has values that are not finite", value.name);
    }
    if (spread.contains(static_cast<ValueId>(v))) *tensor = tensor->narrow(0, 0, 1).clone();
    *tensor = tensor->to(device);
    if (kind == kinds.end()) {
      weights.constants[value.name] = *tensor;
    } else if (kind->second == 1) {
      weights.parameters[value.name] = tensor->set_requires_grad(true);
    } else {
      weights.buffers[value.name] = *tensor;
    }
  }
  return weights;
}

void write_weights(const Weights& weights, Graph& graph) {
  std::map<std::string, ValueId> by_name;
  for (std::size_t v = 0; v < graph.values.size(); ++v)
    by_name[graph.values[v].name] = static_cast<ValueId>(v);
  const std::vector<std::int32_t> producers = graph.producers();
  std::vector<ValueId> replaced;
  for (const auto* group : {&weights.parameters, &weights.buffers}) {
    for (const auto& [name, tensor] : *group) {
      const auto found = by_name.find(name);
      if (found == by_name.end()) continue;
      ValueId target = found->second;
      const std::int32_t producer = producers[static_cast<std::size_t>(target)];
      if (producer >= 0 && graph.nodes[static_cast<std::size_t>(producer)].is("Expand")) {
        // What is spread over a batch of any size changes where it comes from.
        const ValueId source = graph.nodes[static_cast<std::size_t>(producer)].inputs[0];
        const Tensor* constant = graph.constant(source);
        if (constant != nullptr && constant->elements() == tensor.numel()) {
          graph.value(source).constant = from_torch(tensor.reshape(constant->shape()));
          continue;
        }
      }
      Value& value = graph.value(target);
      if (!value.is_constant()) replaced.push_back(target);
      value.constant = from_torch(tensor);
      value.type = value.constant->type();
      value.set_shape(value.constant->shape());
    }
  }
  if (replaced.empty()) return;
  std::erase_if(graph.nodes, [&](const Node& node) {
    return node.outputs.size() == 1 &&
           std::find(replaced.begin(), replaced.end(), node.outputs[0]) != replaced.end();
  });
  graph.remove_dead();
}

Result<Network> Network::create(const Graph& graph, std::shared_ptr<const Weights> weights) {
  Network network;
  network.graph_ = &graph;
  network.weights_ = std::move(weights);
  std::vector<std::size_t> last(graph.values.size(), 0);
  std::vector<bool> learns(graph.values.size(), false);  // a parameter lies before it
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    bool differentiable = true;
    DISCO_TRY(Operator made, make_operator(graph, node, differentiable));
    network.operators_.push_back(std::move(made));
    bool reads = false;
    for (const ValueId id : node.inputs) {
      if (id == kNoValue) continue;
      last[static_cast<std::size_t>(id)] = n;
      reads = reads || learns[static_cast<std::size_t>(id)] ||
              network.weights_->parameters.contains(graph.value(id).name);
    }
    if (reads && !differentiable) network.opaque_.push_back(n);
    for (const ValueId id : node.outputs) {
      if (id != kNoValue) learns[static_cast<std::size_t>(id)] = reads && differentiable;
    }
  }
  network.dying_.resize(graph.nodes.size());
  for (std::size_t v = 0; v < last.size(); ++v) {
    const auto id = static_cast<ValueId>(v);
    if (std::find(graph.outputs.begin(), graph.outputs.end(), id) != graph.outputs.end()) continue;
    if (!graph.nodes.empty()) network.dying_[last[v]].push_back(id);
  }
  return network;
}

Values Network::begin(const std::vector<at::Tensor>& inputs) const {
  Values values(graph_->values.size());
  for (std::size_t i = 0; i < graph_->inputs.size(); ++i)
    values[static_cast<std::size_t>(graph_->inputs[i])] = inputs[i];
  return values;
}

Status Network::step(std::size_t n, Values& values, const Mode& mode) const {
  const Node& node = graph_->nodes[n];
  std::vector<at::Tensor> inputs;
  for (const ValueId id : node.inputs) {
    if (id == kNoValue) {
      inputs.emplace_back();
      continue;
    }
    const at::Tensor* constant = weights_->find(graph_->value(id).name);
    inputs.push_back(constant != nullptr ? *constant : values[static_cast<std::size_t>(id)]);
  }
  try {
    const auto hook = hooks_.find(n);
    const std::vector<at::Tensor> outputs = hook == hooks_.end()
                                                ? operators_[n](inputs, mode)
                                                : hook->second(operators_[n], std::move(inputs), mode);
    for (std::size_t o = 0; o < node.outputs.size() && o < outputs.size(); ++o) {
      if (node.outputs[o] != kNoValue) values[static_cast<std::size_t>(node.outputs[o])] = outputs[o];
    }
  } catch (const std::exception& problem) {
    return error(ErrorCode::Internal, "{}: {}", describe(*graph_, node), first_line(problem));
  }
  return {};
}

void Network::release(std::size_t n, Values& values) const {
  for (const ValueId id : dying_[n]) values[static_cast<std::size_t>(id)] = at::Tensor();
}

Result<std::vector<at::Tensor>> Network::forward(const std::vector<at::Tensor>& inputs,
                                                 const Mode& mode) const {
  Values values = begin(inputs);
  for (std::size_t n = 0; n < operators_.size(); ++n) {
    DISCO_CHECK(step(n, values, mode));
    release(n, values);
  }
  std::vector<at::Tensor> outputs;
  for (const ValueId id : graph_->outputs) {
    const at::Tensor* constant = weights_->find(graph_->value(id).name);
    outputs.push_back(constant != nullptr ? *constant : values[static_cast<std::size_t>(id)]);
  }
  return outputs;
}

}  // namespace disco::train
