#include "graph/onnx_infer.h"

#include <onnx/defs/schema.h>
#include <onnx/defs/shape_inference.h>

#include <map>

#include "graph/onnx.h"
#include "graph/onnx_proto.h"
#include "graph/onnx_tensor.h"

namespace disco {

namespace {

// Shapes, axes, pads and the like are shorter; weights are of no interest to inference.
constexpr std::int64_t kMaxInputData = 1 << 16;

/// One node's view for onnx's inference functions.
class Context final : public onnx::InferenceContext {
 public:
  Context(const Graph& graph, const Node& node) : node_proto_(node_to_onnx(graph, node)) {
    for (const auto& attribute : node_proto_.attribute()) attributes_[attribute.name()] = &attribute;
    input_types_.resize(node.inputs.size());
    has_input_type_.resize(node.inputs.size(), false);
    input_data_.resize(node.inputs.size());
    constants_.resize(node.inputs.size(), nullptr);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      const Value& value = graph.value(node.inputs[i]);
      if (value.type == DataType::Undefined) continue;
      has_input_type_[i] = true;
      input_types_[i] = type_to_onnx(value);
      constants_[i] = graph.constant(node.inputs[i]);
    }
    output_types_.resize(node.outputs.size());
  }

  const onnx::AttributeProto* getAttribute(const std::string& name) const override {
    const auto found = attributes_.find(name);
    return found == attributes_.end() ? nullptr : found->second;
  }
  std::size_t getNumInputs() const override { return input_types_.size(); }
  const onnx::TypeProto* getInputType(std::size_t index) const override {
    if (index >= input_types_.size()) throw onnx::InferenceError("an input is missing");
    return has_input_type_[index] ? &input_types_[index] : nullptr;
  }
  const onnx::TensorProto* getInputData(std::size_t index) const override {
    if (index >= constants_.size()) throw onnx::InferenceError("an input is missing");
    const Tensor* constant = constants_[index];
    if (constant == nullptr || constant->elements() > kMaxInputData) return nullptr;
    if (!input_data_[index]) {
      input_data_[index] = std::make_unique<onnx::TensorProto>();
      tensor_to_onnx(*constant, *input_data_[index]);
    }
    return input_data_[index].get();
  }
  const onnx::SparseTensorProto* getInputSparseData(std::size_t) const override { return nullptr; }
  const onnx::TensorShapeProto* getSymbolicInput(std::size_t) const override { return nullptr; }
  std::size_t getNumOutputs() const override { return output_types_.size(); }
  onnx::TypeProto* getOutputType(std::size_t index) override {
    if (index >= output_types_.size()) throw onnx::InferenceError("an output is missing");
    return &output_types_[index];
  }
  onnx::GraphInferencer* getGraphAttributeInferencer(const std::string&) override {
    throw onnx::InferenceError("subgraphs are inferred by their own rules");
  }

  [[nodiscard]] const onnx::TypeProto& output_type(std::size_t index) const { return output_types_[index]; }

 private:
  onnx::NodeProto node_proto_;
  std::map<std::string, const onnx::AttributeProto*> attributes_;
  std::vector<onnx::TypeProto> input_types_;
  std::vector<bool> has_input_type_;
  std::vector<const Tensor*> constants_;
  mutable std::vector<std::unique_ptr<onnx::TensorProto>> input_data_;
  std::vector<onnx::TypeProto> output_types_;
};

/// onnx's functions divide by these, and count down by them, without looking.
Status check_attributes(const Node& node) {
  for (const char* key : {"strides", "dilations", "kernel_shape"}) {
    for (const std::int64_t number : node.ints_or(key, {})) {
      if (number < 1 || number > kMaxExtent) {
        return error(ErrorCode::InvalidModel, "{} holds {}", key, number);
      }
    }
  }
  for (const char* key : {"pads", "output_padding", "output_shape"}) {
    for (const std::int64_t number : node.ints_or(key, {})) {
      if (number < -kMaxExtent || number > kMaxExtent) {
        return error(ErrorCode::InvalidModel, "{} holds {}", key, number);
      }
    }
  }
  for (const char* key : {"group", "blocksize"}) {
    if (node.int_or(key, 1) < 1) return error(ErrorCode::InvalidModel, "{}={}", key, node.int_or(key, 1));
  }
  return {};
}

/// onnx's functions do not compare a convolution's channels with its weight's.
Status check_channels(const Graph& graph, const Node& node, std::size_t weight) {
  const ValueId w = node.input(weight);
  if (weight == 0 || w == kNoValue || !graph.value(w).dims) return {};
  const Dimension channels = (*graph.value(node.inputs[0]).dims)[1];
  const bool transposed = node.op == "ConvTranspose";
  const Dimension per_group = (*graph.value(w).dims)[transposed ? 0 : 1];
  const Dimension outputs = (*graph.value(w).dims)[transposed ? 1 : 0];
  const std::int64_t group = node.int_or("group", 1);
  if (group < 1 || group > kMaxExtent) return error(ErrorCode::InvalidModel, "group is {}", group);
  if (channels.known() && per_group.known()) {
    const std::int64_t wanted = transposed ? per_group.extent : per_group.extent * group;
    if (channels.extent != wanted) {
      return error(ErrorCode::InvalidModel, "its input has {} channels, its weight is for {}",
                   channels.extent, wanted);
    }
    if (channels.extent % group != 0)
      return error(ErrorCode::InvalidModel, "{} channels in {} groups", channels.extent, group);
  }
  if (!transposed && outputs.known() && outputs.extent % group != 0)
    return error(ErrorCode::InvalidModel, "{} output channels in {} groups", outputs.extent, group);
  return {};
}

/// onnx's function for windows reads as many extents as its attributes name, and not as many as there are.
Status check_window(const Graph& graph, const Node& node) {
  static const std::map<std::string_view, std::size_t> weights = {
      {"Conv", 1},    {"ConvTranspose", 1}, {"ConvInteger", 1}, {"QLinearConv", 3},
      {"MaxPool", 0}, {"AveragePool", 0},   {"LpPool", 0},      {"MaxUnpool", 0}};
  const auto found = weights.find(node.op);
  if (found == weights.end()) return {};
  const ValueId x = node.input(0);
  if (x == kNoValue || !graph.value(x).dims) return {};
  const std::size_t rank = graph.value(x).dims->size();
  if (rank < 2) return error(ErrorCode::InvalidModel, "its input has {} axes", rank);
  if (const ValueId w = node.input(found->second);
      found->second > 0 && w != kNoValue && graph.value(w).dims) {
    const std::size_t weight_rank = graph.value(w).dims->size();
    if (weight_rank != rank) {
      return error(ErrorCode::InvalidModel, "its input has {} axes and its weight {}", rank, weight_rank);
    }
  }
  DISCO_CHECK(check_channels(graph, node, found->second));
  for (const char* key : {"strides", "dilations", "kernel_shape", "output_padding", "pads"}) {
    const std::size_t wanted = (rank - 2) * (std::string_view(key) == "pads" ? 2 : 1);
    if (node.has(key) && node.ints_or(key, {}).size() != wanted) {
      return error(ErrorCode::InvalidModel, "{} holds {} numbers, {} are wanted", key,
                   node.ints_or(key, {}).size(), wanted);
    }
  }
  return {};
}

/// With ceil_mode the last window must still start inside the input or the padding before it, as PyTorch does
/// and opset 22 says; the functions of opset 17 count one that starts beyond.
void drop_late_windows(const Graph& graph, const Node& node, Inferred& pooled) {
  if (node.int_or("ceil_mode", 0) == 0 || node.string_or("auto_pad", "NOTSET").starts_with("SAME")) return;
  const auto& in = graph.value(node.inputs[0]).dims;
  if (!in || !pooled.dims || in->size() != pooled.dims->size()) return;
  const std::size_t axes = in->size() - 2;
  const std::vector<std::int64_t> strides = node.ints_or("strides", std::vector<std::int64_t>(axes, 1));
  const std::vector<std::int64_t> pads = node.ints_or("pads", std::vector<std::int64_t>(2 * axes, 0));
  for (std::size_t i = 0; i < axes; ++i) {
    std::int64_t& out = (*pooled.dims)[i + 2].extent;
    std::int64_t start = 0;
    if ((*in)[i + 2].known() && out > 1 &&
        (__builtin_mul_overflow(out - 1, strides[i], &start) || start >= (*in)[i + 2].extent + pads[i])) {
      --out;
    }
  }
}

Status infer_by_onnx(const Graph& graph, const Node& node, std::vector<Inferred>& results) {
  // onnx defines these by functions, and infers nothing; the others' results are of the same type and
  // extents.
  static const std::map<std::string_view, std::string> alike = {{"GreaterOrEqual", "Greater"},
                                                                {"LessOrEqual", "Less"}};
  const auto other = alike.find(node.op);
  const auto* schema =
      onnx::OpSchemaRegistry::Schema(other == alike.end() ? node.op : other->second, kOpset, node.domain);
  if (schema == nullptr) return error(ErrorCode::Unsupported, "no operator of opset 17");
  if (!schema->has_type_and_shape_inference_function()) return {};
  // onnx's functions follow null pointers where an input that must be is not there, or its type is not known.
  if (node.inputs.size() < static_cast<std::size_t>(schema->min_input())) {
    return error(ErrorCode::InvalidModel, "{} inputs, at least {} are wanted", node.inputs.size(),
                 schema->min_input());
  }
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId id = node.inputs[i];
    if (id == kNoValue && i < static_cast<std::size_t>(schema->min_input())) {
      return error(ErrorCode::InvalidModel, "input {} is missing", i);
    }
    if (id != kNoValue && graph.value(id).type == DataType::Undefined) return {};
  }
  DISCO_CHECK(check_window(graph, node));
  Context context(graph, node);
  try {
    schema->GetTypeAndShapeInferenceFunction()(context);
  } catch (const std::exception& failure) {
    return error(ErrorCode::InvalidModel, "{}", one_line(failure.what()));
  }
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    const onnx::TypeProto& type = context.output_type(i);
    if (!type.has_tensor_type()) continue;
    DISCO_TRY(results[i].type, type_from_onnx(type.tensor_type().elem_type()));
    if (!type.tensor_type().has_shape()) continue;
    results[i].dims.emplace();
    for (const auto& dim : type.tensor_type().shape().dim()) {
      Dimension out;
      if (dim.has_dim_value()) {
        out.extent = dim.dim_value();
        if (out.extent < 0 || out.extent > kMaxExtent) {
          return error(ErrorCode::InvalidModel, "output {} would have an extent of {}", i, out.extent);
        }
      } else if (dim.has_dim_param()) {
        out.symbol = dim.dim_param();
      }
      results[i].dims->push_back(std::move(out));
    }
    if (node.is("MaxPool") || node.is("AveragePool")) drop_late_windows(graph, node, results[i]);
  }
  return {};
}

/// What was known stays, what is newly known is added, and a contradiction is an error.
Status merge(Value& value, const Inferred& inferred) {
  if (inferred.type != DataType::Undefined) {
    if (value.type != DataType::Undefined && value.type != inferred.type) {
      return error(ErrorCode::InvalidModel, "'{}' is declared {} but would be {}", value.name,
                   to_string(value.type), to_string(inferred.type));
    }
    value.type = inferred.type;
  }
  if (!inferred.dims) return {};
  if (!value.dims) {
    value.dims = inferred.dims;
  } else if (value.dims->size() != inferred.dims->size()) {
    return error(ErrorCode::InvalidModel, "'{}' is declared with {} axes but would have {}", value.name,
                 value.dims->size(), inferred.dims->size());
  } else {
    for (std::size_t i = 0; i < value.dims->size(); ++i) {
      Dimension& known = (*value.dims)[i];
      const Dimension& found = (*inferred.dims)[i];
      if (known.known() && found.known() && known.extent != found.extent) {
        return error(ErrorCode::InvalidModel, "axis {} of '{}' is declared {} but would be {}", i, value.name,
                     known.extent, found.extent);
      }
      if (!known.known() && (found.known() || known.symbol.empty())) known = found;
    }
  }
  if (value.has_shape() && !is_sane(value.shape())) {
    return error(ErrorCode::InvalidModel, "'{}' would have the shape {}", value.name,
                 to_string(value.shape()));
  }
  return {};
}

}  // namespace

Status infer_node(Graph& graph, const Node& node) {
  const auto located = [&](const Error& inner) {
    return error(inner.code, "{}: {}", describe(graph, node), inner.message);
  };
  std::vector<Inferred> results(node.outputs.size());
  const auto rule = find_own_rule(node);
  Status status = check_attributes(node);
  if (status) status = rule != nullptr ? rule(graph, node, results) : infer_by_onnx(graph, node, results);
  if (!status) return located(status.error());
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] == kNoValue) continue;
    if (const Status merged = merge(graph.value(node.outputs[i]), results[i]); !merged)
      return located(merged.error());
  }
  return {};
}

void infer_quietly(Graph& graph, std::size_t node) {
  // infer_node changes values only, never nodes.
  (void)infer_node(graph, graph.nodes[node]);
}

}  // namespace disco
