#include "graph/onnx_order.h"

#include <functional>
#include <queue>
#include <unordered_map>
#include <vector>

namespace disco {

std::set<std::string> free_names(const onnx::GraphProto& graph) {
  std::set<std::string> bound;
  for (const auto& input : graph.input()) bound.insert(input.name());
  for (const auto& tensor : graph.initializer()) bound.insert(tensor.name());
  for (const auto& node : graph.node()) bound.insert(node.output().begin(), node.output().end());
  std::set<std::string> result;
  const auto use = [&](const std::string& name) {
    if (!name.empty() && !bound.contains(name)) result.insert(name);
  };
  for (const auto& node : graph.node()) {
    for (const auto& input : node.input()) use(input);
    for (const auto& attribute : node.attribute()) {
      if (!attribute.has_g()) continue;
      for (const std::string& name : free_names(attribute.g())) use(name);
    }
  }
  for (const auto& output : graph.output()) use(output.name());
  return result;
}

namespace {

/// Everything that a node reads, by itself or inside.
std::set<std::string> names_read(const onnx::NodeProto& node) {
  std::set<std::string> names(node.input().begin(), node.input().end());
  for (const auto& attribute : node.attribute()) {
    if (attribute.has_g()) names.merge(free_names(attribute.g()));
  }
  return names;
}

/// Of all orders the one that leaves most in place: of the nodes that could come next, the first of the file.
std::vector<int> order_of(const onnx::GraphProto& graph) {
  std::unordered_map<std::string, int> producer;
  for (int n = 0; n < graph.node_size(); ++n) {
    for (const std::string& output : graph.node(n).output()) {
      if (!output.empty()) producer.emplace(output, n);
    }
  }
  std::vector<std::vector<int>> readers(static_cast<std::size_t>(graph.node_size()));
  std::vector<int> missing(static_cast<std::size_t>(graph.node_size()), 0);
  for (int n = 0; n < graph.node_size(); ++n) {
    for (const std::string& name : names_read(graph.node(n))) {
      const auto found = producer.find(name);
      if (found == producer.end()) continue;
      readers[static_cast<std::size_t>(found->second)].push_back(n);
      ++missing[static_cast<std::size_t>(n)];
    }
  }
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (int n = 0; n < graph.node_size(); ++n) {
    if (missing[static_cast<std::size_t>(n)] == 0) ready.push(n);
  }
  std::vector<int> order;
  while (!ready.empty()) {
    const int n = ready.top();
    ready.pop();
    order.push_back(n);
    for (const int reader : readers[static_cast<std::size_t>(n)]) {
      if (--missing[static_cast<std::size_t>(reader)] == 0) ready.push(reader);
    }
  }
  return order;
}

}  // namespace

void sort_nodes(onnx::GraphProto& graph) {
  for (onnx::NodeProto& node : *graph.mutable_node()) {
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_g()) sort_nodes(*attribute.mutable_g());
    }
  }
  const std::vector<int> order = order_of(graph);
  if (static_cast<int>(order.size()) < graph.node_size() || std::ranges::is_sorted(order)) return;
  google::protobuf::RepeatedPtrField<onnx::NodeProto> sorted;
  sorted.Reserve(graph.node_size());
  for (const int n : order) sorted.Add(std::move(*graph.mutable_node(n)));
  graph.mutable_node()->Swap(&sorted);
}

}  // namespace disco
