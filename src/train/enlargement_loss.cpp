#include "train/enlargement_loss.h"

namespace disco::train {

Result<std::unique_ptr<EnlargementLoss>> EnlargementLoss::create(
    std::unique_ptr<TaskLoss> image, std::size_t output, const PixelCode& pixels, const Shape& images,
    const EnlargementOptions& options, const OptimiserOptions& optimiser, at::Device device) {
  std::unique_ptr<EnlargementLoss> loss(new EnlargementLoss);
  loss->image_ = std::move(image);
  loss->output_ = output;
  loss->code_ = pixels;
  loss->pixels_ = options.pixels;
  loss->perceptual_weight_ = options.perceptual;
  loss->adversarial_weight_ = options.adversarial;
  if (options.classifier) {
    auto made = PerceptualDistance::create(*options.classifier, options.features, images, device);
    if (!made) return in_context("--perceptual", made.error());
    loss->perceptual_ = std::move(*made);
  }
  if (options.discriminator) {
    auto made = Adversary::create(*options.discriminator, images, optimiser, device);
    if (!made) return in_context("--discriminator", made.error());
    loss->adversary_ = std::move(*made);
  }
  return loss;
}

Result<at::Tensor> EnlargementLoss::loss(const std::vector<at::Tensor>& answers,
                                         const std::vector<at::Tensor>& targets) const {
  DISCO_TRY(at::Tensor sum, image_->loss(answers, targets));
  sum = sum * pixels_;
  if (!answers[output_].defined() || (!perceptual_ && !adversary_)) return sum;
  const at::Tensor answer = as_rgb(code_, answers[output_]);
  if (perceptual_) {
    DISCO_TRY(const at::Tensor distance, (*perceptual_)(answer, targets[0]));
    sum = sum + perceptual_weight_ * distance;
  }
  if (adversary_) {
    DISCO_TRY(const at::Tensor told, adversary_->loss(answer, targets[0]));
    sum = sum + adversarial_weight_ * told;
  }
  return sum;
}

Status EnlargementLoss::learn(const std::vector<at::Tensor>& answers, const std::vector<at::Tensor>& targets,
                              double rate, Group* group) {
  if (!adversary_ || !answers[output_].defined()) return {};
  DISCO_CHECK(adversary_->learn(as_rgb(code_, answers[output_]), targets[0], rate, group));
  return {};
}

}  // namespace disco::train
