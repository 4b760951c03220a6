#include "plan/tune.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "partition/plan.h"
#include "plan/scenario.h"

namespace disco {

namespace {

class Tuner {
 public:
  Tuner(const Graph& graph, const Partition& partition, const Profile& profile, StepCosts& costs,
        int concurrency, const std::function<void(std::size_t)>& done)
      : graph_(graph),
        partition_(partition),
        profile_(profile),
        costs_(costs),
        concurrency_(concurrency),
        done_(done),
        layouts_(infer_layouts(graph, partition.chosen_axes)),
        producers_(graph.producers()) {}

  Result<Tuned> run() {
    DISCO_TRY(Simulation given, simulate_with(partition_, false));
    Tuned best{.partition = partition_, .as_given = given, .simulation = std::move(given)};
    Partition other = partition_;
    other.local_first.reset();  // all of them
    if (partition_.local_first) DISCO_CHECK(attempt(other, best));
    // In one piece, to see who waits.
    other.local_first.emplace();
    DISCO_TRY(Simulation none, simulate_with(other, true));
    const std::vector<std::string> by_wait = maps_by_wait(none.traces);
    none.traces.clear();
    keep_if_faster(other, std::move(none), best);
    best.maps = by_wait.size();
    for (std::size_t count = 1; count < by_wait.size(); count *= 2) {
      other.local_first.emplace(by_wait.begin(), by_wait.begin() + static_cast<std::ptrdiff_t>(count));
      DISCO_CHECK(attempt(other, best));
    }
    for (const int bands : {1, 2, 4}) {
      other = best.partition;
      other.bands = bands;
      if (bands != best.partition.bands) DISCO_CHECK(attempt(other, best));
    }
    const auto& chosen = best.partition.local_first;
    best.two_parts = chosen ? static_cast<std::size_t>(std::ranges::count_if(
                                  by_wait, [&](const std::string& map) { return chosen->contains(map); }))
                            : best.maps;
    return best;
  }

 private:
  Result<Simulation> simulate_with(const Partition& partition, bool trace) {
    DISCO_TRY(std::vector<Graph> shards, make_shards(graph_, partition));
    DISCO_TRY(const auto programs, programs_of(std::move(shards), profile_, costs_));
    auto simulation = simulate(programs, profile_, {.concurrency = concurrency_, .trace = trace});
    if (done_) done_(++simulated_);
    return simulation;
  }

  static void keep_if_faster(const Partition& partition, Simulation simulation, Tuned& best) {
    // Steps take that much more or less from one measurement to the next.
    constexpr double kWorthIt = 1.01;
    if (!is_faster(simulation, best.simulation, kWorthIt)) return;
    best.partition = partition;
    best.simulation = std::move(simulation);
  }

  Status attempt(const Partition& partition, Tuned& best) {
    DISCO_TRY(Simulation simulation, simulate_with(partition, false));
    keep_if_faster(partition, std::move(simulation), best);
    return {};
  }

  /// Linear maps that read what travels, by the value that they compute; first the one that waits longest.
  [[nodiscard]] std::vector<std::string> maps_by_wait(const std::vector<NodeTrace>& traces) const {
    std::map<std::string, std::int64_t> waits;  // by value, of the node that waits longest
    for (const NodeTrace& trace : traces) {
      std::map<std::string, std::int64_t> mine;
      for (const TraceEvent& event : trace.events) {
        if (event.phase == TracePhase::Wait) mine[event.name] += event.end_ns - event.start_ns;
      }
      for (const auto& [name, time] : mine) waits[name] = std::max(waits[name], time);
    }
    std::vector<std::pair<std::int64_t, std::string>> maps;
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (layouts_.rules[n].form != Form::Linear) continue;
      const std::int64_t wait = wait_of(graph_.nodes[n].inputs[0], waits);
      if (wait >= 0) maps.emplace_back(-wait, graph_.value(graph_.nodes[n].outputs[0]).name);
    }
    std::ranges::stable_sort(maps, {}, &std::pair<std::int64_t, std::string>::first);
    std::vector<std::string> names;
    for (auto& [wait, name] : maps) names.push_back(std::move(name));
    return names;
  }

  /// The wait for a value, or for what it is derived from where it is not sent itself; -1 where nothing of it
  /// travels.
  [[nodiscard]] std::int64_t wait_of(ValueId id, const std::map<std::string, std::int64_t>& waits) const {
    std::int64_t longest = -1;
    std::set<ValueId> seen;
    std::vector<ValueId> open = {id};
    while (!open.empty()) {
      const ValueId value = open.back();
      open.pop_back();
      if (value == kNoValue || !seen.insert(value).second) continue;
      if (const auto found = waits.find(graph_.value(value).name); found != waits.end()) {
        longest = std::max(longest, found->second);
        continue;
      }
      const std::int32_t producer = producers_[static_cast<std::size_t>(value)];
      if (producer < 0 || layouts_.rules[static_cast<std::size_t>(producer)].form != Form::Local) continue;
      const auto& inputs = graph_.nodes[static_cast<std::size_t>(producer)].inputs;
      open.insert(open.end(), inputs.begin(), inputs.end());
    }
    return longest;
  }

  const Graph& graph_;
  const Partition& partition_;
  const Profile& profile_;
  StepCosts& costs_;
  int concurrency_;
  const std::function<void(std::size_t)>& done_;
  Layouts layouts_;
  std::vector<std::int32_t> producers_;
  std::size_t simulated_ = 0;
};

}  // namespace

Result<Tuned> tune_overlap(const Graph& graph, const Partition& partition, const Profile& profile,
                           StepCosts& costs, int concurrency, const std::function<void(std::size_t)>& done) {
  return Tuner(graph, partition, profile, costs, concurrency, done).run();
}

}  // namespace disco
