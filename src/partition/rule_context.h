#pragma once
// Private to the rules: one node with its shapes and input layouts.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "partition/rule.h"

namespace disco {

struct RuleContext {
  const Graph& graph;
  const Node& node;
  const std::vector<ShardAxis>& axes;

  [[nodiscard]] std::size_t inputs() const { return node.inputs.size(); }
  [[nodiscard]] bool present(std::size_t k) const { return node.input(k) != kNoValue; }
  [[nodiscard]] bool constant(std::size_t k) const { return graph.constant(node.input(k)) != nullptr; }
  [[nodiscard]] bool sharded(std::size_t k) const { return k < axes.size() && axes[k] != kReplicate; }
  [[nodiscard]] Shape in(std::size_t k) const { return graph.value(node.inputs[k]).shape(); }
  [[nodiscard]] Shape out(std::size_t o = 0) const { return graph.value(node.outputs[o]).shape(); }
  [[nodiscard]] std::int64_t in_bytes(std::size_t k) const {
    return element_count(in(k)) * static_cast<std::int64_t>(size_of(graph.value(node.inputs[k]).type));
  }
  [[nodiscard]] std::vector<std::int64_t> const_ints(std::size_t k) const {
    const Tensor* tensor = graph.constant(node.input(k));
    return tensor != nullptr ? to_int64s(*tensor) : std::vector<std::int64_t>{};
  }

  /// Everything gathered; the rule's outputs lie whole on every node.
  [[nodiscard]] Rule replicated(std::string reason = {}) const {
    Rule rule;
    rule.inputs.resize(inputs());
    for (std::size_t k = 0; k < inputs(); ++k) {
      rule.inputs[k].kind = present(k) ? UseKind::Whole : UseKind::Absent;
    }
    rule.output_axes.assign(node.outputs.size(), kReplicate);
    rule.reason = std::move(reason);
    return rule;
  }
  /// A rule of `form` whose first output is sharded along `axis`; every input whole until said otherwise.
  [[nodiscard]] Rule with_form(Form form, ShardAxis axis) const {
    Rule rule = replicated();
    rule.form = form;
    std::fill(rule.output_axes.begin(), rule.output_axes.end(), axis);
    return rule;
  }
  /// Local, output channel c reading input 0's channel c: `in_axis` becomes `out_axis`.
  [[nodiscard]] Rule carried(ShardAxis in_axis, ShardAxis out_axis) const {
    Rule rule = with_form(Form::Local, out_axis);
    rule.inputs[0] = mapped(in_axis, IndexMap::identity(in(0)[static_cast<std::size_t>(in_axis)]));
    return rule;
  }
  static InputUse mapped(ShardAxis axis, IndexMap map) {
    InputUse use{UseKind::Mapped, axis, {}};
    use.maps.push_back(std::move(map));
    return use;
  }
};

[[nodiscard]] inline std::int64_t normalise_axis(std::int64_t axis, std::size_t rank) {
  return axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis;
}

[[nodiscard]] inline std::int64_t extent(const Shape& shape, ShardAxis axis) {
  return shape[static_cast<std::size_t>(axis)];
}

// The families. Each is called only where some input is sharded, or the operator is a linear map.
// Conv, ConvTranspose, Gemm, MatMul, Einsum, embeddings
[[nodiscard]] Rule linear_rule(const RuleContext& context, std::optional<ShardAxis> wanted);
[[nodiscard]] Rule elementwise_rule(const RuleContext& context);  // numpy broadcasting
[[nodiscard]] Rule reshape_rule(const RuleContext& context, std::optional<ShardAxis> wanted);
[[nodiscard]] Rule movement_rule(
    const RuleContext& context);  // Transpose, Concat, Split, Slice, Gather, Pad …
[[nodiscard]] Rule reduction_rule(
    const RuleContext& context);  // Reduce*, LayerNormalization, Softmax, ArgMax …

}  // namespace disco
