#include "compile/fold.h"

#include <cmath>

#include "compile/fuse_quantised.h"
#include "compile/lowering.h"

namespace disco {

std::optional<std::vector<float>> by_channel(const Tensor* constant, std::int64_t channels,
                                             std::int64_t rank) {
  if (constant == nullptr || constant->type() != DataType::Float32 || constant->rank() > rank)
    return std::nullopt;
  const float* data = constant->data<float>();
  if (constant->elements() == 1) return std::vector<float>(static_cast<std::size_t>(channels), data[0]);
  const std::int64_t axis = 1 - (rank - constant->rank());
  if (axis < 0 || constant->elements() != channels ||
      constant->shape()[static_cast<std::size_t>(axis)] != channels)
    return std::nullopt;
  return std::vector<float>(data, data + channels);
}

std::optional<Affine> of_batch_norm(const Graph& graph, const Node& norm, std::int64_t channels) {
  const float* parameters[4];
  for (std::size_t k = 0; k < 4; ++k) {
    const Tensor* tensor = graph.constant(norm.inputs[k + 1]);
    if (tensor == nullptr || tensor->type() != DataType::Float32 || tensor->elements() != channels)
      return std::nullopt;
    parameters[k] = tensor->data<float>();
  }
  const float epsilon = norm.float_or("epsilon", 1e-5F);
  Affine affine{norm.inputs[0]};
  for (std::int64_t c = 0; c < channels; ++c) {
    affine.scale.push_back(parameters[0][c] / std::sqrt(static_cast<double>(parameters[3][c]) + epsilon));
    affine.shift.push_back(parameters[1][c] - parameters[2][c] * affine.scale.back());
  }
  return affine;
}

namespace {

/// Of a node that computes an affine map of every channel of its only input that is no constant.
std::optional<Affine> affine_of(const Graph& graph, const Node& node) {
  const bool sum = node.is("Add"), product = node.is("Mul");
  const bool difference = node.is("Sub"), quotient = node.is("Div");
  const bool norm = node.is("BatchNormalization");
  if (!sum && !product && !difference && !quotient && !norm) return std::nullopt;
  const Value& out = graph.value(node.outputs[0]);
  if (out.type != DataType::Float32 || !out.has_shape() || out.shape().size() < 3) return std::nullopt;
  const std::int64_t channels = out.shape()[1];
  const auto rank = static_cast<std::int64_t>(out.shape().size());
  if (norm) return of_batch_norm(graph, node, channels);
  const std::size_t at = graph.constant(node.inputs[1]) != nullptr ? 1 : 0;
  if (at == 0 && !sum && !product)
    return std::nullopt;  // a constant less what was computed, or divided by it
  const ValueId input = node.inputs[1 - at];
  if (!graph.value(input).has_shape() || graph.value(input).shape() != out.shape()) return std::nullopt;
  const auto constant = by_channel(graph.constant(node.inputs[at]), channels, rank);
  if (!constant) return std::nullopt;
  Affine affine{input, std::vector<double>(constant->size(), 1.0),
                std::vector<double>(constant->size(), 0.0)};
  for (std::size_t c = 0; c < constant->size(); ++c) {
    const double value = (*constant)[c];
    if (quotient && value == 0.0) return std::nullopt;
    if (sum || difference) affine.shift[c] = sum ? value : -value;
    if (product || quotient) affine.scale[c] = product ? value : 1.0 / value;
  }
  return affine;
}

}  // namespace

void fold_into_convolution(Rewriter& rewriter, Node& node) {
  Graph& graph = rewriter.graph();
  const auto affine = affine_of(graph, node);
  if (!affine) return;
  Node* conv = rewriter.producer(affine->input, "Conv");
  if (conv == nullptr) conv = rewriter.producer(affine->input, "ConvTranspose");
  if (conv == nullptr) return;
  if (has_whole_sums(rewriter, *conv)) return;
  const Tensor* weight = graph.constant(conv->inputs[1]);
  const ValueId bias_id = conv->input(2);
  const Tensor* bias = bias_id == kNoValue ? nullptr : graph.constant(bias_id);
  if (weight == nullptr || weight->type() != DataType::Float32 || (bias_id != kNoValue && bias == nullptr))
    return;
  const bool transposed = conv->is("ConvTranspose");
  const std::size_t channels = affine->scale.size();
  const std::int64_t groups = conv->int_or("group", 1);
  const std::int64_t outputs = transposed ? weight->shape()[1] * groups : weight->shape()[0];
  const auto fits = [&](std::int64_t count) { return count == static_cast<std::int64_t>(channels); };
  if (!fits(outputs) || (bias != nullptr && !fits(bias->elements()))) return;
  Tensor shift(DataType::Float32, {static_cast<std::int64_t>(channels)});
  for (std::size_t c = 0; c < channels; ++c) {
    const double before = bias != nullptr ? bias->data<float>()[c] : 0.0;
    shift.data<float>()[c] = static_cast<float>(before * affine->scale[c] + affine->shift[c]);
  }
  Tensor folded = weight->clone();
  const Shape& shape = folded.shape();
  const std::int64_t row = folded.elements() / (shape[0] * shape[1]);  // taps
  for (std::int64_t a = 0; a < shape[0]; ++a) {
    for (std::int64_t b = 0; b < shape[1]; ++b) {
      const std::int64_t out = transposed ? a / (shape[0] / groups) * shape[1] + b : a;
      float* taps = folded.data<float>() + (a * shape[1] + b) * row;
      for (std::int64_t t = 0; t < row; ++t)
        taps[t] = static_cast<float>(taps[t] * affine->scale[static_cast<std::size_t>(out)]);
    }
  }
  const std::string name = graph.value(conv->inputs[1]).name;
  const ValueId folded_id = rewriter.add_constant(name + ".folded", std::move(folded));
  const ValueId shift_id = rewriter.add_constant(name + ".shift", std::move(shift));
  const ValueId out = node.outputs[0];
  const std::size_t conv_index = rewriter.index_of(conv);
  rewriter.replace(*conv, conv->op, conv->domain, {conv->inputs[0], folded_id, shift_id});
  rewriter.drop(node);
  rewriter.take_output(conv_index, out);
}

void fold_bias(Rewriter& rewriter, Node& add) {
  Graph& graph = rewriter.graph();
  if (!add.is("Add") || add.inputs.size() != 2) return;
  for (const ValueId id : add.inputs) {
    Node* product = rewriter.producer(id, "MatMul");
    const Tensor* bias = graph.constant(other(add, id));
    if (product == nullptr || bias == nullptr || bias->type() != DataType::Float32) continue;
    if (!is_float(graph, product->inputs[0]) || !is_float(graph, add.outputs[0])) continue;
    const Tensor* weight = graph.constant(product->inputs[1]);
    if (weight == nullptr || weight->rank() != 2 || bias->elements() != weight->shape()[1] ||
        bias->shape().back() != weight->shape()[1])
      continue;
    if (bias->rank() > static_cast<std::int64_t>(graph.value(add.outputs[0]).dims->size())) continue;
    const ValueId flat =
        rewriter.add_constant(graph.value(other(add, id)).name + ".flat", bias->reshaped({bias->elements()}));
    const ValueId out = add.outputs[0];
    const std::size_t index = rewriter.index_of(product);
    rewriter.replace(*product, "MatMul", kFusedDomain, {product->inputs[0], product->inputs[1], flat});
    rewriter.drop(add);
    return rewriter.take_output(index, out);
  }
}

void fuse_affine(Rewriter& rewriter, Node& add) {
  Graph& graph = rewriter.graph();
  const auto last = affine_of(graph, add);
  if (!last) return;
  Node* before = rewriter.producer(last->input);
  if (before == nullptr || rewriter.readers(last->input) != 1) return;
  const auto first = affine_of(graph, *before);
  if (!first || add.is("BatchNormalization") || before->is("BatchNormalization")) return;
  const auto channels = static_cast<std::int64_t>(last->scale.size());
  const std::string name = graph.value(add.outputs[0]).name;
  const auto constant = [&](const char* what, const auto& of) {
    Tensor tensor(DataType::Float32, {channels});
    for (std::int64_t c = 0; c < channels; ++c)
      tensor.data<float>()[c] = static_cast<float>(of(static_cast<std::size_t>(c)));
    return rewriter.add_constant(name + what, std::move(tensor));
  };
  const ValueId scale = constant(".scale", [&](std::size_t c) { return first->scale[c] * last->scale[c]; });
  const ValueId shift =
      constant(".shift", [&](std::size_t c) { return first->shift[c] * last->scale[c] + last->shift[c]; });
  const ValueId mean = constant(".mean", [](std::size_t) { return 0.0; });
  const ValueId variance = constant(".variance", [](std::size_t) { return 1.0; });
  rewriter.replace(add, "BatchNormalization", "", {first->input, scale, shift, mean, variance});
  add.attributes.clear();
  add.attributes["epsilon"] = 0.0F;
}

}  // namespace disco
