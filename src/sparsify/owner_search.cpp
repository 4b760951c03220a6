#include "sparsify/owner_search.h"

#include <algorithm>
#include <map>
#include <set>

#include "partition/atoms.h"

namespace disco {

namespace {

/// Per rank, how many of the best candidates are tried against each other: fewer where a space is so large
/// that it has many good ones.
std::size_t candidates_of(std::size_t members) { return members > 128 ? 4 : 16; }

/// What an atom takes part in.
struct Atom {
  std::vector<std::pair<std::size_t, std::int32_t>> inputs{};   // (Traffic::values, channel)
  std::vector<std::pair<std::size_t, std::int32_t>> outputs{};  // (Traffic::maps, output channel)
  std::vector<std::size_t> touched{};  // Traffic::values whose cost depends on its owner
};

class Search {
 public:
  Search(const Graph& graph, const Partition& partition, const Traffic& traffic,
         const std::vector<Sensitivity>& sensitivities)
      : traffic_(traffic), sensitivities_(sensitivities) {
    const TiedLayouts tied = tie_layouts(graph, partition.nodes, partition.chosen_axes);
    const Layouts& layouts = tied.layouts;
    const Atoms& spaces = tied.atoms;
    atoms_.resize(spaces.size());  // most numbers name no atom: those that were tied to another
    owner_.assign(atoms_.size(), -1);
    std::vector<std::map<ValueId, std::int64_t>> membership(atoms_.size());
    for (std::size_t v = 0; v < graph.values.size(); ++v) {
      if (layouts.axes[v] == kReplicate) continue;
      const auto channels = graph.values[v].shape()[static_cast<std::size_t>(layouts.axes[v])];
      for (std::int32_t c = 0; c < channels; ++c) {
        ++membership[static_cast<std::size_t>(spaces.find(static_cast<ValueId>(v), c))]
                    [static_cast<ValueId>(v)];
      }
    }
    for (std::size_t v = 0; v < traffic.values.size(); ++v) {
      const Exchangeable& value = traffic.values[v];
      for (std::size_t c = 0; c < value.owner.size(); ++c) {
        const auto atom = static_cast<std::size_t>(spaces.find(value.value, static_cast<std::int32_t>(c)));
        atoms_[atom].inputs.emplace_back(v, static_cast<std::int32_t>(c));
        owner_[atom] = value.owner[c];
      }
    }
    for (std::size_t m = 0; m < traffic.maps.size(); ++m) {
      const LinearMap& map = traffic.maps[m];
      for (std::size_t o = 0; o < map.owner.size(); ++o) {
        const ValueId out = graph.nodes[map.node].outputs[0];
        const auto atom = static_cast<std::size_t>(spaces.find(out, static_cast<std::int32_t>(o)));
        atoms_[atom].outputs.emplace_back(m, static_cast<std::int32_t>(o));
        owner_[atom] = map.owner[o];
      }
      sums_.push_back(sum_by_rank(sensitivities[m], map.owner, traffic.nodes));
    }
    std::vector<std::set<std::size_t>> values_of(traffic.maps.size());  // by map: what it reads
    uses_.resize(traffic.values.size());
    for (std::size_t m = 0; m < traffic.maps.size(); ++m) {
      const std::vector<Column>& columns = traffic.maps[m].columns;
      for (std::size_t c = 0; c < columns.size(); ++c) {
        if (columns[c].value == Column::kEverywhere) continue;
        values_of[m].insert(columns[c].value);
        std::vector<Use>& uses = uses_[columns[c].value];
        if (uses.empty() || uses.back().map != m) uses.push_back({m, {}, {}});
        uses.back().columns.push_back(c);
        uses.back().channels.push_back(static_cast<std::size_t>(columns[c].channel));
      }
    }
    std::map<std::map<ValueId, std::int64_t>, std::vector<std::size_t>> classes;
    for (std::size_t a = 0; a < atoms_.size(); ++a) {
      std::set<std::size_t> touched;
      for (const auto& [v, c] : atoms_[a].inputs) touched.insert(v);
      for (const auto& [m, o] : atoms_[a].outputs) touched.insert(values_of[m].begin(), values_of[m].end());
      atoms_[a].touched.assign(touched.begin(), touched.end());
      if (!touched.empty() && owner_[a] >= 0) classes[membership[a]].push_back(a);
    }
    for (auto& [values, members] : classes) {
      if (members.size() > 1) classes_.push_back(std::move(members));
    }
    std::sort(classes_.begin(), classes_.end());
    for (std::size_t v = 0; v < traffic_.values.size(); ++v) {
      channel_owner_.push_back(traffic_.values[v].owner);
      cost_.emplace_back(static_cast<std::size_t>(traffic_.nodes), 0.0);
    }
  }

  /// The current scores, for the budget.
  [[nodiscard]] Scores scores() const {
    Scores scores;
    for (std::size_t v = 0; v < traffic_.values.size(); ++v) {
      auto& of_value = scores.emplace_back();
      for (int rank = 0; rank < traffic_.nodes; ++rank) of_value.push_back(importance(v, rank));
    }
    return scores;
  }
  [[nodiscard]] const std::vector<std::vector<std::int32_t>>& channel_owner() const { return channel_owner_; }
  [[nodiscard]] const std::vector<std::int32_t>& owner() const { return owner_; }

  /// One pass over all classes and pairs of ranks at this price per byte. Returns the objective.
  double sweep(double price) {
    price_ = price;
    double objective = 0.0;
    for (std::size_t v = 0; v < cost_.size(); ++v) {
      for (int rank = 0; rank < traffic_.nodes; ++rank) {
        objective += cost_[v][static_cast<std::size_t>(rank)] = value_cost(v, rank);
      }
    }
    for (const auto& members : classes_) {
      for (int i = 0; i < traffic_.nodes; ++i) {
        for (int j = i + 1; j < traffic_.nodes; ++j) objective += improve(members, i, j);
      }
    }
    return objective;
  }

 private:
  using Ranked = std::vector<std::pair<double, std::size_t>>;  // what a single move changes, atom

  /// What a linear map reads of one value.
  struct Use {
    std::size_t map;
    std::vector<std::size_t> columns;   // of the map …
    std::vector<std::size_t> channels;  // … and of the value
  };

  /// What it costs that each channel does not reach a rank.
  [[nodiscard]] std::vector<double> importance(std::size_t v, int rank) const {
    std::vector<double> total(traffic_.values[v].owner.size(), 0.0);
    for (const Use& use : uses_[v]) {
      const std::vector<float>& sums = sums_[use.map][static_cast<std::size_t>(rank)];
      const auto samples = static_cast<std::size_t>(sensitivities_[use.map].samples);
      const std::size_t inputs = traffic_.maps[use.map].columns.size();
      for (std::size_t i = 0; i < use.columns.size(); ++i) {
        double squares = 0.0;
        for (std::size_t k = 0; k < samples; ++k) {
          const double sum = sums[k * inputs + use.columns[i]];
          squares += sum * sum;
        }
        total[use.channels[i]] += squares / static_cast<double>(samples);
      }
    }
    return total;
  }

  [[nodiscard]] double value_cost(std::size_t v, int rank) const {
    const Exchangeable& value = traffic_.values[v];
    const auto r = static_cast<std::size_t>(rank);
    const std::vector<double> total = importance(v, rank);
    const double price = price_ * static_cast<double>(value.channel_bytes);
    double cost = 0.0;
    for (std::size_t c = 0; c < total.size(); ++c) {
      if (channel_owner_[v][c] != rank && !value.forced[r][c]) cost += std::min(total[c], price);
    }
    return cost;
  }

  void move(std::size_t a, int from, int to) {
    for (const auto& [v, c] : atoms_[a].inputs) channel_owner_[v][static_cast<std::size_t>(c)] = to;
    for (const auto& [m, o] : atoms_[a].outputs) {
      const float* row = sensitivities_[m].row(o);
      auto& less = sums_[m][static_cast<std::size_t>(from)];
      auto& more = sums_[m][static_cast<std::size_t>(to)];
      for (std::size_t i = 0; i < less.size(); ++i) {
        less[i] -= row[i];
        more[i] += row[i];
      }
    }
    owner_[a] = to;
  }

  /// What the cost of some values changes by, for the two ranks, against what is remembered.
  double change(const std::vector<std::size_t>& values, int i, int j, std::vector<double>* costs) const {
    double delta = 0.0;
    for (const std::size_t v : values) {
      for (const int rank : {i, j}) {
        const double now = value_cost(v, rank);
        delta += now - cost_[v][static_cast<std::size_t>(rank)];
        if (costs != nullptr) costs->push_back(now);
      }
    }
    return delta;
  }

  Ranked rank_moves(const std::vector<std::size_t>& members, int from, int to) {
    Ranked ranked;
    for (const std::size_t a : members) {
      if (owner_[a] != from) continue;
      move(a, from, to);
      ranked.emplace_back(change(atoms_[a].touched, from, to, nullptr), a);
      move(a, to, from);
    }
    std::sort(ranked.begin(), ranked.end());
    return ranked;
  }

  /// Swaps between two ranks as long as one helps. Returns the (negative) change of the objective.
  double improve(const std::vector<std::size_t>& members, int i, int j) {
    Ranked ours = rank_moves(members, i, j);
    Ranked theirs = rank_moves(members, j, i);
    const std::size_t candidates = candidates_of(members.size());
    double total = 0.0;
    while (!ours.empty() && !theirs.empty()) {
      double best = 0.0;
      std::size_t best_a = 0;
      std::size_t best_b = 0;
      for (std::size_t a = 0; a < std::min(ours.size(), candidates); ++a) {
        for (std::size_t b = 0; b < std::min(theirs.size(), candidates); ++b) {
          const double delta = try_swap(ours[a].second, theirs[b].second, i, j, false);
          if (delta < best) {
            best = delta;
            best_a = a;
            best_b = b;
          }
        }
      }
      if (best >= -1e-12) break;
      total += try_swap(ours[best_a].second, theirs[best_b].second, i, j, true);
      ours.erase(ours.begin() + static_cast<std::ptrdiff_t>(best_a));
      theirs.erase(theirs.begin() + static_cast<std::ptrdiff_t>(best_b));
    }
    return total;
  }

  double try_swap(std::size_t a, std::size_t b, int i, int j, bool keep) {
    move(a, i, j);
    move(b, j, i);
    std::vector<double> costs;
    const double delta = change(atoms_[a].touched, i, j, keep ? &costs : nullptr);
    if (keep) {
      std::size_t at = 0;
      for (const std::size_t v : atoms_[a].touched) {
        for (const int rank : {i, j}) cost_[v][static_cast<std::size_t>(rank)] = costs[at++];
      }
    } else {
      move(b, i, j);
      move(a, j, i);
    }
    return delta;
  }

  const Traffic& traffic_;
  const std::vector<Sensitivity>& sensitivities_;
  std::vector<Atom> atoms_;
  std::vector<std::vector<std::size_t>> classes_;         // atoms that may take each other's place
  std::vector<std::int32_t> owner_;                       // by atom
  std::vector<std::vector<std::int32_t>> channel_owner_;  // by Traffic::values, by channel
  std::vector<std::vector<std::vector<float>>> sums_;     // by Traffic::maps, by rank: [sample][input]
  std::vector<std::vector<Use>> uses_;                    // by Traffic::values
  std::vector<std::vector<double>> cost_;                 // by Traffic::values, by rank, at price_
  double price_ = 0.0;
};

}  // namespace

Result<Partition> search_owners(const Graph& graph, const Partition& partition,
                                const std::vector<Sensitivity>& sensitivities, const Budget& budget,
                                const OwnerSearchOptions& options) {
  DISCO_TRY(Traffic traffic, traffic_of(graph, partition));
  Search search(graph, partition, traffic, sensitivities);
  for (int sweep = 0; sweep < options.sweeps; ++sweep) {
    Traffic current = traffic;
    for (std::size_t v = 0; v < current.values.size(); ++v)
      current.values[v].owner = search.channel_owner()[v];
    DISCO_TRY(const Allocation choice, allocate(current, search.scores(), budget));
    const double objective = search.sweep(choice.threshold);
    if (options.on_sweep) options.on_sweep(sweep, objective);
  }
  Partition result = partition;
  result.keep.clear();
  const TiedLayouts tied = tie_layouts(graph, partition.nodes, partition.chosen_axes);
  for (auto& [name, owners] : result.owners) {
    const ValueId id = graph.find_value(name);
    if (id == kNoValue) continue;
    for (std::size_t c = 0; c < owners.size(); ++c) {
      const std::int32_t owner =
          search.owner()[static_cast<std::size_t>(tied.atoms.find(id, static_cast<std::int32_t>(c)))];
      if (owner >= 0) owners[c] = owner;
    }
  }
  return result;
}

}  // namespace disco
