#include "train/exact_norm.h"

namespace disco::train {

void normalise_exactly(Network& network, const Weights& weights) {
  const Graph& graph = network.graph();
  const std::vector<std::int32_t> producers = graph.producers();
  const auto producer = [&](ValueId id) -> const Node* {
    const std::int32_t n = id == kNoValue ? -1 : producers[static_cast<std::size_t>(id)];
    return n < 0 ? nullptr : &graph.nodes[static_cast<std::size_t>(n)];
  };
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& join = graph.nodes[n];
    if (!join.is("Concat") || join.inputs.size() < 2) continue;
    std::vector<at::Tensor> scales, shifts;
    const Node* split = nullptr;
    double epsilon = 0.0;
    bool whole = true;  // all parts of one Split, in order
    for (std::size_t i = 0; i < join.inputs.size() && whole; ++i) {
      const Node* norm = producer(join.inputs[i]);
      whole = norm != nullptr && norm->is("LayerNormalization");
      if (!whole) break;
      const Node* from = producer(norm->inputs[0]);
      whole = from != nullptr && from->is("Split") && (split == nullptr || split == from) &&
              i < from->outputs.size() && from->outputs[i] == norm->inputs[0];
      split = from;
      epsilon = norm->float_or("epsilon", 1e-5F);
      const at::Tensor* scale = weights.find(graph.value(norm->inputs[1]).name);
      const at::Tensor* shift =
          norm->input(2) == kNoValue ? nullptr : weights.find(graph.value(norm->inputs[2]).name);
      whole = whole && scale != nullptr;
      if (!whole) break;
      scales.push_back(scale->detach());
      shifts.push_back(shift == nullptr ? at::zeros_like(scales.back()) : shift->detach());
    }
    if (!whole || split->outputs.size() != join.inputs.size()) continue;
    for (const ValueId id : join.inputs) {
      network.set_hook(static_cast<std::size_t>(producers[static_cast<std::size_t>(id)]),
                       [](const Operator&, std::vector<at::Tensor> inputs, const Mode&) {
                         return std::vector<at::Tensor>{inputs[0]};
                       });
    }
    network.set_hook(n, [scale = at::cat(scales), shift = at::cat(shifts), epsilon](
                            const Operator&, std::vector<at::Tensor> inputs, const Mode&) {
      return std::vector<at::Tensor>{
          at::layer_norm(at::cat(inputs, -1), {scale.size(0)}, scale, shift, epsilon)};
    });
  }
}

}  // namespace disco::train
