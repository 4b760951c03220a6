#include "compile/bands.h"

#include <algorithm>
#include <queue>
#include <tuple>

namespace disco {

namespace {

/// Keeps the bands of what leads to a Send in bands, reads an input or a Receive in bands at once, or follows
/// from the former up to the next convolution or exchange: what is left to do when the input's last band
/// comes.
void drop_idle(const Graph& graph, const std::map<ValueId, Bands>& of_inputs, std::vector<Bands>& bands) {
  std::vector<bool> wanted(graph.values.size(), false), received(graph.values.size(), false),
      given(graph.values.size(), false), early(graph.values.size(), false), sent(graph.values.size(), false);
  for (const auto& [id, unused] : of_inputs) {
    const auto v = static_cast<std::size_t>(id);
    wanted[v] = received[v] = given[v] = true;
  }
  for (const Node& node : graph.nodes) {
    if (node.is_disco("Send")) sent[static_cast<std::size_t>(node.inputs[0])] = true;
  }
  const auto any = [](const std::vector<bool>& flags, const std::vector<ValueId>& ids) {
    return std::any_of(ids.begin(), ids.end(),
                       [&](ValueId id) { return id != kNoValue && flags[static_cast<std::size_t>(id)]; });
  };
  for (const Node& node : graph.nodes) {
    const bool receives = node.is_disco("Recv") && !named_bands(node).empty();
    const bool follows = any(early, node.inputs) && !node.is("Conv");
    const bool reads = follows || any(received, node.inputs);
    const bool is_first = any(given, node.inputs);
    for (const ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      early[static_cast<std::size_t>(id)] = (follows || is_first) && !sent[static_cast<std::size_t>(id)];
      received[static_cast<std::size_t>(id)] = receives || (reads && node.is("Concat"));
      wanted[static_cast<std::size_t>(id)] = receives || reads;
    }
  }
  for (std::size_t n = graph.nodes.size(); n-- > 0;) {
    const Node& node = graph.nodes[n];
    if (!any(wanted, node.outputs) && !(node.is_disco("Send") && !named_bands(node).empty())) continue;
    for (const ValueId id : node.inputs) {
      if (id != kNoValue) wanted[static_cast<std::size_t>(id)] = true;
    }
  }
  for (std::size_t v = 0; v < bands.size(); ++v) {
    if (!wanted[v]) bands[v].clear();
  }
}

}  // namespace

std::vector<Bands> plan_bands(const Graph& graph, const std::map<ValueId, Bands>& of_inputs) {
  std::vector<Bands> bands(graph.values.size()), sent(graph.values.size());
  for (const auto& [id, of_input] : of_inputs) bands[static_cast<std::size_t>(id)] = of_input;
  bool any = !of_inputs.empty();
  for (const Node& node : graph.nodes) {
    if (named_bands(node).empty()) continue;
    if (node.is_disco("Send")) sent[static_cast<std::size_t>(node.inputs[0])] = named_bands(node);
    any = any || node.is_disco("Send") || node.is_disco("Recv");
  }
  if (!any) return bands;
  for (const Node& node : graph.nodes) {
    for (const ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      Bands& of_output = bands[static_cast<std::size_t>(id)];
      if (node.is_disco("Recv")) {
        of_output = named_bands(node);
      } else if (!sent[static_cast<std::size_t>(id)].empty()) {
        of_output = sent[static_cast<std::size_t>(id)];
      } else if (id == node.outputs[0]) {
        of_output = bands_after(graph, node, bands);
      }
    }
  }
  drop_idle(graph, of_inputs, bands);
  return bands;
}

std::vector<std::size_t> take_turns(const std::vector<Step>& steps, const std::vector<StepOrder>& orders) {
  const std::size_t count = steps.size();
  std::vector<std::vector<std::size_t>> followers(count);
  std::vector<std::size_t> open(count, 0);  // what must run before, and has not
  std::vector<std::vector<std::size_t>> of_buffer;
  std::vector<std::size_t> sends, inputs;
  const auto overlap = [](const Access& a, const Access& b) {
    return a.buffer == b.buffer && (a.writes || b.writes) && a.begin < b.end && b.begin < a.end;
  };
  for (std::size_t s = 0; s < count; ++s) {
    std::vector<std::size_t> earlier;
    for (const Access& access : orders[s].accesses) {
      const auto buffer = static_cast<std::size_t>(access.buffer);
      if (of_buffer.size() <= buffer) of_buffer.resize(buffer + 1);
      for (const std::size_t other : of_buffer[buffer]) {
        const auto& theirs = orders[other].accesses;
        if (std::any_of(theirs.begin(), theirs.end(), [&](const Access& a) { return overlap(a, access); }))
          earlier.push_back(other);
      }
    }
    const bool is_input = steps[s].kind == StepKind::Receive && steps[s].peer == kCaller;
    if (steps[s].kind == StepKind::Receive) earlier.insert(earlier.end(), sends.begin(), sends.end());
    if (steps[s].kind == StepKind::Receive && !is_input)
      earlier.insert(earlier.end(), inputs.begin(), inputs.end());
    std::sort(earlier.begin(), earlier.end());
    earlier.erase(std::unique(earlier.begin(), earlier.end()), earlier.end());
    for (const std::size_t other : earlier) followers[other].push_back(s);
    open[s] = earlier.size();
    for (const Access& access : orders[s].accesses) {
      auto& users = of_buffer[static_cast<std::size_t>(access.buffer)];
      if (users.empty() || users.back() != s) users.push_back(s);
    }
    if (steps[s].kind == StepKind::Send) sends.push_back(s);
    if (is_input) inputs.push_back(s);
  }
  // Stretches between exchanges, then bands, then the order as it was.
  using Turn = std::tuple<std::size_t, std::size_t, std::size_t>;
  std::vector<Turn> turns(count);
  std::size_t stretch = 0;
  for (std::size_t s = 0; s < count; ++s) {
    if (s > 0 && steps[s - 1].kind == StepKind::Send && steps[s].kind != StepKind::Send) ++stretch;
    turns[s] = {stretch, orders[s].band, s};
  }
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> ready;
  for (std::size_t s = 0; s < count; ++s) {
    if (open[s] == 0) ready.push(turns[s]);
  }
  std::vector<std::size_t> order;
  order.reserve(count);
  while (!ready.empty()) {
    const std::size_t next = std::get<2>(ready.top());
    ready.pop();
    order.push_back(next);
    for (const std::size_t follower : followers[next]) {
      if (--open[follower] == 0) ready.push(turns[follower]);
    }
  }
  return order;
}

}  // namespace disco
