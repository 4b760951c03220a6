// Reshapes: sharding is carried over when the owned indices are a box of whole elements on both sides.

#include <numeric>

#include "partition/rule_context.h"

namespace disco {

namespace {

/// A run of axes on both sides with the same number of elements.
struct FactorGroup {
  std::size_t in_first, in_last;  // [first, last)
  std::size_t out_first, out_last;
};

std::vector<FactorGroup> factor_groups(const Shape& in, const Shape& out) {
  std::vector<FactorGroup> groups;
  std::size_t i = 0;
  std::size_t o = 0;
  while (i < in.size() || o < out.size()) {
    FactorGroup group{i, i, o, o};
    std::int64_t in_product = 1;
    std::int64_t out_product = 1;
    do {
      if (i < in.size() && (in_product <= out_product || o == out.size())) {
        in_product *= in[i++];
      } else {
        out_product *= out[o++];
      }
    } while (in_product != out_product && (i < in.size() || o < out.size()));
    group.in_last = i;
    group.out_last = o;
    groups.push_back(group);
  }
  return groups;
}

struct AxisSpan {
  std::int64_t extent;
  std::int64_t stride;    // within the group, in elements
  std::int64_t elements;  // of the group
};

AxisSpan span_in_group(const Shape& shape, std::size_t first, std::size_t last, std::size_t axis) {
  AxisSpan span{shape[axis], 1, 1};
  for (std::size_t d = first; d < last; ++d) {
    span.elements *= shape[d];
    if (d > axis) span.stride *= shape[d];
  }
  return span;
}

std::int32_t find_root(std::vector<std::int32_t>& parent, std::int32_t x) {
  while (parent[static_cast<std::size_t>(x)] != x) {
    parent[static_cast<std::size_t>(x)] =
        parent[static_cast<std::size_t>(parent[static_cast<std::size_t>(x)])];
    x = parent[static_cast<std::size_t>(x)];
  }
  return x;
}

constexpr std::int64_t kMostPairs = std::int64_t{1} << 28;  // index pairs that are looked at before giving up

}  // namespace

std::optional<IndexMap> reshape_map(const Shape& in, ShardAxis a, const Shape& out, ShardAxis b) {
  const auto axis_a = static_cast<std::size_t>(a);
  const auto axis_b = static_cast<std::size_t>(b);
  for (const FactorGroup& group : factor_groups(in, out)) {
    const bool has_a = axis_a >= group.in_first && axis_a < group.in_last;
    const bool has_b = axis_b >= group.out_first && axis_b < group.out_last;
    if (!has_a && !has_b) continue;
    if (has_a != has_b) return std::nullopt;
    const AxisSpan from = span_in_group(in, group.in_first, group.in_last, axis_a);
    const AxisSpan to = span_in_group(out, group.out_first, group.out_last, axis_b);
    if (from.extent * to.extent > kMostPairs || from.elements > kMostPairs) return std::nullopt;
    if (from.elements == from.extent && to.elements == to.extent) return IndexMap::identity(from.extent);

    std::vector<bool> met(static_cast<std::size_t>(from.extent * to.extent), false);
    std::vector<std::int32_t> parent(static_cast<std::size_t>(from.extent + to.extent));
    std::iota(parent.begin(), parent.end(), 0);
    std::vector<std::vector<std::int32_t>> sources(static_cast<std::size_t>(to.extent));
    for (std::int64_t position = 0; position < from.elements; ++position) {
      const std::int64_t ia = position / from.stride % from.extent;
      const std::int64_t ib = position / to.stride % to.extent;
      const auto pair = static_cast<std::size_t>(ib * from.extent + ia);
      if (met[pair]) continue;
      met[pair] = true;
      sources[static_cast<std::size_t>(ib)].push_back(static_cast<std::int32_t>(ia));
      parent[static_cast<std::size_t>(find_root(parent, static_cast<std::int32_t>(ia)))] =
          find_root(parent, static_cast<std::int32_t>(from.extent + ib));
    }
    std::int64_t pieces = 0;
    for (std::size_t x = 0; x < parent.size(); ++x)
      pieces += parent[x] == static_cast<std::int32_t>(x) ? 1 : 0;
    if (pieces < 2 && from.extent > 1) return std::nullopt;  // one node would own everything
    for (auto& channels : sources) std::sort(channels.begin(), channels.end());
    return IndexMap::multiple(sources);
  }
  return std::nullopt;
}

std::vector<ShardAxis> reshape_choices(const Shape& in, const Shape& out, ShardAxis axis) {
  std::vector<ShardAxis> valid;
  std::vector<ShardAxis> nontrivial;
  for (const FactorGroup& group : factor_groups(in, out)) {
    if (static_cast<std::size_t>(axis) < group.in_first || static_cast<std::size_t>(axis) >= group.in_last)
      continue;
    for (std::size_t b = group.out_first; b < group.out_last; ++b) {
      if (out[b] == 1) continue;
      nontrivial.push_back(static_cast<ShardAxis>(b));
      if (reshape_map(in, axis, out, static_cast<ShardAxis>(b))) valid.push_back(static_cast<ShardAxis>(b));
    }
  }
  // Exporters split features as (3, heads, head size) or (heads, head size): the last factor but one is what
  // attention keeps apart.
  if (nontrivial.size() >= 2) {
    const auto preferred = std::find(valid.begin(), valid.end(), nontrivial[nontrivial.size() - 2]);
    if (preferred != valid.end()) std::rotate(valid.begin(), preferred, preferred + 1);
  }
  return valid;
}

Rule reshape_rule(const RuleContext& context, std::optional<ShardAxis> wanted) {
  const Shape in = context.in(0);
  const Shape out = context.out();
  const ShardAxis axis = context.axes[0];
  if (wanted == kReplicate) return context.replicated("the reshape leaves fewer pieces than nodes");
  const std::vector<ShardAxis> choices = reshape_choices(in, out, axis);
  if (choices.empty()) return context.replicated("the reshape mixes the sharded axis with others");
  ShardAxis chosen = choices.front();
  if (wanted && std::find(choices.begin(), choices.end(), *wanted) != choices.end()) chosen = *wanted;
  Rule rule = context.with_form(Form::Local, chosen);
  rule.inputs[0] = RuleContext::mapped(axis, *reshape_map(in, axis, out, chosen));
  return rule;
}

}  // namespace disco
