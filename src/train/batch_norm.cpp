#include "train/batch_norm.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace disco::train {

Status recalibrate_batch_norm(const Network& network, const Batches& batches) {
  const auto& nodes = network.graph().nodes;
  if (std::none_of(nodes.begin(), nodes.end(), [](const Node& n) { return n.is("BatchNormalization"); }))
    return {};
  const at::NoGradGuard no_grad;
  for (std::size_t b = 0; b < batches.size(); ++b) {
    // 1, 1/2, 1/3, ...: the plain mean over the batches; the first forgets what was there.
    const Mode mode{.training = true, .momentum = 1.0 / static_cast<double>(b + 1)};
    DISCO_TRY([[maybe_unused]] const auto outputs, network.forward(batches[b], mode));
  }
  return {};
}

}  // namespace disco::train
