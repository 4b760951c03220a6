#include "train/adversary.h"

#include <torch/optim/optimizer.h>

#include "reference/specialise.h"
#include "train/parallel.h"

namespace disco::train {

namespace {

/// Half the cross-entropy of both sides, each judged against the other's mean.
at::Tensor relativistic(const at::Tensor& up, const at::Tensor& down) {
  const at::Tensor ones = at::ones_like(up);
  return 0.5 * (at::binary_cross_entropy_with_logits(up - down.mean(), ones) +
                at::binary_cross_entropy_with_logits(down - up.mean(), at::zeros_like(down)));
}

/// Parameters take no gradients while it lives.
class Frozen {
 public:
  explicit Frozen(Weights& weights) : weights_(weights) { set(false); }
  ~Frozen() { set(true); }
  Frozen(const Frozen&) = delete;
  Frozen& operator=(const Frozen&) = delete;

 private:
  void set(bool on) {
    for (auto& [name, tensor] : weights_.parameters) tensor.set_requires_grad(on);
  }
  Weights& weights_;
};

}  // namespace

Result<Adversary> Adversary::create(const Graph& discriminator, const Shape& images,
                                    const OptimiserOptions& options, at::Device device) {
  if (discriminator.inputs.size() != 1 || discriminator.outputs.size() != 1) {
    return error(ErrorCode::InvalidArgument,
                 "the model has {} inputs and {} outputs; a discriminator has one of each",
                 discriminator.inputs.size(), discriminator.outputs.size());
  }
  InputShapes shapes{{{discriminator.value(discriminator.inputs[0]).name, images}}, images.at(0)};
  DISCO_TRY(Graph fixed, specialise(discriminator, shapes));
  if (element_count(fixed.value(fixed.outputs[0]).shape()) != images[0]) {
    return error(ErrorCode::InvalidArgument,
                 "the model answers {} to {} images; a discriminator says one number "
                 "for each",
                 to_string(fixed.value(fixed.outputs[0]).shape()), images[0]);
  }
  Adversary adversary;
  adversary.graph_ = std::make_shared<Graph>(std::move(fixed));
  DISCO_TRY(Weights read, read_weights(*adversary.graph_, device));
  if (read.parameters.empty())
    return error(ErrorCode::InvalidArgument, "the model has no weights that could learn");
  adversary.weights_ = std::make_shared<Weights>(std::move(read));
  DISCO_TRY(Network network, Network::create(*adversary.graph_, adversary.weights_));
  adversary.network_ = std::make_shared<Network>(std::move(network));
  adversary.optimiser_ = make_optimiser(*adversary.weights_, options);
  return adversary;
}

Result<at::Tensor> Adversary::judge(const at::Tensor& images, bool training) const {
  DISCO_TRY(const std::vector<at::Tensor> outputs, network_->forward({images}, {.training = training}));
  return outputs[0].reshape({-1});
}

Result<at::Tensor> Adversary::loss(const at::Tensor& answers, const at::Tensor& real) const {
  const Frozen frozen(*weights_);
  DISCO_TRY(const at::Tensor fake, judge(answers, /*training=*/true));
  DISCO_TRY(const at::Tensor truth, judge(real, /*training=*/true));
  return relativistic(fake, truth.detach());
}

Result<double> Adversary::learn(const at::Tensor& answers, const at::Tensor& real, double rate,
                                Group* group) {
  DISCO_TRY(const at::Tensor truth, judge(real, /*training=*/true));
  DISCO_TRY(const at::Tensor fake, judge(answers.detach(), /*training=*/true));
  const at::Tensor loss = relativistic(truth, fake);
  optimiser_->zero_grad();
  loss.backward();
  if (group != nullptr) DISCO_CHECK(average_gradients(*weights_, *group));
  set_rate(*optimiser_, rate);
  optimiser_->step();
  return loss.item<double>();
}

}  // namespace disco::train
