#include "sparsify/allocate.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace disco {

namespace {

/// One channel on its way to one rank.
struct Unit {
  std::size_t value;
  std::int32_t rank;
  std::int32_t channel;
  double per_byte;
};

/// A message: value, from, to.
using Link = std::tuple<std::size_t, std::int32_t, std::int32_t>;

class Allocator {
 public:
  Allocator(const Traffic& traffic, const Scores& scores, std::int64_t room)
      : traffic_(traffic), room_(room) {
    for (std::size_t v = 0; v < traffic.values.size(); ++v) {
      const Exchangeable& value = traffic.values[v];
      for (std::int32_t rank = 0; rank < traffic.nodes; ++rank) {
        const auto r = static_cast<std::size_t>(rank);
        for (std::size_t c = 0; c < value.owner.size(); ++c) {
          if (value.owner[c] == rank || value.forced[r][c]) continue;
          units_.push_back({v, rank, static_cast<std::int32_t>(c),
                            scores[v][r][c] / static_cast<double>(value.channel_bytes)});
        }
      }
    }
    // Ties are broken by position, so that the choice is the same everywhere.
    std::stable_sort(units_.begin(), units_.end(),
                     [](const Unit& a, const Unit& b) { return a.per_byte > b.per_byte; });
  }

  Allocation run(std::int64_t message_bytes) {
    std::map<Link, bool> dropped;
    while (true) {
      Allocation choice = fill(dropped);
      if (message_bytes == 0) return choice;
      // A message earns what its channels are worth above the price of their bytes. The poorest one goes
      // first, and what it frees is given to others.
      std::map<Link, double> worth;
      for (const Unit& unit : units_) {
        if (!choice.kept[unit.value][static_cast<std::size_t>(unit.rank)]
                        [static_cast<std::size_t>(unit.channel)])
          continue;
        const auto bytes = static_cast<double>(traffic_.values[unit.value].channel_bytes);
        worth[link_of(unit)] += (unit.per_byte - choice.threshold) * bytes;
      }
      const double price = choice.threshold * static_cast<double>(message_bytes);
      auto poorest = worth.end();
      for (auto at = worth.begin(); at != worth.end(); ++at) {
        if (at->second < price && (poorest == worth.end() || at->second < poorest->second)) poorest = at;
      }
      if (poorest == worth.end()) return choice;
      dropped[poorest->first] = true;
    }
  }

 private:
  [[nodiscard]] Link link_of(const Unit& unit) const {
    return {unit.value, traffic_.values[unit.value].owner[static_cast<std::size_t>(unit.channel)], unit.rank};
  }

  Allocation fill(const std::map<Link, bool>& dropped) const {
    Allocation choice;
    choice.kept = keep_forced(traffic_);
    std::int64_t left = room_;
    bool full = false;
    for (const Unit& unit : units_) {
      if (!dropped.empty() && dropped.contains(link_of(unit))) continue;
      const std::int64_t bytes = traffic_.values[unit.value].channel_bytes;
      if (bytes > left) {
        if (!full) choice.threshold = unit.per_byte;
        full = true;
        continue;  // a channel of a smaller value may still fit
      }
      left -= bytes;
      choice.kept[unit.value][static_cast<std::size_t>(unit.rank)][static_cast<std::size_t>(unit.channel)] =
          true;
    }
    choice.bytes = traffic_.fixed_bytes + room_ - left;
    return choice;
  }

  const Traffic& traffic_;
  std::int64_t room_;
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
  return Allocator(traffic, scores, allowed - traffic.fixed_bytes).run(budget.message_bytes);
}

}  // namespace disco
