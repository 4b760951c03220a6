#include "train/optimiser.h"

#include <torch/optim/adamw.h>
#include <torch/optim/optimizer.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace disco::train {

std::unique_ptr<torch::optim::Optimizer> make_optimiser(const Weights& weights,
                                                        const OptimiserOptions& options) {
  std::vector<at::Tensor> decayed;
  std::vector<at::Tensor> free;
  for (const auto& [name, tensor] : weights.parameters) (tensor.dim() > 1 ? decayed : free).push_back(tensor);
  std::vector<torch::optim::OptimizerParamGroup> groups;
  const auto add = [&](const std::vector<at::Tensor>& tensors, auto group_options) {
    if (!tensors.empty())
      groups.emplace_back(tensors, std::make_unique<decltype(group_options)>(group_options));
  };
  if (options.kind == Optimiser::Sgd) {
    const auto sgd = torch::optim::SGDOptions(options.learning_rate)
                         .momentum(options.momentum)
                         .nesterov(options.momentum > 0);
    add(decayed, torch::optim::SGDOptions(sgd).weight_decay(options.weight_decay));
    add(free, sgd);
    return std::make_unique<torch::optim::SGD>(groups, sgd);
  }
  const auto adam = torch::optim::AdamWOptions(options.learning_rate).weight_decay(0.0);
  add(decayed, torch::optim::AdamWOptions(adam).weight_decay(options.weight_decay));
  add(free, adam);
  return std::make_unique<torch::optim::AdamW>(groups, adam);
}

void set_rate(torch::optim::Optimizer& optimiser, double rate) {
  for (auto& group : optimiser.param_groups()) group.options().set_lr(rate);
}

double cosine_rate(double highest, std::int64_t done, double rising, double total) {
  const double at = static_cast<double>(done);
  rising = std::min(rising, total * 0.5);
  if (at < rising) return highest * (at + 1.0) / rising;
  return highest * 0.5 * (1.0 + std::cos(std::numbers::pi * (at - rising) / (total - rising)));
}

}  // namespace disco::train
