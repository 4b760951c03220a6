#pragma once
// Boxes from a detector's outputs.

#include "task/answer.h"

namespace disco {

/// Scores become probabilities; of each class the best boxes above the head's least score that do not overlap
/// each other stay, and of all of them the head's number of best ones. Cut at the image's borders.
///
/// @param height, width  of the tensor that the model was given: boxes are in its pixels
/// @return InvalidModel where outputs are not [batch, boxes, columns] and [batch, boxes, 4], Unsupported
///         where they are no float32
[[nodiscard]] Result<Detections> read_detections(const Task& task, const NamedTensors& outputs,
                                                 std::int64_t sample, std::int64_t batch, int height,
                                                 int width);

/// The share of boxes that both found, of all that either did, going by boxes of a score from 0.3 on: those
/// of one class that overlap by half are the same. 1 where neither found any.
[[nodiscard]] double agreement(const Detections& a, const Detections& b);

}  // namespace disco
