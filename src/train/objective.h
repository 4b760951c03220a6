#pragma once
// What training lowers: distance from a dense model's answers, from labels, or both.

#include "sparsify/traffic.h"
#include "train/network.h"

namespace disco::train {

/// How far answers are from the dense model's. Logits [N, classes > 1]: the divergence of the softened
/// distributions times temperature squared (Hinton et al. 2015), mean over samples. Anything else: squared
/// differences relative to the mean square of `theirs`.
[[nodiscard]] at::Tensor distillation_loss(const at::Tensor& ours, const at::Tensor& theirs,
                                           double temperature);

struct ObjectiveOptions {
  double distillation = 1.0;  ///< weight of the distance from the teacher's answers
  double labels = 0.0;        ///< weight of the cross-entropy of the first output with labels
  double hints = 0.0;         ///< weight of the mean relative squared difference at the exchanged values
  double temperature = 4.0;   ///< of the softened logits
  double label_smoothing = 0.0;
};

/// The loss of a batch.
class Objective {
 public:
  /// @param teacher  the dense model at the student's batch size; may be null where only labels count
  /// @param traffic  says where hints are; may be null without hints
  Objective(const Network* teacher, const Network& student, const Traffic* traffic,
            const ObjectiveOptions& options);

  /// @param labels   [N] int64, -1 where there is none; may be undefined where they do not count
  /// @param outputs  where not null, receives the student's first output
  [[nodiscard]] Result<at::Tensor> loss(const std::vector<at::Tensor>& inputs, const at::Tensor& labels,
                                        const Mode& mode, at::Tensor* outputs = nullptr) const;

 private:
  const Network* teacher_;
  const Network& student_;
  ObjectiveOptions options_;
  std::vector<std::pair<std::size_t, std::size_t>>
      hints_;  // the student's value and the teacher's of that name
};

}  // namespace disco::train
