#pragma once
// Private to the fusions: a graph whose nodes are being replaced.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace disco {

/// A graph whose nodes are being replaced: producers and readers stay current.
class Rewriter {
 public:
  explicit Rewriter(Graph& graph)
      : graph_(graph), producer_(graph.producers()), readers_(graph.values.size(), 0) {
    for (const Node& node : graph.nodes) {
      for (const ValueId id : node.inputs) count(id, 1);
      for (const ValueId id : captured_values(graph, node)) count(id, 1);
    }
    for (const ValueId id : graph.outputs) count(id, 1);
  }
  Graph& graph() { return graph_; }
  Node* producer(ValueId id) {
    if (id == kNoValue || producer_[static_cast<std::size_t>(id)] < 0) return nullptr;
    return &graph_.nodes[static_cast<std::size_t>(producer_[static_cast<std::size_t>(id)])];
  }
  /// The producer where it is of this operator and `readers` reads are all that its result has.
  Node* producer(ValueId id, std::string_view op, int readers = 1) {
    Node* node = producer(id);
    return node != nullptr && node->is(op) && readers_[static_cast<std::size_t>(id)] == readers ? node
                                                                                                : nullptr;
  }
  [[nodiscard]] int readers(ValueId id) const { return readers_[static_cast<std::size_t>(id)]; }
  /// The only element of a constant.
  std::optional<float> scalar(ValueId id) {
    const Tensor* tensor = id == kNoValue ? nullptr : graph_.constant(id);
    if (tensor == nullptr || tensor->elements() != 1 || tensor->type() != DataType::Float32)
      return std::nullopt;
    return tensor->data<float>()[0];
  }
  /// Gives `node` other inputs; what is read no more dies with remove_dead, constants at once: a model's
  /// worth of folded weights is not held twice.
  void replace(Node& node, std::string op, std::string_view domain, std::vector<ValueId> inputs) {
    for (const ValueId id : inputs) count(id, 1);
    for (const ValueId id : node.inputs) {
      count(id, -1);
      if (id != kNoValue && readers(id) == 0) graph_.value(id).constant.reset();
    }
    node.op = std::move(op);
    node.domain = domain;
    node.inputs = std::move(inputs);
  }
  ValueId add_constant(const std::string& name, Tensor tensor) {
    const ValueId id = graph_.add_constant(name, std::move(tensor));
    readers_.push_back(0);
    producer_.push_back(-1);
    return id;
  }
  /// `node` computes `id` from now on, instead of whoever did.
  void take_output(std::size_t node, ValueId id) {
    graph_.nodes[node].outputs = {id};
    producer_[static_cast<std::size_t>(id)] = static_cast<std::int32_t>(node);
  }
  std::size_t index_of(const Node* node) { return static_cast<std::size_t>(node - graph_.nodes.data()); }
  /// Makes a node that nothing needs: its inputs lose a reader.
  void drop(Node& node) {
    replace(node, "Identity", "", {});
    node.outputs.assign(1, kNoValue);
    node.attributes.clear();
  }

 private:
  void count(ValueId id, int by) {
    if (id != kNoValue) readers_[static_cast<std::size_t>(id)] += by;
  }
  Graph& graph_;
  std::vector<std::int32_t> producer_;
  std::vector<int> readers_;
};

/// The other input of a two-input node.
inline ValueId other(const Node& node, ValueId one) {
  return node.inputs[0] == one ? node.inputs[1] : node.inputs[0];
}

}  // namespace disco
