#include "train/perceptual.h"

#include <ATen/core/grad_mode.h>

#include "reference/specialise.h"

namespace disco::train {

namespace {

/// Where the features are: a value by its name, or by its node's.
Result<ValueId> find_features(const Graph& graph, const std::string& name) {
  ValueId last = kNoValue;
  for (const Node& node : graph.nodes) {
    if (node.outputs.empty()) continue;
    if (name.empty() && node.is("Conv")) last = node.outputs[0];
    if (!name.empty() && (node.name == name || graph.value(node.outputs[0]).name == name))
      return node.outputs[0];
  }
  if (last != kNoValue) return last;
  if (name.empty())
    return error(ErrorCode::InvalidArgument, "the model has no convolution to take features of");
  return error(ErrorCode::InvalidArgument, "the model has no value or node '{}' to take features of", name);
}

}  // namespace

Result<PerceptualDistance> PerceptualDistance::create(const Graph& classifier, const std::string& features,
                                                      const Shape& images, at::Device device) {
  if (classifier.inputs.size() != 1)
    return error(ErrorCode::InvalidArgument, "the model has {} inputs; one that sees images has one",
                 classifier.inputs.size());
  if (images.size() != 4 || images[1] != 3)
    return error(ErrorCode::InvalidArgument, "images of {} are compared; three channels are needed",
                 to_string(images));
  Graph cut = classifier;
  DISCO_TRY(const ValueId found, find_features(cut, features));
  cut.outputs = {found};
  cut.remove_dead();
  // A shape that the model fixes is that of its usual images; what remains takes any.
  Value& input = cut.value(cut.inputs[0]);
  input.dims.reset();
  DISCO_TRY(Graph fixed, specialise(cut, {{{input.name, images}}, images[0]}));
  PerceptualDistance distance;
  distance.graph_ = std::make_shared<Graph>(std::move(fixed));
  DISCO_TRY(Weights read, read_weights(*distance.graph_, device));
  for (auto& [name, tensor] : read.parameters) tensor.set_requires_grad(false);
  DISCO_TRY(Network network,
            Network::create(*distance.graph_, std::make_shared<const Weights>(std::move(read))));
  distance.network_ = std::make_shared<Network>(std::move(network));
  const auto options = at::TensorOptions(device).dtype(at::kFloat);
  distance.mean_ = at::tensor({0.485F, 0.456F, 0.406F}).to(options).view({1, 3, 1, 1});
  distance.deviation_ = at::tensor({0.229F, 0.224F, 0.225F}).to(options).view({1, 3, 1, 1});
  return distance;
}

Result<at::Tensor> PerceptualDistance::features(const at::Tensor& images) const {
  DISCO_TRY(std::vector<at::Tensor> outputs, network_->forward({(images - mean_) / deviation_}, {}));
  return outputs[0];
}

Result<at::Tensor> PerceptualDistance::operator()(const at::Tensor& ours, const at::Tensor& theirs) const {
  at::Tensor wanted;
  {
    const at::NoGradGuard no_grad;
    DISCO_TRY(wanted, features(theirs));
  }
  DISCO_TRY(const at::Tensor got, features(ours));
  return at::l1_loss(got, wanted);
}

}  // namespace disco::train
