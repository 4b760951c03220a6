#include "zoo/inputs.h"

#include "base/random.h"

namespace disco {
namespace {

bool is_image(const Shape& shape) {
  const auto is_channels = [](std::int64_t extent) { return extent == 1 || extent == 3; };
  return shape.size() == 4 && (is_channels(shape[1]) || is_channels(shape[3]));
}

}  // namespace

NamedTensors random_inputs(const Graph& graph, std::uint64_t seed) {
  Random random(seed);
  NamedTensors inputs;
  for (const ValueId id : graph.inputs) {
    Tensor tensor = Tensor::zeros(graph.value(id).type, graph.value(id).shape());
    if (tensor.type() == DataType::Float32) {
      const bool image = is_image(tensor.shape());
      for (std::int64_t i = 0; i < tensor.elements(); ++i) {
        tensor.data<float>()[i] = image ? (static_cast<float>(random.below(256)) - 127.5F) / 73.9F
                                        : static_cast<float>(random.normal());
      }
    }
    inputs[graph.value(id).name] = std::move(tensor);
  }
  return inputs;
}

}  // namespace disco
