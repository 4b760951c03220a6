#include "partition/derive.h"

#include <algorithm>
#include <array>
#include <limits>
#include <queue>

namespace disco {

namespace {

/// What a message costs beside its bytes: about 0.1 ms at 1 Gbit/s.
constexpr std::int64_t kMessageBytes = 12'500;

constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max() / 4;

/// Dinic's algorithm (1970).
class Flow {
 public:
  int add_vertex() {
    edges_of_.emplace_back();
    return static_cast<int>(edges_of_.size()) - 1;
  }
  void add_edge(int from, int to, std::int64_t capacity) {
    edges_of_[static_cast<std::size_t>(from)].push_back(static_cast<int>(edges_.size()));
    edges_.push_back({to, capacity});
    edges_of_[static_cast<std::size_t>(to)].push_back(static_cast<int>(edges_.size()));
    edges_.push_back({from, 0});
  }
  void run(int source, int sink) {
    while (layer(source, sink)) {
      next_.assign(edges_of_.size(), 0);
      while (push(source, sink, kUnlimited) > 0) {
      }
    }
  }
  /// The vertices from which the sink can still be reached: its side of the minimum cut that lies nearest to
  /// it.
  [[nodiscard]] std::vector<bool> side_of(int sink) const {
    std::vector<bool> reaches(edges_of_.size(), false);
    std::vector<int> open = {sink};
    reaches[static_cast<std::size_t>(sink)] = true;
    while (!open.empty()) {
      const int at = open.back();
      open.pop_back();
      for (const int e : edges_of_[static_cast<std::size_t>(at)]) {
        const int from = edges_[static_cast<std::size_t>(e)].to;
        if (edges_[static_cast<std::size_t>(e ^ 1)].left <= 0 || reaches[static_cast<std::size_t>(from)])
          continue;
        reaches[static_cast<std::size_t>(from)] = true;
        open.push_back(from);
      }
    }
    return reaches;
  }

 private:
  struct Edge {
    int to;
    std::int64_t left;  // capacity that is not used yet; the edge after (or before) it goes back
  };

  bool layer(int source, int sink) {
    depth_.assign(edges_of_.size(), -1);
    std::queue<int> open;
    open.push(source);
    depth_[static_cast<std::size_t>(source)] = 0;
    while (!open.empty()) {
      const auto at = static_cast<std::size_t>(open.front());
      open.pop();
      for (const int e : edges_of_[at]) {
        const Edge& edge = edges_[static_cast<std::size_t>(e)];
        if (edge.left <= 0 || depth_[static_cast<std::size_t>(edge.to)] >= 0) continue;
        depth_[static_cast<std::size_t>(edge.to)] = depth_[at] + 1;
        open.push(edge.to);
      }
    }
    return depth_[static_cast<std::size_t>(sink)] >= 0;
  }

  std::int64_t push(int at, int sink, std::int64_t most) {
    if (at == sink) return most;
    const auto a = static_cast<std::size_t>(at);
    for (std::size_t& i = next_[a]; i < edges_of_[a].size(); ++i) {
      const auto e = static_cast<std::size_t>(edges_of_[a][i]);
      if (edges_[e].left <= 0 || depth_[static_cast<std::size_t>(edges_[e].to)] != depth_[a] + 1) continue;
      const std::int64_t through = push(edges_[e].to, sink, std::min(most, edges_[e].left));
      if (through <= 0) continue;
      edges_[e].left -= through;
      edges_[e ^ 1U].left += through;
      return through;
    }
    return 0;
  }

  std::vector<Edge> edges_;
  std::vector<std::vector<int>> edges_of_;  // by vertex, indices into edges_
  std::vector<int> depth_;
  std::vector<std::size_t> next_;
};

class Choice {
 public:
  Choice(const Graph& graph, const SplitPlan& plan)
      : graph_(graph), plan_(plan), producers_(graph.producers()) {
    for (std::size_t v = 0; v < plan.value_plans.size(); ++v)
      owners_.push_back(owners_of(plan.value_plans[v]));
  }

  std::vector<bool> run() {
    const int source = flow_.add_vertex();
    const int sink = flow_.add_vertex();
    vertex_.assign(graph_.values.size(), -1);
    bool any = false;
    for (std::size_t v = 0; v < graph_.values.size(); ++v) {
      if (!is_needed_elsewhere(v) || !is_derivable(v)) continue;
      any = true;
      add(static_cast<ValueId>(v), source);
    }
    std::vector<bool> derived(graph_.values.size(), false);
    if (!any) return derived;
    for (std::size_t v = 0; v < graph_.values.size(); ++v) {
      if (vertex_[v] >= 0 && is_needed_elsewhere(v)) flow_.add_edge(vertex_[v] + 1, sink, kUnlimited);
    }
    flow_.run(source, sink);
    const std::vector<bool> near_sink = flow_.side_of(sink);
    for (std::size_t v = 0; v < derived.size(); ++v) {
      derived[v] = vertex_[v] >= 0 && near_sink[static_cast<std::size_t>(vertex_[v])] &&
                   near_sink[static_cast<std::size_t>(vertex_[v]) + 1];
    }
    return derived;
  }

 private:
  static std::vector<std::int32_t> owners_of(const ValuePlan& value) {
    std::vector<std::int32_t> owners;
    for (std::size_t rank = 0; rank < value.owned.size(); ++rank) {
      for (const std::int32_t c : value.owned[rank]) {
        if (static_cast<std::size_t>(c) >= owners.size()) owners.resize(static_cast<std::size_t>(c) + 1, -1);
        owners[static_cast<std::size_t>(c)] = static_cast<std::int32_t>(rank);
      }
    }
    return owners;
  }

  [[nodiscard]] bool is_needed_elsewhere(std::size_t v) const {
    const ValuePlan& value = plan_.value_plans[v];
    if (value.axis == kReplicate) return false;
    for (std::size_t rank = 0; rank < value.needed.size(); ++rank) {
      if (!subtract(value.needed[rank], value.owned[rank]).empty()) return true;
    }
    return false;
  }

  /// Operators that are cheap beside a message and compute a channel from one channel of one input.
  [[nodiscard]] bool is_simple(const Node& node) const {
    static constexpr std::array kSimple = {"Concat",
                                           "Resize",
                                           "Pad",
                                           "BatchNormalization",
                                           "Relu",
                                           "LeakyRelu",
                                           "PRelu",
                                           "Clip",
                                           "Sigmoid",
                                           "Tanh",
                                           "Elu",
                                           "Selu",
                                           "HardSigmoid",
                                           "Add",
                                           "Sub",
                                           "HardSwish",
                                           "Mul",
                                           "Div",
                                           "Neg",
                                           "Abs",
                                           "Sqrt",
                                           "Softplus",
                                           "Exp",
                                           "MaxPool",
                                           "AveragePool",
                                           "Cast",
                                           "Round",
                                           "QuantizeLinear",
                                           "DequantizeLinear"};
    return node.domain.empty() && node.outputs.size() == 1 &&
           std::ranges::find(kSimple, node.op) != kSimple.end();
  }

  /// Whether who holds the inputs' channels of an owner can compute that owner's channels of this value.
  [[nodiscard]] bool is_derivable(std::size_t v) const {
    if (producers_[v] < 0 || plan_.value_plans[v].axis == kReplicate) return false;
    const auto n = static_cast<std::size_t>(producers_[v]);
    const Node& node = graph_.nodes[n];
    const Rule& rule = plan_.node_plans[n].rule;
    if (rule.form != Form::Local || !is_simple(node)) return false;
    int computed = 0;
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      const ValueId in = node.inputs[k];
      if (in == kNoValue || graph_.value(in).is_constant()) continue;
      const InputUse& use = rule.inputs[k];
      // A scale, or whatever else every node computes.
      if (use.kind == UseKind::Whole && plan_.value_plans[static_cast<std::size_t>(in)].axis == kReplicate)
        continue;
      if (use.kind != UseKind::Mapped || plan_.value_plans[static_cast<std::size_t>(in)].axis != use.axis ||
          !keeps_owners(use.maps[0], v, static_cast<std::size_t>(in)))
        return false;
      ++computed;
    }
    // A sum of two would need both.
    return computed == 1 || (computed > 1 && node.is("Concat"));
  }

  [[nodiscard]] bool keeps_owners(const IndexMap& map, std::size_t out, std::size_t in) const {
    for (std::int32_t c = 0; c < map.outputs(); ++c) {
      const auto sources = map.sources(c);
      if (sources.size() > 1) return false;
      if (sources.empty()) {
        const auto n = static_cast<std::size_t>(producers_[out]);
        if (!graph_.nodes[n].is("Concat")) return false;  // a padded channel, which nobody sends
        continue;
      }
      if (owners_[out][static_cast<std::size_t>(c)] != owners_[in][static_cast<std::size_t>(sources[0])])
        return false;
    }
    return true;
  }

  /// A vertex before and one after each value that this one can be derived from.
  void add(ValueId id, int source) {
    std::vector<ValueId> open;
    const auto visit = [&](ValueId value) {
      int& vertex = vertex_[static_cast<std::size_t>(value)];
      if (vertex >= 0) return vertex;
      vertex = flow_.add_vertex();
      const Value& whole = graph_.value(value);
      flow_.add_edge(
          vertex, flow_.add_vertex(),
          element_count(whole.shape()) * static_cast<std::int64_t>(size_of(whole.type)) + kMessageBytes);
      open.push_back(value);
      return vertex;
    };
    visit(id);
    while (!open.empty()) {
      const auto v = static_cast<std::size_t>(open.back());
      open.pop_back();
      const int vertex = vertex_[v];
      if (!is_derivable(v)) {
        flow_.add_edge(source, vertex, kUnlimited);
        continue;
      }
      for (const ValueId in : graph_.nodes[static_cast<std::size_t>(producers_[v])].inputs) {
        if (in != kNoValue && !graph_.value(in).is_constant())
          flow_.add_edge(visit(in) + 1, vertex, kUnlimited);
      }
    }
  }

  const Graph& graph_;
  const SplitPlan& plan_;
  std::vector<std::int32_t> producers_;
  std::vector<std::vector<std::int32_t>> owners_;  // by value, by channel
  Flow flow_;
  std::vector<int> vertex_;  // by value: the one before it, -1 where there is none
};

}  // namespace

std::vector<bool> choose_derived(const Graph& graph, const SplitPlan& plan) {
  return Choice(graph, plan).run();
}

}  // namespace disco
