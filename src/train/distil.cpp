#include "train/distil.h"

#include <torch/optim/adam.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/random.h"
#include "data/dataset.h"
#include "train/augment.h"
#include "train/bridge.h"
#include "train/objective.h"
#include "train/output_steps.h"

namespace disco::train {

Status distil(const Network& dense, const Network& sparse, const TaskLoss& task, Weights& weights,
              const Traffic& traffic, const Masks& masks, const std::vector<at::Tensor>& samples,
              const DistilOptions& options) {
  std::vector<at::Tensor> parameters;
  const std::int64_t count = samples.at(0).size(0);
  const std::int64_t steps = count / options.batch;
  Batches batches;
  for (std::int64_t s = 0; s < steps; ++s) {
    std::vector<at::Tensor>& inputs = batches.emplace_back();
    for (const at::Tensor& all : samples)
      inputs.push_back(all.narrow(0, s * options.batch, options.batch).to(weights.device));
  }
  DISCO_TRY(OutputSteps linear, OutputSteps::create(sparse, weights, masks, batches, {.seed = options.seed}));
  for (auto& [name, tensor] : weights.parameters) {
    if (!linear.covers(name)) parameters.push_back(tensor);
  }
  torch::optim::Adam optimiser(parameters, torch::optim::AdamOptions(options.learning_rate));
  const Objective objective(
      &dense, sparse, task, &traffic,
      {.distillation = 1.0, .hints = options.hint_weight, .temperature = options.temperature});
  try {
    for (std::int64_t epoch = 0; epoch < options.epochs; ++epoch) {
      const auto turn = static_cast<std::uint64_t>(epoch);
      const std::vector<std::int64_t> order = shuffled(count, mix_seed(options.seed, 1, turn));
      double total = 0.0;
      for (std::int64_t s = 0; s < steps; ++s) {
        const double progress =
            static_cast<double>(epoch * steps + s) / static_cast<double>(options.epochs * steps);
        const double fall = 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
        static_cast<torch::optim::AdamOptions&>(optimiser.param_groups()[0].options())
            .lr(options.learning_rate * fall);
        const at::Tensor pick =
            at::tensor(at::ArrayRef<std::int64_t>(order).slice(static_cast<std::size_t>(s * options.batch),
                                                               static_cast<std::size_t>(options.batch)),
                       at::kLong);
        std::vector<at::Tensor> inputs;
        for (const at::Tensor& all : samples) {
          at::Tensor input = all.index_select(0, pick);
          if (options.augment && is_image(input.sizes())) {
            for (std::int64_t i = 0; i < options.batch; ++i) {
              const auto index =
                  static_cast<std::uint64_t>(order[static_cast<std::size_t>(s * options.batch + i)]);
              augment(input[i], Augmentation::Flip, mix_seed(options.seed, turn + 2, index));
            }
            const at::Tensor others = input.flip({0});
            Random random(mix_seed(options.seed, ~turn, static_cast<std::uint64_t>(s)));
            for (std::int64_t i = 0; i < options.batch; ++i) {
              if (random.unit() < options.blended) blend(input[i], others[i], random.next());
            }
          }
          inputs.push_back(input.to(weights.device));
        }
        DISCO_TRY(const at::Tensor loss, objective.loss(inputs, {}, {}));
        optimiser.zero_grad();
        loss.backward();
        optimiser.step();
        linear.step(weights, options.step * fall);
        masks.apply(weights);
        total += loss.item<double>();
      }
      if (options.on_epoch)
        options.on_epoch(epoch, total / static_cast<double>(std::max<std::int64_t>(1, steps)));
    }
  } catch (const std::exception& problem) {
    return error(ErrorCode::Internal, "distillation failed: {}", first_line(problem));
  }
  return {};
}

}  // namespace disco::train
