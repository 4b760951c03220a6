// Linear maps: y_i = W_ii x_i + sum over j of W_ij x_j, with the weights blocked over output and input
// channels.

#include <algorithm>

#include "partition/rule_context.h"

namespace disco {

namespace {

/// A result counts as much smaller than what it is made of from this factor on: then it is fewer bytes even
/// where only an eighth of these would be sent.
constexpr std::int64_t kMuchSmaller = 8;
/// A result of one position, for all of a batch, of so few bytes is a message that its latency alone makes
/// slow.
constexpr std::int64_t kSmallBytes = 8192;

/// Each node maps its own features; the results are added up, and the bias once.
Rule summed_rule(const RuleContext& context, ShardAxis axis, int weight_in_axis) {
  Rule rule = context.with_form(Form::PartialSum, kReplicate);
  rule.inputs[0] = {UseKind::Owned, axis, {}};
  rule.inputs[1] = RuleContext::mapped(weight_in_axis, IndexMap::identity(extent(context.in(0), axis)));
  return rule;
}

/// Conv and ConvTranspose of constant weights.
Rule convolution_rule(const RuleContext& context, bool summed) {
  const Node& node = context.node;
  if (!context.constant(1)) return context.replicated("weights are not constant");
  if (context.present(2) && !context.constant(2)) return context.replicated("bias is not constant");
  const bool transposed = node.is("ConvTranspose");
  const Shape weight = context.in(1);
  const std::int64_t groups = node.int_or("group", 1);
  const std::int64_t outputs = transposed ? weight[1] * groups : weight[0];
  const std::int64_t inputs = context.in(0)[1];

  Rule rule = context.with_form(Form::Linear, 1);
  rule.groups = groups;
  rule.weight_out_axis = transposed ? 1 : 0;
  rule.weight_in_axis = transposed ? 0 : 1;
  if (groups == 1) {
    if (!transposed && summed && context.axes[0] == 1) return summed_rule(context, 1, 1);
    rule.inputs[0] = {UseKind::Contracted, 1, {}};
    return rule;
  }
  std::vector<std::vector<std::int32_t>> sources(static_cast<std::size_t>(outputs));
  for (std::int64_t m = 0; m < outputs; ++m) {
    const std::int64_t group = m / (outputs / groups);
    for (std::int64_t c = 0; c < inputs / groups; ++c) {
      sources[static_cast<std::size_t>(m)].push_back(
          static_cast<std::int32_t>(group * (inputs / groups) + c));
    }
  }
  rule.inputs[0] = RuleContext::mapped(1, IndexMap::multiple(sources));
  return rule;
}

Rule gemm_rule(const RuleContext& context, bool summed) {
  const Node& node = context.node;
  if (!context.constant(1)) return context.replicated("weights are not constant");
  if (context.present(2) && !context.constant(2)) return context.replicated("bias is not constant");
  if (node.int_or("transA", 0) != 0) return context.replicated("its input is transposed");
  Rule rule = context.with_form(Form::Linear, 1);
  const bool transposed = node.int_or("transB", 0) != 0;
  rule.weight_out_axis = transposed ? 0 : 1;
  rule.weight_in_axis = transposed ? 1 : 0;
  if (context.sharded(0) && context.axes[0] == 0) {
    // Rows of the input are owned: each node applies all of the weights to its rows.
    Rule rows = context.carried(0, 0);
    if (context.present(2) && context.in(2).size() == 2 && context.in(2)[0] != 1) {
      rows.inputs[2] = RuleContext::mapped(0, IndexMap::identity(context.in(0)[0]));
    }
    return rows;
  }
  if (summed) return summed_rule(context, 1, rule.weight_in_axis);
  rule.inputs[0] = {UseKind::Contracted, 1, {}};
  return rule;
}

/// A product of two computed values, or a batched constant: batch axes (attention heads) first, then rows or
/// columns, then the contraction itself as partial sums.
Rule product_rule(const RuleContext& context) {
  const Shape a = context.in(0);
  const Shape b = context.in(1);
  const Shape out = context.out();
  if (a.size() < 2 || b.size() < 2) return context.replicated("is a vector product");
  const int rank = static_cast<int>(out.size());
  const int shift_a = rank - static_cast<int>(a.size());
  const int shift_b = rank - static_cast<int>(b.size());
  const auto matches = [&](const Shape& shape, int own, int axis) {
    return own >= 0 && extent(shape, own) == extent(out, axis);
  };

  const int axis_a = context.sharded(0) ? context.axes[0] + shift_a : kReplicate;
  const int axis_b = context.sharded(1) ? context.axes[1] + shift_b : kReplicate;
  ShardAxis axis = kReplicate;
  if (axis_a != kReplicate && axis_a < rank - 2 && matches(a, axis_a - shift_a, axis_a)) {
    axis = axis_a;
  } else if (axis_b != kReplicate && axis_b < rank - 2 && matches(b, axis_b - shift_b, axis_b)) {
    axis = axis_b;
  }
  if (axis != kReplicate) {
    Rule rule = context.with_form(Form::Local, axis);
    const IndexMap identity = IndexMap::identity(extent(out, axis));
    if (matches(a, axis - shift_a, axis)) rule.inputs[0] = RuleContext::mapped(axis - shift_a, identity);
    if (matches(b, axis - shift_b, axis)) rule.inputs[1] = RuleContext::mapped(axis - shift_b, identity);
    return rule;
  }
  if (axis_a == rank - 2) return context.carried(context.axes[0], rank - 2);
  if (axis_b == rank - 1) {
    Rule rule = context.with_form(Form::Local, rank - 1);
    rule.inputs[1] = RuleContext::mapped(context.axes[1], IndexMap::identity(extent(out, rank - 1)));
    return rule;
  }
  const bool contracted_a = axis_a == rank - 1;
  const bool contracted_b = axis_b == rank - 2;
  if (contracted_a && contracted_b) {
    Rule rule = context.with_form(Form::PartialSum, kReplicate);
    rule.inputs[0] = {UseKind::Owned, context.axes[0], {}};
    // The second factor follows the first one's owners.
    rule.inputs[1] = RuleContext::mapped(context.axes[1], IndexMap::identity(extent(b, context.axes[1])));
    return rule;
  }
  return context.replicated("the contracted axis of one factor is sharded");
}

Rule matmul_rule(const RuleContext& context, bool summed) {
  const Shape a = context.in(0);
  if (!context.constant(1) || context.in(1).size() != 2 || a.size() < 2) {
    const bool any_sharded = context.sharded(0) || context.sharded(1);
    return any_sharded ? product_rule(context) : context.replicated();
  }
  const int last = static_cast<int>(a.size()) - 1;
  if (context.sharded(0) && context.axes[0] != last) return context.carried(context.axes[0], context.axes[0]);
  if (summed) return summed_rule(context, last, 0);
  Rule rule = context.with_form(Form::Linear, last);
  rule.weight_out_axis = 1;
  rule.weight_in_axis = 0;
  rule.inputs[0] = {UseKind::Contracted, last, {}};
  return rule;
}

/// The one place of a label in a term; nullopt where it is not there once.
std::optional<ShardAxis> place_of(std::string_view term, char label) {
  const std::size_t at = term.find(label);
  if (at == std::string_view::npos || term.find(label, at + 1) != std::string_view::npos) return std::nullopt;
  return static_cast<ShardAxis>(at);
}

/// "bhwc,hkc->bhwk": along a label of the result, each node computes its own; along one that is summed over,
/// summands.
Rule einsum_rule(const RuleContext& context) {
  std::string equation = context.node.string_or("equation", "");
  std::erase(equation, ' ');
  const std::size_t arrow = equation.find("->");
  if (arrow == std::string::npos || equation.find('.') != std::string::npos)
    return context.replicated("its equation does not name every axis");
  const std::string result = equation.substr(arrow + 2);
  std::vector<std::string> terms;
  for (std::size_t at = 0; at <= arrow;) {
    const std::size_t end = std::min(equation.find(',', at), arrow);
    terms.push_back(equation.substr(at, end - at));
    at = end + 1;
  }
  std::size_t first = context.inputs();
  for (std::size_t k = 0; k < context.inputs() && k < terms.size(); ++k) {
    if (context.sharded(k) && (first == context.inputs() || context.in_bytes(k) > context.in_bytes(first)))
      first = k;
  }
  if (first == context.inputs() || terms.size() != context.inputs()) return context.replicated();
  const char label = terms[first].at(static_cast<std::size_t>(context.axes[first]));
  const std::int64_t channels = extent(context.in(first), context.axes[first]);
  const auto out = place_of(result, label);
  const bool summed = result.find(label) == std::string::npos;
  if (!out && (!summed || !context.sharded(0) || place_of(terms[0], label) != context.axes[0]))
    return context.replicated("the sharded axis is summed over, and not the first factor's");
  Rule rule = context.with_form(summed ? Form::PartialSum : Form::Local, summed ? kReplicate : *out);
  for (std::size_t k = 0; k < terms.size(); ++k) {
    if (terms[k].find(label) == std::string::npos) continue;
    const auto place = place_of(terms[k], label);
    if (!place || extent(context.in(k), *place) != channels)
      return context.replicated("takes a diagonal of the sharded axis");
    rule.inputs[k] = RuleContext::mapped(*place, IndexMap::identity(channels));
  }
  if (summed) rule.inputs[0] = {UseKind::Owned, context.axes[0], {}};
  return rule;
}

/// Rows of a constant table: the features of each are split, as a linear map's outputs are.
Rule embedding_rule(const RuleContext& context) {
  const auto features = static_cast<ShardAxis>(context.out().size()) - 1;
  Rule rule = context.with_form(Form::Local, features);
  rule.inputs[0] = RuleContext::mapped(1, IndexMap::identity(context.in(0)[1]));
  return rule;
}

}  // namespace

bool is_dense_map(const Graph& graph, const Node& node) {
  const bool conv = node.is("Conv") && node.int_or("group", 1) == 1;
  return (conv || node.is("Gemm") || node.is("MatMul")) && graph.constant(node.input(1)) != nullptr;
}

bool sums_cheaply(const Graph& graph, const Node& node, const std::vector<ShardAxis>& axes) {
  const ValueId x = node.input(0);
  if (x == kNoValue || !is_dense_map(graph, node) || graph.value(x).type != DataType::Float32) return false;
  const auto channel_axis = [&](ValueId id, const Node& map) {
    return map.is("MatMul") ? static_cast<ShardAxis>(graph.value(id).dims->size()) - 1 : 1;
  };
  const ShardAxis axis = axes[static_cast<std::size_t>(x)];
  if (axis == kReplicate || axis != channel_axis(x, node)) return false;
  const std::int64_t features =
      element_count(graph.value(x).shape()) * static_cast<std::int64_t>(sizeof(float));
  std::int64_t bytes = 0;
  bool single = true;  // position
  const auto is_worth_it = [&](const Node& map) {
    const Value& out = graph.value(map.outputs[0]);
    if (!out.has_shape() || out.dims->size() < 2) return false;
    const Shape shape = out.shape();
    bytes += element_count(shape) * static_cast<std::int64_t>(size_of(out.type));
    single = single && element_count(shape) == shape[0] * extent(shape, channel_axis(map.outputs[0], map));
    return kMuchSmaller * bytes <= features || (single && bytes <= kSmallBytes);
  };
  if (!is_worth_it(node)) return false;
  return std::ranges::all_of(graph.nodes, [&](const Node& other) {
    return &other == &node || other.input(0) != x || !is_dense_map(graph, other) || is_worth_it(other);
  });
}

Rule linear_rule(const RuleContext& context, std::optional<ShardAxis> wanted) {
  if (context.node.is("Gather")) return embedding_rule(context);
  if (context.node.is("Einsum")) return einsum_rule(context);
  if (context.constant(0)) return context.replicated();
  const bool summed = wanted == kReplicate && context.sharded(0);
  if (context.node.is("Gemm")) return gemm_rule(context, summed);
  if (context.node.is("MatMul")) return matmul_rule(context, summed);
  return convolution_rule(context, summed);
}

}  // namespace disco
