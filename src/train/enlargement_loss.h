#pragma once
// ESRGAN's second stage (Wang et al. 2018): large images that look real, at the price of some PSNR.

#include <memory>
#include <optional>
#include <string>

#include "train/adversary.h"
#include "train/perceptual.h"
#include "train/task_loss.h"

namespace disco::train {

struct EnlargementOptions {
  double pixels = 1.0;                ///< weight of the mean absolute difference
  std::optional<Graph> classifier{};  ///< whose features are compared, see PerceptualDistance
  std::string features{};             ///< where in it
  double perceptual = 1.0;            ///< weight of that
  std::optional<Graph> discriminator{};
  double adversarial = 0.005;  ///< weight of passing, see Adversary

  [[nodiscard]] bool any() const { return classifier || discriminator || pixels != 1.0; }
};

/// Weighs how far answers are from real images pixel by pixel, as a classifier sees them, and how well they
/// pass for real.
class EnlargementLoss final : public TaskLoss {
 public:
  /// @param image      the loss of pixels, and of a teacher's answers
  /// @param output     where in a model's outputs the image is
  /// @param pixels     how it is written there
  /// @param images     its shape
  /// @param optimiser  the discriminator's
  [[nodiscard]] static Result<std::unique_ptr<EnlargementLoss>> create(
      std::unique_ptr<TaskLoss> image, std::size_t output, const PixelCode& pixels, const Shape& images,
      const EnlargementOptions& options, const OptimiserOptions& optimiser, at::Device device);

  Result<std::vector<at::Tensor>> targets(const Truth& truth) const override {
    return image_->targets(truth);
  }
  Result<at::Tensor> loss(const std::vector<at::Tensor>& answers,
                          const std::vector<at::Tensor>& targets) const override;
  at::Tensor distillation(const std::vector<at::Tensor>& ours, const std::vector<at::Tensor>& theirs,
                          double temperature) const override {
    return image_->distillation(ours, theirs, temperature);
  }

  /// After the model's step: the discriminator's, at this learning rate. Does nothing where there is none.
  Status learn(const std::vector<at::Tensor>& answers, const std::vector<at::Tensor>& targets, double rate,
               Group* group);
  /// May be null.
  [[nodiscard]] Adversary* adversary() { return adversary_ ? &*adversary_ : nullptr; }

 private:
  EnlargementLoss() = default;

  std::unique_ptr<TaskLoss> image_;
  std::size_t output_ = 0;
  PixelCode code_;
  double pixels_ = 1.0, perceptual_weight_ = 1.0, adversarial_weight_ = 0.0;
  std::optional<PerceptualDistance> perceptual_;
  std::optional<Adversary> adversary_;
};

}  // namespace disco::train
