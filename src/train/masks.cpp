#include "train/masks.h"

#include <ATen/core/grad_mode.h>

#include "train/rows.h"

namespace disco::train {

namespace {

template <class Stays>
at::Tensor mask_of(const Traffic& traffic, const LinearMap& map, const Stays& stays) {
  at::Tensor mask =
      at::zeros({static_cast<std::int64_t>(map.owner.size()), static_cast<std::int64_t>(map.columns.size())});
  float* at = mask.data_ptr<float>();
  for (const std::int32_t rank : map.owner) {
    for (const Column& column : map.columns)
      *at++ = traffic.is_own(column, rank) || stays(static_cast<std::size_t>(rank), column) ? 1.0F : 0.0F;
  }
  return mask;
}

}  // namespace

at::Tensor block_mask(const Traffic& traffic, const LinearMap& map, const KeptChannels& kept) {
  return mask_of(traffic, map,
                 [&](std::size_t rank, const Column& column) { return is_kept(kept, column, rank); });
}

at::Tensor own_mask(const Traffic& traffic, const LinearMap& map) {
  return mask_of(traffic, map, [](std::size_t, const Column&) { return false; });
}

at::Tensor along_weight(at::Tensor mask, const Graph& graph, const LinearMap& map, const at::Tensor& weight) {
  if (weight_of(graph, graph.nodes[map.node]).out_axis == 1) mask = mask.t();
  while (mask.dim() < weight.dim()) mask = mask.unsqueeze(-1);
  return mask.to(weight.device());
}

Masks::Masks(const Graph& graph, const Traffic& traffic, const KeptChannels& kept, const Weights& weights) {
  for (const LinearMap& map : traffic.maps) {
    const std::string name = weight_of(graph, graph.nodes[map.node]).name;
    masks_.emplace_back(
        name, along_weight(block_mask(traffic, map, kept), graph, map, weights.parameters.at(name)));
  }
}

void Masks::apply(Weights& weights) const {
  const at::NoGradGuard no_grad;
  for (const auto& [name, mask] : masks_) weights.parameters.at(name).mul_(mask);
}

const at::Tensor* Masks::of(const std::string& weight) const {
  for (const auto& [name, mask] : masks_) {
    if (name == weight) return &mask;
  }
  return nullptr;
}

}  // namespace disco::train
