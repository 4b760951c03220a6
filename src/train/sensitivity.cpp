#include "train/sensitivity.h"

#include <torch/csrc/autograd/autograd.h>

#include "train/rows.h"

namespace disco::train {

Result<std::vector<Sensitivity>> sample_sensitivity(const Network& network, const Weights& weights,
                                                    const Traffic& traffic, const Batches& batches,
                                                    std::uint64_t seed,
                                                    const std::function<void(std::size_t)>& progress) {
  std::vector<at::Tensor> parameters;
  std::vector<MapWeight> places;
  std::vector<Sensitivity> result;
  for (const LinearMap& map : traffic.maps) {
    places.push_back(weight_of(network.graph(), network.graph().nodes[map.node]));
    parameters.push_back(weights.parameters.at(places.back().name));
    Sensitivity entry;
    entry.outputs = parameters.back().size(places.back().out_axis);
    entry.inputs = parameters.back().size(places.back().in_axis);
    entry.samples = static_cast<std::int64_t>(batches.size());
    entry.values.resize(static_cast<std::size_t>(entry.outputs * entry.samples * entry.inputs));
    result.push_back(std::move(entry));
  }
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  for (std::size_t b = 0; b < batches.size(); ++b) {
    DISCO_TRY(const std::vector<at::Tensor> outputs, network.forward(batches[b], {}));
    at::Tensor loss;
    for (const at::Tensor& output : outputs) {
      if (!output.requires_grad()) continue;
      at::Tensor r = at::randn(output.sizes(), generator, at::TensorOptions(at::kFloat)).to(output.device());
      // Classifiers do not care for what is added to all logits alike.
      if (output.dim() == 2 && output.size(1) > 1) r = r - r.mean(1, true);
      const at::Tensor term = (r * output).sum();
      loss = loss.defined() ? loss + term : term;
    }
    if (!loss.defined())
      return error(ErrorCode::Unsupported,
                   "no output of the model depends on its weights through operators with a gradient");
    std::vector<at::Tensor> gradients;
    try {
      gradients = torch::autograd::grad({loss}, parameters, {}, false, false, true);
    } catch (const std::exception& problem) {
      return error(ErrorCode::Internal, "the backward pass failed: {}", problem.what());
    }
    for (std::size_t m = 0; m < parameters.size(); ++m) {
      if (!gradients[m].defined()) continue;
      at::Tensor product = (gradients[m] * parameters[m]).detach();
      if (product.dim() > 2) product = product.flatten(2).sum(2);
      if (places[m].out_axis == 1) product = product.t();
      product = product.to(at::kCPU).contiguous();
      Sensitivity& entry = result[m];
      const float* from = product.data_ptr<float>();
      for (std::int64_t o = 0; o < entry.outputs; ++o) {
        std::copy(from + o * entry.inputs, from + (o + 1) * entry.inputs,
                  entry.values.data() + (o * entry.samples + static_cast<std::int64_t>(b)) * entry.inputs);
      }
    }
    if (progress) progress(b + 1);
  }
  return result;
}

}  // namespace disco::train
