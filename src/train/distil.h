#pragma once
// Distillation on the calibration samples: the sparsified model learns to answer as the dense one does. No
// labels.

#include <functional>

#include "train/masks.h"
#include "train/task_loss.h"

namespace disco::train {

struct DistilOptions {
  std::int64_t epochs = 20;
  std::int64_t batch = 32;
  double step = 2e-3;           ///< of linear maps, see OutputSteps::step(); falling to zero along a cosine
  double learning_rate = 3e-4;  ///< Adam's, for everything else; likewise
  double temperature =
      4.0;  ///< of the softened logits, for outputs of rank 2; others are compared by squares
  double hint_weight = 6.0;  ///< of the squared differences at the exchanged values
  bool augment = true;   ///< image inputs: mirrored and shifted by up to an eighth; the dense model answers
                         ///< for what is shown
  double blended = 1.0;  ///< with `augment`, the share of images that others are mixed into
  /// So many of the last samples are not learnt from, but judge how far the weights go from what they were to
  /// what was learnt: as far as the answers to these come closest to the dense model's. In whole batches; 0:
  /// all of the way.
  std::int64_t held_out = 0;
  std::uint64_t seed = 1;
  std::function<void(std::int64_t epoch, double loss)> on_epoch{};
};

/// What came of it.
struct Distilled {
  std::int64_t epochs = 0;
  std::int64_t held_out = 0;         ///< samples that judged
  double before = 0.0, after = 0.0;  ///< distance of the answers to them from the dense model's
  double part = 1.0;                 ///< of the way; 0: the weights are what they were
};

/// Trains `weights` (those of `sparse`) with the masks held. Batch norms keep their statistics. Steps after
/// which the loss has grown by much were too long: they are taken back, and further ones are half as long.
///
/// @param dense, sparse  the same graph at the batch size `options.batch`
/// @param task           how answers are compared
/// @param samples        one tensor a graph input, first axis = samples; incomplete batches are left out
[[nodiscard]] Result<Distilled> distil(const Network& dense, const Network& sparse, const TaskLoss& task,
                                       Weights& weights, const Traffic& traffic, const Masks& masks,
                                       const std::vector<at::Tensor>& samples, const DistilOptions& options);

}  // namespace disco::train
