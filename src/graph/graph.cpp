#include "graph/graph.h"

#include <fmt/format.h>

#include <set>

namespace disco {

bool Value::has_shape() const {
  if (!dims) return false;
  for (const Dimension& dim : *dims) {
    if (!dim.known()) return false;
  }
  return true;
}

Shape Value::shape() const {
  assert(has_shape());
  Shape shape;
  for (const Dimension& dim : *dims) shape.push_back(dim.extent);
  return shape;
}

void Value::set_shape(const Shape& shape) {
  dims.emplace();
  for (const std::int64_t extent : shape) dims->push_back({extent, {}});
}

namespace {

template <typename T>
const T* find_attribute(const Node& node, std::string_view key) {
  const auto found = node.attributes.find(key);
  return found == node.attributes.end() ? nullptr : std::get_if<T>(&found->second);
}

}  // namespace

std::int64_t Node::int_or(std::string_view key, std::int64_t fallback) const {
  const auto* found = find_attribute<std::int64_t>(*this, key);
  return found != nullptr ? *found : fallback;
}

float Node::float_or(std::string_view key, float fallback) const {
  const auto* found = find_attribute<float>(*this, key);
  return found != nullptr ? *found : fallback;
}

std::string Node::string_or(std::string_view key, std::string_view fallback) const {
  const auto* found = find_attribute<std::string>(*this, key);
  return found != nullptr ? *found : std::string(fallback);
}

std::vector<std::int64_t> Node::ints_or(std::string_view key, std::vector<std::int64_t> fallback) const {
  const auto* found = find_attribute<std::vector<std::int64_t>>(*this, key);
  return found != nullptr ? *found : std::move(fallback);
}

ValueId Graph::add_value(std::string value_name, DataType type) {
  if (names_.empty() || names_.size() != values.size()) {
    names_.clear();
    for (std::size_t i = 0; i < values.size(); ++i) names_.emplace(values[i].name, static_cast<ValueId>(i));
  }
  const auto id = static_cast<ValueId>(values.size());
  std::string unique = value_name;
  for (int suffix = 1; !names_.emplace(unique, id).second; ++suffix) {
    unique = fmt::format("{}.{}", value_name, suffix);
  }
  values.push_back({.name = std::move(unique), .type = type});
  return id;
}

ValueId Graph::add_constant(std::string value_name, Tensor tensor) {
  const ValueId id = add_value(std::move(value_name), tensor.type());
  value(id).set_shape(tensor.shape());
  value(id).constant = std::move(tensor);
  return id;
}

ValueId Graph::find_value(std::string_view value_name) const {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i].name == value_name) return static_cast<ValueId>(i);
  }
  return kNoValue;
}

const Tensor* Graph::constant(ValueId id) const {
  if (id == kNoValue || !value(id).is_constant()) return nullptr;
  return &*value(id).constant;
}

std::vector<std::int32_t> Graph::producers() const {
  std::vector<std::int32_t> result(values.size(), -1);
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    for (const ValueId id : nodes[n].outputs) {
      if (id != kNoValue) result[static_cast<std::size_t>(id)] = static_cast<std::int32_t>(n);
    }
  }
  return result;
}

std::vector<ValueId> captured_values(const Graph& graph, const Node& node) {
  std::vector<ValueId> result;
  for (const auto& [key, attribute] : node.attributes) {
    const auto* subgraph = std::get_if<std::shared_ptr<const Graph>>(&attribute);
    if (subgraph == nullptr) continue;
    for (const std::string& captured : (*subgraph)->captures) {
      if (const ValueId id = graph.find_value(captured); id != kNoValue) result.push_back(id);
    }
  }
  return result;
}

std::vector<std::vector<std::int32_t>> Graph::consumers() const {
  std::vector<std::vector<std::int32_t>> result(values.size());
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    std::vector<ValueId> read = nodes[n].inputs;
    for (const ValueId id : captured_values(*this, nodes[n])) read.push_back(id);
    for (const ValueId id : read) {
      if (id == kNoValue) continue;
      auto& readers = result[static_cast<std::size_t>(id)];
      if (readers.empty() || readers.back() != static_cast<std::int32_t>(n)) {
        readers.push_back(static_cast<std::int32_t>(n));
      }
    }
  }
  return result;
}

std::string name_of(const Graph& graph, const Node& node) {
  if (!node.name.empty() || node.outputs.empty() || node.outputs[0] == kNoValue) return node.name;
  return graph.value(node.outputs[0]).name;
}

std::string describe(const Graph& graph, const Node& node) {
  return fmt::format("node '{}' ({}{}{})", name_of(graph, node), node.domain, node.domain.empty() ? "" : ".",
                     node.op);
}

std::vector<std::int64_t> to_int64s(const Tensor& tensor) {
  std::vector<std::int64_t> result(static_cast<std::size_t>(tensor.elements()));
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i] =
        tensor.type() == DataType::Int32 ? tensor.data<std::int32_t>()[i] : tensor.data<std::int64_t>()[i];
  }
  return result;
}

void Graph::remove_dead() {
  std::vector<bool> live(values.size(), false);
  const auto mark = [&](ValueId id) {
    if (id != kNoValue) live[static_cast<std::size_t>(id)] = true;
  };
  for (const ValueId id : outputs) mark(id);
  for (const ValueId id : inputs) mark(id);
  std::vector<bool> keep(nodes.size(), false);
  for (std::size_t n = nodes.size(); n-- > 0;) {
    const Node& node = nodes[n];
    bool needed = node.outputs.empty();  // Send: run for its effect
    for (const ValueId id : node.outputs)
      needed = needed || (id != kNoValue && live[static_cast<std::size_t>(id)]);
    if (!needed) continue;
    keep[n] = true;
    for (const ValueId id : node.inputs) mark(id);
    for (const ValueId id : captured_values(*this, node)) mark(id);
    // What an operator always gives stays, used or not: a TopK of which only the indices are read, and a
    // Split, the extents of whose parts say where each lies.
    if (!node.outputs.empty()) mark(node.outputs[0]);
    if (node.is("Split")) {
      for (const ValueId id : node.outputs) mark(id);
    }
  }
  std::vector<ValueId> renumbered(values.size(), kNoValue);
  std::vector<Value> kept_values;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!live[i]) continue;
    renumbered[i] = static_cast<ValueId>(kept_values.size());
    kept_values.push_back(std::move(values[i]));
  }
  const auto renumber = [&](std::vector<ValueId>& ids) {
    for (ValueId& id : ids) id = id == kNoValue ? kNoValue : renumbered[static_cast<std::size_t>(id)];
  };
  std::vector<Node> kept_nodes;
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    if (!keep[n]) continue;
    renumber(nodes[n].inputs);
    renumber(nodes[n].outputs);
    kept_nodes.push_back(std::move(nodes[n]));
  }
  nodes = std::move(kept_nodes);
  values = std::move(kept_values);
  names_.clear();
  renumber(inputs);
  renumber(outputs);
}

}  // namespace disco
