#include "train/tighten.h"

#include <algorithm>
#include <cmath>

#include "sparsify/importance.h"
#include "train/rows.h"

namespace disco::train {

double cubic_budget(double target, std::int64_t done, std::int64_t total) {
  if (done >= total) return target;
  const double left = 1.0 - static_cast<double>(done) / static_cast<double>(total);
  return target + (1.0 - target) * left * left * left;
}

Result<KeptChannels> choose_now(const Network& network, const Weights& weights, const Traffic& traffic,
                                const Batches& batches, double communication, std::uint64_t seed) {
  DISCO_TRY(std::vector<Sensitivity> sensitivities,
            sample_sensitivity(network, weights, traffic, batches, seed));
  weigh_by_size(traffic, kBytePower, sensitivities);
  const double least = static_cast<double>(traffic.fixed_bytes) /
                       static_cast<double>(std::max<std::int64_t>(1, traffic.dense_bytes));
  const Budget budget{.communication = std::clamp(communication, std::min(1.0, least + 1e-9), 1.0),
                      .level_exchanges = true};
  DISCO_TRY(Allocation choice, allocate(traffic, score(traffic, sensitivities), budget));
  return std::move(choice.kept);
}

at::Tensor group_norms(const Graph& graph, const Weights& weights, const Traffic& traffic) {
  at::Tensor total = at::zeros({}, at::TensorOptions(weights.device).dtype(at::kFloat));
  for (const LinearMap& map : traffic.maps) {
    const MapWeight place = weight_of(graph, graph.nodes[map.node]);
    at::Tensor squares = weights.parameters.at(place.name).square();
    if (place.out_axis == 1) squares = squares.t();
    if (squares.dim() > 2) squares = squares.flatten(2).sum(2);  // [outputs, inputs]
    std::vector<std::int32_t> owners;
    std::vector<float> prices;
    for (const Column& column : map.columns) {
      owners.push_back(traffic.owner_of(column));
      if (column.value == Column::kEverywhere) {
        prices.push_back(0.0F);
        continue;
      }
      const Exchangeable& value = traffic.values[column.value];
      prices.push_back(static_cast<float>(
          std::sqrt(static_cast<double>(value.channel_bytes) * static_cast<double>(value.channels) /
                    static_cast<double>(std::max<std::int64_t>(1, traffic.dense_bytes)))));
    }
    const at::Tensor price = at::tensor(at::ArrayRef<float>(prices), at::kFloat).to(squares.device());
    const at::Tensor inputs = at::tensor(at::ArrayRef<std::int32_t>(owners), at::kInt).to(squares.device());
    const at::Tensor outputs =
        at::tensor(at::ArrayRef<std::int32_t>(map.owner), at::kInt).to(squares.device());
    for (int rank = 0; rank < traffic.nodes; ++rank) {
      const at::Tensor rows = (outputs == rank).to(at::kFloat);
      const at::Tensor foreign = (inputs != rank).to(at::kFloat);
      const at::Tensor norms = (at::matmul(rows, squares) + 1e-12).sqrt();
      total = total + rows.sum().sqrt() * (price * norms * foreign).sum();
    }
  }
  return total;
}

}  // namespace disco::train
