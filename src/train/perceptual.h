#pragma once
// How far images are from each other as a classifier sees them.

#include <memory>
#include <string>

#include "train/network.h"

namespace disco::train {

/// The mean absolute difference of a classifier's features: the perceptual loss of super-resolution (Johnson
/// et al. 2016; ESRGAN, Wang et al. 2018, takes them before the activation). Images are RGB in 0..1 [N, 3, H,
/// W]; the classifier sees them with ImageNet's mean and deviation.
class PerceptualDistance {
 public:
  /// @param classifier  what it computes after the features is cut off, so that it sees any size of image
  /// @param features    the name of a value, or of the node that makes it; empty: the last convolution's
  /// output
  /// @param images      their shape
  /// @return InvalidArgument for a model that sees no such images or has no such value
  [[nodiscard]] static Result<PerceptualDistance> create(const Graph& classifier, const std::string& features,
                                                         const Shape& images, at::Device device);

  /// Gradients reach `ours` only.
  [[nodiscard]] Result<at::Tensor> operator()(const at::Tensor& ours, const at::Tensor& theirs) const;

 private:
  [[nodiscard]] Result<at::Tensor> features(const at::Tensor& images) const;

  std::shared_ptr<Graph> graph_;  // Network keeps a reference
  std::shared_ptr<Network> network_;
  at::Tensor mean_, deviation_;
};

}  // namespace disco::train
