#include "compile/fuse.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "compile/lowering.h"
#include "compile/overlap.h"

namespace disco {

namespace {

/// A graph whose nodes are being replaced: producers and readers stay current.
class Rewriter {
 public:
  explicit Rewriter(Graph& graph)
      : graph_(graph), producer_(graph.producers()), readers_(graph.values.size(), 0) {
    for (const Node& node : graph.nodes) {
      for (const ValueId id : node.inputs) count(id, 1);
      for (const ValueId id : captured_values(graph, node)) count(id, 1);
    }
    for (const ValueId id : graph.outputs) count(id, 1);
  }
  Graph& graph() { return graph_; }
  Node* producer(ValueId id) {
    if (id == kNoValue || producer_[static_cast<std::size_t>(id)] < 0) return nullptr;
    return &graph_.nodes[static_cast<std::size_t>(producer_[static_cast<std::size_t>(id)])];
  }
  /// The producer where it is of this operator and `readers` reads are all that its result has.
  Node* producer(ValueId id, std::string_view op, int readers = 1) {
    Node* node = producer(id);
    return node != nullptr && node->is(op) && readers_[static_cast<std::size_t>(id)] == readers ? node
                                                                                                : nullptr;
  }
  [[nodiscard]] int readers(ValueId id) const { return readers_[static_cast<std::size_t>(id)]; }
  /// The only element of a constant.
  std::optional<float> scalar(ValueId id) {
    const Tensor* tensor = id == kNoValue ? nullptr : graph_.constant(id);
    if (tensor == nullptr || tensor->elements() != 1 || tensor->type() != DataType::Float32)
      return std::nullopt;
    return tensor->data<float>()[0];
  }
  /// Gives `node` other inputs; what is read no more dies with remove_dead, constants at once: a model's
  /// worth of folded weights is not held twice.
  void replace(Node& node, std::string op, std::string_view domain, std::vector<ValueId> inputs) {
    for (const ValueId id : inputs) count(id, 1);
    for (const ValueId id : node.inputs) {
      count(id, -1);
      if (id != kNoValue && readers(id) == 0) graph_.value(id).constant.reset();
    }
    node.op = std::move(op);
    node.domain = domain;
    node.inputs = std::move(inputs);
  }
  ValueId add_constant(const std::string& name, Tensor tensor) {
    const ValueId id = graph_.add_constant(name, std::move(tensor));
    readers_.push_back(0);
    producer_.push_back(-1);
    return id;
  }
  /// `node` computes `id` from now on, instead of whoever did.
  void take_output(std::size_t node, ValueId id) {
    graph_.nodes[node].outputs = {id};
    producer_[static_cast<std::size_t>(id)] = static_cast<std::int32_t>(node);
  }
  std::size_t index_of(const Node* node) { return static_cast<std::size_t>(node - graph_.nodes.data()); }
  /// Makes a node that nothing needs: its inputs lose a reader.
  void drop(Node& node) {
    replace(node, "Identity", "", {});
    node.outputs.assign(1, kNoValue);
    node.attributes.clear();
  }

 private:
  void count(ValueId id, int by) {
    if (id != kNoValue) readers_[static_cast<std::size_t>(id)] += by;
  }
  Graph& graph_;
  std::vector<std::int32_t> producer_;
  std::vector<int> readers_;
};

bool close(std::optional<float> value, double want) {
  return value && std::abs(*value - want) <= 1e-4 * std::abs(want) + 1e-7;
}

/// The other input of a two-input node.
ValueId other(const Node& node, ValueId one) {
  return node.inputs[0] == one ? node.inputs[1] : node.inputs[0];
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
        sigmoid != nullptr && sigmoid->inputs[0] == x && x != gate) {
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

/// Weights and bias of a convolution, with the batch norm after it folded in.
void fold_batch_norm(Rewriter& rewriter, Node& norm) {
  Graph& graph = rewriter.graph();
  if (!norm.is("BatchNormalization")) return;
  Node* conv = rewriter.producer(norm.inputs[0], "Conv");
  if (conv == nullptr) conv = rewriter.producer(norm.inputs[0], "ConvTranspose");
  if (conv == nullptr) return;
  const Tensor* weight = graph.constant(conv->inputs[1]);
  const ValueId bias_id = conv->input(2);
  const Tensor* bias = bias_id == kNoValue ? nullptr : graph.constant(bias_id);
  const Tensor* parameters[4];
  for (std::size_t k = 0; k < 4; ++k) parameters[k] = graph.constant(norm.inputs[k + 1]);
  if (weight == nullptr || weight->type() != DataType::Float32 || (bias_id != kNoValue && bias == nullptr))
    return;
  for (const Tensor* parameter : parameters) {
    if (parameter == nullptr || parameter->type() != DataType::Float32) return;
  }
  const bool transposed = conv->is("ConvTranspose");
  const std::int64_t channels = parameters[0]->elements();
  const float epsilon = norm.float_or("epsilon", 1e-5F);
  Tensor folded = weight->clone();
  Tensor shift(DataType::Float32, {channels});
  std::vector<double> scale(static_cast<std::size_t>(channels));
  for (std::int64_t c = 0; c < channels; ++c) {
    scale[static_cast<std::size_t>(c)] =
        parameters[0]->data<float>()[c] /
        std::sqrt(static_cast<double>(parameters[3]->data<float>()[c]) + epsilon);
    const double before = (bias != nullptr ? bias->data<float>()[c] : 0.0) - parameters[2]->data<float>()[c];
    shift.data<float>()[c] =
        static_cast<float>(before * scale[static_cast<std::size_t>(c)] + parameters[1]->data<float>()[c]);
  }
  const Shape& shape = folded.shape();
  const std::int64_t row = folded.elements() / (shape[0] * shape[1]);  // taps
  const std::int64_t groups = conv->int_or("group", 1);
  for (std::int64_t a = 0; a < shape[0]; ++a) {
    for (std::int64_t b = 0; b < shape[1]; ++b) {
      const std::int64_t out = transposed ? a / (shape[0] / groups) * shape[1] + b : a;
      float* taps = folded.data<float>() + (a * shape[1] + b) * row;
      for (std::int64_t t = 0; t < row; ++t)
        taps[t] = static_cast<float>(taps[t] * scale[static_cast<std::size_t>(out)]);
    }
  }
  const std::string name = graph.value(conv->inputs[1]).name;
  const ValueId folded_id = rewriter.add_constant(name + ".folded", std::move(folded));
  const ValueId shift_id = rewriter.add_constant(name + ".shift", std::move(shift));
  const ValueId out = norm.outputs[0];
  const std::size_t conv_index = rewriter.index_of(conv);
  rewriter.replace(*conv, conv->op, conv->domain, {conv->inputs[0], folded_id, shift_id});
  rewriter.drop(norm);
  rewriter.take_output(conv_index, out);
}

/// MatMul of constant weights, then Add of a constant vector: the vector becomes a third input.
void fold_bias(Rewriter& rewriter, Node& add) {
  Graph& graph = rewriter.graph();
  if (!add.is("Add") || add.inputs.size() != 2) return;
  for (const ValueId id : add.inputs) {
    Node* product = rewriter.producer(id, "MatMul");
    const Tensor* bias = graph.constant(other(add, id));
    if (product == nullptr || bias == nullptr || bias->type() != DataType::Float32) continue;
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

void fuse_patterns(Graph& graph) {
  Rewriter rewriter(graph);
  const auto each = [&](auto&& fuse) {
    for (std::size_t n = 0; n < graph.nodes.size(); ++n) fuse(rewriter, graph.nodes[n]);
  };
  each(fuse_layer_norm);
  each(fuse_swish);
  each(fuse_hard_swish);
  each(fuse_gelu);
  each(fold_batch_norm);
  each(fold_bias);
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
