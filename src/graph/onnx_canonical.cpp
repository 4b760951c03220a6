#include "graph/onnx_canonical.h"

#include <onnx/defs/schema.h>

#include <algorithm>
#include <array>

#include "graph/onnx_proto.h"

namespace disco {

ValueId NodeLowering::emit(std::string_view op, std::vector<ValueId> inputs, Attributes attributes) {
  const std::string base = graph.value(node.outputs[0]).name;  // unique, as the node's own name need not be
  const ValueId output = graph.add_value(fmt::format("{}/{}", base, op));
  graph.nodes.push_back({.name = graph.value(output).name,
                         .op = std::string(op),
                         .domain = {},
                         .inputs = std::move(inputs),
                         .outputs = {output},
                         .attributes = std::move(attributes)});
  infer_quietly(graph, graph.nodes.size() - 1);
  return output;
}

ValueId NodeLowering::emit_output(std::size_t position, std::string_view op, std::vector<ValueId> inputs,
                                  Attributes attributes) {
  if (position >= node.outputs.size() || node.outputs[position] == kNoValue)
    return emit(op, std::move(inputs), std::move(attributes));
  graph.nodes.push_back({.name = node.name,
                         .op = std::string(op),
                         .domain = {},
                         .inputs = std::move(inputs),
                         .outputs = {node.outputs[position]},
                         .attributes = std::move(attributes)});
  return node.outputs[position];
}

ValueId NodeLowering::constant(std::string_view suffix, Tensor tensor) {
  return graph.add_constant(fmt::format("{}/{}", graph.value(node.outputs[0]).name, suffix),
                            std::move(tensor));
}

ValueId NodeLowering::int64s(std::string_view suffix, const std::vector<std::int64_t>& values) {
  return constant(suffix, Tensor::of<std::int64_t>({static_cast<std::int64_t>(values.size())}, values));
}

ValueId NodeLowering::scalar_like(std::string_view suffix, double value, ValueId like) {
  const DataType type = like == kNoValue ? DataType::Float32 : graph.value(like).type;
  return constant(
      suffix, type == DataType::Float64 ? Tensor::scalar(value) : Tensor::scalar(static_cast<float>(value)));
}

namespace {

Error located(ErrorCode code, const Graph& graph, const Node& node, int opset, std::string_view what) {
  std::string label = node.name;
  if (label.empty() && !node.outputs.empty() && node.outputs[0] != kNoValue)
    label = graph.value(node.outputs[0]).name;
  return error(code, "node '{}' ({}, opset {}): {}", label, node.op, opset, what);
}

}  // namespace

Error NodeLowering::unsupported(std::string_view what) const {
  return located(ErrorCode::Unsupported, graph, node, opset, what);
}

Error NodeLowering::invalid(std::string_view what) const {
  return located(ErrorCode::InvalidModel, graph, node, opset, what);
}

Result<std::optional<std::vector<std::int64_t>>> NodeLowering::int_input(std::size_t position) const {
  const ValueId id = node.input(position);
  if (id == kNoValue) return std::optional<std::vector<std::int64_t>>{};
  const Tensor* tensor = graph.constant(id);
  if (tensor == nullptr) return unsupported(fmt::format("input {} is not a constant", position));
  if (tensor->type() != DataType::Int64 && tensor->type() != DataType::Int32) {
    return invalid(fmt::format("input {} is not of integers", position));
  }
  return std::optional(to_int64s(*tensor));
}

Result<std::int64_t> NodeLowering::rank(std::size_t position) const {
  const ValueId id = node.input(position);
  if (id == kNoValue || !graph.value(id).dims) {
    return unsupported(fmt::format("the rank of input {} is not known", position));
  }
  return static_cast<std::int64_t>(graph.value(id).dims->size());
}

void NodeLowering::set_input(std::size_t position, ValueId id) {
  if (node.inputs.size() <= position) node.inputs.resize(position + 1, kNoValue);
  node.inputs[position] = id;
}

void NodeLowering::drop(std::string_view attribute) {
  const auto found = node.attributes.find(attribute);
  if (found != node.attributes.end()) node.attributes.erase(found);
}

void NodeLowering::ints_to_input(std::string_view attribute, std::size_t position) {
  if (!node.has(attribute)) return;
  set_input(position, int64s(attribute, node.ints_or(attribute, {})));
  drop(attribute);
}

Status check_definition(const Graph& graph, const Node& node, int opset) {
  const auto* schema = onnx::OpSchemaRegistry::Schema(node.op, kOpset, node.domain);
  if (schema == nullptr || schema->Deprecated()) {
    return located(ErrorCode::Unsupported, graph, node, opset, "the operator has no form in opset 17");
  }
  for (const auto& [key, attribute] : node.attributes) {
    if (schema->attributes().contains(key)) continue;
    return located(opset > kOpset ? ErrorCode::Unsupported : ErrorCode::InvalidModel, graph, node, opset,
                   fmt::format("attribute '{}' has no form in opset 17", key));
  }
  try {
    schema->Verify(node_to_onnx(graph, node));
  } catch (const std::exception& failure) {
    // Later opsets add inputs and outputs, as they do attributes.
    const bool added = static_cast<int>(node.inputs.size()) > schema->max_input() ||
                       static_cast<int>(node.outputs.size()) > schema->max_output();
    return located(opset > kOpset && added ? ErrorCode::Unsupported : ErrorCode::InvalidModel, graph, node,
                   opset, one_line(failure.what()));
  }
  return {};
}

namespace {

/// The operators of shards have no schema in onnx; this is theirs.
Status check_disco(const Graph& graph, const Node& node) {
  struct Definition {
    std::string_view op;
    std::size_t least_inputs, most_inputs, outputs;
  };
  constexpr std::size_t kAny = 1 << 16;
  static constexpr std::array<Definition, 6> kDefinitions = {{{"Send", 1, 1, 0},
                                                              {"Recv", 0, 0, 1},
                                                              {"LayerNormStatistics", 1, 1, 1},
                                                              {"LayerNormApply", 4, kAny, 1},
                                                              {"SoftmaxStatistics", 1, 1, 1},
                                                              {"SoftmaxApply", 2, kAny, 1}}};
  for (const Definition& definition : kDefinitions) {
    if (node.op != definition.op) continue;
    const std::size_t count = node.inputs.size();
    const bool missing = count > 0 && node.inputs[0] == kNoValue;
    if (missing || count < definition.least_inputs || count > definition.most_inputs ||
        node.outputs.size() != definition.outputs) {
      return error(ErrorCode::InvalidModel, "{}: {} inputs and {} outputs cannot be", describe(graph, node),
                   count, node.outputs.size());
    }
    return {};
  }
  return error(ErrorCode::Unsupported, "{}: not an operator of this version", describe(graph, node));
}

}  // namespace

bool needs_ranks(std::string_view op, int opset) {
  static constexpr std::array<std::string_view, 3> kOlder = {"Softmax", "LogSoftmax", "Hardmax"};
  static constexpr std::array<std::string_view, 8> kNewer = {
      "Pad", "Split", "Resize", "GroupNormalization", "Gelu", "RMSNormalization", "Mish", "Swish"};
  if (find_integer_rule(op) != nullptr) return true;
  if (opset < 7) return find_older_rule(op) != nullptr;
  if (opset < 11 && (op == "Clip" || op == "Pad")) return true;
  if (opset < 13) return std::ranges::find(kOlder, op) != kOlder.end();
  return opset > kOpset && std::ranges::find(kNewer, op) != kNewer.end();
}

Status append_canonical(Graph& graph, Node node, int opset) {
  if (node.domain == kDiscoDomain) {
    DISCO_CHECK(check_disco(graph, node));
    graph.nodes.push_back(std::move(node));
    return {};
  }
  NodeLowering lowering(graph, node, opset);
  const LoweringRule integer = find_integer_rule(node.op);
  const LoweringRule rule = integer != nullptr ? integer
                            : opset < kOpset   ? find_older_rule(node.op)
                            : opset > kOpset   ? find_newer_rule(node.op)
                                               : nullptr;
  const std::size_t first = graph.nodes.size();
  if (rule != nullptr) {
    if (node.outputs.empty() || node.outputs[0] == kNoValue || node.inputs.empty() ||
        node.inputs[0] == kNoValue) {
      return lowering.invalid("the first input or output is missing");
    }
    DISCO_TRY(const Lowered lowered, rule(lowering));
    if (lowered == Lowered::Append) graph.nodes.push_back(std::move(node));
  } else {
    graph.nodes.push_back(std::move(node));
  }
  for (std::size_t n = first; n < graph.nodes.size(); ++n) {
    Node& added = graph.nodes[n];
    while (!added.inputs.empty() && added.inputs.back() == kNoValue) added.inputs.pop_back();
    // Old exporters give Resize empty tensors where opset 13 leaves the input out.
    if (added.is("Resize")) {
      for (std::size_t i = 1; i < added.inputs.size(); ++i) {
        const Tensor* tensor = graph.constant(added.inputs[i]);
        if (tensor != nullptr && tensor->elements() == 0) added.inputs[i] = kNoValue;
      }
      if (added.string_or("coordinate_transformation_mode", "half_pixel") != "tf_crop_and_resize" &&
          added.inputs.size() > 2) {
        added.inputs[1] = kNoValue;
      }
      while (!added.inputs.empty() && added.inputs.back() == kNoValue) added.inputs.pop_back();
    }
    DISCO_CHECK(check_definition(graph, added, opset));
  }
  return {};
}

}  // namespace disco
