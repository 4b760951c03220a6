#pragma once
// A discriminator that learns to tell answers from real images while a model learns to pass.

#include <memory>

#include "train/network.h"
#include "train/optimiser.h"

namespace disco::train {

class Group;

/// ESRGAN's relativistic average adversary (Jolicoeur-Martineau 2018; Wang et al. 2018): the discriminator
/// says by how much a real image is more real than the answers are on average, and the other way round.
class Adversary {
 public:
  /// @param discriminator  one input of images, one output of a number an image, such as `disco zoo
  ///                       esrgan-discriminator`
  /// @param images         their shape
  /// @return InvalidArgument or ShapeMismatch where it does not fit
  [[nodiscard]] static Result<Adversary> create(const Graph& discriminator, const Shape& images,
                                                const OptimiserOptions& options, at::Device device);

  /// What the model lowers: how surely its answers are told from `real`. Gradients reach `answers` only.
  [[nodiscard]] Result<at::Tensor> loss(const at::Tensor& answers, const at::Tensor& real) const;

  /// One step of the discriminator, at this learning rate.
  /// @param group  the processes whose gradients are averaged; may be null
  /// @return the discriminator's loss
  [[nodiscard]] Result<double> learn(const at::Tensor& answers, const at::Tensor& real, double rate,
                                     Group* group);

  /// For checkpoints.
  [[nodiscard]] Weights& weights() const { return *weights_; }
  [[nodiscard]] torch::optim::Optimizer& optimiser() const { return *optimiser_; }

 private:
  [[nodiscard]] Result<at::Tensor> judge(const at::Tensor& images, bool training) const;

  std::shared_ptr<Graph> graph_;  // Network keeps a reference
  std::shared_ptr<Weights> weights_;
  std::shared_ptr<Network> network_;
  std::shared_ptr<torch::optim::Optimizer> optimiser_;
};

}  // namespace disco::train
