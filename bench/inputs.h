#pragma once
// What the benchmarks' programs have in common: inputs, and how a command line gives their extents.

#include <string>
#include <string_view>

#include "base/random.h"
#include "graph/graph.h"
#include "reference/specialise.h"

namespace disco::bench {

/// Normal values for every fp32 input of a graph of fixed shapes, zeros for the others; the same ones on
/// every machine.
inline NamedTensors random_inputs(const Graph& graph, std::uint64_t seed = 1) {
  Random random(seed);
  NamedTensors inputs;
  for (const ValueId id : graph.inputs) {
    Tensor tensor = Tensor::zeros(graph.value(id).type, graph.value(id).shape());
    if (tensor.type() == DataType::Float32) {
      for (std::int64_t i = 0; i < tensor.elements(); ++i)
        tensor.data<float>()[i] = static_cast<float>(random.normal());
    }
    inputs[graph.value(id).name] = std::move(tensor);
  }
  return inputs;
}

/// Reads `--shape INPUT EXTENT … .`, as often as it is there from word `first` on.
inline InputShapes shapes_of(int argc, char** argv, int first) {
  InputShapes shapes;
  for (int i = first; i < argc; ++i) {
    if (std::string_view(argv[i]) != "--shape" || i + 1 >= argc) continue;
    Shape& shape = shapes.shapes[argv[++i]];
    while (++i < argc && std::string_view(argv[i]) != ".") shape.push_back(std::stoll(argv[i]));
  }
  return shapes;
}

}  // namespace disco::bench
