#pragma once
// How operators are registered with the evaluator: one register_* function a file, each listed in
// registry.cpp.

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "reference/evaluate.h"

namespace disco::reference {

using Operator = Result<Outputs> (*)(const Node& node, const Inputs& inputs, const Scope& scope);

/// Operators by (domain, name).
using Registry = std::map<std::pair<std::string_view, std::string_view>, Operator>;

void register_elementwise(
    Registry& registry);  // Add … Where, Cast, activations: elementwise.cpp, activation.cpp
void register_reduction(Registry& registry);  // ReduceMean …, ArgMax, CumSum
void register_shape(
    Registry& registry);  // Shape, Reshape, Transpose, Concat, Split, Slice, Pad, Tile, Expand …
void register_indexing(Registry& registry);     // Gather*, Scatter*, NonZero, OneHot, TopK, Unique, Range …
void register_control(Registry& registry);      // If, Loop, Identity, Constant, ConstantOfShape, Dropout
void register_linear(Registry& registry);       // MatMul, Gemm, Einsum
void register_convolution(Registry& registry);  // Conv, ConvTranspose
void register_pooling(Registry& registry);      // MaxPool, AveragePool, LpPool, Global*
void register_normalisation(Registry& registry);  // BatchNormalization, LayerNormalization, Softmax, LRN …
void register_image(Registry& registry);          // Resize, DepthToSpace, GridSample
void register_detection(Registry& registry);      // RoiAlign, NonMaxSuppression, MaxRoiPool
void register_quantisation(Registry& registry);   // QuantizeLinear, DequantizeLinear
void register_disco(Registry& registry);          // the two halves of exchanged normalisations

[[nodiscard]] const Registry& registry();

}  // namespace disco::reference
