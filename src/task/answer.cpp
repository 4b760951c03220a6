#include "task/answer.h"

#include "reference/numeric.h"

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

Result<Answer> read_answer(const Task& task, const NamedTensors& outputs, std::int64_t sample,
                           std::int64_t batch, [[maybe_unused]] int height, [[maybe_unused]] int width) {
  const auto found = outputs.find(task.output);
  if (found == outputs.end())
    return error(ErrorCode::InvalidModel, "the model gave no output '{}'", task.output);
  switch (task.kind) {
    case TaskKind::Classification: {
      DISCO_TRY(ClassAnswer answer, read_classes(found->second, task.output, sample, batch));
      return Answer(std::move(answer));
    }
    default: return error(ErrorCode::Unsupported, "no reader for answers of {}", to_string(task.kind));
  }
}

}  // namespace disco
