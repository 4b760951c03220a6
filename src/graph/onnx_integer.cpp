// Linear maps of quantised numbers, read as the float maps that they are: bytes less their zero point are
// small integers, which float32 holds, and whose sums it holds exactly up to 2^24. As float maps they are
// split, and computed by fast primitives. Source: ONNX's Operators.md, which gives most of these formulas.

#include <map>

#include "graph/onnx_canonical.h"

namespace disco {

namespace {

using Ints = std::vector<std::int64_t>;

std::optional<std::int64_t> rank_of(const NodeLowering& lowering, ValueId id) {
  if (id == kNoValue || !lowering.graph.value(id).dims) return std::nullopt;
  return static_cast<std::int64_t>(lowering.graph.value(id).dims->size());
}

ValueId as_float(NodeLowering& lowering, ValueId id) {
  return lowering.emit("Cast", {id}, {{"to", static_cast<std::int64_t>(DataType::Float32)}});
}

/// A parameter of the whole tensor, or one number an index of `axis` of a tensor of `rank`, so that it
/// broadcasts there.
ValueId along(NodeLowering& lowering, ValueId parameter, std::int64_t axis, std::int64_t rank) {
  if (rank_of(lowering, parameter) != 1) return parameter;
  // One element broadcasts anyhow, whatever the axis.
  Ints shape(static_cast<std::size_t>(rank), 1);
  shape[static_cast<std::size_t>(axis)] = -1;
  return lowering.emit("Reshape", {parameter, lowering.int64s("shape", shape)});
}

/// Quantised numbers less their zero point, as floats.
ValueId centred(NodeLowering& lowering, ValueId numbers, ValueId zero, std::int64_t axis, std::int64_t rank) {
  const ValueId wide = as_float(lowering, numbers);
  if (zero == kNoValue) return wide;
  return lowering.emit("Sub", {wide, along(lowering, as_float(lowering, zero), axis, rank)});
}

/// Both factors of a product, or nullopt where the shapes say too little to tell rows from columns.
struct Factors {
  ValueId left, right;
  std::int64_t left_rank, right_rank;
};
std::optional<Factors> factors_of(NodeLowering& lowering, std::size_t left, std::size_t right,
                                  std::size_t left_zero, std::size_t right_zero) {
  const Node& node = lowering.node;
  const auto left_rank = rank_of(lowering, node.input(left));
  const auto right_rank = rank_of(lowering, node.input(right));
  if (!left_rank || !right_rank || *left_rank < 2 || *right_rank < 2) return std::nullopt;
  for (const std::size_t zero : {left_zero, right_zero}) {
    if (node.input(zero) != kNoValue && !rank_of(lowering, node.input(zero))) return std::nullopt;
  }
  // By rows of the left, by columns of the right.
  return Factors{centred(lowering, node.inputs[left], node.input(left_zero), *left_rank - 2, *left_rank),
                 centred(lowering, node.inputs[right], node.input(right_zero), *right_rank - 1, *right_rank),
                 *left_rank, *right_rank};
}

Result<Lowered> lower_matmul_integer(NodeLowering& lowering) {
  const auto factors = factors_of(lowering, 0, 1, 2, 3);
  if (!factors) return Lowered::Append;
  const ValueId product = lowering.emit("MatMul", {factors->left, factors->right});
  lowering.emit_result("Cast", {product}, {{"to", static_cast<std::int64_t>(DataType::Int32)}});
  return Lowered::Done;
}

Result<Lowered> lower_qlinear_matmul(NodeLowering& lowering) {
  const std::vector<ValueId> in = lowering.node.inputs;
  if (in.size() != 8) return Lowered::Append;
  const auto factors = factors_of(lowering, 0, 3, 2, 5);
  if (!factors || !rank_of(lowering, in[1]) || !rank_of(lowering, in[4])) return Lowered::Append;
  ValueId product = lowering.emit("MatMul", {factors->left, factors->right});
  const std::int64_t rank = std::max(factors->left_rank, factors->right_rank);
  product = lowering.emit("Mul", {product, along(lowering, in[1], rank - 2, rank)});
  product = lowering.emit("Mul", {product, along(lowering, in[4], rank - 1, rank)});
  lowering.emit_result("QuantizeLinear", {product, in[6], in[7]});
  return Lowered::Done;
}

/// The convolution of centred numbers, with the node's window; `bias` may be absent.
std::optional<ValueId> convolved(NodeLowering& lowering, std::size_t x, std::size_t w, std::size_t x_zero,
                                 std::size_t w_zero, ValueId bias) {
  const Node& node = lowering.node;
  const auto rank = rank_of(lowering, node.input(w));
  if (!rank || *rank < 3) return std::nullopt;
  for (const std::size_t zero : {x_zero, w_zero}) {
    if (node.input(zero) != kNoValue && !rank_of(lowering, node.input(zero))) return std::nullopt;
  }
  std::vector<ValueId> inputs = {centred(lowering, node.inputs[x], node.input(x_zero), 1, *rank),
                                 centred(lowering, node.inputs[w], node.input(w_zero), 0, *rank)};
  if (bias != kNoValue) inputs.push_back(as_float(lowering, bias));
  return lowering.emit("Conv", std::move(inputs), node.attributes);
}

Result<Lowered> lower_conv_integer(NodeLowering& lowering) {
  const auto sums = convolved(lowering, 0, 1, 2, 3, kNoValue);
  if (!sums) return Lowered::Append;
  lowering.emit_result("Cast", {*sums}, {{"to", static_cast<std::int64_t>(DataType::Int32)}});
  return Lowered::Done;
}

Result<Lowered> lower_qlinear_conv(NodeLowering& lowering) {
  const std::vector<ValueId> in = lowering.node.inputs;
  if (in.size() < 8 || in.size() > 9 || !rank_of(lowering, in[4])) return Lowered::Append;
  const auto sums = convolved(lowering, 0, 3, 2, 5, lowering.node.input(8));
  if (!sums) return Lowered::Append;
  const std::int64_t rank = *rank_of(lowering, in[3]);
  const ValueId scale = along(lowering, lowering.emit("Mul", {in[4], in[1]}), 1, rank);
  lowering.emit_result("QuantizeLinear", {lowering.emit("Mul", {*sums, scale}), in[6], in[7]});
  return Lowered::Done;
}

/// A scale for the extremes, which always hold 0. Where all numbers are 0 it is 1, as ONNX Runtime has it.
Result<Lowered> lower_dynamic_quantisation(NodeLowering& lowering) {
  const ValueId x = lowering.node.inputs[0];
  const NodeLowering::Attributes whole = {{"keepdims", std::int64_t{0}}};
  const auto number = [&](std::string_view name, float value) {
    return lowering.constant(name, Tensor::scalar(value));
  };
  const ValueId zero = number("zero", 0.0F);
  const ValueId high = lowering.emit("Max", {lowering.emit("ReduceMax", {x}, whole), zero});
  const ValueId low = lowering.emit("Min", {lowering.emit("ReduceMin", {x}, whole), zero});
  const ValueId range = lowering.emit("Sub", {high, low});
  const ValueId largest = number("largest", 255.0F);
  const ValueId scale = lowering.emit_output(
      1, "Where",
      {lowering.emit("Equal", {range, zero}), number("one", 1.0F), lowering.emit("Div", {range, largest})});
  const ValueId steps = lowering.emit("Round", {lowering.emit("Div", {lowering.emit("Neg", {low}), scale})});
  const ValueId point = lowering.emit_output(2, "Cast", {lowering.emit("Clip", {steps, zero, largest})},
                                             {{"to", static_cast<std::int64_t>(DataType::UInt8)}});
  lowering.emit_result("QuantizeLinear", {x, scale, point});
  return Lowered::Done;
}

}  // namespace

LoweringRule find_integer_rule(std::string_view op) {
  static const std::map<std::string_view, LoweringRule> rules = {
      {"ConvInteger", lower_conv_integer},     {"DynamicQuantizeLinear", lower_dynamic_quantisation},
      {"MatMulInteger", lower_matmul_integer}, {"QLinearConv", lower_qlinear_conv},
      {"QLinearMatMul", lower_qlinear_matmul},
  };
  const auto found = rules.find(op);
  return found == rules.end() ? nullptr : found->second;
}

}  // namespace disco
