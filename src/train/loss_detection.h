#pragma once
// What a single-shot detector learns from.

#include <ATen/ATen.h>

#include <memory>

#include "train/task_loss.h"

namespace disco::train {

/// SSD's loss (Liu et al. 2016): how wrong scores are at priors with an object and, three for each of those
/// in an image (three at least), at the most wrong priors without one; plus the smooth L1 distance of offsets
/// at priors with an object. Over the number of priors with an object in the batch.
///
/// @param scores   [N, priors, columns]; see DetectorHead for what they are. Undefined: they do not count
/// @param offsets  [N, priors, 4], likewise
/// @param columns  [N, priors] int64: PriorTargets::columns
/// @param targets  [N, priors, 4]
[[nodiscard]] at::Tensor multibox_loss(const at::Tensor& scores, const at::Tensor& offsets,
                                       const at::Tensor& columns, const at::Tensor& targets,
                                       const DetectorHead& head);

/// How far a detector's answers are from another's: their distributions and offsets, each prior weighted by
/// how likely either finds an object there (a hundredth at least), for nearly all priors see the ground only.
[[nodiscard]] at::Tensor detection_distance(const at::Tensor& scores, const at::Tensor& offsets,
                                            const at::Tensor& their_scores, const at::Tensor& their_offsets,
                                            double temperature, const DetectorHead& head);

/// @pre check_task holds
/// @return InvalidModel where the model's input is no image of a known size
[[nodiscard]] Result<std::unique_ptr<TaskLoss>> make_detection_loss(const Task& task, const Graph& graph);

}  // namespace disco::train
