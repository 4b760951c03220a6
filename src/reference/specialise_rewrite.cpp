#include "reference/specialise_rewrite.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>

namespace disco {

namespace {

using Subgraph = std::shared_ptr<const Graph>;

/// The node that computes a value, if it is of this operator.
const Node* producer_of(const Graph& graph, const std::vector<std::int32_t>& producers, ValueId id,
                        std::string_view op) {
  if (id == kNoValue) return nullptr;
  const std::int32_t index = producers[static_cast<std::size_t>(id)];
  if (index < 0 || !graph.nodes[static_cast<std::size_t>(index)].is(op)) return nullptr;
  return &graph.nodes[static_cast<std::size_t>(index)];
}

bool fixed(const Graph& graph, ValueId id) { return id != kNoValue && graph.value(id).has_shape(); }

/// The source index of each position of an axis that was split into `parts`, permuted and merged again.
std::vector<std::int64_t> shuffled(const Shape& parts, const std::vector<std::int64_t>& order) {
  const std::int64_t count = element_count(parts);
  std::vector<std::int64_t> strides(parts.size(), 1);
  for (std::size_t i = parts.size() - 1; i-- > 0;) strides[i] = strides[i + 1] * parts[i + 1];
  std::vector<std::int64_t> indices(static_cast<std::size_t>(count));
  for (std::int64_t position = 0; position < count; ++position) {
    std::int64_t rest = position;
    std::int64_t source = 0;
    for (std::size_t i = parts.size(); i-- > 0;) {
      const auto axis = static_cast<std::size_t>(order[i]);
      source += rest % parts[axis] * strides[axis];
      rest /= parts[axis];
    }
    indices[static_cast<std::size_t>(position)] = source;
  }
  return indices;
}

struct Shuffle {
  std::int64_t axis = 0;
  std::vector<std::int64_t> indices;
};

/// Which axis of `whole` was split to give `split` and permuted by `perm`, all others staying; nullopt if
/// none was.
std::optional<Shuffle> find_shuffle(const Shape& whole, const Shape& split,
                                    const std::vector<std::int64_t>& perm) {
  if (split.size() <= whole.size() || perm.size() != split.size()) return std::nullopt;
  const std::size_t parts = split.size() - whole.size() + 1;
  for (std::size_t axis = 0; axis < whole.size(); ++axis) {
    bool matches = true;
    for (std::size_t i = 0; i < whole.size(); ++i) {
      if (i < axis) matches = matches && whole[i] == split[i];
      if (i > axis) matches = matches && whole[i] == split[i + parts - 1];
    }
    for (std::size_t i = 0; i < split.size(); ++i) {
      if (i < axis || i >= axis + parts) matches = matches && perm[i] == static_cast<std::int64_t>(i);
    }
    const Shape inner(split.begin() + static_cast<std::ptrdiff_t>(axis),
                      split.begin() + static_cast<std::ptrdiff_t>(axis + parts));
    if (!matches || whole[axis] == 0 || element_count(inner) != whole[axis]) continue;
    std::vector<std::int64_t> order;
    for (std::size_t i = axis; i < axis + parts; ++i)
      order.push_back(perm[i] - static_cast<std::int64_t>(axis));
    return Shuffle{static_cast<std::int64_t>(axis), shuffled(inner, order)};
  }
  return std::nullopt;
}

}  // namespace

void rewrite_shuffles(Graph& graph) {
  const std::vector<std::int32_t> producers = graph.producers();
  for (Node& last : graph.nodes) {
    if (!last.is("Reshape") || !fixed(graph, last.outputs[0])) continue;
    const Node* transpose = producer_of(graph, producers, last.input(0), "Transpose");
    if (transpose == nullptr) continue;
    const Node* first = producer_of(graph, producers, transpose->input(0), "Reshape");
    if (first == nullptr || !fixed(graph, first->input(0)) || !fixed(graph, first->outputs[0])) continue;
    const Shape whole = graph.value(first->input(0)).shape();
    if (graph.value(last.outputs[0]).shape() != whole) continue;
    const Shape split = graph.value(first->outputs[0]).shape();
    std::vector<std::int64_t> perm(split.size());
    std::iota(perm.rbegin(), perm.rend(), 0);
    const auto shuffle = find_shuffle(whole, split, transpose->ints_or("perm", perm));
    if (!shuffle) continue;
    const auto count = static_cast<std::int64_t>(shuffle->indices.size());
    const ValueId indices = graph.add_constant(graph.value(last.outputs[0]).name + "/shuffle",
                                               Tensor::of<std::int64_t>({count}, shuffle->indices));
    last = {.name = last.name,
            .op = "Gather",
            .inputs = {first->input(0), indices},
            .outputs = last.outputs,
            .attributes = {{"axis", shuffle->axis}}};
  }
}

void rewrite_pixel_shuffles(Graph& graph) {
  using Perm = std::vector<std::int64_t>;
  const std::vector<std::int32_t> producers = graph.producers();
  for (Node& last : graph.nodes) {
    if (!last.is("Reshape") || !fixed(graph, last.outputs[0])) continue;
    const Node* transpose = producer_of(graph, producers, last.input(0), "Transpose");
    if (transpose == nullptr) continue;
    const Node* first = producer_of(graph, producers, transpose->input(0), "Reshape");
    if (first == nullptr || !fixed(graph, first->input(0)) || !fixed(graph, first->outputs[0])) continue;
    const Shape in = graph.value(first->input(0)).shape();
    const Shape parts = graph.value(first->outputs[0]).shape();
    const Shape out = graph.value(last.outputs[0]).shape();
    if (in.size() != 4 || parts.size() != 6 || out.size() != 4) continue;
    const Perm perm = transpose->ints_or("perm", {});
    const bool column_row = perm == Perm{0, 1, 4, 2, 5, 3};  // channels apart into (C, r, r)
    if (!column_row && perm != Perm{0, 3, 4, 1, 5, 2}) continue;
    const std::int64_t channels = column_row ? parts[1] : parts[3];
    const std::int64_t block = parts[2];
    const Shape apart = column_row ? Shape{in[0], channels, block, block, in[2], in[3]}
                                   : Shape{in[0], block, block, channels, in[2], in[3]};
    if (parts != apart || in[1] != channels * block * block ||
        out != Shape{in[0], channels, in[2] * block, in[3] * block})
      continue;
    last = {.name = last.name,
            .op = "DepthToSpace",
            .inputs = {first->input(0)},
            .outputs = last.outputs,
            .attributes = {{"blocksize", block}, {"mode", std::string(column_row ? "CRD" : "DCR")}}};
  }
}

namespace {

/// What a Pad adds before and after each spatial axis of [N, C, ...]; nullopt where it does anything else.
std::optional<std::vector<std::int64_t>> spatial_zeros(const Graph& graph, const Node& pad) {
  const Tensor* given = graph.constant(pad.input(1));
  if (given == nullptr || pad.string_or("mode", "constant") != "constant" || !fixed(graph, pad.input(0)))
    return std::nullopt;
  if (pad.input(2) != kNoValue) {
    const Tensor* with = graph.constant(pad.inputs[2]);
    if (with == nullptr || with->type() != DataType::Float32 || with->elements() != 1 ||
        with->data<float>()[0] != 0.0F)
      return std::nullopt;
  }
  const std::vector<std::int64_t> pads = to_int64s(*given);
  const std::size_t rank = pads.size() / 2;
  if (rank < 3 || rank != graph.value(pad.inputs[0]).dims->size()) return std::nullopt;
  std::vector<std::int64_t> spatial;
  for (std::size_t i = 0; i < pads.size(); ++i) {
    const bool is_spatial = i % rank >= 2;
    if (pads[i] < 0 || (!is_spatial && pads[i] != 0)) return std::nullopt;
    if (is_spatial) spatial.push_back(pads[i]);
  }
  return spatial;
}

}  // namespace

void rewrite_padded_convolutions(Graph& graph) {
  const std::vector<std::int32_t> producers = graph.producers();
  for (Node& conv : graph.nodes) {
    if (!conv.is("Conv")) continue;
    const Node* pad = producer_of(graph, producers, conv.input(0), "Pad");
    const std::string automatic = conv.string_or("auto_pad", "NOTSET");
    if (pad == nullptr || (automatic != "NOTSET" && automatic != "VALID")) continue;
    auto pads = spatial_zeros(graph, *pad);
    if (!pads) continue;
    const auto own = automatic == "VALID" ? std::vector<std::int64_t>() : conv.ints_or("pads", {});
    if (!own.empty() && own.size() != pads->size()) continue;
    for (std::size_t i = 0; i < own.size(); ++i) (*pads)[i] += own[i];
    conv.attributes["pads"] = std::move(*pads);
    conv.attributes.erase("auto_pad");
    conv.inputs[0] = pad->inputs[0];
  }
}

void rewrite_flat_softmax(Graph& graph) {
  const std::vector<std::int32_t> producers = graph.producers();
  for (Node& last : graph.nodes) {
    if (!last.is("Reshape") || !fixed(graph, last.outputs[0])) continue;
    for (const char* op : {"Softmax", "LogSoftmax", "Hardmax"}) {
      const Node* softmax = producer_of(graph, producers, last.input(0), op);
      if (softmax == nullptr) continue;
      const std::int64_t row_axis = softmax->int_or("axis", -1);
      const Node* flatten = producer_of(graph, producers, softmax->input(0), "Flatten");
      if (flatten == nullptr || (row_axis != -1 && row_axis != 1) || !fixed(graph, flatten->input(0)))
        continue;
      const Shape shape = graph.value(flatten->input(0)).shape();
      const auto rank = static_cast<std::int64_t>(shape.size());
      const std::int64_t axis = flatten->int_or("axis", 1);
      if (rank == 0 || (axis != rank - 1 && axis != -1) || graph.value(last.outputs[0]).shape() != shape)
        continue;
      last = {.name = softmax->name,
              .op = op,
              .inputs = {flatten->input(0)},
              .outputs = last.outputs,
              .attributes = {{"axis", std::int64_t{-1}}}};
      break;
    }
  }
}

std::vector<std::string> captured_names(const Node& node) {
  std::vector<std::string> names;
  for (const auto& [key, attribute] : node.attributes) {
    // A graph's captures include those of the graphs inside it.
    if (const auto* inner = std::get_if<Subgraph>(&attribute); inner != nullptr && *inner != nullptr) {
      names.insert(names.end(), (*inner)->captures.begin(), (*inner)->captures.end());
    }
  }
  return names;
}

namespace {

using Renames = std::map<std::string, std::string>;

/// A copy of a node whose subgraphs capture outer values by their new names; false where a new name is taken
/// inside.
bool rename_captures(Node& node, const Renames& renames) {
  for (auto& [key, attribute] : node.attributes) {
    auto* inner = std::get_if<Subgraph>(&attribute);
    if (inner == nullptr || *inner == nullptr) continue;
    Graph copy = **inner;
    Renames own;
    for (std::string& capture : copy.captures) {
      const auto found = renames.find(capture);
      if (found == renames.end() || found->second == capture) continue;
      if (copy.find_value(found->second) != kNoValue) return false;
      const ValueId id = copy.find_value(capture);
      if (id == kNoValue) return false;
      own.insert(*found);
      copy.value(id).name = found->second;
      capture = found->second;
    }
    for (Node& nested : copy.nodes) {
      if (!rename_captures(nested, own)) return false;
    }
    attribute = std::make_shared<const Graph>(std::move(copy));
  }
  return true;
}

}  // namespace

bool inline_branch(Graph& graph, const Node& node, const Graph& branch, std::vector<Node>& nodes) {
  if (branch.outputs.size() != node.outputs.size() || !branch.inputs.empty()) return false;
  std::vector<ValueId> ids(branch.values.size(), kNoValue);
  for (const std::string& capture : branch.captures) {
    const ValueId inner = branch.find_value(capture);
    const ValueId outer = graph.find_value(capture);
    if (inner == kNoValue || outer == kNoValue) return false;
    ids[static_cast<std::size_t>(inner)] = outer;
  }
  const std::size_t values_before = graph.values.size();
  Renames renames;
  std::string prefix;
  for (const ValueId id : node.outputs) {
    if (id != kNoValue && prefix.empty()) prefix = graph.value(id).name + "/";
  }
  for (std::size_t i = 0; i < branch.values.size(); ++i) {
    if (ids[i] != kNoValue) continue;
    const Value& value = branch.values[i];
    ids[i] =
        value.is_constant() ? graph.add_constant(value.name, *value.constant) : graph.add_value(value.name);
    renames[value.name] = graph.value(ids[i]).name;
  }
  const auto outer_id = [&ids](ValueId id) {
    return id == kNoValue ? kNoValue : ids[static_cast<std::size_t>(id)];
  };
  std::vector<Node> added;
  for (Node inner : branch.nodes) {
    std::ranges::transform(inner.inputs, inner.inputs.begin(), outer_id);
    std::ranges::transform(inner.outputs, inner.outputs.begin(), outer_id);
    if (!rename_captures(inner, renames)) {
      graph.values.resize(values_before);
      return false;
    }
    added.push_back(std::move(inner));
  }
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] == kNoValue) continue;
    added.push_back(
        {.op = "Identity", .inputs = {outer_id(branch.outputs[i])}, .outputs = {node.outputs[i]}});
  }
  std::ranges::move(added, std::back_inserter(nodes));
  return true;
}

}  // namespace disco
