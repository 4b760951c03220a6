#include "train/distil.h"

#include <ATen/core/grad_mode.h>
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

namespace {

/// The mean loss of so many steps is looked at; fewer say little.
constexpr std::int64_t kFewestWatched = 16;
constexpr std::int64_t kMostWatched = 64;
/// Steps are too long where it has grown to so many times the least that was seen.
constexpr double kGrowth = 1.15;

class Distiller {
 public:
  Distiller(const Network& dense, const Network& sparse, const TaskLoss& task, Weights& weights,
            const Traffic& traffic, const Masks& masks, const std::vector<at::Tensor>& samples,
            const DistilOptions& options)
      : weights_(weights),
        masks_(masks),
        samples_(samples),
        options_(options),
        learnt_(samples.at(0).size(0) - options.held_out),
        objective_(&dense, sparse, task, &traffic,
                   {.distillation = 1.0, .hints = options.hint_weight, .temperature = options.temperature}),
        answers_(&dense, sparse, task, nullptr, {.distillation = 1.0, .temperature = options.temperature}) {}

  Result<Distilled> run(const Network& sparse) {
    Batches batches;
    for (std::int64_t first = 0; first + options_.batch <= learnt_; first += options_.batch)
      batches.push_back(batch_at(first));
    DISCO_TRY(linear_, OutputSteps::create(sparse, weights_, masks_, batches, {.seed = options_.seed}));
    for (auto& [name, tensor] : weights_.parameters) {
      if (!linear_.covers(name)) others_.push_back(tensor);
    }
    Distilled made{.epochs = options_.epochs, .held_out = options_.held_out};
    const std::vector<at::Tensor> first = copies();
    DISCO_TRY(made.before, distance());
    DISCO_CHECK(learn(static_cast<std::int64_t>(batches.size()), first));
    if (made.held_out > 0) DISCO_CHECK(go_as_far_as_it_helps(first, made));
    return made;
  }

 private:
  [[nodiscard]] std::vector<at::Tensor> batch_at(std::int64_t first) const {
    std::vector<at::Tensor> inputs;
    for (const at::Tensor& all : samples_)
      inputs.push_back(all.narrow(0, first, options_.batch).to(weights_.device));
    return inputs;
  }

  [[nodiscard]] std::vector<at::Tensor> copies() const {
    std::vector<at::Tensor> copied;
    for (const auto& [name, tensor] : weights_.parameters) copied.push_back(tensor.detach().clone());
    return copied;
  }
  void restore(const std::vector<at::Tensor>& from) {
    const at::NoGradGuard no_grad;
    auto saved = from.begin();
    for (auto& [name, tensor] : weights_.parameters) tensor.copy_(*saved++);
  }

  /// Of the weights on the line from `first` to what was learnt, those whose answers to what is held out are
  /// closest. Few samples are learnt by heart in part: three quarters of the way are often better than all.
  Status go_as_far_as_it_helps(const std::vector<at::Tensor>& first, Distilled& made) {
    const std::vector<at::Tensor> learnt = copies();
    const auto go = [&](double part) {
      std::vector<at::Tensor> between;
      for (std::size_t i = 0; i < first.size(); ++i) between.push_back(at::lerp(first[i], learnt[i], part));
      restore(between);
    };
    made.part = 0.0;
    made.after = made.before;
    for (const double part : {0.25, 0.5, 0.75, 1.0}) {
      go(part);
      DISCO_TRY(const double now, distance());
      if (!(now < made.after)) continue;  // nor where it is no number
      made.after = now;
      made.part = part;
    }
    if (made.part == 0.0) {
      restore(first);
    } else {
      go(made.part);
    }
    return {};
  }

  /// Of the answers to what is held out, in the mean; 0 where nothing is. With gradients, since outputs that
  /// have none are taken for ones that nothing can change.
  Result<double> distance() const {
    double total = 0.0;
    std::int64_t count = 0;
    for (std::int64_t first = learnt_; first + options_.batch <= samples_.at(0).size(0);
         first += options_.batch, ++count) {
      DISCO_TRY(const at::Tensor loss, answers_.loss(batch_at(first), {}, {}));
      total += loss.item<double>();
    }
    return count == 0 ? 0.0 : total / static_cast<double>(count);
  }

  /// What step `s` of an epoch is shown.
  [[nodiscard]] std::vector<at::Tensor> show(const std::vector<std::int64_t>& order, std::int64_t epoch,
                                             std::int64_t s) const {
    const auto turn = static_cast<std::uint64_t>(epoch);
    const auto first = static_cast<std::size_t>(s * options_.batch);
    const at::Tensor pick = at::tensor(
        at::ArrayRef<std::int64_t>(order).slice(first, static_cast<std::size_t>(options_.batch)), at::kLong);
    std::vector<at::Tensor> inputs;
    for (const at::Tensor& all : samples_) {
      at::Tensor input = all.index_select(0, pick);
      if (options_.augment && is_image(input.sizes())) {
        for (std::int64_t i = 0; i < options_.batch; ++i) {
          const auto index = static_cast<std::uint64_t>(order[first + static_cast<std::size_t>(i)]);
          augment(input[i], Augmentation::Flip, mix_seed(options_.seed, turn + 2, index));
        }
        const at::Tensor others = input.flip({0});
        Random random(mix_seed(options_.seed, ~turn, static_cast<std::uint64_t>(s)));
        for (std::int64_t i = 0; i < options_.batch; ++i) {
          if (random.unit() < options_.blended) blend(input[i], others[i], random.next());
        }
      }
      inputs.push_back(input.to(weights_.device));
    }
    return inputs;
  }

  [[nodiscard]] std::vector<std::int64_t> order_of(std::int64_t epoch) const {
    return shuffled(learnt_, mix_seed(options_.seed, 1, static_cast<std::uint64_t>(epoch)));
  }

  /// What the losses of the first `count` steps would come to if none were made.
  Result<double> loss_before(std::int64_t steps, std::int64_t count) const {
    const std::int64_t looked_at = std::min(steps, count);
    const std::vector<std::int64_t> order = order_of(0);
    double total = 0.0;
    for (std::int64_t s = 0; s < looked_at; ++s) {
      DISCO_TRY(const at::Tensor loss, objective_.loss(show(order, 0, s), {}, {}));
      total += loss.item<double>();
    }
    return total * static_cast<double>(count) / static_cast<double>(std::max<std::int64_t>(1, looked_at));
  }

  /// @param last  the weights as they are, to go back to
  Status learn(std::int64_t steps, std::vector<at::Tensor> last) {
    torch::optim::Adam optimiser(others_, torch::optim::AdamOptions(options_.learning_rate));
    const std::int64_t all_steps = options_.epochs * steps;
    const std::int64_t watched = std::clamp(steps, kFewestWatched, kMostWatched);
    double length = 1.0;  // of a step, after what was too long
    DISCO_TRY(double least, loss_before(steps, watched));
    double watched_loss = 0.0;
    std::int64_t done = 0;
    for (std::int64_t epoch = 0; epoch < options_.epochs; ++epoch) {
      const std::vector<std::int64_t> order = order_of(epoch);
      double total = 0.0;
      for (std::int64_t s = 0; s < steps; ++s) {
        const double progress = static_cast<double>(done++) / static_cast<double>(all_steps);
        const double fall = 0.5 * length * (1.0 + std::cos(std::numbers::pi * progress));
        static_cast<torch::optim::AdamOptions&>(optimiser.param_groups()[0].options())
            .lr(options_.learning_rate * fall);
        DISCO_TRY(const at::Tensor loss, objective_.loss(show(order, epoch, s), {}, {}));
        optimiser.zero_grad();
        loss.backward();
        optimiser.step();
        linear_.step(weights_, options_.step * fall);
        masks_.apply(weights_);
        const auto value = loss.item<double>();
        total += value;
        watched_loss += value;
        if (done % watched != 0) continue;
        if (watched_loss < kGrowth * least) {
          least = std::min(least, watched_loss);
          last = copies();
        } else {
          restore(last);
          length *= 0.5;
        }
        watched_loss = 0.0;
      }
      if (options_.on_epoch)
        options_.on_epoch(epoch, total / static_cast<double>(std::max<std::int64_t>(1, steps)));
    }
    return {};
  }

  Weights& weights_;
  const Masks& masks_;
  const std::vector<at::Tensor>& samples_;
  const DistilOptions& options_;
  std::int64_t learnt_;  // samples that are learnt from: the first ones
  Objective objective_, answers_;
  OutputSteps linear_;
  std::vector<at::Tensor> others_;  // parameters that have no such steps
};

}  // namespace

Result<Distilled> distil(const Network& dense, const Network& sparse, const TaskLoss& task, Weights& weights,
                         const Traffic& traffic, const Masks& masks, const std::vector<at::Tensor>& samples,
                         const DistilOptions& options) {
  try {
    return Distiller(dense, sparse, task, weights, traffic, masks, samples, options).run(sparse);
  } catch (const std::exception& problem) {
    return error(ErrorCode::Internal, "distillation failed: {}", first_line(problem));
  }
}

}  // namespace disco::train
