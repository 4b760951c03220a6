#pragma once
// Maps of labels from a segmenter's outputs, and how good they are.

#include <memory>

#include "task/metric.h"

namespace disco {

/// The class of every pixel: the one of the highest score, the lower one of equals. Scores of another
/// resolution than the model's input are brought to it bilinearly, pixels' centres on pixels' centres.
///
/// @param height, width  of the tensor that the model was given, and of the map
/// @return InvalidModel where the output is not [batch, classes, H, W] with 2 to 255 classes, Unsupported
///         where its scores are not floating
[[nodiscard]] Result<LabelMap> read_label_map(const Task& task, const NamedTensors& outputs,
                                              std::int64_t sample, std::int64_t batch, int height, int width);

/// Intersection over union, as counted over all pixels of all samples whose truth is not ignored:
///   - mIoU            the mean over classes that occur in the truth or in answers
///   - pixel_accuracy  the share of pixels with the right class
///   - mean_accuracy   the mean over classes in the truth of their pixels' share with the right answer
///   - "IoU NAME"      of each class that occurs
/// A class that the task names void (or unlabelled, ignore …) is none: truth that says so is ignored, and an
/// answer that says so is wrong, but no class of its own.
[[nodiscard]] std::unique_ptr<Metric> make_segmentation_metric(const Task& task,
                                                               const MetricOptions& options);

/// The share of pixels of the same class; 0 where sizes differ.
[[nodiscard]] double agreement(const LabelMap& a, const LabelMap& b);

}  // namespace disco
