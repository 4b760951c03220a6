#include "partition/cost.h"

#include <algorithm>
#include <map>
#include <set>

namespace disco {

namespace {

std::int64_t bytes_of(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  if (!value.has_shape()) return 0;
  return element_count(value.shape()) * static_cast<std::int64_t>(size_of(value.type));
}

/// What `bytes` of a value come to in the wire format of its Send or Recv.
std::int64_t wire_bytes(const Node& node, std::int64_t bytes) {
  const WireFormat format = WireFormat::of(node);
  return format.type == DataType::Float32 ? bytes
                                          : bytes / 4 * static_cast<std::int64_t>(size_of(format.type));
}

bool is_weight(const Graph& graph, ValueId id) {
  const Tensor* constant = id == kNoValue ? nullptr : graph.constant(id);
  return constant != nullptr &&
         (constant->type() == DataType::Float32 || constant->type() == DataType::Float64);
}

std::string label(const Graph& graph, const Node& node) {
  if (!node.name.empty() || node.outputs.empty() || node.outputs[0] == kNoValue) return node.name;
  return graph.value(node.outputs[0]).name;
}

/// Bytes of activations that are held while each node runs.
std::vector<std::int64_t> live_activations(const Graph& graph) {
  std::vector<std::size_t> last_use(graph.values.size(), 0);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    for (const ValueId id : graph.nodes[n].inputs) {
      if (id != kNoValue) last_use[static_cast<std::size_t>(id)] = n;
    }
  }
  for (const ValueId id : graph.outputs) last_use[static_cast<std::size_t>(id)] = graph.nodes.size();
  std::int64_t live = 0;
  std::vector<std::int64_t> by_node;
  std::map<std::size_t, std::int64_t> freed;  // after which node, how many bytes
  const auto allocate = [&](ValueId id) {
    live += bytes_of(graph, id);
    freed[last_use[static_cast<std::size_t>(id)]] += bytes_of(graph, id);
  };
  for (const ValueId id : graph.inputs) allocate(id);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    for (const ValueId id : graph.nodes[n].outputs) {
      if (id != kNoValue) allocate(id);
    }
    by_node.push_back(live);
    live -= freed[n];
  }
  return by_node;
}

std::int64_t most(const std::vector<std::int64_t>& numbers) {
  return numbers.empty() ? 0 : *std::max_element(numbers.begin(), numbers.end());
}

/// Adds one node's own figures; `seen` holds the constants that were counted.
void add_node_cost(const Graph& graph, const Node& node, std::set<ValueId>& seen, Cost& cost) {
  if (node.is_disco("Send")) {
    const auto channels = node.ints_or("channels", {});
    std::int64_t bytes = bytes_of(graph, node.inputs[0]);
    if (!channels.empty()) {
      const Shape shape = graph.value(node.inputs[0]).shape();
      bytes = bytes / shape[static_cast<std::size_t>(node.int_or("axis", 0))] *
              static_cast<std::int64_t>(channels.size());
    }
    cost.bytes_sent += wire_bytes(node, bytes);
    cost.messages_sent += static_cast<std::int64_t>(named_bands(node).size()) + 1;
    return;
  }
  if (node.is_disco("Recv")) {
    cost.bytes_received += wire_bytes(node, bytes_of(graph, node.outputs[0]));
    return;
  }
  cost.macs += macs_of(graph, node);
  for (const ValueId id : node.inputs) {
    if (is_weight(graph, id) && seen.insert(id).second) cost.weight_bytes += bytes_of(graph, id);
  }
}

}  // namespace

std::int64_t macs_of(const Graph& graph, const Node& node) {
  if (!node.domain.empty() || node.inputs.size() < 2 || node.inputs[1] == kNoValue ||
      node.outputs[0] == kNoValue)
    return 0;
  const Value& input = graph.value(node.inputs[0]);
  const Value& weight = graph.value(node.inputs[1]);
  const Value& output = graph.value(node.outputs[0]);
  if (!input.has_shape() || !weight.has_shape() || !output.has_shape()) return 0;
  const std::int64_t outputs = element_count(output.shape());
  const Shape w = weight.shape();
  if (node.is("Conv")) return w.empty() || w[0] == 0 ? 0 : outputs * (element_count(w) / w[0]);
  if (node.is("ConvTranspose"))
    return w.empty() || w[0] == 0 ? 0 : element_count(input.shape()) * (element_count(w) / w[0]);
  if (node.is("Gemm")) return outputs * (node.int_or("transB", 0) != 0 ? w.at(1) : w.at(0));
  if (node.is("MatMul")) return input.shape().empty() ? 0 : outputs * input.shape().back();
  const bool recurrent = node.is("LSTM") || node.is("GRU") || node.is("RNN");
  const ValueId recurrence = node.input(2);
  if (recurrent && input.shape().size() == 3 && recurrence != kNoValue &&
      graph.value(recurrence).has_shape()) {
    const std::int64_t steps = input.shape()[0] * input.shape()[1];  // of all sequences of the batch
    return steps * (element_count(w) + element_count(graph.value(recurrence).shape()));
  }
  return 0;
}

Cost total_cost(const Graph& graph) {
  Cost cost;
  std::set<ValueId> seen;
  for (const Node& node : graph.nodes) add_node_cost(graph, node, seen, cost);
  cost.peak_activation_bytes = most(live_activations(graph));
  return cost;
}

CostTable cost_table(const Graph& graph, const SplitPlan& plan, const std::vector<Graph>& shards) {
  CostTable table;
  table.unsplit = total_cost(graph);
  const std::vector<std::int64_t> live = live_activations(graph);
  std::map<std::string, std::size_t> layer_of_node;
  std::map<std::string, std::size_t> layer_of_value;
  std::set<ValueId> seen;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    LayerCost layer;
    layer.name = label(graph, node);
    layer.op = node.op;
    layer.form = to_string(plan.node_plans[n].rule.form);
    layer.reason = plan.node_plans[n].rule.reason;
    layer.nodes.resize(shards.size());
    add_node_cost(graph, node, seen, layer.unsplit);
    layer.unsplit.peak_activation_bytes = live[n];
    layer_of_node.emplace(layer.name, n);
    for (const ValueId id : node.outputs) {
      if (id != kNoValue) layer_of_value.emplace(graph.value(id).name, n);
    }
    table.layers.push_back(std::move(layer));
  }
  for (std::size_t rank = 0; rank < shards.size(); ++rank) {
    const Graph& shard = shards[rank];
    table.nodes.push_back(total_cost(shard));
    std::set<ValueId> counted;
    const std::vector<std::int64_t> held = live_activations(shard);
    for (std::size_t n = 0; n < shard.nodes.size(); ++n) {
      const Node& node = shard.nodes[n];
      auto found = layer_of_node.find(label(shard, node));
      bool known = found != layer_of_node.end();
      if (node.is_disco("Send") || node.is_disco("Recv")) {
        std::string value = node.string_or("value", "");
        if (value.ends_with("/statistics"))
          value.resize(value.size() - std::string_view("/statistics").size());
        found = layer_of_value.find(value);
        known = found != layer_of_value.end();
      }
      if (!known) continue;
      Cost& cost = table.layers[found->second].nodes[rank];
      add_node_cost(shard, node, counted, cost);
      cost.peak_activation_bytes = std::max(cost.peak_activation_bytes, held[n]);
    }
  }
  return table;
}

}  // namespace disco
