#include "train/initialise.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

#include "base/random.h"

namespace disco::train {

void initialise(const Graph& graph, std::uint64_t seed, Weights& weights) {
  const at::NoGradGuard no_grad;
  Random random(seed);
  const auto fill = [&](at::Tensor& target, const auto& draw) {
    at::Tensor values = at::empty(target.sizes(), at::kFloat);
    float* at = values.data_ptr<float>();
    for (std::int64_t i = 0; i < values.numel(); ++i) at[i] = static_cast<float>(draw());
    target.copy_(values);
  };
  const auto normal = [&random](double deviation) {
    return [&random, deviation] { return deviation * random.normal(); };
  };
  std::map<std::string, bool> done;
  for (const Node& node : graph.nodes) {
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      if (node.inputs[k] == kNoValue) continue;
      const std::string& name = graph.value(node.inputs[k]).name;
      if (const auto buffer = weights.buffers.find(name); buffer != weights.buffers.end())
        buffer->second.fill_(k == 4 ? 1.0 : 0.0);
      const auto found = weights.parameters.find(name);
      if (found == weights.parameters.end() || done[name]) continue;
      done[name] = true;
      at::Tensor& tensor = found->second;
      const std::string& op = node.op;
      const bool norm =
          op == "BatchNormalization" || op == "InstanceNormalization" || op == "LayerNormalization";
      if (norm) {
        tensor.fill_(k == 1 ? 1.0 : 0.0);
      } else if (k == 1 && (op == "Conv" || op == "ConvTranspose")) {
        const auto group = static_cast<double>(node.int_or("group", 1));
        const auto outputs =
            static_cast<double>(tensor.size(op == "Conv" ? 0 : 1)) / (op == "Conv" ? group : 1.0);
        const auto taps = static_cast<double>(tensor[0][0].numel());
        fill(tensor, normal(std::sqrt(2.0 / (outputs * taps))));
      } else if (tensor.dim() >= 2 && (op == "Gemm" || op == "MatMul")) {
        const bool outputs_first = op == "Gemm" && node.int_or("transB", 0) != 0;
        const double bound = 1.0 / std::sqrt(static_cast<double>(tensor.size(outputs_first ? 1 : -2)));
        fill(tensor, [&] { return random.between(-bound, bound); });
      } else if (op == "PRelu") {
        tensor.fill_(0.25);
      } else if (op == "Mul") {
        tensor.fill_(1.0);
      } else if (tensor.dim() >= 2) {
        fill(tensor, normal(0.02));
      } else {
        tensor.fill_(0.0);
      }
    }
  }
}

}  // namespace disco::train
