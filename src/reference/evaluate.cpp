#include "reference/evaluate.h"

#include <exception>

#include "reference/registry.h"

namespace disco::reference {

const Tensor* Scope::find(const std::string& name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->outer) {
    if (scope->values == nullptr) continue;
    if (const auto found = scope->values->find(name); found != scope->values->end()) return &found->second;
  }
  return nullptr;
}

bool is_supported(std::string_view op, std::string_view domain) { return registry().contains({domain, op}); }

std::vector<std::string_view> supported_operators() {
  std::vector<std::string_view> names;
  for (const auto& [key, function] : registry()) {
    if (key.first.empty()) names.push_back(key.second);
  }
  return names;
}

Result<Outputs> evaluate(const Node& node, const Inputs& inputs, const Scope& scope) {
  const auto found = registry().find({node.domain, node.op});
  if (found == registry().end()) {
    return error(ErrorCode::Unsupported, "operator {}{}{} is not supported; see docs/operators.md",
                 node.domain, node.domain.empty() ? "" : ".", node.op);
  }
  try {
    return found->second(node, inputs, scope);
  } catch (const std::bad_alloc&) {
    return error(ErrorCode::InvalidModel, "{}: out of memory", node.op);
  } catch (const std::exception& problem) {
    return error(ErrorCode::Internal, "{}: {}", node.op, problem.what());
  }
}

Result<NamedTensors> run(const Graph& graph, const NamedTensors& inputs, const Scope& scope) {
  std::vector<Tensor> values(graph.values.size());
  // Outer values that subgraphs read are looked up by name, so named values are kept where there are
  // subgraphs.
  NamedTensors named;
  bool has_subgraphs = false;
  for (const Node& node : graph.nodes) {
    for (const auto& [key, attribute] : node.attributes) {
      has_subgraphs = has_subgraphs || std::holds_alternative<std::shared_ptr<const Graph>>(attribute);
    }
  }
  const auto set = [&](ValueId id, Tensor tensor) {
    if (has_subgraphs) named[graph.value(id).name] = tensor;
    values[static_cast<std::size_t>(id)] = std::move(tensor);
  };
  for (const ValueId id : graph.inputs) {
    const auto given = inputs.find(graph.value(id).name);
    if (given == inputs.end())
      return error(ErrorCode::NotFound, "no value for the input '{}'", graph.value(id).name);
    set(id, given->second);
  }
  for (std::size_t v = 0; v < graph.values.size(); ++v) {
    if (graph.values[v].constant) set(static_cast<ValueId>(v), *graph.values[v].constant);
  }
  std::vector<std::size_t> last_use(graph.values.size(), 0);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    for (const ValueId id : graph.nodes[n].inputs) {
      if (id != kNoValue) last_use[static_cast<std::size_t>(id)] = n;
    }
  }
  for (const ValueId id : graph.outputs) last_use[static_cast<std::size_t>(id)] = graph.nodes.size();

  const auto value_of = [&](ValueId id) -> Tensor {
    const Tensor& held = values[static_cast<std::size_t>(id)];
    if (!held.empty()) return held;
    // A subgraph's own values come first; what is left is the outer graph's.
    const Tensor* outer = scope.find(graph.value(id).name);
    return outer != nullptr ? *outer : Tensor{};
  };
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    Inputs node_inputs(node.inputs.size());
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      if (node.inputs[k] != kNoValue) node_inputs[k] = value_of(node.inputs[k]);
    }
    const Scope inner{&named, &scope};
    auto outputs = evaluate(node, node_inputs, inner);
    if (!outputs) return in_context(describe(graph, node), outputs.error());
    for (std::size_t o = 0; o < node.outputs.size(); ++o) {
      if (node.outputs[o] != kNoValue && o < outputs->size()) set(node.outputs[o], std::move((*outputs)[o]));
    }
    for (const ValueId id : node.inputs) {
      if (id != kNoValue && last_use[static_cast<std::size_t>(id)] == n && !graph.value(id).is_constant())
        values[static_cast<std::size_t>(id)] = {};
    }
  }
  NamedTensors outputs;
  for (const ValueId id : graph.outputs) {
    Tensor result = value_of(id);
    if (result.empty())
      return error(ErrorCode::InvalidModel, "nothing computes the output '{}'", graph.value(id).name);
    outputs[graph.value(id).name] = std::move(result);
  }
  return outputs;
}

}  // namespace disco::reference
