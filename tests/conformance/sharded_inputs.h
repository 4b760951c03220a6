#pragma once
// Models whose inputs arrive split: an identity map of constant weights before each gives its channels
// owners, so that every rule meets ONNX's own data.

#include "compare.h"
#include "partition/partition.h"

namespace disco::testing {

struct ShardedForm {
  std::string what;                  ///< "input 'x' split along axis 1, others constant"
  Graph graph;                       ///< shapes fixed
  std::set<std::string> own_values;  ///< what the case's own operators compute
  NamedTensors inputs;
};

struct SplitCount {
  int split = 0;  ///< forms in which at least one operator of the case is split
  int passed = 0;
  int gathered = 0;  ///< forms that run, but with all operators of the case whole
  int refused = 0;   ///< more nodes than channels
  SplitCount& operator+=(const SplitCount& other) {
    split += other.split;
    passed += other.passed;
    gathered += other.gathered;
    refused += other.refused;
    return *this;
  }
};

/// Whether x · 1 + y · 0 + … gives back x: finite, and exact in float32.
inline bool survives_identity(const Tensor& tensor) {
  if (tensor.elements() == 0) return false;
  for (std::int64_t i = 0; i < tensor.elements(); ++i) {
    switch (tensor.type()) {
      case DataType::Float32:
        if (!std::isfinite(tensor.data<float>()[i])) return false;
        break;
      case DataType::Bool: break;
      case DataType::Int32:
        if (std::abs(static_cast<double>(tensor.data<std::int32_t>()[i])) > 0x1p24) return false;
        break;
      case DataType::Int64:
        if (std::abs(static_cast<double>(tensor.data<std::int64_t>()[i])) > 0x1p24) return false;
        break;
      default: return false;
    }
  }
  return true;
}

/// Above this an identity map of an axis is not worth its memory.
inline constexpr std::int64_t kMostChannels = 4096;

/// The value `id`, a graph input so far, is computed from a new input by an identity map over `axis`.
inline void shard_input(Graph& graph, ValueId id, const Tensor& given, int axis) {
  const std::string name = graph.value(id).name;
  std::vector<Node> added;
  const auto step = [&](const std::string& op, std::vector<ValueId> inputs,
                        std::map<std::string, Attribute, std::less<>> attributes = {}) {
    const ValueId out = graph.add_value(fmt::format("{}/{}{}", name, op, added.size()));
    added.push_back(
        {.op = op, .inputs = std::move(inputs), .outputs = {out}, .attributes = std::move(attributes)});
    return out;
  };
  const ValueId input = graph.add_value(name + "/given", given.type());
  graph.value(input).set_shape(given.shape());
  *std::ranges::find(graph.inputs, id) = input;
  ValueId at = input;
  const bool cast = given.type() != DataType::Float32;
  if (cast) at = step("Cast", {at}, {{"to", std::int64_t{1}}});
  const auto rank = static_cast<int>(given.rank());
  const std::int64_t channels = given.shape()[static_cast<std::size_t>(axis)];
  Tensor identity = Tensor::zeros(DataType::Float32, {channels, channels});
  for (std::int64_t c = 0; c < channels; ++c) identity.data<float>()[c * channels + c] = 1.0F;
  if (axis == 1 && rank >= 3 && rank <= 5) {
    Shape kernel(static_cast<std::size_t>(rank), 1);
    kernel[0] = kernel[1] = channels;
    at = step("Conv", {at, graph.add_constant(name + "/identity", identity.reshaped(kernel))});
  } else {
    const ValueId weight = graph.add_constant(name + "/identity", std::move(identity));
    std::vector<std::int64_t> perm(static_cast<std::size_t>(rank));
    for (int d = 0; d < rank; ++d) perm[static_cast<std::size_t>(d)] = d;
    std::swap(perm[static_cast<std::size_t>(axis)], perm.back());
    if (rank == 1) {
      const ValueId axes =
          graph.add_constant(name + "/axes", Tensor::of<std::int64_t>({1}, std::vector<std::int64_t>{0}));
      at = step("Squeeze", {step("MatMul", {step("Unsqueeze", {at, axes}), weight}), axes});
    } else if (axis == rank - 1) {
      at = step("MatMul", {at, weight});
    } else {
      at = step("MatMul", {step("Transpose", {at}, {{"perm", perm}}), weight});
      at = step("Transpose", {at}, {{"perm", perm}});
    }
  }
  if (cast) at = step("Cast", {at}, {{"to", static_cast<std::int64_t>(given.type())}});
  for (Node& node : added) {
    if (node.outputs[0] == at) node.outputs[0] = id;
  }
  graph.nodes.insert(graph.nodes.begin(), std::make_move_iterator(added.begin()),
                     std::make_move_iterator(added.end()));
}

inline void bind_input(Graph& graph, ValueId id, const Tensor& given) {
  Value& value = graph.value(id);
  value.type = given.type();
  value.set_shape(given.shape());
  value.constant = given;
  std::erase(graph.inputs, id);
}

/// The case with its first input split along each of its axes: once with all others
/// constant, as exporters write weights, shapes and indices, and once with the others of the same rank split
/// alike.
inline std::vector<ShardedForm> sharded_forms(const Graph& source, const NamedTensors& inputs) {
  std::vector<ShardedForm> forms;
  if (source.inputs.empty()) return forms;
  const std::string first = source.value(source.inputs[0]).name;
  for (int axis = 0; axis < static_cast<int>(inputs.at(first).rank()); ++axis) {
    for (const bool alike : {false, true}) {
      ShardedForm form;
      form.graph = source;
      for (const Node& node : source.nodes) {
        for (const ValueId id : node.outputs) {
          if (id != kNoValue) form.own_values.insert(source.value(id).name);
        }
      }
      int split = 0;
      bool possible = true;
      for (const ValueId id : source.inputs) {
        const std::string name = source.value(id).name;
        const Tensor& given = inputs.at(name);
        const bool same_rank = given.rank() == inputs.at(first).rank();
        const bool wanted = name == first || (alike && same_rank && survives_identity(given));
        if (!wanted) {
          bind_input(form.graph, id, given);
          continue;
        }
        possible = possible && survives_identity(given) &&
                   given.shape()[static_cast<std::size_t>(axis)] <= kMostChannels;
        if (!possible) break;
        shard_input(form.graph, id, given, axis);
        form.inputs[name + "/given"] = given;
        ++split;
      }
      if (!possible || (alike && split == 1)) continue;
      form.what = fmt::format("input '{}'{} split along axis {}, others constant", first,
                              alike ? " and those like it" : "", axis);
      forms.push_back(std::move(form));
    }
  }
  return forms;
}

/// What goes wrong when the form is split over nodes, or an empty string.
inline std::string run_sharded(const ShardedForm& form, int nodes, const NamedTensors& want,
                               const Tolerance& tolerance, SplitCount& count) {
  const auto graph = specialise(form.graph, shapes_of(form.inputs));
  if (!graph) return "specialise: " + graph.error().message;
  const auto partition = partition_channels(*graph, {nodes, {}});
  if (!partition) {
    switch (partition.error().code) {
      case ErrorCode::InvalidArgument: ++count.refused; return "";
      // The case looks at its input's shape only, so that the identity map is dead too.
      case ErrorCode::Unsupported: ++count.gathered; return "";
      default: return "partition: " + partition.error().message;
    }
  }
  const Layouts layouts = infer_layouts(*graph, partition->chosen_axes);
  bool splits = false;
  for (std::size_t n = 0; n < graph->nodes.size(); ++n) {
    for (const ValueId id : graph->nodes[n].outputs) {
      splits = splits || (id != kNoValue && layouts.rules[n].form != Form::Replicated &&
                          form.own_values.contains(graph->value(id).name));
    }
  }
  ++(splits ? count.split : count.gathered);
  auto shards = make_shards(*graph, *partition);
  if (!shards) return "shards: " + shards.error().message;
  const auto got = run_shards(std::move(*shards), form.inputs);
  if (!got) return "run: " + got.error().message;
  if (std::string text = difference(want, *got, tolerance); !text.empty()) return text;
  if (splits) ++count.passed;
  return "";
}

}  // namespace disco::testing
