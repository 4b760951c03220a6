#include "compile/overlap.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "base/take.h"

namespace disco {

namespace {

/// The axes of a linear map's input and of its weights that are summed over.
struct Contraction {
  std::int64_t input = 0;
  int weight = 0;
};

Contraction contraction_of(const Graph& graph, const Node& node) {
  if (node.is("Conv")) return {1, 1};
  if (node.is("ConvTranspose")) return {1, 0};
  const auto last = static_cast<std::int64_t>(graph.value(node.inputs[0]).shape().size()) - 1;
  return {last, node.is("Gemm") && node.int_or("transB", 0) != 0 ? 1 : 0};
}

class Splitter {
 public:
  Splitter(Graph& graph, std::set<std::string> marked)
      : graph_(graph), marked_(std::move(marked)), producers_(graph.producers()) {
    readers_.assign(graph.values.size(), 0);
    for (const Node& node : graph.nodes) {
      for (const ValueId id : node.inputs) {
        if (id != kNoValue) ++readers_[at(id)];
      }
      for (const ValueId id : captured_values(graph, node)) ++readers_[at(id)];
    }
    for (const ValueId id : graph.outputs) ++readers_[at(id)];
  }

  void run() {
    old_ = std::exchange(graph_.nodes, {});
    dropped_.assign(old_.size(), false);
    for (std::size_t n = 0; n < old_.size(); ++n) {
      if (!dropped_[n] && !split(n)) list_.push_back(old_[n]);
    }
    order();
  }

 private:
  static std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }
  const Node* producer(ValueId id) const {
    if (id == kNoValue || at(id) >= producers_.size() || producers_[at(id)] < 0) return nullptr;
    return &old_[static_cast<std::size_t>(producers_[at(id)])];
  }

  /// Received, or derived from nothing but what was.
  bool is_received(ValueId id) const {
    const Node* from = producer(id);
    if (from == nullptr) return false;
    if (from->is_disco("Recv")) return true;
    bool any = false;
    for (const ValueId input : from->inputs) {
      if (input == kNoValue || graph_.constant(input) != nullptr) continue;
      if (!is_received(input)) return false;
      any = true;
    }
    return any;
  }

  ValueId add_value(const std::string& name, ValueId like, std::int64_t axis, std::int64_t extent) {
    const ValueId id = graph_.add_value(name, graph_.value(like).type);
    Shape shape = graph_.value(like).shape();
    if (axis >= 0) shape[static_cast<std::size_t>(axis)] = extent;
    graph_.value(id).set_shape(shape);
    return id;
  }

  /// One value with these channels; a Concat where they are several, or where they are received: its reader's
  /// layout is then what the message is unpacked to.
  ValueId joined(const std::string& name, const std::vector<ValueId>& parts, ValueId like,
                 std::int64_t axis) {
    std::int64_t extent = 0;
    for (const ValueId id : parts) extent += graph_.value(id).shape()[static_cast<std::size_t>(axis)];
    Node concat;
    concat.op = "Concat";
    concat.inputs = parts;
    concat.outputs = {add_value(name, like, axis, extent)};
    concat.name = graph_.value(concat.outputs[0]).name;
    concat.attributes["axis"] = axis;
    list_.push_back(std::move(concat));
    return list_.back().outputs[0];
  }

  bool split(std::size_t n) {
    const Node& node = old_[n];
    if (!marked_.contains(node.name) || node.int_or("group", 1) != 1) return false;
    const Node* concat = producer(node.inputs[0]);
    const Tensor* weight = graph_.constant(node.input(1));
    if (concat == nullptr || !concat->is("Concat") || weight == nullptr ||
        weight->type() != DataType::Float32)
      return false;
    const ValueId whole = node.inputs[0];
    if (!graph_.value(whole).has_shape() || !graph_.value(node.outputs[0]).has_shape()) return false;
    const Contraction axes = contraction_of(graph_, node);
    const auto rank = static_cast<std::int64_t>(graph_.value(whole).shape().size());
    const std::int64_t axis = concat->int_or("axis", 0);
    if ((axis < 0 ? axis + rank : axis) != axes.input) return false;

    // Sorted into what is here and what comes.
    std::vector<ValueId> own, received;
    std::vector<std::int64_t> own_channels, received_channels;
    std::int64_t channel = 0;
    for (const ValueId id : concat->inputs) {
      if (!graph_.value(id).has_shape()) return false;
      const bool comes = is_received(id);
      (comes ? received : own).push_back(id);
      auto& channels = comes ? received_channels : own_channels;
      const std::int64_t extent = graph_.value(id).shape()[static_cast<std::size_t>(axes.input)];
      for (std::int64_t c = 0; c < extent; ++c) channels.push_back(channel++);
    }
    if (own.empty() || received.empty() || weight->shape()[static_cast<std::size_t>(axes.weight)] != channel)
      return false;

    const ValueId out = node.outputs[0];
    const std::string name = name_of(graph_, node);
    const std::string weight_name = graph_.value(node.inputs[1]).name;
    Tensor own_weight = take(*weight, axes.weight, own_channels);
    Tensor received_weight = take(*weight, axes.weight, received_channels);
    if (--readers_[at(node.inputs[1])] == 0) graph_.value(node.inputs[1]).constant.reset();  // not held twice

    // The own part, with the bias.
    Node first = node;
    first.name = name + "/own";
    Node second = first;
    second.name = name + "/received";
    if (own.size() == 1) {
      first.inputs[0] = own[0];
    } else {
      ValueId& known = own_parts_.try_emplace(own, kNoValue).first->second;
      if (known == kNoValue) known = joined(graph_.value(whole).name + "/own", own, whole, axes.input);
      first.inputs[0] = known;
    }
    first.inputs[1] = graph_.add_constant(weight_name + "/own", std::move(own_weight));
    ValueId partial = add_value(graph_.value(out).name + "/own", out, -1, 0);
    first.outputs = {partial};
    list_.push_back(std::move(first));
    const std::size_t first_index = list_.size() - 1;

    // A residual sum goes to the own part where its other summand can be had without waiting for more.
    ValueId result = out;
    const Node* residual = readers_[at(out)] == 1 ? reader(n, out) : nullptr;
    if (residual != nullptr && residual->is("Add") && residual->inputs[0] != residual->inputs[1]) {
      const ValueId other = residual->inputs[0] == out ? residual->inputs[1] : residual->inputs[0];
      const bool same = graph_.constant(other) == nullptr &&
                        graph_.value(other).dims == graph_.value(out).dims &&
                        graph_.value(other).type == DataType::Float32 &&
                        graph_.value(residual->outputs[0]).dims == graph_.value(out).dims;
      if (same && !waits_after(other, n)) {
        Node sum = *residual;
        sum.inputs = {partial, other};
        partial = add_value(graph_.value(out).name + "/own+", out, -1, 0);
        sum.outputs = {partial};
        result = residual->outputs[0];
        list_.push_back(std::move(sum));
        dropped_[static_cast<std::size_t>(residual - old_.data())] = true;
      }
    }

    // The part that waits.
    ValueId& message = received_.try_emplace(received, kNoValue).first->second;
    if (message == kNoValue)
      message = joined(graph_.value(whole).name + "/received", received, whole, axes.input);
    early_[message].push_back(first_index);
    second.inputs = {message, graph_.add_constant(weight_name + "/received", std::move(received_weight))};
    second.op = node.op;
    if (node.domain != "" && node.inputs.size() > 2)
      second.domain = "";  // without its bias it is ONNX's again
    second.outputs = {add_value(graph_.value(out).name + "/received", out, -1, 0)};
    Node join;
    join.name = name + "/join";
    join.op = "Add";
    join.inputs = {second.outputs[0], partial};
    join.outputs = {result};
    join.attributes[std::string(kJoin)] = std::int64_t{1};
    list_.push_back(std::move(second));
    list_.push_back(std::move(join));
    return true;
  }

  /// The first node after `n` that reads `id`.
  const Node* reader(std::size_t n, ValueId id) const {
    for (std::size_t m = n + 1; m < old_.size(); ++m) {
      const auto& inputs = old_[m].inputs;
      if (!dropped_[m] && std::find(inputs.begin(), inputs.end(), id) != inputs.end()) return &old_[m];
    }
    return nullptr;
  }

  /// Whether a value comes of a Receive that stands after node `n`: to compute it sooner would put that
  /// before Sends.
  bool waits_after(ValueId id, std::size_t n) const {
    if (id == kNoValue || at(id) >= producers_.size()) return false;
    const std::int32_t from = producers_[at(id)];
    if (from < 0 || static_cast<std::size_t>(from) <= n) return false;
    const Node& node = old_[static_cast<std::size_t>(from)];
    if (node.domain == kDiscoDomain || dropped_[static_cast<std::size_t>(from)]) return true;
    if (!captured_values(graph_, node).empty()) return true;
    return std::any_of(node.inputs.begin(), node.inputs.end(),
                       [&](ValueId input) { return waits_after(input, n); });
  }

  /// Puts list_ back into the graph: in order, but Receives just before their first reader, what the own
  /// parts need before these, and before what a message brings, all that can run without it.
  void order() {
    maker_.assign(graph_.values.size(), -1);
    for (std::size_t n = 0; n < list_.size(); ++n) {
      for (const ValueId id : list_[n].outputs) {
        if (id != kNoValue) maker_[at(id)] = static_cast<std::int32_t>(n);
      }
    }
    emitted_ = dead();
    for (std::size_t n = 0; n < list_.size(); ++n) {
      if (!list_[n].is_disco("Recv")) emit(n);
    }
    for (std::size_t n = 0; n < list_.size(); ++n) emit(n);  // what nothing reads
  }

  /// What only fed what was split: Concats of own and received parts, whose Receives may come later now.
  std::vector<bool> dead() const {
    std::vector<int> reads(graph_.values.size(), 0);
    for (const ValueId id : graph_.outputs) ++reads[at(id)];
    for (const Node& node : list_) {
      for (const ValueId id : node.inputs) {
        if (id != kNoValue) ++reads[at(id)];
      }
      for (const ValueId id : captured_values(graph_, node)) ++reads[at(id)];
    }
    std::vector<bool> result(list_.size(), false);
    for (std::size_t n = list_.size(); n-- > 0;) {
      const Node& node = list_[n];
      result[n] = node.is("Concat") && reads[at(node.outputs[0])] == 0;
      for (std::size_t k = 0; result[n] && k < node.inputs.size(); ++k) --reads[at(node.inputs[k])];
    }
    return result;
  }

  bool is_there(ValueId id) const {
    return id == kNoValue || maker_[at(id)] < 0 || emitted_[static_cast<std::size_t>(maker_[at(id)])];
  }

  void emit(std::size_t n) {
    if (emitted_[n]) return;
    emitted_[n] = true;
    if (!list_[n].outputs.empty()) {
      if (const auto early = early_.find(list_[n].outputs[0]); early != early_.end()) {
        for (const std::size_t part : early->second) {
          if (!emitted_[part] && is_there(list_[part].inputs[0])) emit(part);
        }
      }
    }
    // Emitting moves nodes out of list_, so that the inputs are copied.
    std::vector<ValueId> needs = list_[n].inputs;
    for (const ValueId id : captured_values(graph_, list_[n])) needs.push_back(id);
    for (const ValueId id : needs) {
      if (id != kNoValue && maker_[at(id)] >= 0) emit(static_cast<std::size_t>(maker_[at(id)]));
    }
    graph_.nodes.push_back(std::move(list_[n]));
  }

  Graph& graph_;
  std::set<std::string> marked_;         // names of nodes
  std::vector<std::int32_t> producers_;  // of the graph as it was
  std::vector<int> readers_;             // likewise
  std::vector<Node> old_;
  std::vector<bool> dropped_;  // by old node: it became a part of a split one
  std::vector<Node> list_;     // what replaces them
  std::map<std::vector<ValueId>, ValueId> own_parts_;
  std::map<std::vector<ValueId>, ValueId> received_;   // Concats of what comes
  std::map<ValueId, std::vector<std::size_t>> early_;  // by such a Concat: the own parts of its readers
  std::vector<std::int32_t> maker_;                    // by value, in list_
  std::vector<bool> emitted_;
};

}  // namespace

void split_local_first(Graph& graph) {
  const auto found = graph.metadata.find(std::string(kLocalFirst));
  if (found == graph.metadata.end()) return;
  const auto names = nlohmann::json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  std::set<std::string> marked;
  for (const auto& name : names) {
    if (name.is_string()) marked.insert(name.get<std::string>());
  }
  Splitter(graph, std::move(marked)).run();
  graph.remove_dead();
}

}  // namespace disco
