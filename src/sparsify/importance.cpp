#include "sparsify/importance.h"

namespace disco {

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
