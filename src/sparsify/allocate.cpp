#include "sparsify/allocate.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <tuple>

namespace disco {

namespace {

/// One channel on its way to one rank.
struct Unit {
  std::size_t value;
  std::int32_t rank;
  std::int32_t channel;
  double score;
  std::int64_t weights;  ///< bytes that the rank holds to read it
  std::int64_t macs;     ///< that the rank computes to read it
  double price = 0;      ///< bytes on the wire, and what the weights count beside them
  [[nodiscard]] double per_byte() const { return score / price; }
};

/// An exchange: value, and the two ranks.
using Exchange = std::tuple<std::size_t, std::int32_t, std::int32_t>;

class Allocator {
 public:
  Allocator(const Traffic& traffic, const Scores& scores, std::int64_t room, const Budget& budget)
      : traffic_(traffic), room_(room) {
    for (std::size_t r = 0; r < budget.weight_bytes.size(); ++r)
      weight_room_.push_back(budget.weight_bytes[r] - traffic.least_weights[r]);
    for (std::int32_t rank = 0; rank < traffic.nodes; ++rank) {
      const auto r = static_cast<std::size_t>(rank);
      // By value, by channel: what the rank reads it with.
      std::vector<std::vector<std::int64_t>> weights, macs;
      for (const Exchangeable& value : traffic.values) {
        weights.emplace_back(value.owner.size(), 0);
        macs.emplace_back(value.owner.size(), 0);
      }
      std::int64_t rows = 0;
      for (const LinearMap& map : traffic.maps) {
        const std::int64_t outputs = std::count(map.owner.begin(), map.owner.end(), rank);
        rows += outputs * map.pair_macs * static_cast<std::int64_t>(map.columns.size());
        for (const Column& column : map.columns) {
          if (column.value == Column::kEverywhere) continue;
          const auto channel = static_cast<std::size_t>(column.channel);
          weights[column.value][channel] += outputs * map.pair_bytes;
          macs[column.value][channel] += outputs * map.pair_macs;
        }
      }
      rows_.push_back(static_cast<double>(rows));
      for (std::size_t v = 0; v < traffic.values.size(); ++v) {
        const Exchangeable& value = traffic.values[v];
        for (std::size_t c = 0; c < value.owner.size(); ++c) {
          if (value.owner[c] == rank || value.forced[r][c]) continue;
          units_.push_back(
              {v, rank, static_cast<std::int32_t>(c), scores[v][r][c], weights[v][c], macs[v][c]});
        }
      }
    }
  }

  /// Orders what may be kept by score per byte, where filling a rank's room for weights costs `emphasis`
  /// times as much as filling the budget.
  void order(double emphasis) {
    for (Unit& unit : units_) {
      unit.price = static_cast<double>(traffic_.values[unit.value].channel_bytes);
      if (weight_room_.empty()) continue;
      const auto room =
          static_cast<double>(std::max<std::int64_t>(1, weight_room_[static_cast<std::size_t>(unit.rank)]));
      unit.price += emphasis * static_cast<double>(room_) * static_cast<double>(unit.weights) / room;
    }
    // Ties are broken by position, so that the choice is the same everywhere.
    std::stable_sort(units_.begin(), units_.end(), [](const Unit& a, const Unit& b) {
      if (a.per_byte() != b.per_byte()) return a.per_byte() > b.per_byte();
      return std::tie(a.value, a.rank, a.channel) < std::tie(b.value, b.rank, b.channel);
    });
  }

  /// From now on, no rank computes more than its share, by its rows, of what all compute after `choice`, or
  /// receives more than its share, by what it could receive.
  void level(const Allocation& choice) {
    std::vector<double> macs(traffic_.least_macs.begin(), traffic_.least_macs.end());
    std::vector<double> bytes(macs.size(), 0.0);
    std::vector<double> all_bytes(macs.size(), 0.0);
    for (const Unit& unit : units_) {
      const auto rank = static_cast<std::size_t>(unit.rank);
      const auto size = static_cast<double>(bytes_of(unit));
      all_bytes[rank] += size;
      if (!is_kept(choice.kept, {unit.value, unit.channel}, rank)) continue;
      macs[rank] += static_cast<double>(unit.macs);
      bytes[rank] += size;
    }
    const std::vector<std::int64_t> nothing(macs.size(), 0);
    mac_room_ = shares(macs, rows_, traffic_.least_macs);
    byte_room_ = shares(bytes, all_bytes, nothing);
  }

  /// From now on, no rank receives more than its share of a value's bytes after `choice`, but for what is
  /// left of the budget then.
  /// @param turns  that goes to the ranks in turns
  void level_exchanges(const Allocation& choice, bool turns) {
    turns_ = turns;
    const auto ranks = static_cast<std::size_t>(traffic_.nodes);
    std::vector<std::vector<double>> bytes(traffic_.values.size(), std::vector<double>(ranks, 0.0));
    std::vector<std::vector<double>> all_bytes = bytes;
    for (const Unit& unit : units_) {
      const auto rank = static_cast<std::size_t>(unit.rank);
      const auto size = static_cast<double>(bytes_of(unit));
      all_bytes[unit.value][rank] += size;
      if (is_kept(choice.kept, {unit.value, unit.channel}, rank)) bytes[unit.value][rank] += size;
    }
    const std::vector<std::int64_t> nothing(ranks, 0);
    receivable_ = all_bytes;
    exchange_room_.clear();
    for (std::size_t v = 0; v < bytes.size(); ++v) {
      exchange_room_.push_back(shares(bytes[v], all_bytes[v], nothing));
      // Half a feature more, so that an odd one is not left out.
      for (std::int64_t& room : exchange_room_.back()) room += traffic_.values[v].channel_bytes / 2;
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
        Worth& worth = exchanges[exchange_of(unit)];
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
  /// By rank: its part, by `weights`, of the sum of `amounts`, less what it has anyway.
  static std::vector<std::int64_t> shares(const std::vector<double>& amounts,
                                          const std::vector<double>& weights,
                                          const std::vector<std::int64_t>& least) {
    constexpr double kSlack = 1.002;  // features come whole
    const double amount = std::accumulate(amounts.begin(), amounts.end(), 0.0);
    const double weight = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::vector<std::int64_t> rooms;
    for (std::size_t r = 0; r < amounts.size(); ++r) {
      const double share = weight > 0.0 ? amount * weights[r] / weight : amount;
      rooms.push_back(std::max<std::int64_t>(0, static_cast<std::int64_t>(kSlack * share) - least[r]));
    }
    return rooms;
  }

  [[nodiscard]] std::int64_t bytes_of(const Unit& unit) const {
    return traffic_.values[unit.value].channel_bytes;
  }
  [[nodiscard]] Exchange exchange_of(const Unit& unit) const {
    const std::int32_t owner = traffic_.values[unit.value].owner[static_cast<std::size_t>(unit.channel)];
    return {unit.value, std::min(owner, unit.rank), std::max(owner, unit.rank)};
  }

  Allocation fill(const std::set<Exchange>& dropped) const {
    Allocation choice;
    choice.kept = keep_forced(traffic_);
    std::int64_t left = room_;
    std::vector<std::int64_t> weights_left = weight_room_;
    std::vector<std::int64_t> macs_left = mac_room_;
    std::vector<std::int64_t> bytes_left = byte_room_;
    std::vector<std::vector<std::int64_t>> exchange_left = exchange_room_;
    std::vector<std::vector<double>> received(
        traffic_.values.size(), std::vector<double>(static_cast<std::size_t>(traffic_.nodes), 0.0));
    const auto lacks = [](const std::vector<std::int64_t>& rooms, const Unit& unit, std::int64_t amount) {
      return !rooms.empty() && amount > rooms[static_cast<std::size_t>(unit.rank)];
    };
    const auto take = [](std::vector<std::int64_t>& rooms, const Unit& unit, std::int64_t amount) {
      if (!rooms.empty()) rooms[static_cast<std::size_t>(unit.rank)] -= amount;
    };
    bool full = false;
    bool refused = false;
    double poorest = 0.0;  // of what is kept
    const auto fits = [&](const Unit& unit) {
      const std::int64_t bytes = bytes_of(unit);
      if (bytes > left) {
        if (!full) choice.threshold = unit.per_byte();
        full = true;
        return false;  // a channel of a smaller value may still fit
      }
      const bool lacking = lacks(weights_left, unit, unit.weights) || lacks(macs_left, unit, unit.macs) ||
                           lacks(bytes_left, unit, bytes);
      refused = refused || lacking;
      return !lacking;
    };
    const auto keep = [&](const Unit& unit) {
      const std::int64_t bytes = bytes_of(unit);
      left -= bytes;
      take(weights_left, unit, unit.weights);
      take(macs_left, unit, unit.macs);
      take(bytes_left, unit, bytes);
      received[unit.value][static_cast<std::size_t>(unit.rank)] += static_cast<double>(bytes);
      poorest = unit.per_byte();
      choice.score += unit.score;
      choice.kept[unit.value][static_cast<std::size_t>(unit.rank)][static_cast<std::size_t>(unit.channel)] =
          true;
    };
    const auto is_out = [&](const Unit& unit) {
      return is_kept(choice.kept, {unit.value, unit.channel}, static_cast<std::size_t>(unit.rank)) ||
             (!dropped.empty() && dropped.contains(exchange_of(unit)));
    };
    const auto pass = [&](bool level) {
      for (const Unit& unit : units_) {
        if (is_out(unit) || !fits(unit)) continue;
        if (level && lacks(exchange_left[unit.value], unit, bytes_of(unit))) {
          refused = true;
          continue;
        }
        if (level) take(exchange_left[unit.value], unit, bytes_of(unit));
        keep(unit);
      }
    };
    // The ranks that read a value take turns: who is ahead waits for the others.
    const auto pass_in_turns = [&] {
      std::vector<std::vector<std::deque<const Unit*>>> waiting(
          traffic_.values.size(),
          std::vector<std::deque<const Unit*>>(static_cast<std::size_t>(traffic_.nodes)));
      for (const Unit& unit : units_) {
        if (is_out(unit)) continue;
        auto& queues = waiting[unit.value];
        queues[static_cast<std::size_t>(unit.rank)].push_back(&unit);
        for (std::size_t rank = 0; rank < queues.size();) {
          if (queues[rank].empty() || is_ahead(received[unit.value], unit.value, rank)) {
            ++rank;
            continue;
          }
          const Unit& next = *queues[rank].front();
          queues[rank].pop_front();
          if (!fits(next)) continue;
          keep(next);
          rank = 0;  // another's turn may have come
        }
      }
    };
    if (!exchange_left.empty()) pass(true);
    // What is left of the budget, since features come whole, or since something else is used up first.
    if (turns_) {
      pass_in_turns();
    } else {
      pass(false);
    }
    if (!full && refused) choice.threshold = poorest;
    choice.bytes = traffic_.fixed_bytes + room_ - left;
    return choice;
  }

  /// Whether a rank has received more of a value than all others, by what each could.
  [[nodiscard]] bool is_ahead(const std::vector<double>& received, std::size_t value,
                              std::size_t rank) const {
    const std::vector<double>& receivable = receivable_[value];
    const double mine = received[rank] / receivable[rank];
    bool others = false;
    for (std::size_t other = 0; other < received.size(); ++other) {
      if (other == rank || receivable[other] == 0.0) continue;
      if (mine <= received[other] / receivable[other]) return false;
      others = true;
    }
    return others;
  }

  const Traffic& traffic_;
  std::int64_t room_;
  std::vector<std::int64_t> weight_room_;                 // by rank; empty: no limit
  std::vector<std::int64_t> mac_room_;                    // likewise
  std::vector<std::int64_t> byte_room_;                   // likewise, of what it receives
  std::vector<std::vector<std::int64_t>> exchange_room_;  // by value, by rank: likewise of that value
  bool turns_ = false;
  std::vector<std::vector<double>> receivable_;  // by value, by rank: bytes, were all read
  std::vector<double> rows_;  // by rank: multiply-accumulates of its outputs, were all features read
  std::vector<Unit> units_;
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
