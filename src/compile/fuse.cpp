#include "compile/fuse.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "compile/fold.h"
#include "compile/fuse_quantised.h"
#include "compile/lowering.h"
#include "compile/overlap.h"
#include "compile/rewriter.h"

namespace disco {

namespace {

bool close(std::optional<float> value, double want) {
  return value && std::abs(*value - want) <= 1e-4 * std::abs(want) + 1e-7;
}

/// The constant scalar of a commutative node, and its other input.
std::optional<std::pair<ValueId, float>> with_scalar(Rewriter& rewriter, const Node& node) {
  for (const int k : {1, 0}) {
    if (const auto s = rewriter.scalar(node.inputs[static_cast<std::size_t>(k)]))
      return {{node.inputs[static_cast<std::size_t>(1 - k)], *s}};
  }
  return std::nullopt;
}

/// Mul(x, Sigmoid(x)) and the forms of HardSwish.
void fuse_swish(Rewriter& rewriter, Node& mul) {
  if (!mul.is("Mul") || mul.inputs.size() != 2) return;
  for (const ValueId gate : mul.inputs) {
    const ValueId x = other(mul, gate);
    if (Node* sigmoid = rewriter.producer(gate, "Sigmoid");
        sigmoid != nullptr && sigmoid->inputs[0] == x && x != gate && is_float(rewriter.graph(), x)) {
      return rewriter.replace(mul, "Swish", kFusedDomain, {x});
    }
    if (Node* hard = rewriter.producer(gate, "HardSigmoid");
        hard != nullptr && hard->inputs[0] == x && x != gate &&
        close(hard->float_or("alpha", 0.2F), 1.0 / 6.0) && close(hard->float_or("beta", 0.5F), 0.5)) {
      return rewriter.replace(mul, "HardSwish", "", {x});
    }
  }
}

/// Div(Mul(x, Clip(Add(x, 3), 0, 6)), 6).
void fuse_hard_swish(Rewriter& rewriter, Node& div) {
  if (!(div.is("Div") && close(rewriter.scalar(div.inputs[1]), 6.0))) return;
  Node* mul = rewriter.producer(div.inputs[0], "Mul");
  if (mul == nullptr) return;
  for (const ValueId gate : mul->inputs) {
    const ValueId x = other(*mul, gate);
    Node* clip = rewriter.producer(gate, "Clip");
    if (clip == nullptr || clip->inputs.size() < 3 || !close(rewriter.scalar(clip->inputs[2]), 6.0)) continue;
    const auto low = rewriter.scalar(clip->inputs[1]);
    Node* add = rewriter.producer(clip->inputs[0], "Add");
    if (!low || *low != 0.0F || add == nullptr) continue;
    const auto three = with_scalar(rewriter, *add);
    if (!three || three->first != x || !close(three->second, 3.0)) continue;
    return rewriter.replace(div, "HardSwish", "", {x});
  }
}

/// 0.5 * x * (1 + Erf(x / sqrt 2)), in the orders in which exporters multiply.
void fuse_gelu(Rewriter& rewriter, Node& last) {
  if (!last.is("Mul")) return;
  const auto follow = [&](ValueId erf_sum, ValueId x) {
    if (!is_float(rewriter.graph(), x)) return false;
    Node* add = rewriter.producer(erf_sum, "Add");
    if (add == nullptr) return false;
    const auto one = with_scalar(rewriter, *add);
    if (!one || !close(one->second, 1.0)) return false;
    Node* erf = rewriter.producer(one->first, "Erf");
    if (erf == nullptr) return false;
    Node* scaled = rewriter.producer(erf->inputs[0]);
    if (scaled == nullptr || rewriter.readers(erf->inputs[0]) != 1) return false;
    if (scaled->is("Div"))
      return scaled->inputs[0] == x && close(rewriter.scalar(scaled->inputs[1]), std::sqrt(2.0));
    if (!scaled->is("Mul")) return false;
    const auto factor = with_scalar(rewriter, *scaled);
    return factor && factor->first == x && close(factor->second, std::sqrt(0.5));
  };
  if (const auto half = with_scalar(rewriter, last); half && close(half->second, 0.5)) {
    // (x * (1 + erf)) * 0.5
    Node* product = rewriter.producer(half->first, "Mul");
    if (product == nullptr) return;
    for (const ValueId x : product->inputs) {
      if (follow(other(*product, x), x)) return rewriter.replace(last, "Gelu", kFusedDomain, {x});
    }
    return;
  }
  for (const ValueId halved : last.inputs) {
    // (x * 0.5) * (1 + erf)
    Node* product = rewriter.producer(halved, "Mul");
    if (product == nullptr) continue;
    const auto half = with_scalar(rewriter, *product);
    if (half && close(half->second, 0.5) && follow(other(last, halved), half->first)) {
      return rewriter.replace(last, "Gelu", kFusedDomain, {half->first});
    }
  }
}

/// (x - mean) / sqrt(mean((x - mean)^2) + epsilon) [* scale [+ bias]] over the last axis.
void fuse_layer_norm(Rewriter& rewriter, Node& div) {
  if (!div.is("Div")) return;
  Graph& graph = rewriter.graph();
  const auto over_last_axis = [&](const Node& node) {
    const auto axes = node.ints_or("axes", {});
    const auto rank = static_cast<std::int64_t>(graph.value(node.inputs[0]).dims->size());
    return axes.size() == 1 && (axes[0] == -1 || axes[0] == rank - 1) && node.int_or("keepdims", 1) == 1;
  };
  Node* root = rewriter.producer(div.inputs[1], "Sqrt");
  if (root == nullptr) return;
  Node* add = rewriter.producer(root->inputs[0], "Add");
  const auto epsilon = add != nullptr ? with_scalar(rewriter, *add) : std::nullopt;
  if (!epsilon) return;
  Node* variance = rewriter.producer(epsilon->first, "ReduceMean");
  if (variance == nullptr || !over_last_axis(*variance)) return;
  const ValueId centred = div.inputs[0];
  Node* square = rewriter.producer(variance->inputs[0]);
  if (square == nullptr || rewriter.readers(variance->inputs[0]) != 1 || square->inputs[0] != centred) return;
  const bool squares = (square->is("Pow") && close(rewriter.scalar(square->inputs[1]), 2.0)) ||
                       (square->is("Mul") && square->inputs[1] == centred);
  Node* sub = rewriter.producer(centred, "Sub", square->is("Mul") ? 3 : 2);
  if (!squares || sub == nullptr) return;
  const ValueId x = sub->inputs[0];
  Node* mean = rewriter.producer(sub->inputs[1], "ReduceMean");
  if (mean == nullptr || mean->inputs[0] != x || !over_last_axis(*mean)) return;
  if (!graph.value(x).has_shape()) return;
  const std::int64_t features = graph.value(x).shape().back();

  // Scale and bias follow where they are vectors of the features.
  const std::size_t at = rewriter.index_of(&div);
  const auto vector_operand = [&](const Node& node) -> ValueId {
    for (const ValueId id : node.inputs) {
      const Tensor* tensor = graph.constant(id);
      if (tensor != nullptr && tensor->elements() == features && tensor->shape().back() == features)
        return id;
    }
    return kNoValue;
  };
  const auto only_reader = [&](ValueId id, std::string_view op) -> Node* {
    if (rewriter.readers(id) != 1) return nullptr;
    for (std::size_t n = at + 1; n < graph.nodes.size(); ++n) {
      const auto& inputs = graph.nodes[n].inputs;
      if (std::find(inputs.begin(), inputs.end(), id) != inputs.end())
        return graph.nodes[n].is(op) ? &graph.nodes[n] : nullptr;
    }
    return nullptr;
  };
  Node* last = &div;
  Tensor scale(DataType::Float32, {features});
  Tensor bias = Tensor::zeros(DataType::Float32, {features});
  std::fill_n(scale.data<float>(), features, 1.0F);
  if (Node* mul = only_reader(last->outputs[0], "Mul"); mul != nullptr && vector_operand(*mul) != kNoValue) {
    scale = graph.constant(vector_operand(*mul))->reshaped({features});
    last = mul;
    if (Node* sum = only_reader(mul->outputs[0], "Add"); sum != nullptr && vector_operand(*sum) != kNoValue) {
      bias = graph.constant(vector_operand(*sum))->reshaped({features});
      last = sum;
    }
  }
  const std::size_t last_index = rewriter.index_of(last);
  const ValueId scale_id = rewriter.add_constant("layer_norm.scale", std::move(scale));
  const ValueId bias_id = rewriter.add_constant("layer_norm.bias", std::move(bias));
  Node& result = graph.nodes[last_index];
  rewriter.replace(result, "LayerNormalization", "", {x, scale_id, bias_id});
  result.attributes.clear();
  result.attributes["axis"] = std::int64_t{-1};
  result.attributes["epsilon"] = epsilon->second;
}

bool is_linear(const Graph& graph, const Node& node) {
  if (node.domain == kFusedDomain && node.op == "MatMul") return true;
  if (node.is("Conv") || node.is("ConvTranspose") || node.is("Gemm") || node.is("MatMul"))
    return graph.constant(node.inputs[1]) != nullptr;
  return false;
}

bool is_activation(const Graph& graph, const Node& node) {
  if (node.domain == kFusedDomain) return node.op == "Swish" || node.op == "Gelu";
  if (node.is("Clip")) return eltwise_ops(graph, node).has_value();  // bounds that are known, in order
  return node.is("Relu") || node.is("LeakyRelu") || node.is("Sigmoid") || node.is("Tanh") ||
         node.is("HardSwish") || node.is("Elu");
}

}  // namespace

bool is_float(const Graph& graph, ValueId id) {
  if (id == kNoValue) return false;
  const Value& value = graph.value(id);
  return value.type == DataType::Float32 && value.has_shape() && element_count(value.shape()) > 0;
}

void fuse_patterns(Graph& graph) {
  Rewriter rewriter(graph);
  const auto each = [&](auto&& fuse) {
    for (std::size_t n = 0; n < graph.nodes.size(); ++n) fuse(rewriter, graph.nodes[n]);
  };
  each(fuse_requantise);
  each(fuse_levels);
  each(fuse_plain_levels);
  each(drop_whole_casts);
  each(fuse_layer_norm);
  each(fuse_swish);
  each(fuse_hard_swish);
  each(fuse_gelu);
  each(fold_into_convolution);
  each(fold_bias);
  each(fuse_affine);
  // Dropped nodes compute nothing; they must go even though they have no output.
  std::erase_if(graph.nodes, [](const Node& node) { return node.is("Identity") && node.inputs.empty(); });
  graph.remove_dead();
}

std::vector<Fused> fuse_chains(const Graph& graph) {
  const auto readers = graph.consumers();
  std::vector<bool> is_output(graph.values.size(), false);
  for (const ValueId id : graph.outputs) is_output[static_cast<std::size_t>(id)] = true;
  std::vector<bool> taken(graph.nodes.size(), false);
  std::vector<Fused> result;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const bool linear = is_linear(graph, graph.nodes[n]);
    if (!linear && !graph.nodes[n].is("BatchNormalization")) continue;
    Fused fused{n, {}};
    ValueId value = graph.nodes[n].outputs[0];
    bool summed = false;
    while (!is_output[static_cast<std::size_t>(value)] &&
           readers[static_cast<std::size_t>(value)].size() == 1) {
      const auto next = static_cast<std::size_t>(readers[static_cast<std::size_t>(value)][0]);
      const Node& node = graph.nodes[next];
      if (taken[next] || node.outputs.size() != 1 || graph.value(value).type != DataType::Float32) break;
      if (!linear) {  // one pass scales, shifts and bends
        if (fused.chain.empty() && node.inputs[0] == value &&
            (node.is("PRelu") || node.is("Relu") || node.is("LeakyRelu"))) {
          fused.chain.push_back(next);
          taken[next] = true;
        }
        break;
      }
      if (is_activation(graph, node) && node.inputs[0] == value) {
        fused.chain.push_back(next);
      } else if (node.is("Add") && !summed && node.inputs[0] != node.inputs[1] &&
                 (node.int_or(kJoin, 0) == 0 || node.inputs[0] == value)) {
        const ValueId operand = node.inputs[0] == value ? node.inputs[1] : node.inputs[0];
        const bool same =
            graph.value(operand).dims == graph.value(value).dims && graph.constant(operand) == nullptr;
        if (!same || graph.value(node.outputs[0]).dims != graph.value(value).dims) break;
        summed = true;
        fused.chain.push_back(next);
      } else {
        break;
      }
      taken[next] = true;
      value = node.outputs[0];
    }
    if (!fused.chain.empty()) result.push_back(std::move(fused));
  }
  return result;
}

}  // namespace disco
