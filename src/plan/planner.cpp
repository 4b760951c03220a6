#include "plan/planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "partition/cost.h"
#include "plan/tune.h"

namespace disco {

namespace {

/// Numbers of nodes that are looked at closely.
constexpr std::size_t kClosely = 2;
/// How often shares are corrected by what they lead to.
constexpr int kShareRounds = 3;

std::vector<int> counts_to_try(int nodes, const std::vector<int>& asked) {
  std::set<int> counts;
  if (!asked.empty()) {
    for (const int n : asked) counts.insert(std::clamp(n, 1, nodes));
  } else {
    for (const int n : {2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64}) {
      if (n <= nodes) counts.insert(n);
    }
    counts.insert(nodes);
  }
  counts.erase(1);  // that is one node alone
  return {counts.begin(), counts.end()};
}

double own_seconds(const SimulatedProgram& program, const NodeProfile& node) {
  double sum = 0;
  for (const SimulatedStep& step : program.steps) {
    sum += step.seconds;
    if (step.kind == StepKind::Send) sum += node.messages.send_s;
    if (step.kind == StepKind::Receive && step.peer != kCaller) sum += node.messages.receive_s;
  }
  return sum;
}

class Planner {
 public:
  Planner(const Graph& graph, const Profile& profile, StepCosts& costs, const PlanOptions& options)
      : graph_(graph),
        profile_(profile),
        costs_(costs),
        options_(options),
        weight_bytes_(std::max(1.0, static_cast<double>(total_cost(graph).weight_bytes))) {}

  Result<Plan> run() {
    DISCO_TRY(plan_.alone, best_alone(graph_, profile_, costs_, options_.concurrency));
    const std::vector<int> counts =
        counts_to_try(static_cast<int>(profile_.nodes.size()), options_.node_counts);
    // First a look at every number of nodes, at the ends of what may be chosen.
    const std::vector<double> few_keeps = ends(options_.keeps);
    const std::vector<std::string> few_wires = ends(options_.wires);
    total_ = counts.size() * few_keeps.size() * few_wires.size() +
             std::min(kClosely, counts.size()) *
                 (options_.keeps.size() * options_.wires.size() - few_keeps.size() * few_wires.size());
    std::vector<Base> bases;
    for (const int n : counts) {
      auto base = base_for(n);
      if (!base) {
        plan_.skipped.push_back(fmt::format("{} nodes: {}", n, base.error().message));
        continue;
      }
      for (const double keep : few_keeps) {
        for (const std::string& wire : few_wires) DISCO_CHECK(try_candidate(*base, keep, wire));
      }
      bases.push_back(std::move(*base));
    }
    if (bases.empty() && !counts.empty() && !plan_.skipped.empty() && profile_.nodes.size() > 1 &&
        !options_.node_counts.empty()) {
      return error(ErrorCode::InvalidArgument, "{}", plan_.skipped.front());
    }
    for (const Base* base : closely(bases)) {
      for (const double keep : options_.keeps) {
        for (const std::string& wire : options_.wires) DISCO_CHECK(try_candidate(*base, keep, wire));
      }
      DISCO_CHECK(narrow_down(*base));
    }
    order();
    choose();
    if (plan_.chosen) DISCO_CHECK(choose_overlap(plan_.candidates[*plan_.chosen]));
    return std::move(plan_);
  }

 private:
  /// A number of nodes with shares.
  struct Base {
    std::vector<std::size_t> nodes;
    std::vector<double> shares;
    Profile profile;
    Partition partition;
  };

  template <typename T>
  static std::vector<T> ends(const std::vector<T>& all) {
    if (all.size() < 3) return all;
    return {all.front(), all.back()};
  }

  [[nodiscard]] double limit_of(const NodeProfile& node) const {
    double limit = node.memory_free > 0 ? static_cast<double>(node.memory_free) : 1e30;
    if (options_.max_memory) limit = std::min(limit, *options_.max_memory);
    return limit;
  }

  [[nodiscard]] double memory_of(const SimulatedProgram& program) const {
    return static_cast<double>(program.weight_bytes) +
           static_cast<double>(program.arena_bytes) * options_.concurrency;
  }

  /// The fastest nodes, first the one that takes most.
  [[nodiscard]] std::vector<std::size_t> fastest(int count) const {
    std::vector<std::size_t> order(profile_.nodes.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return slowness(profile_.nodes[a], costs_.here(), WorkClass::Convolution) <
             slowness(profile_.nodes[b], costs_.here(), WorkClass::Convolution);
    });
    order.resize(static_cast<std::size_t>(count));
    return order;
  }

  /// Shares in proportion to speed, corrected by the times and the memory that they lead to.
  Result<Base> base_for(int count) {
    Base base;
    base.nodes = fastest(count);
    base.profile = subset(profile_, base.nodes);
    std::vector<double> slow;
    for (const NodeProfile& node : base.profile.nodes)
      slow.push_back(slowness(node, costs_.here(), WorkClass::Convolution));
    for (const double s : slow) base.shares.push_back(1.0 / s);
    // Those that hold all they can take nothing more.
    std::vector<double> most(base.shares.size(), 1e30);
    bool alike =
        *std::max_element(slow.begin(), slow.end()) < 1.02 * *std::min_element(slow.begin(), slow.end());
    for (int round = 0; round < kShareRounds; ++round) {
      normalise(base.shares, most);
      DISCO_TRY(base.partition, partition_channels(graph_, {count, base.shares}));
      DISCO_TRY(std::vector<Graph> shards, make_shards(graph_, base.partition));
      DISCO_TRY(const auto programs, programs_of(std::move(shards), base.profile, costs_));
      double mean = 0;
      bool full = false;
      for (std::size_t r = 0; r < programs.size(); ++r) {
        mean += own_seconds(programs[r], base.profile.nodes[r]) / static_cast<double>(programs.size());
        const double over = memory_of(programs[r]) / limit_of(base.profile.nodes[r]);
        if (over <= 1.0) continue;
        most[r] = base.shares[r] / over * 0.98;
        full = true;
      }
      if (alike && !full) break;
      if (round + 1 == kShareRounds) break;
      for (std::size_t r = 0; r < programs.size(); ++r) {
        const double factor = mean / own_seconds(programs[r], base.profile.nodes[r]);
        base.shares[r] *= std::clamp(factor, 0.5, 2.0);
      }
    }
    return base;
  }

  /// To a sum of 1; what is above its limit is given to the others.
  static void normalise(std::vector<double>& shares, const std::vector<double>& most) {
    for (std::size_t again = 0; again <= shares.size(); ++again) {
      double held = 0, free = 0;
      for (std::size_t r = 0; r < shares.size(); ++r)
        (shares[r] >= most[r] ? held : free) += shares[r] >= most[r] ? most[r] : shares[r];
      if (free <= 0 || held >= 1) break;
      bool changed = false;
      for (std::size_t r = 0; r < shares.size(); ++r) {
        if (shares[r] >= most[r]) {
          shares[r] = most[r];
        } else {
          shares[r] *= (1 - held) / free;
          changed = changed || shares[r] > most[r];
        }
      }
      if (!changed) break;
    }
    double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
    // As they are written for people, so that they lead to the same split.
    for (double& share : shares) share = std::max(0.001, std::round(share / sum * 1000) / 1000);
  }

  [[nodiscard]] const PlanCandidate* find(const Base& base, double keep, const std::string& wire) const {
    for (const PlanCandidate& candidate : plan_.candidates) {
      if (candidate.nodes == base.nodes && candidate.keep == keep && candidate.wire == wire)
        return &candidate;
    }
    return nullptr;
  }

  Status try_candidate(const Base& base, double keep, const std::string& wire) {
    if (find(base, keep, wire) != nullptr) return {};
    if (options_.on_progress) options_.on_progress(std::min(++done_, total_), total_);
    const auto partition = with_exchanges(graph_, base.partition, keep, wire);
    if (!partition) {
      plan_.skipped.push_back(fmt::format("{} nodes: {}", base.nodes.size(), partition.error().message));
      return {};
    }
    DISCO_TRY(std::vector<Graph> shards, make_shards(graph_, *partition));
    std::vector<double> weights;
    for (const Graph& shard : shards)
      weights.push_back(static_cast<double>(total_cost(shard).weight_bytes) / weight_bytes_);
    DISCO_TRY(const auto programs, programs_of(std::move(shards), base.profile, costs_));
    PlanCandidate candidate{.nodes = base.nodes, .shares = base.shares, .keep = keep, .wire = wire};
    candidate.partition = base.partition;
    DISCO_TRY(candidate.simulation, simulate(programs, base.profile, {.concurrency = options_.concurrency}));
    for (std::size_t r = 0; r < programs.size(); ++r) {
      const SimulatedNode& node = candidate.simulation.nodes[r];
      candidate.bytes += node.bytes_sent;
      candidate.memory = std::max(candidate.memory, node.memory_bytes);
      if (memory_of(programs[r]) > limit_of(base.profile.nodes[r])) candidate.fits = false;
    }
    candidate.weights = std::move(weights);
    candidate.message_bytes = message_bytes(base.profile, candidate);
    candidate.reaches = reaches(candidate.simulation, static_cast<double>(candidate.bytes));
    plan_.candidates.push_back(std::move(candidate));
    return {};
  }

  /// What a message takes on the slowest link, as bytes of features: those that the link carries in that
  /// time, or where these are waited for less than they are computed with, those that a node computes with
  /// while it sends and receives one; then nobody waits for the link.
  [[nodiscard]] static std::int64_t message_bytes(const Profile& profile, const PlanCandidate& candidate) {
    const std::size_t count = profile.nodes.size();
    double on_link = std::numeric_limits<double>::infinity();
    double handling_s = 0;
    for (std::size_t from = 0; from < count; ++from) {
      for (std::size_t to = 0; to < count; ++to) {
        if (from == to) continue;
        const LinkProfile& link = profile.between(from, to);
        const double both_s = profile.nodes[from].messages.send_s + profile.nodes[to].messages.receive_s;
        on_link = std::min(on_link, link.bytes_per_s * (link.latency_s + both_s));
        handling_s = std::max(handling_s, both_s);
      }
    }
    double compute_s = 0;
    for (const SimulatedNode& node : candidate.simulation.nodes)
      compute_s = std::max(compute_s, node.compute_ms / 1e3);
    const double others = candidate.keep * static_cast<double>(count - 1);  // beside a node's own features
    compute_s *= others / (1.0 + others);
    if (!std::isfinite(on_link) || compute_s <= 0) return 0;
    const double computed =
        static_cast<double>(candidate.bytes) / static_cast<double>(count) / compute_s * handling_s;
    return std::llround(std::min(on_link, computed));
  }

  [[nodiscard]] bool reaches(const Simulation& simulation, double bytes) const {
    return (!options_.target_latency_ms || simulation.latency_ms <= *options_.target_latency_ms) &&
           (!options_.max_bytes || bytes <= *options_.max_bytes);
  }

  [[nodiscard]] bool has_targets() const { return options_.target_latency_ms || options_.max_bytes; }

  /// The numbers of nodes that lead to the fastest exact and the fastest of all candidates.
  [[nodiscard]] std::vector<const Base*> closely(const std::vector<Base>& bases) const {
    std::vector<const Base*> result;
    for (const bool exact : {true, false}) {
      const PlanCandidate* best = nullptr;
      for (const PlanCandidate& candidate : plan_.candidates) {
        if (exact && !candidate.exact()) continue;
        if (best == nullptr || better(candidate, *best)) best = &candidate;
      }
      for (const Base& base : bases) {
        if (best != nullptr && base.nodes == best->nodes &&
            std::find(result.begin(), result.end(), &base) == result.end())
          result.push_back(&base);
      }
    }
    return result;
  }

  [[nodiscard]] bool better(const PlanCandidate& a, const PlanCandidate& b) const {
    if (a.fits != b.fits) return a.fits;
    return is_faster(a.simulation, b.simulation);
  }

  /// How much may travel, between the share that reaches the targets and the next that does not.
  Status narrow_down(const Base& base) {
    if (!has_targets()) return {};
    for (const std::string& wire : options_.wires) {
      double reached = 0, missed = 0;
      for (const double keep : options_.keeps) {
        const PlanCandidate* candidate = find(base, keep, wire);
        if (candidate == nullptr) continue;
        if (candidate->reaches && candidate->fits) {
          reached = std::max(reached, keep);
        } else {
          missed = missed == 0 || keep < missed ? keep : missed;
        }
      }
      while (reached > 0 && missed > reached + 0.015) {
        const double middle = std::round((reached + missed) * 50) / 100;
        if (middle <= reached || middle >= missed) break;
        DISCO_CHECK(try_candidate(base, middle, wire));
        const PlanCandidate* candidate = find(base, middle, wire);
        (candidate != nullptr && candidate->reaches && candidate->fits ? reached : missed) = middle;
      }
    }
    return {};
  }

  [[nodiscard]] std::size_t position(const std::string& wire) const {
    return static_cast<std::size_t>(std::find(options_.wires.begin(), options_.wires.end(), wire) -
                                    options_.wires.begin());
  }

  /// From the most exact on: rounding harms less than leaving features out.
  void order() {
    std::stable_sort(plan_.candidates.begin(), plan_.candidates.end(),
                     [&](const PlanCandidate& a, const PlanCandidate& b) {
                       if (a.keep != b.keep) return a.keep > b.keep;
                       if (a.wire != b.wire) return position(a.wire) < position(b.wire);
                       return better(a, b);
                     });
  }

  void choose() {
    for (std::size_t c = 0; c < plan_.candidates.size(); ++c) {
      const PlanCandidate& candidate = plan_.candidates[c];
      if (!candidate.fits || !candidate.reaches) continue;
      // Without targets: nothing is given up but what the caller gave up.
      if (plan_.chosen && (plan_.candidates[*plan_.chosen].keep != candidate.keep ||
                           plan_.candidates[*plan_.chosen].wire != candidate.wire))
        break;
      if (!plan_.chosen || better(candidate, plan_.candidates[*plan_.chosen])) plan_.chosen = c;
    }
    const Alone& alone = plan_.alone;
    const bool possible =
        alone.fits && reaches(alone.simulation, 0.0) &&
        (!options_.max_memory ||
         static_cast<double>(alone.simulation.nodes[0].memory_bytes) <= *options_.max_memory);
    if (!possible) return;
    if (!plan_.chosen) {
      plan_.alone_is_better = true;
      return;
    }
    plan_.alone_is_better = !is_faster(plan_.candidates[*plan_.chosen].simulation, alone.simulation);
  }

  /// How the chosen one's channels are best computed and sent.
  Status choose_overlap(PlanCandidate& candidate) {
    DISCO_TRY(const Partition partition,
              with_exchanges(graph_, candidate.partition, candidate.keep, candidate.wire));
    DISCO_TRY(Tuned tuned, tune_overlap(graph_, partition, subset(profile_, candidate.nodes), costs_,
                                        options_.concurrency));
    candidate.simulation = std::move(tuned.simulation);
    candidate.partition.local_first = std::move(tuned.partition.local_first);
    candidate.partition.bands = tuned.partition.bands;
    return {};
  }

  const Graph& graph_;
  const Profile& profile_;
  StepCosts& costs_;
  const PlanOptions& options_;
  double weight_bytes_;  // of the unsplit model
  Plan plan_;
  std::size_t done_ = 0;
  std::size_t total_ = 0;
};

}  // namespace

Result<Plan> make_plan(const Graph& graph, const Profile& profile, StepCosts& costs,
                       const PlanOptions& options) {
  return Planner(graph, profile, costs, options).run();
}

}  // namespace disco
