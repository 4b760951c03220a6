#pragma once
// A model's outputs, read as an answer to its task.

#include <variant>
#include <vector>

#include "data/classification.h"
#include "data/truth.h"
#include "task/task.h"

namespace disco {

/// The best classes, best first.
struct ClassAnswer {
  static constexpr std::size_t kBest = 5;  ///< so many, if the model has them
  std::vector<ClassScore> best;
};

/// A box that was found.
struct Found {
  Box box;
  std::int64_t label = -1;
  double score = 0;  ///< 0..1
};
using Detections = std::vector<Found>;  ///< by score, highest first

/// One sample's answer. Places are pixels of the tensor that the model was given; an upscaled image has its
/// own size.
using Answer = std::variant<ClassAnswer, Detections, LabelMap, Image>;

/// Reads the answer of sample `sample` of a batch.
///
/// @param outputs  of the model, by name; axis 0 is the batch
/// @param height, width  of the tensor that the model was given
/// @return InvalidModel where outputs do not have the task's shapes (names the output)
[[nodiscard]] Result<Answer> read_answer(const Task& task, const NamedTensors& outputs, std::int64_t sample,
                                         std::int64_t batch, int height, int width);

/// How many classes a model's answers tell apart, without a background; 0 where it enlarges images.
/// @return InvalidModel where the output is missing or has too few axes
[[nodiscard]] Result<std::int64_t> answered_classes(const Task& task, const NamedTensors& outputs,
                                                    std::int64_t batch);

}  // namespace disco
