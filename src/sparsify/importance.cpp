#include "sparsify/importance.h"

#include <algorithm>
#include <cmath>

namespace disco {

void weigh_by_size(const Traffic& traffic, double power, std::vector<Sensitivity>& sensitivities) {
  std::int64_t largest = 1;
  for (const Exchangeable& value : traffic.values) largest = std::max(largest, value.channel_bytes);
  for (std::size_t m = 0; m < traffic.maps.size(); ++m) {
    const std::vector<Column>& columns = traffic.maps[m].columns;
    std::vector<float> factors(columns.size(), 1.0F);
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (columns[c].value == Column::kEverywhere) continue;
      const double share =
          static_cast<double>(traffic.values[columns[c].value].channel_bytes) / static_cast<double>(largest);
      factors[c] = static_cast<float>(std::pow(share, 0.5 * (1.0 - power)));  // scores are squares
    }
    std::vector<float>& values = sensitivities[m].values;
    for (std::size_t i = 0; i < values.size(); ++i) values[i] *= factors[i % factors.size()];
  }
}

std::vector<std::vector<float>> sum_by_rank(const Sensitivity& sensitivity,
                                            const std::vector<std::int32_t>& owner, int nodes) {
  const auto size = static_cast<std::size_t>(sensitivity.samples * sensitivity.inputs);
  std::vector<std::vector<float>> sums(static_cast<std::size_t>(nodes), std::vector<float>(size, 0.0F));
  for (std::int64_t o = 0; o < sensitivity.outputs; ++o) {
    auto& sum = sums[static_cast<std::size_t>(owner[static_cast<std::size_t>(o)])];
    const float* row = sensitivity.row(o);
    for (std::size_t i = 0; i < size; ++i) sum[i] += row[i];
  }
  return sums;
}

void add_mean_square(const std::vector<float>& sums, std::int64_t samples, std::vector<double>& into) {
  const std::size_t inputs = into.size();
  for (std::size_t c = 0; c < inputs; ++c) {
    double total = 0.0;
    for (std::size_t k = 0; k < static_cast<std::size_t>(samples); ++k) {
      const double value = sums[k * inputs + c];
      total += value * value;
    }
    into[c] += total / static_cast<double>(samples);
  }
}

Scores score(const Traffic& traffic, const std::vector<Sensitivity>& sensitivities) {
  Scores scores;
  for (const Exchangeable& value : traffic.values) {
    scores.emplace_back(static_cast<std::size_t>(traffic.nodes),
                        std::vector<double>(value.owner.size(), 0.0));
  }
  for (std::size_t m = 0; m < traffic.maps.size(); ++m) {
    const LinearMap& map = traffic.maps[m];
    const auto sums = sum_by_rank(sensitivities[m], map.owner, traffic.nodes);
    for (std::size_t rank = 0; rank < sums.size(); ++rank) {
      std::vector<double> squares(map.columns.size(), 0.0);
      add_mean_square(sums[rank], sensitivities[m].samples, squares);
      for (std::size_t c = 0; c < squares.size(); ++c) {
        const Column& column = map.columns[c];
        if (column.value != Column::kEverywhere)
          scores[column.value][rank][static_cast<std::size_t>(column.channel)] += squares[c];
      }
    }
  }
  return scores;
}

}  // namespace disco
