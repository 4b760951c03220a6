#pragma once
// What training lowers: distance from a dense model's answers, from labels, or both.

#include "sparsify/traffic.h"
#include "train/network.h"
#include "train/task_loss.h"

namespace disco::train {

struct ObjectiveOptions {
  double distillation = 1.0;     ///< weight of the distance from the teacher's answers
  double labels = 0.0;           ///< weight of the distance from what is right
  double hints = 0.0;            ///< weight of the mean relative squared difference at the exchanged values
  double temperature = 4.0;      ///< of the softened logits
  double label_smoothing = 0.0;  ///< of classes; the task's loss does it
};

/// The loss of a batch.
class Objective {
 public:
  /// @param teacher  the dense model at the student's batch size; may be null where only labels count
  /// @param task     how answers are compared; kept by reference
  /// @param traffic  says where hints are; may be null without hints
  Objective(const Network* teacher, const Network& student, const TaskLoss& task, const Traffic* traffic,
            const ObjectiveOptions& options);

  /// @param targets  of the task, stacked; may be empty where labels do not count
  /// @param answers  where not null, receives the student's outputs, undefined where no gradient reaches
  [[nodiscard]] Result<at::Tensor> loss(const std::vector<at::Tensor>& inputs,
                                        const std::vector<at::Tensor>& targets, const Mode& mode,
                                        std::vector<at::Tensor>* answers = nullptr) const;

 private:
  const Network* teacher_;
  const Network& student_;
  const TaskLoss& task_;
  ObjectiveOptions options_;
  std::vector<std::pair<std::size_t, std::size_t>>
      hints_;  // the student's value and the teacher's of that name
};

}  // namespace disco::train
