#include "train/task_loss.h"

#include <fmt/format.h>

#include <algorithm>

#include "train/loss_detection.h"

namespace disco::train {

at::Tensor divergence(const at::Tensor& ours, const at::Tensor& theirs, std::int64_t axis, double temperature,
                      const at::Tensor& weights) {
  const at::Tensor log_p = at::log_softmax(ours / temperature, axis);
  const at::Tensor log_q = at::log_softmax(theirs / temperature, axis);
  const at::Tensor each = (log_q.exp() * (log_q - log_p)).sum(axis) * (temperature * temperature);
  return weights.defined() ? (each * weights).sum() / weights.sum().clamp_min(1e-6) : each.mean();
}

at::Tensor relative_squares(const at::Tensor& ours, const at::Tensor& theirs) {
  return (ours - theirs).square().mean() / theirs.square().mean().clamp_min(1e-12);
}

at::Tensor as_rgb(const PixelCode& code, const at::Tensor& images) {
  const at::Tensor scaled = code.white == 1.0 ? images : images / code.white;
  return code.bgr && images.size(1) == 3 ? scaled.flip(1) : scaled;
}

Result<std::size_t> output_place(const Graph& graph, const std::string& name) {
  for (std::size_t o = 0; o < graph.outputs.size(); ++o) {
    if (name.empty() || graph.value(graph.outputs[o]).name == name) return o;
  }
  return error(ErrorCode::InvalidModel, "the model has no output '{}'", name);
}

namespace {

at::Tensor nothing(const std::vector<at::Tensor>& answers) {
  for (const at::Tensor& answer : answers) {
    if (answer.defined()) return at::zeros({}, answer.options());
  }
  return at::zeros({});
}

/// Every output by itself.
at::Tensor distances(const std::vector<at::Tensor>& ours, const std::vector<at::Tensor>& theirs,
                     double temperature, std::size_t explained = SIZE_MAX) {
  at::Tensor sum = nothing(ours);
  for (std::size_t o = 0; o < ours.size(); ++o) {
    if (o == explained || !ours[o].defined()) continue;
    const bool logits = ours[o].dim() == 2 && ours[o].size(1) > 1;
    sum = sum +
          (logits ? divergence(ours[o], theirs[o], 1, temperature) : relative_squares(ours[o], theirs[o]));
  }
  return sum;
}

class UnknownLoss final : public TaskLoss {
 public:
  Result<std::vector<at::Tensor>> targets(const Truth&) const override { return std::vector<at::Tensor>(); }
  Result<at::Tensor> loss(const std::vector<at::Tensor>& answers,
                          const std::vector<at::Tensor>&) const override {
    return nothing(answers);
  }
  at::Tensor distillation(const std::vector<at::Tensor>& ours, const std::vector<at::Tensor>& theirs,
                          double temperature) const override {
    return distances(ours, theirs, temperature);
  }
};

Error wrong_kind(std::string_view wanted) {
  return error(ErrorCode::InvalidArgument, "the model answers with {}, the data says something else", wanted);
}

/// Cross-entropy of classes, of one answer or of every pixel.
class ClassLoss final : public TaskLoss {
 public:
  ClassLoss(std::size_t output, std::int64_t classes, double smoothing, bool pixels)
      : output_(output), classes_(classes), smoothing_(smoothing), pixels_(pixels) {}

  Result<std::vector<at::Tensor>> targets(const Truth& truth) const override {
    if (pixels_) return map_target(truth);
    std::int64_t label = -1;
    if (const auto* known = std::get_if<std::int64_t>(&truth)) {
      label = *known;
    } else if (!std::holds_alternative<std::monostate>(truth)) {
      return wrong_kind("classes");
    }
    if (label >= classes_) return beyond(label);
    return std::vector<at::Tensor>{at::full({}, label, at::kLong)};
  }

  Result<at::Tensor> loss(const std::vector<at::Tensor>& answers,
                          const std::vector<at::Tensor>& targets) const override {
    if (!answers[output_].defined()) return nothing(answers);
    at::Tensor logits = answers[output_];
    if (!pixels_) {
      logits = logits.reshape({logits.size(0), classes_});
    } else if (logits.size(2) != targets[0].size(1) || logits.size(3) != targets[0].size(2)) {
      logits = at::upsample_bilinear2d(logits, {targets[0].size(1), targets[0].size(2)}, false);
    }
    if (!targets[0].ge(0).any().item<bool>()) return nothing(answers);  // else 0 / 0
    return at::cross_entropy_loss(logits, targets[0], {}, at::Reduction::Mean, -1, smoothing_);
  }

  at::Tensor distillation(const std::vector<at::Tensor>& ours, const std::vector<at::Tensor>& theirs,
                          double temperature) const override {
    const at::Tensor others = distances(ours, theirs, temperature, output_);
    if (!ours[output_].defined()) return others;
    const auto flat = [&](const at::Tensor& logits) {
      return pixels_ ? logits : logits.reshape({logits.size(0), classes_});
    };
    return others + divergence(flat(ours[output_]), flat(theirs[output_]), 1, temperature);
  }

 private:
  [[nodiscard]] Error beyond(std::int64_t label) const {
    return error(ErrorCode::InvalidArgument, "class {}, but the model answers with classes 0 to {}", label,
                 classes_ - 1);
  }
  [[nodiscard]] Result<std::vector<at::Tensor>> map_target(const Truth& truth) const {
    const auto* map = std::get_if<LabelMap>(&truth);
    if (map == nullptr) return wrong_kind("a map of labels");
    at::Tensor target = at::empty({map->height, map->width}, at::kLong);
    auto* out = target.data_ptr<std::int64_t>();
    for (const std::uint8_t label : map->labels) {
      if (label != LabelMap::kIgnored && label >= classes_) return beyond(label);
      *out++ = label == LabelMap::kIgnored ? -1 : label;
    }
    return std::vector<at::Tensor>{target};
  }

  std::size_t output_;
  std::int64_t classes_;
  double smoothing_;
  bool pixels_;
};

/// Mean absolute difference of images, in 0..1.
class ImageLoss final : public TaskLoss {
 public:
  ImageLoss(std::size_t output, std::int64_t channels, const PixelCode& pixels)
      : output_(output), channels_(channels), pixels_(pixels) {}

  Result<std::vector<at::Tensor>> targets(const Truth& truth) const override {
    const auto* image = std::get_if<Image>(&truth);
    if (image == nullptr) return wrong_kind("an image");
    at::Tensor pixels = at::from_blob(const_cast<std::uint8_t*>(image->rgb.data()),
                                      {image->height, image->width, 3}, at::kByte)
                            .to(at::kFloat)
                            .div(255.0)
                            .permute({2, 0, 1});
    if (channels_ == 1) pixels = (0.299 * pixels[0] + 0.587 * pixels[1] + 0.114 * pixels[2]).unsqueeze(0);
    return std::vector<at::Tensor>{pixels.contiguous()};
  }
  Result<at::Tensor> loss(const std::vector<at::Tensor>& answers,
                          const std::vector<at::Tensor>& targets) const override {
    return answers[output_].defined() ? at::l1_loss(as_rgb(pixels_, answers[output_]), targets[0])
                                      : nothing(answers);
  }
  at::Tensor distillation(const std::vector<at::Tensor>& ours, const std::vector<at::Tensor>& theirs,
                          double temperature) const override {
    const at::Tensor others = distances(ours, theirs, temperature, output_);
    if (!ours[output_].defined()) return others;
    return others + at::l1_loss(as_rgb(pixels_, ours[output_]), as_rgb(pixels_, theirs[output_]));
  }

 private:
  std::size_t output_;
  std::int64_t channels_;
  PixelCode pixels_;
};

}  // namespace

Result<std::unique_ptr<TaskLoss>> make_task_loss(const Task* task, const Graph& graph,
                                                 const TaskLossOptions& options) {
  if (task == nullptr) return std::unique_ptr<TaskLoss>(std::make_unique<UnknownLoss>());
  DISCO_TRY(const std::size_t output, output_place(graph, task->output));
  const Value& answer = graph.value(graph.outputs[output]);
  const std::int64_t width = answer.has_shape() && answer.shape().size() > 1 ? answer.shape()[1] : 0;
  std::unique_ptr<TaskLoss> loss;
  switch (task->kind) {
    case TaskKind::Classification: {
      const std::int64_t batch = answer.shape().empty() ? 1 : std::max<std::int64_t>(1, answer.shape()[0]);
      loss = std::make_unique<ClassLoss>(output, element_count(answer.shape()) / batch,
                                         options.label_smoothing, /*pixels=*/false);
      break;
    }
    case TaskKind::Segmentation:
      loss = std::make_unique<ClassLoss>(output, width, options.label_smoothing, /*pixels=*/true);
      break;
    case TaskKind::SuperResolution: loss = std::make_unique<ImageLoss>(output, width, task->pixels); break;
    case TaskKind::Detection: return make_detection_loss(*task, graph);
  }
  return loss;
}

}  // namespace disco::train
