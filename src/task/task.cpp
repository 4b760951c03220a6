#include "task/task.h"

#include <fmt/format.h>

#include <algorithm>

namespace disco {

std::string_view to_string(TaskKind kind) {
  switch (kind) {
    case TaskKind::Classification: return "classification";
    case TaskKind::Detection: return "detection";
    case TaskKind::Segmentation: return "segmentation";
    case TaskKind::SuperResolution: return "super-resolution";
  }
  return "";
}

std::int64_t DetectorHead::prior_count() const {
  std::int64_t count = 0;
  for (const PriorMap& map : priors)
    count += std::int64_t{map.rows} * map.columns * static_cast<std::int64_t>(map.boxes.size());
  return count;
}

namespace {

const Value* output_named(const Graph& model, const std::string& name) {
  for (const ValueId id : model.outputs) {
    if (name.empty() || model.value(id).name == name) return &model.value(id);
  }
  return nullptr;
}

std::string list_of_outputs(const Graph& model) {
  std::string list;
  for (const ValueId id : model.outputs)
    list += fmt::format("{}'{}'", list.empty() ? "" : ", ", model.value(id).name);
  return list.empty() ? "none" : list;
}

/// The extent of an axis (negative: from the end), where it is known.
std::optional<std::int64_t> extent(const Value& value, int axis) {
  if (!value.dims) return {};
  const auto rank = static_cast<int>(value.dims->size());
  const int at = axis < 0 ? axis + rank : axis;
  if (at < 0 || at >= rank || !(*value.dims)[static_cast<std::size_t>(at)].known()) return {};
  return (*value.dims)[static_cast<std::size_t>(at)].extent;
}

Status check_rank(const Value& value, std::size_t rank, std::string_view what) {
  if (!value.dims || value.dims->size() == rank) return {};
  return error(ErrorCode::InvalidModel, "output '{}' has {} axes; {}", value.name, value.dims->size(), what);
}

/// Classes of scores, with a background, agree with the names.
Status check_classes(const Task& task, const Value& scores, int axis, std::int64_t others) {
  const auto columns = extent(scores, axis);
  if (!columns || task.classes.empty()) return {};
  const auto named = static_cast<std::int64_t>(task.classes.size()) + others;
  if (*columns == named) return {};
  return error(ErrorCode::InvalidModel, "output '{}' has {} scores, the task names {} classes{}", scores.name,
               *columns, task.classes.size(), others == 1 ? " besides the background" : "");
}

Status check_detector(const Task& task, const Graph& model, const Value& scores) {
  const Value* boxes = output_named(model, task.boxes);
  if (boxes == nullptr) {
    return error(ErrorCode::InvalidModel, "the task's boxes are in '{}', which is no output; these are: {}",
                 as_one_line(task.boxes), list_of_outputs(model));
  }
  DISCO_CHECK(check_rank(scores, 3, "a detector's scores are [N, priors, classes]"));
  DISCO_CHECK(check_rank(*boxes, 3, "a detector's boxes are [N, priors, 4]"));
  if (extent(*boxes, 2).value_or(4) != 4)
    return error(ErrorCode::InvalidModel, "output '{}': a detector's boxes are [N, priors, 4]", boxes->name);
  for (const Value* value : {&scores, boxes}) {
    const auto priors = extent(*value, 1);
    if (task.head->code != BoxCode::Offsets) {
      const auto others = extent(scores, 1);
      if (!priors || !others || *priors == *others) continue;
      return error(ErrorCode::InvalidModel, "output '{}' has {} boxes, output '{}' has {}", scores.name,
                   *others, value->name, *priors);
    }
    if (priors && *priors != task.head->prior_count()) {
      return error(ErrorCode::InvalidModel, "output '{}' has {} boxes, the task has {} priors", value->name,
                   *priors, task.head->prior_count());
    }
  }
  return check_classes(task, scores, 2, task.head->background >= 0 ? 1 : 0);
}

/// Whether a value has one score a class: behind the batch, one extent is more than 1.
bool holds_scores(const Value& value) {
  if (!value.dims || value.dims->empty()) return false;
  const auto& dims = *value.dims;
  std::int64_t wide = 0;
  for (std::size_t axis = dims.size() > 1 ? 1 : 0; axis < dims.size(); ++axis) {
    if (!dims[axis].known() && dims.size() > 2) return false;
    wide += !dims[axis].known() || dims[axis].extent > 1 ? 1 : 0;
  }
  return wide == 1;
}

}  // namespace

Status check_task(Task& task, const Graph& model) {
  const Value* output = output_named(model, task.output);
  if (output == nullptr) {
    return error(ErrorCode::InvalidModel, "the task's answers are in '{}', which is no output; these are: {}",
                 as_one_line(task.output), list_of_outputs(model));
  }
  task.output = output->name;
  switch (task.kind) {
    case TaskKind::Classification: return check_classes(task, *output, 1, 0);
    case TaskKind::Detection: return check_detector(task, model, *output);
    case TaskKind::Segmentation:
      DISCO_CHECK(check_rank(*output, 4, "a segmenter's scores are [N, classes, H, W]"));
      return check_classes(task, *output, 1, 0);
    case TaskKind::SuperResolution: return check_rank(*output, 4, "an enlarged image is [N, channels, H, W]");
  }
  return {};
}

Result<std::optional<Task>> task_of(const Graph& model) {
  const auto stored = model.metadata.find(std::string(kTaskKey));
  if (stored != model.metadata.end()) {
    auto task = task_from_json(stored->second);
    if (!task) return error(ErrorCode::InvalidModel, "metadata '{}': {}", kTaskKey, task.error().message);
    DISCO_CHECK(check_task(*task, model));
    return std::optional(std::move(*task));
  }
  for (const ValueId id : model.outputs) {
    if (!holds_scores(model.value(id))) continue;
    Task task;
    task.output = model.value(id).name;
    return std::optional(std::move(task));
  }
  return std::optional<Task>();
}

TruthKind truth_for(TaskKind kind) {
  switch (kind) {
    case TaskKind::Classification: return TruthKind::Class;
    case TaskKind::Detection: return TruthKind::Objects;
    case TaskKind::Segmentation: return TruthKind::LabelMap;
    case TaskKind::SuperResolution: return TruthKind::Image;
  }
  return TruthKind::None;
}

void ask_for_truth(const Task& task, DataSetOptions& options) {
  options.truth = truth_for(task.kind);
  options.classes = task.classes;
  options.scale = task.scale;
}

std::string class_name(const std::vector<std::string>& names, std::int64_t label) {
  const bool named = label >= 0 && label < static_cast<std::int64_t>(names.size()) &&
                     !names[static_cast<std::size_t>(label)].empty();
  return named ? names[static_cast<std::size_t>(label)] : fmt::format("class {}", label);
}

}  // namespace disco
