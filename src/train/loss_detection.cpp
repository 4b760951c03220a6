#include "train/loss_detection.h"

#include <fmt/format.h>

#include "task/boxes.h"

namespace disco::train {

namespace {

/// Scores as logits: of a model that answers with probabilities, their logarithms.
at::Tensor logits_of(const at::Tensor& scores, const DetectorHead& head) {
  return head.activation == ScoreActivation::None ? scores.clamp_min(1e-6).log() : scores;
}

/// Cross-entropy at every prior, [N, priors]. @param columns  of ignored priors any
at::Tensor score_loss(const at::Tensor& scores, const at::Tensor& columns, const DetectorHead& head) {
  const at::Tensor logits = logits_of(scores, head);
  if (head.activation == ScoreActivation::Sigmoid) {
    at::Tensor wanted = at::zeros_like(logits);
    wanted.scatter_(2, columns.clamp_min(0).unsqueeze(2), columns.ge(0).unsqueeze(2).to(logits.dtype()));
    return at::binary_cross_entropy_with_logits(logits, wanted, {}, {}, at::Reduction::None).sum(2);
  }
  return -at::log_softmax(logits, 2).gather(2, columns.clamp_min(0).unsqueeze(2)).squeeze(2);
}

/// How likely each prior has an object, [N, priors].
at::Tensor likelihood(const at::Tensor& scores, const DetectorHead& head) {
  const at::Tensor logits = logits_of(scores.detach(), head);
  if (head.activation == ScoreActivation::Sigmoid) {
    at::Tensor likely = logits.sigmoid();
    if (head.background >= 0) likely.select(2, head.background).zero_();
    return std::get<0>(likely.max(2));
  }
  if (head.background < 0) return at::ones({scores.size(0), scores.size(1)}, scores.options());
  return 1 - at::softmax(logits, 2).select(2, head.background);
}

}  // namespace

at::Tensor multibox_loss(const at::Tensor& scores, const at::Tensor& offsets, const at::Tensor& columns,
                         const at::Tensor& targets, const DetectorHead& head) {
  constexpr std::int64_t kNegatives = 3;
  const at::Tensor found = columns.ne(head.background).logical_and(columns.ne(PriorTargets::kIgnored));
  const at::Tensor empty = columns.eq(head.background);
  const at::Tensor objects = found.sum().clamp_min(1).to(at::kFloat);
  at::Tensor loss = at::zeros({}, targets.options());
  if (scores.defined()) {
    const at::Tensor losses = score_loss(scores, columns, head);
    const at::Tensor wrong = losses.detach().masked_fill(empty.logical_not(), -1.0);
    const at::Tensor rank = wrong.argsort(std::int64_t{1}, /*descending=*/true).argsort(std::int64_t{1});
    const at::Tensor most = (found.sum(1, /*keepdim=*/true) * kNegatives).clamp_min(kNegatives);
    const at::Tensor counted = found.logical_or(empty.logical_and(rank.lt(most)));
    loss = loss + losses.masked_select(counted).sum() / objects;
  }
  if (offsets.defined()) {
    const at::Tensor places = found.unsqueeze(2).expand_as(offsets);
    loss = loss + at::smooth_l1_loss(offsets.masked_select(places), targets.masked_select(places),
                                     at::Reduction::Sum) /
                      objects;
  }
  return loss;
}

at::Tensor detection_distance(const at::Tensor& scores, const at::Tensor& offsets,
                              const at::Tensor& their_scores, const at::Tensor& their_offsets,
                              double temperature, const DetectorHead& head) {
  constexpr double kLeast = 0.01;
  const at::Tensor theirs = likelihood(their_scores, head);
  at::Tensor distance = at::zeros({}, their_scores.options());
  if (scores.defined()) {
    const at::Tensor weights = at::maximum(theirs, likelihood(scores, head)).clamp_min(kLeast);
    const at::Tensor p = logits_of(scores, head), q = logits_of(their_scores, head);
    if (head.activation == ScoreActivation::Sigmoid) {
      const at::Tensor wanted = (q / temperature).sigmoid();
      const auto bits = [&](const at::Tensor& logits) {
        return at::binary_cross_entropy_with_logits(logits / temperature, wanted, {}, {},
                                                    at::Reduction::None);
      };
      const at::Tensor each = (bits(p) - bits(q)).sum(2) * (temperature * temperature);
      distance = (each * weights).sum() / weights.sum();
    } else {
      distance = divergence(p, q, 2, temperature, weights);
    }
  }
  if (!offsets.defined()) return distance;
  const at::Tensor each = at::smooth_l1_loss(offsets, their_offsets, at::Reduction::None).sum(2);
  return distance + (each * theirs).sum() / theirs.sum().clamp_min(1e-6);
}

namespace {

class DetectionLoss final : public TaskLoss {
 public:
  DetectionLoss(DetectorHead head, std::size_t scores, std::size_t boxes, std::int64_t columns, int height,
                int width)
      : head_(std::move(head)),
        priors_(priors_of(head_)),
        scores_(scores),
        boxes_(boxes),
        classes_(columns - (head_.background >= 0 ? 1 : 0)),
        height_(height),
        width_(width) {}

  Result<std::vector<at::Tensor>> targets(const Truth& truth) const override {
    if (head_.code != BoxCode::Offsets) {
      return error(ErrorCode::Unsupported,
                   "a detector without prior boxes learns from another model's answers, not from labels");
    }
    if (head_.background < 0 && head_.activation != ScoreActivation::Sigmoid) {
      return error(ErrorCode::InvalidModel,
                   "a detector without a background says 'nothing here' by sigmoids only; it cannot learn "
                   "from labels");
    }
    const auto* objects = std::get_if<Objects>(&truth);
    if (objects == nullptr)
      return error(ErrorCode::InvalidArgument, "the model answers with boxes, the data says something else");
    for (const Object& object : *objects) {
      if (object.label >= 0 && object.label < classes_) continue;
      return error(ErrorCode::InvalidArgument,
                   "it has an object of class {}, but the model answers with classes 0 to {}", object.label,
                   classes_ - 1);
    }
    const PriorTargets wanted = targets_for(*objects, height_, width_, head_, priors_);
    const auto count = static_cast<std::int64_t>(priors_.size());
    at::Tensor columns = at::empty({count}, at::kLong), offsets = at::empty({count, 4}, at::kFloat);
    std::copy(wanted.columns.begin(), wanted.columns.end(), columns.data_ptr<std::int64_t>());
    std::copy(wanted.offsets.begin(), wanted.offsets.end(), offsets.data_ptr<float>());
    return std::vector<at::Tensor>{columns, offsets};
  }

  Result<at::Tensor> loss(const std::vector<at::Tensor>& answers,
                          const std::vector<at::Tensor>& targets) const override {
    return multibox_loss(answers[scores_], answers[boxes_], targets[0], targets[1], head_);
  }

  at::Tensor distillation(const std::vector<at::Tensor>& ours, const std::vector<at::Tensor>& theirs,
                          double temperature) const override {
    return detection_distance(ours[scores_], ours[boxes_], theirs[scores_], theirs[boxes_], temperature,
                              head_);
  }

 private:
  DetectorHead head_;
  std::vector<CentredBox> priors_;
  std::size_t scores_, boxes_;
  std::int64_t classes_;
  int height_, width_;
};

}  // namespace

Result<std::unique_ptr<TaskLoss>> make_detection_loss(const Task& task, const Graph& graph) {
  DISCO_TRY(const std::size_t scores, output_place(graph, task.output));
  DISCO_TRY(const std::size_t boxes, output_place(graph, task.boxes));
  const Value& input = graph.value(graph.inputs[0]);
  if (!input.has_shape() || input.shape().size() != 4) {
    return error(ErrorCode::InvalidModel, "input '{}' of a detector is no image of a known size", input.name);
  }
  // Of height and width, whichever axis has the channels.
  const Shape& shape = input.shape();
  const std::size_t rows = shape[1] <= 4 ? 2 : 1;
  const std::int64_t columns = graph.value(graph.outputs[scores]).shape()[2];
  return std::unique_ptr<TaskLoss>(std::make_unique<DetectionLoss>(
      *task.head, scores, boxes, columns, static_cast<int>(shape[rows]), static_cast<int>(shape[rows + 1])));
}

}  // namespace disco::train
