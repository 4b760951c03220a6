#pragma once
// Small models and their inputs as files.

#include <onnx/onnx_pb.h>

#include "../graph/onnx_models.h"
#include "data/npz.h"

namespace disco::test {

inline std::string bytes_of(ModelBuilder builder) { return builder.model().SerializeAsString(); }

/// Four convolutions of eight channels, x [N, 3, 16, 16] to y [N, 5]: enough to split, fast enough to run
/// often.
inline ModelBuilder convolutions(int opset = 17) {
  ModelBuilder builder(opset);
  builder.input("x", {-1, 3, 16, 16}).output("y", {-1, 5});
  std::string last = "x";
  for (int layer = 0; layer < 4; ++layer) {
    const std::string n = std::to_string(layer);
    builder.weight("w" + n, {8, layer == 0 ? 3 : 8, 3, 3}).weight("b" + n, {8});
    auto& convolution = builder.node("Conv", {last, "w" + n, "b" + n}, {"c" + n});
    set(convolution, "pads", std::vector<std::int64_t>{1, 1, 1, 1});
    convolution.set_name("conv" + n);
    builder.node("Sigmoid", {"c" + n}, {"h" + n});
    last = "h" + n;
  }
  builder.node("GlobalAveragePool", {last}, {"g"});
  builder.node("Flatten", {"g"}, {"f"});
  builder.weight("w", {8, 5});
  builder.node("MatMul", {"f", "w"}, {"y"});
  return builder;
}

/// Its input, 0.001, 0.002 and so on.
inline Tensor ramp(const Shape& shape) {
  Tensor tensor(DataType::Float32, shape);
  for (std::int64_t i = 0; i < tensor.elements(); ++i)
    tensor.data<float>()[i] = 0.001F * static_cast<float>(i % 1000 + 1);
  return tensor;
}

}  // namespace disco::test
