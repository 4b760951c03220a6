#include "samples.h"

#include <algorithm>

namespace disco::cli {

double quantile(std::vector<double> samples, double q) {
  std::sort(samples.begin(), samples.end());
  const double at = q * static_cast<double>(samples.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, samples.size() - 1);
  return samples[low] + (samples[high] - samples[low]) * (at - static_cast<double>(low));
}

void Samples::add(const RunResult& result) {
  latency.push_back(result.total_ms);
  statistics.push_back(result.statistics);
}

double Samples::median_of(std::size_t node, double RunStatistics::*field) const {
  std::vector<double> values;
  for (const auto& run : statistics) values.push_back(run[node].*field);
  return quantile(std::move(values), 0.5);
}

nlohmann::json Samples::to_json() const {
  nlohmann::json nodes = nlohmann::json::array();
  for (std::size_t r = 0; r < statistics.front().size(); ++r) {
    const RunStatistics& last = statistics.back()[r];
    nodes.push_back({{"compute_ms", median_of(r, &RunStatistics::compute_ms)},
                     {"pack_ms", median_of(r, &RunStatistics::pack_ms)},
                     {"wait_ms", median_of(r, &RunStatistics::wait_ms)},
                     {"bytes_sent", last.bytes_sent},
                     {"messages", last.messages_sent},
                     {"peak_rss_bytes", last.peak_rss_bytes}});
  }
  return {{"latency_ms",
           {{"median", quantile(latency, 0.5)},
            {"p95", quantile(latency, 0.95)},
            {"min", quantile(latency, 0.0)}}},
          {"nodes", nodes}};
}

}  // namespace disco::cli
