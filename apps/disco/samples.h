#pragma once
// What runs cost, gathered over several of them; shared by run and bench.

#include <nlohmann/json.hpp>
#include <vector>

#include "cluster/cluster.h"

namespace disco::cli {

/// Linear between the two nearest samples; `samples` holds at least one, q is in [0, 1].
[[nodiscard]] double quantile(std::vector<double> samples, double q);

/// The runs of one cluster: at least one before anything is asked of it.
struct Samples {
  std::vector<double> latency;                         ///< ms, by run
  std::vector<std::vector<RunStatistics>> statistics;  ///< by run, by node

  void add(const RunResult& result);
  [[nodiscard]] double median_of(std::size_t node, double RunStatistics::*field) const;
  /// {"latency_ms": {median, p95, min}, "nodes": [{compute_ms, pack_ms, wait_ms, bytes_sent, messages,
  /// peak_rss_bytes}]}: medians of times; bytes and messages are those of one run.
  [[nodiscard]] nlohmann::json to_json() const;
};

}  // namespace disco::cli
