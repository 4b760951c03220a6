#pragma once
// How weights follow their gradients.

#include <memory>

#include "train/network.h"

namespace torch::optim {
class Optimizer;
}

namespace disco::train {

enum class Optimiser { Sgd, AdamW };

struct OptimiserOptions {
  Optimiser kind = Optimiser::Sgd;
  double learning_rate = 0.02;
  double momentum = 0.9;       ///< of SGD, Nesterov's
  double weight_decay = 5e-4;  ///< of weights of two axes and more
};

[[nodiscard]] std::unique_ptr<torch::optim::Optimizer> make_optimiser(const Weights& weights,
                                                                      const OptimiserOptions& options);

void set_rate(torch::optim::Optimizer& optimiser, double rate);

/// The rate of step `done` of `total`: up from zero over the first `rising` steps (at most half of all), then
/// down to zero along a cosine.
[[nodiscard]] double cosine_rate(double highest, std::int64_t done, double rising, double total);

}  // namespace disco::train
