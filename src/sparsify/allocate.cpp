#include "sparsify/allocate.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <tuple>

#include "sparsify/fill.h"

namespace disco {

namespace {

class Allocator {
 public:
  Allocator(const Traffic& traffic, const Scores& scores, std::int64_t room, const Budget& budget)
      : traffic_(traffic), rooms_{.bytes = room} {
    for (std::size_t r = 0; r < budget.weight_bytes.size(); ++r)
      rooms_.weights.push_back(budget.weight_bytes[r] - traffic.least_weights[r]);
    for (std::int32_t rank = 0; rank < traffic.nodes; ++rank) {
      const auto r = static_cast<std::size_t>(rank);
      // By value, by channel: what the rank reads it with.
      std::vector<std::vector<std::int64_t>> weights, macs;
      for (const Exchangeable& value : traffic.values) {
        weights.emplace_back(value.owner.size(), 0);
        macs.emplace_back(value.owner.size(), 0);
      }
      for (const LinearMap& map : traffic.maps) {
        const std::int64_t outputs = std::count(map.owner.begin(), map.owner.end(), rank);
        for (const Column& column : map.columns) {
          if (column.value == Column::kEverywhere) continue;
          const auto channel = static_cast<std::size_t>(column.channel);
          weights[column.value][channel] += outputs * map.pair_bytes;
          macs[column.value][channel] += outputs * map.pair_macs;
        }
      }
      for (std::size_t v = 0; v < traffic.values.size(); ++v) {
        const Exchangeable& value = traffic.values[v];
        for (std::size_t c = 0; c < value.owner.size(); ++c) {
          if (value.owner[c] == rank || value.forced[r][c]) continue;
          units_.push_back(
              {v, rank, static_cast<std::int32_t>(c), scores[v][r][c], weights[v][c], macs[v][c]});
        }
      }
    }
    all_ = tally(nullptr);
  }

  /// Orders what may be kept by score per byte, where filling a rank's room for weights costs `emphasis`
  /// times as much as filling the budget.
  void order(double emphasis) {
    for (Unit& unit : units_) {
      unit.price = static_cast<double>(traffic_.values[unit.value].channel_bytes);
      if (rooms_.weights.empty()) continue;
      const auto room =
          static_cast<double>(std::max<std::int64_t>(1, rooms_.weights[static_cast<std::size_t>(unit.rank)]));
      unit.price += emphasis * static_cast<double>(rooms_.bytes) * static_cast<double>(unit.weights) / room;
    }
    // Ties are broken by position, so that the choice is the same everywhere.
    std::stable_sort(units_.begin(), units_.end(), [](const Unit& a, const Unit& b) {
      if (a.per_byte() != b.per_byte()) return a.per_byte() > b.per_byte();
      return std::tie(a.value, a.rank, a.channel) < std::tie(b.value, b.rank, b.channel);
    });
  }

  /// From now on, no rank computes or receives more, for what others own, than its share of what all do after
  /// `choice`, by what each could.
  void level(const Allocation& choice) {
    const Tally now = tally(&choice.kept);
    rooms_.macs = shares(now.macs, all_.macs);
    rooms_.received = shares(over_values(now.bytes), over_values(all_.bytes));
  }

  /// From now on, no rank receives more than its share of a value's bytes after `choice`, but for what is
  /// left of the budget then.
  /// @param turns  that goes to the ranks in turns
  void level_exchanges(const Allocation& choice, bool turns) {
    turns_ = turns;
    const Tally now = tally(&choice.kept);
    rooms_.of_value.clear();
    for (std::size_t v = 0; v < now.bytes.size(); ++v) {
      rooms_.of_value.push_back(shares(now.bytes[v], all_.bytes[v]));
      // Half a feature more, so that an odd one is not left out.
      for (std::int64_t& room : rooms_.of_value.back()) room += traffic_.values[v].channel_bytes / 2;
    }
  }

  /// @param rate  score a byte at which messages are priced; else what each choice comes to
  Allocation run(std::int64_t message_bytes, std::optional<double> rate) {
    std::set<Exchange> dropped;
    while (true) {
      Allocation choice = fill(dropped);
      if (rate) choice.threshold = *rate;
      if (message_bytes == 0) return choice;
      // A message earns what its channels are worth above the price of their bytes. Both ways of an exchange
      // are waited for, so they stay or go together. The poorest goes first, and what it frees is given to
      // others.
      struct Worth {
        double surplus = 0.0;
        std::set<std::int32_t> to{};
      };
      std::map<Exchange, Worth> exchanges;
      for (const Unit& unit : units_) {
        if (!is_kept(choice.kept, {unit.value, unit.channel}, static_cast<std::size_t>(unit.rank))) continue;
        Worth& worth = exchanges[exchange_of(traffic_, unit)];
        worth.surplus += unit.score - choice.threshold * unit.price;
        worth.to.insert(unit.rank);
      }
      const double price = choice.threshold * static_cast<double>(message_bytes);
      const Exchange* poorest = nullptr;
      double least = 0.0;  // surplus a message, above its price
      for (const auto& [exchange, worth] : exchanges) {
        const double above = worth.surplus / static_cast<double>(worth.to.size()) - price;
        if (above < least) {
          poorest = &exchange;
          least = above;
        }
      }
      if (poorest == nullptr) return choice;
      dropped.insert(*poorest);
    }
  }

 private:
  /// What reading takes.
  struct Tally {
    std::vector<double> macs;                // by rank
    std::vector<std::vector<double>> bytes;  // by value, by rank
  };
  /// Of all units, or of those in `kept`.
  [[nodiscard]] Tally tally(const KeptChannels* kept) const {
    const std::vector<double> none(static_cast<std::size_t>(traffic_.nodes), 0.0);
    Tally sums{none, std::vector<std::vector<double>>(traffic_.values.size(), none)};
    for (const Unit& unit : units_) {
      const auto rank = static_cast<std::size_t>(unit.rank);
      if (kept != nullptr && !is_kept(*kept, {unit.value, unit.channel}, rank)) continue;
      sums.macs[rank] += static_cast<double>(unit.macs);
      sums.bytes[unit.value][rank] += static_cast<double>(traffic_.values[unit.value].channel_bytes);
    }
    return sums;
  }
  [[nodiscard]] std::vector<double> over_values(const std::vector<std::vector<double>>& bytes) const {
    std::vector<double> sums(static_cast<std::size_t>(traffic_.nodes), 0.0);
    for (const std::vector<double>& of_value : bytes)
      std::transform(sums.begin(), sums.end(), of_value.begin(), sums.begin(), std::plus<>());
    return sums;
  }

  /// By rank: its part, by `weights`, of the sum of `amounts`.
  static std::vector<std::int64_t> shares(const std::vector<double>& amounts,
                                          const std::vector<double>& weights) {
    constexpr double kSlack = 1.002;  // features come whole
    const double amount = std::accumulate(amounts.begin(), amounts.end(), 0.0);
    const double weight = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::vector<std::int64_t> rooms;
    for (const double each : weights) {
      const double share = weight > 0.0 ? amount * each / weight : amount;
      rooms.push_back(static_cast<std::int64_t>(kSlack * share));
    }
    return rooms;
  }

  [[nodiscard]] Allocation fill(const std::set<Exchange>& dropped) const {
    Filling filling(traffic_, units_, rooms_, dropped);
    if (!rooms_.of_value.empty()) filling.fill(true);
    // What is left of the budget, since features come whole, or since something else is used up first.
    if (turns_) {
      filling.fill_in_turns(all_.bytes);
    } else {
      filling.fill(false);
    }
    Allocation choice = filling.finish();
    choice.bytes += traffic_.fixed_bytes;
    return choice;
  }

  const Traffic& traffic_;
  Rooms rooms_;
  bool turns_ = false;
  std::vector<Unit> units_;
  Tally all_;  // were all read
};

}  // namespace

Result<Allocation> allocate(const Traffic& traffic, const Scores& scores, const Budget& budget) {
  if (!(budget.communication > 0.0) || budget.communication > 1.0) {
    return error(
        ErrorCode::InvalidArgument,
        "a communication budget of {}: it is the share of the dense exchange's bytes, above 0 and at most 1",
        budget.communication);
  }
  const auto allowed = static_cast<std::int64_t>(
      std::floor(budget.communication * static_cast<double>(traffic.dense_bytes) + 1e-6));
  if (traffic.fixed_bytes > allowed) {
    const double least = static_cast<double>(traffic.fixed_bytes) / static_cast<double>(traffic.dense_bytes);
    return error(ErrorCode::InvalidArgument,
                 "a communication budget of {} cannot be met: {} of {} bytes must travel whatever is kept "
                 "(operators that "
                 "need every feature); the smallest budget is {:.4f}",
                 budget.communication, traffic.fixed_bytes, traffic.dense_bytes,
                 std::ceil(least * 1e4) / 1e4);
  }
  for (std::size_t r = 0; r < budget.weight_bytes.size(); ++r) {
    if (traffic.least_weights[r] <= budget.weight_bytes[r]) continue;
    return error(ErrorCode::InvalidArgument,
                 "a limit of {} bytes of weights cannot be met: node {} holds {} whatever is kept",
                 budget.weight_bytes[r], r, traffic.least_weights[r]);
  }
  Allocator allocator(traffic, scores, allowed - traffic.fixed_bytes, budget);
  // Two budgets to fill: of a few exchange rates between them the one that keeps most.
  std::vector<double> emphases = {0.0};
  if (!budget.weight_bytes.empty()) emphases = {0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0};
  double chosen = 0.0;         // of them, by the last choice
  std::optional<double> rate;  // score a byte
  const auto choose = [&] {
    std::optional<Allocation> best;
    for (const double emphasis : emphases) {
      allocator.order(emphasis);
      Allocation choice = allocator.run(budget.message_bytes, rate);
      if (best && choice.score <= best->score) continue;
      best = std::move(choice);
      chosen = emphasis;
    }
    return std::move(*best);
  };
  Allocation choice = choose();
  if (budget.level_work) {
    allocator.level(choice);
    choice = choose();
  }
  if (budget.level_exchanges) {
    allocator.level_exchanges(choice, budget.level_work);
    // Whoever takes turns reaches far down the list, where nothing tells what a byte is worth; that is known.
    if (budget.level_work) {
      emphases = {chosen};
      rate = choice.threshold;
    }
    choice = choose();
  }
  return choice;
}

}  // namespace disco
