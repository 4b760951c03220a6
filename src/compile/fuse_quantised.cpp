#include "compile/fuse_quantised.h"

#include <algorithm>
#include <cmath>

#include "compile/fuse.h"

namespace disco {

bool has_one_scale(const Graph& graph, const Node& node) {
  const auto is_one = [&](ValueId id) {
    return graph.value(id).has_shape() && element_count(graph.value(id).shape()) == 1;
  };
  const ValueId zero = node.input(2);
  return is_float(graph, node.inputs[1]) && is_one(node.inputs[1]) &&
         (zero == kNoValue || (is_byte(graph.value(zero).type) && is_one(zero)));
}

namespace {

/// A QuantizeLinear that kernels take.
bool is_quantise(const Graph& graph, const Node* node) {
  return node != nullptr && node->is("QuantizeLinear") && is_float(graph, node->inputs[0]) &&
         has_one_scale(graph, *node);
}

bool is_cast_to(const Node* node, DataType type) {
  return node != nullptr && node->is("Cast") && node->int_or("to", 0) == static_cast<std::int64_t>(type);
}

bool same_number(const Graph& graph, ValueId a, ValueId b) {
  if (a == b) return true;
  const Tensor* left = graph.constant(a);
  const Tensor* right = graph.constant(b);
  return left != nullptr && right != nullptr && left->type() == right->type() &&
         left->bytes() == right->bytes() &&
         std::equal(left->raw(), left->raw() + left->bytes(), right->raw());
}

bool are_whole(const Tensor* weights) {
  return weights != nullptr && weights->type() == DataType::Float32 &&
         std::ranges::all_of(weights->values<float>(), [](float w) { return w == std::trunc(w); });
}

/// Whether a value is bytes less a zero point, computed here or received.
bool is_levels(Rewriter& rewriter, ValueId id) {
  const Node* node = rewriter.producer(id);
  if (node == nullptr) return false;
  if (node->domain == kFusedDomain && node->op == "Levels") return true;
  if (node->is("Concat"))  // of a node's own and of others'
    return std::ranges::all_of(node->inputs, [&](ValueId part) { return is_levels(rewriter, part); });
  const Node* codes = node->is("Sub") ? rewriter.producer(node->inputs[0]) : node;
  if (!is_cast_to(codes, DataType::Float32)) return false;
  const DataType type = rewriter.graph().value(codes->inputs[0]).type;
  if (!is_byte(type)) return false;
  if (codes == node) return true;
  const Node* zero = rewriter.producer(node->inputs[1]);
  return are_whole(rewriter.graph().constant(node->inputs[1])) ||
         (is_cast_to(zero, DataType::Float32) && rewriter.graph().value(zero->inputs[0]).type == type);
}

}  // namespace

void fuse_requantise(Rewriter& rewriter, Node& dequantise) {
  if (!dequantise.is("DequantizeLinear")) return;
  const Graph& graph = rewriter.graph();
  const Node* quantise = rewriter.producer(dequantise.inputs[0]);
  if (!is_quantise(graph, quantise)) return;
  if (!same_number(graph, quantise->inputs[1], dequantise.inputs[1])) return;
  const ValueId zero = quantise->input(2);
  const ValueId other_zero = dequantise.input(2);
  if ((zero == kNoValue) != (other_zero == kNoValue)) return;
  if (zero != kNoValue && !same_number(graph, zero, other_zero)) return;
  rewriter.replace(dequantise, "Requantise", kFusedDomain, std::vector<ValueId>(quantise->inputs));
  dequantise.attributes.clear();
}

namespace {

/// The QuantizeLinear behind codes that a Cast to float32 reads, where it is here.
const Node* quantised_by(Rewriter& rewriter, const Node* cast) {
  if (!is_cast_to(cast, DataType::Float32)) return nullptr;
  const Node* quantise = rewriter.producer(cast->inputs[0]);
  return is_quantise(rewriter.graph(), quantise) ? quantise : nullptr;
}

/// The only element of a constant of codes.
std::optional<float> code(const Tensor* point) {
  if (point == nullptr || point->elements() != 1) return std::nullopt;
  if (point->type() == DataType::Int8) return static_cast<float>(point->data<std::int8_t>()[0]);
  if (point->type() == DataType::UInt8) return static_cast<float>(point->data<std::uint8_t>()[0]);
  return std::nullopt;
}

/// Whether a value is the zero point as a float: folded where it is given, a Cast where it is computed.
bool is_zero_point(Rewriter& rewriter, ValueId wide, ValueId zero) {
  if (const auto number = rewriter.scalar(wide)) return number == code(rewriter.graph().constant(zero));
  const Node* cast = rewriter.producer(wide);
  return is_cast_to(cast, DataType::Float32) && cast->inputs[0] == zero;
}

}  // namespace

void fuse_levels(Rewriter& rewriter, Node& difference) {
  if (!difference.is("Sub")) return;
  const Node* quantise = quantised_by(rewriter, rewriter.producer(difference.inputs[0]));
  if (quantise == nullptr || quantise->input(2) == kNoValue) return;
  if (!is_zero_point(rewriter, difference.inputs[1], quantise->inputs[2])) return;
  rewriter.replace(difference, "Levels", kFusedDomain, std::vector<ValueId>(quantise->inputs));
}

void fuse_plain_levels(Rewriter& rewriter, Node& cast) {
  const Node* quantise = quantised_by(rewriter, &cast);
  if (quantise == nullptr || rewriter.readers(cast.outputs[0]) == 0) return;
  const ValueId zero = quantise->input(2);
  if (zero != kNoValue && code(rewriter.graph().constant(zero)) != 0.0F) return;
  rewriter.replace(cast, "Levels", kFusedDomain, std::vector<ValueId>(quantise->inputs));
  cast.attributes.clear();
}

bool has_whole_sums(Rewriter& rewriter, const Node& linear) {
  return (linear.is("Conv") || linear.is("MatMul")) && is_levels(rewriter, linear.inputs[0]) &&
         are_whole(rewriter.graph().constant(linear.inputs[1]));
}

void drop_whole_casts(Rewriter& rewriter, Node& cast) {
  if (!is_cast_to(&cast, DataType::Float32)) return;
  const Node* to_integer = rewriter.producer(cast.inputs[0]);
  if (!is_cast_to(to_integer, DataType::Int32)) return;
  const Node* linear = rewriter.producer(to_integer->inputs[0]);
  if (linear == nullptr || linear->inputs.size() > 2 || !has_whole_sums(rewriter, *linear)) return;
  rewriter.replace(cast, "Identity", "", {to_integer->inputs[0]});
  cast.attributes.clear();
}

}  // namespace disco
