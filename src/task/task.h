#pragma once
// What a model's answer means: which output holds what, names of classes, and how boxes are written.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/dataset.h"
#include "graph/graph.h"

namespace disco {

/// Where a model's own task lies in an ONNX file's metadata_props.
inline constexpr std::string_view kTaskKey = "disco.task";

enum class TaskKind { Classification, Detection, Segmentation, SuperResolution };
/// "classification", "detection", "segmentation", "super-resolution".
[[nodiscard]] std::string_view to_string(TaskKind kind);

/// Sides as shares of the image.
struct PriorSize {
  double height = 0, width = 0;
};

/// The prior boxes of one feature map: at every position, boxes of some sizes around its centre
/// ((y + 0.5) * step_y, (x + 0.5) * step_x).
struct PriorMap {
  int rows = 0, columns = 0;
  double step_y = 0, step_x = 0;  ///< shares of the image
  std::vector<PriorSize> boxes;
};

enum class ScoreActivation { None, Softmax, Sigmoid };

/// What four numbers say of a box.
enum class BoxCode {
  Offsets,  ///< from a prior box, as single-shot detectors have it (Liu et al. 2016)
  Corners,  ///< left, top, right and bottom as shares of the image
  Centres,  ///< its centre, width and height as shares of the image
};

/// How a detector writes boxes.
struct DetectorHead {
  BoxCode code = BoxCode::Offsets;
  std::vector<PriorMap> priors;  ///< of offsets, in the outputs' order: map, row, column, box
  double centre_variance = 0.1, size_variance = 0.2;
  ScoreActivation activation = ScoreActivation::Softmax;  ///< what turns scores into probabilities
  std::int64_t background = 0;                            ///< its column in the scores; -1: none
  double least_score = 0.01;                              ///< boxes below are dropped
  double overlap = 0.45;    ///< intersection over union above which the lower of two is dropped
  std::int64_t most = 200;  ///< boxes an image

  [[nodiscard]] std::int64_t prior_count() const;
  /// Where a class's scores are, and the class of a column that is not the background's.
  [[nodiscard]] std::int64_t column_of(std::int64_t label) const {
    return background >= 0 && label >= background ? label + 1 : label;
  }
  [[nodiscard]] std::int64_t label_of(std::int64_t column) const {
    return background >= 0 && column > background ? column - 1 : column;
  }
};

/// How a network writes an image.
struct PixelCode {
  double white = 1.0;  ///< black is 0
  bool bgr = false;    ///< blue first, not red
};

struct Task {
  TaskKind kind = TaskKind::Classification;
  std::string output;                  ///< scores, logits, or the image; empty: the model's first output
  std::string boxes;                   ///< detection: the output with offsets [N, priors, 4]
  std::vector<std::string> classes;    ///< names, without a background; empty: unknown
  std::optional<DetectorHead> head{};  ///< detection
  int scale = 1;                       ///< super-resolution: how many times larger the answer is
  PixelCode pixels{};                  ///< super-resolution: of the answer
};

/// {"version": 1, "task": "detection", …}; docs/tasks.md explains the keys.
[[nodiscard]] std::string to_json(const Task& task);
/// @return InvalidArgument: no JSON, an unknown key or task, a number out of range; the message names the key
[[nodiscard]] Result<Task> task_from_json(std::string_view text);
/// The same from a file.
[[nodiscard]] Result<Task> load_task(const std::filesystem::path& path);

/// What a model does: as its metadata says; else classification, by its first output that has one score a
/// class: [N, classes], with extents of 1 wherever; else no value.
/// @return InvalidModel where the metadata is damaged or names outputs that the model lacks
[[nodiscard]] Result<std::optional<Task>> task_of(const Graph& model);

/// Names the output where the task leaves it to the model's first.
/// InvalidModel where a model cannot answer this task: it lacks an output, or priors and outputs disagree.
[[nodiscard]] Status check_task(Task& task, const Graph& model);

/// What a data set must say for a task to be measured.
[[nodiscard]] TruthKind truth_for(TaskKind kind);
/// Has a data set say that: its kind of truth, by the model's classes, for its scale.
void ask_for_truth(const Task& task, DataSetOptions& options);

/// "dog", or "class 3" where it has no name.
[[nodiscard]] std::string class_name(const std::vector<std::string>& names, std::int64_t label);

}  // namespace disco
