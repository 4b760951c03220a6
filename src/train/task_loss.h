#pragma once
// How far answers are from the truth, and from another model's answers, by task.

#include <ATen/ATen.h>

#include <memory>
#include <vector>

#include "graph/graph.h"
#include "task/task.h"

namespace disco::train {

/// A softened divergence of distributions over `axis`, times temperature squared (Hinton et al. 2015), the
/// mean over all places.
///
/// @param weights  of places, without `axis`; undefined: all alike
[[nodiscard]] at::Tensor divergence(const at::Tensor& ours, const at::Tensor& theirs, std::int64_t axis,
                                    double temperature, const at::Tensor& weights = {});

/// Squared differences relative to the mean square of `theirs`.
[[nodiscard]] at::Tensor relative_squares(const at::Tensor& ours, const at::Tensor& theirs);

/// Where an output is in Graph::outputs; the first one where `name` is empty.
[[nodiscard]] Result<std::size_t> output_place(const Graph& graph, const std::string& name);

/// Images [N, 3 or 1, H, W] as a network writes them, in 0..1 with red first.
[[nodiscard]] at::Tensor as_rgb(const PixelCode& code, const at::Tensor& images);

/// Answers are a model's outputs in the order of Graph::outputs, float32. An output that no gradient reaches
/// is undefined and does not count.
class TaskLoss {
 public:
  virtual ~TaskLoss() = default;
  TaskLoss() = default;
  TaskLoss(const TaskLoss&) = delete;
  TaskLoss& operator=(const TaskLoss&) = delete;

  /// One sample's truth as tensors of always the same shapes, on the CPU; the loader stacks them.
  /// Any number of threads may ask at once.
  /// @return InvalidArgument where the truth is of another kind, or no class of the model
  [[nodiscard]] virtual Result<std::vector<at::Tensor>> targets(const Truth& truth) const = 0;

  /// @param targets  stacked along a new axis 0
  [[nodiscard]] virtual Result<at::Tensor> loss(const std::vector<at::Tensor>& answers,
                                                const std::vector<at::Tensor>& targets) const = 0;

  /// How far answers are from the dense model's.
  [[nodiscard]] virtual at::Tensor distillation(const std::vector<at::Tensor>& ours,
                                                const std::vector<at::Tensor>& theirs,
                                                double temperature) const = 0;
};

struct TaskLossOptions {
  double label_smoothing = 0.0;  ///< of classes
};

/// @param task   null: answers that nobody explained. They have no truth; logits [N, classes] are compared as
///               distributions, everything else by squares.
/// @param graph  shapes fixed; it can answer the task, see check_task()
/// @return InvalidModel where the model cannot answer this task
[[nodiscard]] Result<std::unique_ptr<TaskLoss>> make_task_loss(const Task* task, const Graph& graph,
                                                               const TaskLossOptions& options);

}  // namespace disco::train
