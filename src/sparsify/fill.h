#pragma once
// Private to allocate: keeps features in the order of their worth for as long as there is room.

#include <cstdint>
#include <set>
#include <tuple>
#include <vector>

#include "sparsify/allocate.h"

namespace disco {

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

/// An exchange: value, and the two ranks, the lower one first.
using Exchange = std::tuple<std::size_t, std::int32_t, std::int32_t>;
[[nodiscard]] Exchange exchange_of(const Traffic& traffic, const Unit& unit);

/// How much there is room for, beside what is there whatever is kept.
struct Rooms {
  std::int64_t bytes = 0;                             ///< that travel
  std::vector<std::int64_t> weights{};                ///< by rank: bytes that it holds; empty: no limit
  std::vector<std::int64_t> macs{};                   ///< likewise, that it computes
  std::vector<std::int64_t> received{};               ///< likewise, bytes that it receives
  std::vector<std::vector<std::int64_t>> of_value{};  ///< by value, by rank: likewise of that value
};

/// One choice of what is kept.
class Filling {
 public:
  /// @param units    in the order in which they are kept
  /// @param dropped  exchanges of which nothing is kept
  Filling(const Traffic& traffic, const std::vector<Unit>& units, Rooms rooms,
          const std::set<Exchange>& dropped);

  /// Keeps what fits, within Rooms::of_value or else without minding it.
  void fill(bool within_values);
  /// Keeps what fits; the ranks that read a value take turns: who has more of it, by what each could, waits.
  /// @param receivable  by value, by rank: bytes, were all read
  void fill_in_turns(const std::vector<std::vector<double>>& receivable);

  /// What was kept; bytes are those that had room.
  [[nodiscard]] Allocation finish();

 private:
  [[nodiscard]] bool is_out(const Unit& unit) const;
  bool fits(const Unit& unit);
  void keep(const Unit& unit);
  [[nodiscard]] std::int64_t bytes_of(const Unit& unit) const {
    return traffic_.values[unit.value].channel_bytes;
  }

  const Traffic& traffic_;
  const std::vector<Unit>& units_;
  const std::set<Exchange>& dropped_;
  Rooms left_;
  std::vector<std::vector<double>> received_;  // by value, by rank: bytes
  Allocation choice_;
  bool full_ = false;     // something was left out for want of bytes
  bool refused_ = false;  // … of something else
  double poorest_ = 0.0;  // score a byte of what was kept last
};

}  // namespace disco
