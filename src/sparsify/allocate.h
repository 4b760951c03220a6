#pragma once
// The budget: which features travel, so that what is left out hurts least for the bytes that it saves.

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "sparsify/traffic.h"

namespace disco {

/// scores[value][rank][channel]: how much the output suffers when a channel of Traffic::values does not reach
/// a rank, on any scale that is comparable across values. Entries of channels that the rank owns are not
/// read.
using Scores = std::vector<std::vector<std::vector<double>>>;

struct Budget {
  /// Bytes per inference, as a share of the dense exchange's; in (0, 1].
  double communication = 0.2;
  /// What one message costs beyond its bytes, as the bytes that the link would carry in that time (latency
  /// times bandwidth). Exchanges that do not earn it are left out whole. 0: bytes alone count.
  std::int64_t message_bytes = 0;
  /// Bytes of weights that each rank may hold; empty: no limit. Features that a rank reads with many weights
  /// are then worth less there.
  std::vector<std::int64_t> weight_bytes{};
  /// Every answer waits for the busiest node and the fullest link: features are chosen a second time so that
  /// no rank computes or receives more, for features of others, than its share of what the first choice has
  /// all of them do, by what each could. Bytes may remain unused.
  bool level_work = false;
  /// An exchange takes as long as its fullest direction: features are chosen once more so that of each value
  /// no rank receives more than its share of what the choice before has all of them receive, but for what is
  /// left of the budget then. With level_work that goes to the ranks in turns, by value, since where weights
  /// or messages limit the choice much of the budget is left.
  bool level_exchanges = false;
};

struct Allocation {
  KeptChannels kept;
  double threshold = 0;    ///< score per byte at which the budget, or what else limits, was used up
  std::int64_t bytes = 0;  ///< per inference, all nodes
  double score = 0;        ///< of all that is kept
};

/// Keeps the features of highest score per byte until the budget is used. A channel that several linear maps
/// of a rank read is sent once, so its score is the sum of theirs.
///
/// @return the choice, or InvalidArgument where what must travel anyway (Traffic::fixed_bytes) exceeds the
///   budget, or what a rank holds anyway its limit; the message says the smallest that can be met
/// O(u log u) in the number of (value, rank, channel). Source: DISCO (Qin et al. 2024) prunes by norm; the
/// global budget by output sensitivity is this project's.
[[nodiscard]] Result<Allocation> allocate(const Traffic& traffic, const Scores& scores, const Budget& budget);

}  // namespace disco
