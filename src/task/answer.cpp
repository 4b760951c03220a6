#include "task/answer.h"

#include <algorithm>

#include "reference/numeric.h"
#include "task/detection.h"
#include "task/segmentation.h"
#include "task/super_resolution.h"

namespace disco {

namespace {

Result<ClassAnswer> read_classes(const Tensor& scores, const std::string& name, std::int64_t sample,
                                 std::int64_t batch) {
  const std::int64_t classes = scores.elements() / batch;
  const bool batched = scores.rank() > 0 && (batch == 1 || scores.shape().front() == batch);
  if (!batched || classes < 2 || scores.elements() % batch != 0) {
    return error(ErrorCode::InvalidModel,
                 "output '{}' of {} has not one score a class for each of {} samples", name,
                 to_string(scores.shape()), batch);
  }
  reference::Doubles values(static_cast<std::size_t>(classes));
  reference::convert(scores, sample * classes, classes, values.data());
  return ClassAnswer{top_classes(values, ClassAnswer::kBest)};
}

}  // namespace

Result<std::int64_t> answered_classes(const Task& task, const NamedTensors& outputs, std::int64_t batch) {
  const auto found = outputs.find(task.output);
  if (found == outputs.end())
    return error(ErrorCode::InvalidModel, "the model gave no output '{}'", task.output);
  const Tensor& scores = found->second;
  if (task.kind == TaskKind::SuperResolution) return 0;
  if (task.kind == TaskKind::Classification) return scores.elements() / std::max<std::int64_t>(1, batch);
  const std::int64_t axis = task.kind == TaskKind::Detection ? 2 : 1;
  if (scores.rank() <= axis) {
    return error(ErrorCode::InvalidModel, "output '{}' is {}: no scores for {}", task.output,
                 to_string(scores.shape()), to_string(task.kind));
  }
  return scores.shape()[static_cast<std::size_t>(axis)] - (task.head && task.head->background >= 0 ? 1 : 0);
}

Result<Answer> read_answer(const Task& task, const NamedTensors& outputs, std::int64_t sample,
                           std::int64_t batch, int height, int width) {
  const auto found = outputs.find(task.output);
  if (found == outputs.end())
    return error(ErrorCode::InvalidModel, "the model gave no output '{}'", task.output);
  switch (task.kind) {
    case TaskKind::Classification: {
      DISCO_TRY(ClassAnswer answer, read_classes(found->second, task.output, sample, batch));
      return Answer(std::move(answer));
    }
    case TaskKind::Detection: {
      DISCO_TRY(Detections answer, read_detections(task, outputs, sample, batch, height, width));
      return Answer(std::move(answer));
    }
    case TaskKind::Segmentation: {
      DISCO_TRY(LabelMap answer, read_label_map(task, outputs, sample, batch, height, width));
      return Answer(std::move(answer));
    }
    case TaskKind::SuperResolution: {
      DISCO_TRY(Image answer, read_image_answer(task, outputs, sample, batch, height, width));
      return Answer(std::move(answer));
    }
  }
  return error(ErrorCode::Internal, "answers of no task");
}

}  // namespace disco
