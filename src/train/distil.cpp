#include "train/distil.h"

#include <torch/optim/adam.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <random>

#include "train/refit.h"

namespace disco::train {

namespace {

/// Mirrors and shifts images, each by its own draw.
at::Tensor augmented(const at::Tensor& images, std::mt19937_64& generator) {
  const std::int64_t most = images.size(3) / 8;
  const at::Tensor padded = at::constant_pad_nd(images, {most, most, most, most}, 0);
  std::vector<at::Tensor> result;
  for (std::int64_t n = 0; n < images.size(0); ++n) {
    const auto dy = static_cast<std::int64_t>(generator() % static_cast<std::uint64_t>(2 * most + 1));
    const auto dx = static_cast<std::int64_t>(generator() % static_cast<std::uint64_t>(2 * most + 1));
    at::Tensor one = padded[n].narrow(1, dy, images.size(2)).narrow(2, dx, images.size(3));
    if (generator() % 2 == 0) one = one.flip({2});
    result.push_back(one);
  }
  return at::stack(result);
}

bool is_image(const at::Tensor& input) {
  return input.dim() == 4 && (input.size(1) == 3 || input.size(1) == 1) && input.size(2) >= 8 &&
         input.size(3) >= 8;
}

at::Tensor output_loss(const at::Tensor& ours, const at::Tensor& theirs, double temperature) {
  if (ours.dim() == 2 && ours.size(1) > 1) {
    const at::Tensor log_p = at::log_softmax(ours / temperature, 1);
    const at::Tensor q = at::softmax(theirs / temperature, 1);
    return (q * (at::log(q.clamp_min(1e-12)) - log_p)).sum() / ours.size(0) * (temperature * temperature);
  }
  return (ours - theirs).square().mean() / theirs.square().mean().clamp_min(1e-12);
}

}  // namespace

Status distil(const Network& dense, const Network& sparse, Weights& weights, const Traffic& traffic,
              const KeptChannels& kept, const std::vector<at::Tensor>& samples,
              const DistilOptions& options) {
  std::vector<at::Tensor> parameters;
  for (auto& [name, tensor] : weights.parameters) parameters.push_back(tensor);
  torch::optim::Adam optimiser(parameters, torch::optim::AdamOptions(options.learning_rate));
  std::mt19937_64 generator(options.seed);
  const std::int64_t count = samples.at(0).size(0);
  const std::int64_t steps = count / options.batch;
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  std::vector<std::size_t> hints;
  for (const Exchangeable& value : traffic.values) hints.push_back(static_cast<std::size_t>(value.value));
  try {
    for (std::int64_t epoch = 0; epoch < options.epochs; ++epoch) {
      std::shuffle(order.begin(), order.end(), generator);
      double total = 0.0;
      for (std::int64_t s = 0; s < steps; ++s) {
        const double progress =
            static_cast<double>(epoch * steps + s) / static_cast<double>(options.epochs * steps);
        static_cast<torch::optim::AdamOptions&>(optimiser.param_groups()[0].options())
            .lr(options.learning_rate * 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
        const at::Tensor pick = at::tensor(std::vector<std::int64_t>(order.begin() + s * options.batch,
                                                                     order.begin() + (s + 1) * options.batch),
                                           at::kLong);
        std::vector<at::Tensor> inputs;
        for (const at::Tensor& all : samples) {
          at::Tensor input = all.index_select(0, pick);
          if (options.augment && is_image(input)) input = augmented(input, generator);
          inputs.push_back(input.to(weights.device));
        }
        Values theirs = dense.begin(inputs);
        std::vector<at::Tensor> targets;
        {
          const at::NoGradGuard no_grad;
          for (std::size_t n = 0; n < dense.graph().nodes.size(); ++n) DISCO_CHECK(dense.step(n, theirs, {}));
        }
        Values ours = sparse.begin(inputs);
        for (std::size_t n = 0; n < sparse.graph().nodes.size(); ++n) DISCO_CHECK(sparse.step(n, ours, {}));
        at::Tensor loss = at::zeros({}, inputs[0].options());
        for (const ValueId id : sparse.graph().outputs) {
          const auto o = static_cast<std::size_t>(id);
          if (ours[o].defined() && ours[o].requires_grad())
            loss = loss + output_loss(ours[o], theirs[o], options.temperature);
        }
        if (options.hint_weight > 0.0) {
          for (const std::size_t v : hints) {
            if (!ours[v].requires_grad()) continue;
            const at::Tensor scale = theirs[v].square().mean().clamp_min(1e-12);
            loss = loss + options.hint_weight / static_cast<double>(hints.size()) *
                              (ours[v] - theirs[v]).square().mean() / scale;
          }
        }
        optimiser.zero_grad();
        loss.backward();
        optimiser.step();
        apply_masks(sparse.graph(), traffic, kept, weights);
        total += loss.item<double>();
      }
      if (options.on_epoch)
        options.on_epoch(epoch, total / static_cast<double>(std::max<std::int64_t>(1, steps)));
    }
  } catch (const std::exception& problem) {
    const std::string text = problem.what();
    return error(ErrorCode::Internal, "distillation failed: {}", text.substr(0, text.find('\n')));
  }
  return {};
}

}  // namespace disco::train
