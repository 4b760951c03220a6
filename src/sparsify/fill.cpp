#include "sparsify/fill.h"

#include <algorithm>
#include <deque>
#include <utility>

namespace disco {

namespace {

bool lacks(const std::vector<std::int64_t>& rooms, const Unit& unit, std::int64_t amount) {
  return !rooms.empty() && amount > rooms[static_cast<std::size_t>(unit.rank)];
}

void take(std::vector<std::int64_t>& rooms, const Unit& unit, std::int64_t amount) {
  if (!rooms.empty()) rooms[static_cast<std::size_t>(unit.rank)] -= amount;
}

/// Whether a rank has received more than all others, by what each could.
bool is_ahead(const std::vector<double>& received, const std::vector<double>& receivable, std::size_t rank) {
  const double mine = received[rank] / receivable[rank];
  bool others = false;
  for (std::size_t other = 0; other < received.size(); ++other) {
    if (other == rank || receivable[other] == 0.0) continue;
    if (mine <= received[other] / receivable[other]) return false;
    others = true;
  }
  return others;
}

}  // namespace

Exchange exchange_of(const Traffic& traffic, const Unit& unit) {
  const std::int32_t owner = traffic.values[unit.value].owner[static_cast<std::size_t>(unit.channel)];
  return {unit.value, std::min(owner, unit.rank), std::max(owner, unit.rank)};
}

Filling::Filling(const Traffic& traffic, const std::vector<Unit>& units, Rooms rooms,
                 const std::set<Exchange>& dropped)
    : traffic_(traffic),
      units_(units),
      dropped_(dropped),
      left_(std::move(rooms)),
      received_(traffic.values.size(), std::vector<double>(static_cast<std::size_t>(traffic.nodes), 0.0)) {
  choice_.kept = keep_forced(traffic);
  choice_.bytes = left_.bytes;
}

void Filling::fill(bool within_values) {
  for (const Unit& unit : units_) {
    if (is_out(unit) || !fits(unit)) continue;
    if (within_values) {
      std::vector<std::int64_t>& of_value = left_.of_value[unit.value];
      if (lacks(of_value, unit, bytes_of(unit))) {
        refused_ = true;
        continue;
      }
      take(of_value, unit, bytes_of(unit));
    }
    keep(unit);
  }
}

void Filling::fill_in_turns(const std::vector<std::vector<double>>& receivable) {
  std::vector<std::vector<std::deque<const Unit*>>> waiting(
      received_.size(), std::vector<std::deque<const Unit*>>(static_cast<std::size_t>(traffic_.nodes)));
  for (const Unit& unit : units_) {
    if (is_out(unit)) continue;
    auto& queues = waiting[unit.value];
    queues[static_cast<std::size_t>(unit.rank)].push_back(&unit);
    for (std::size_t rank = 0; rank < queues.size();) {
      if (queues[rank].empty() || is_ahead(received_[unit.value], receivable[unit.value], rank)) {
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
}

Allocation Filling::finish() {
  if (!full_ && refused_) choice_.threshold = poorest_;
  choice_.bytes -= left_.bytes;
  return std::move(choice_);
}

bool Filling::is_out(const Unit& unit) const {
  return is_kept(choice_.kept, {unit.value, unit.channel}, static_cast<std::size_t>(unit.rank)) ||
         (!dropped_.empty() && dropped_.contains(exchange_of(traffic_, unit)));
}

bool Filling::fits(const Unit& unit) {
  const std::int64_t bytes = bytes_of(unit);
  if (bytes > left_.bytes) {
    if (!full_) choice_.threshold = unit.per_byte();
    full_ = true;
    return false;  // a channel of a smaller value may still fit
  }
  const bool lacking = lacks(left_.weights, unit, unit.weights) || lacks(left_.macs, unit, unit.macs) ||
                       lacks(left_.received, unit, bytes);
  refused_ = refused_ || lacking;
  return !lacking;
}

void Filling::keep(const Unit& unit) {
  const std::int64_t bytes = bytes_of(unit);
  left_.bytes -= bytes;
  take(left_.weights, unit, unit.weights);
  take(left_.macs, unit, unit.macs);
  take(left_.received, unit, bytes);
  const auto rank = static_cast<std::size_t>(unit.rank);
  received_[unit.value][rank] += static_cast<double>(bytes);
  poorest_ = unit.per_byte();
  choice_.score += unit.score;
  choice_.kept[unit.value][rank][static_cast<std::size_t>(unit.channel)] = true;
}

}  // namespace disco
