#include "graph/onnx_infer.h"

#include <onnx/defs/schema.h>
#include <onnx/defs/shape_inference.h>

#include <map>
#include <set>

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

/// onnx's functions cut numbers to 32 bits, divide by some and count down by others without looking.
Status check_attributes(const Node& node) {
  for (const auto& [key, attribute] : node.attributes) {
    const auto* number = std::get_if<std::int64_t>(&attribute);
    if (number == nullptr || node.is("Constant") || key == "seed") continue;
    if (*number < -kMaxExtent || *number > kMaxExtent)
      return error(ErrorCode::InvalidModel, "{}={}", key, *number);
  }
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
  if (node.is("LRN") && node.int_or("size", 1) < 1)
    return error(ErrorCode::InvalidModel, "size={}", node.int_or("size", 1));
  if (node.int_or("batch_dims", 0) < 0)
    return error(ErrorCode::InvalidModel, "batch_dims={}", node.int_or("batch_dims", 0));
  for (const char* key : {"allowzero", "ceil_mode", "count_include_pad", "exclusive", "keepdims", "largest",
                          "noop_with_empty_axes", "reverse", "select_last_index", "transA", "transB"}) {
    const std::int64_t yes_or_no = node.int_or(key, 0);
    if (yes_or_no != 0 && yes_or_no != 1) return error(ErrorCode::InvalidModel, "{}={}", key, yes_or_no);
  }
  static const std::set<std::string, std::less<>> directions = {"DCR", "CRD"};
  static const std::set<std::string, std::less<>> roundings = {"round_prefer_floor", "round_prefer_ceil",
                                                               "floor", "ceil"};
  if (node.is("DepthToSpace") && !directions.contains(node.string_or("mode", "DCR")))
    return error(ErrorCode::InvalidModel, "mode='{}'", as_one_line(node.string_or("mode", "")));
  if (node.is("Resize") && !roundings.contains(node.string_or("nearest_mode", "floor")))
    return error(ErrorCode::InvalidModel, "nearest_mode='{}'",
                 as_one_line(node.string_or("nearest_mode", "")));
  // Its square must fit too.
  if (node.int_or("blocksize", 1) > (1 << 15))
    return error(ErrorCode::InvalidModel, "blocksize={}", node.int_or("blocksize", 1));
  return {};
}

/// An axis is one of the first input's; not all of onnx's functions look.
Status check_axis(const Graph& graph, const Node& node) {
  static const std::set<std::string_view> with_axis = {"ArgMax",          "ArgMin",
                                                       "Concat",          "Flatten",
                                                       "Gather",          "GatherElements",
                                                       "Hardmax",         "LayerNormalization",
                                                       "LogSoftmax",      "LpNormalization",
                                                       "ScatterElements", "Softmax",
                                                       "Split",           "TopK",
                                                       "LayerNormApply",  "LayerNormStatistics",
                                                       "SoftmaxApply",    "SoftmaxStatistics"};
  if (!with_axis.contains(node.op) || !node.has("axis") || node.input(0) == kNoValue) return {};
  const Value& x = graph.value(node.inputs[0]);
  if (!x.dims) return {};
  const auto rank = static_cast<std::int64_t>(x.dims->size());
  const std::int64_t axis = node.int_or("axis", 0);
  const std::int64_t most = node.op == "Flatten" ? rank : rank - 1;
  if (axis < -rank || axis > most)
    return error(ErrorCode::InvalidModel, "axis {} of an input of {} axes", axis, rank);
  return {};
}

/// onnx's function takes a permutation of fewer axes than there are.
Status check_permutation(const Graph& graph, const Node& node) {
  if (!node.is("Transpose") || !node.has("perm") || !graph.value(node.inputs[0]).dims) return {};
  const std::vector<std::int64_t> perm = node.ints_or("perm", {});
  const std::size_t rank = graph.value(node.inputs[0]).dims->size();
  std::set<std::int64_t> axes;
  for (const std::int64_t axis : perm) {
    if (axis >= 0 && axis < static_cast<std::int64_t>(rank)) axes.insert(axis);
  }
  if (perm.size() == rank && axes.size() == rank) return {};
  return error(ErrorCode::InvalidModel, "perm={} does not order {} axes", to_string(perm), rank);
}

/// onnx's function does not count a reshape's elements.
Status check_elements(const Graph& graph, const Node& node) {
  if (!node.is("Reshape")) return {};
  const Value& from = graph.value(node.inputs[0]);
  const Value& to = graph.value(node.outputs[0]);
  if (!from.has_shape() || !to.has_shape() || element_count(from.shape()) == element_count(to.shape()))
    return {};
  return error(ErrorCode::InvalidModel, "{} cannot be reshaped to {}", to_string(from.shape()),
               to_string(to.shape()));
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
  const ValueId bias = node.op == "Conv" || transposed ? node.input(2)
                       : node.op == "QLinearConv"      ? node.input(8)
                                                       : kNoValue;
  if (bias != kNoValue && graph.value(bias).has_shape() && outputs.known()) {
    const Shape wanted = {transposed ? outputs.extent * group : outputs.extent};
    if (graph.value(bias).shape() != wanted)
      return error(ErrorCode::InvalidModel, "its bias is of shape {}, not {}",
                   to_string(graph.value(bias).shape()), to_string(wanted));
  }
  return {};
}

/// Nor a normalisation's parameters with its channels.
Status check_parameters(const Graph& graph, const Node& node) {
  if (!node.is("BatchNormalization") && !node.is("InstanceNormalization")) return {};
  const auto& dims = graph.value(node.inputs[0]).dims;
  if (!dims || dims->size() < 2) return {};
  for (std::size_t k = 1; k < node.inputs.size(); ++k) {
    const Value& parameter = graph.value(node.inputs[k]);
    if (!parameter.has_shape() || !(*dims)[1].known()) continue;
    if (parameter.shape() != Shape{(*dims)[1].extent})
      return error(ErrorCode::InvalidModel, "'{}' of shape {} for {} channels", parameter.name,
                   to_string(parameter.shape()), (*dims)[1].extent);
  }
  return {};
}

/// Nor Gemm's factors with each other.
Status check_gemm(const Graph& graph, const Node& node) {
  if (!node.is("Gemm")) return {};
  const Value& a = graph.value(node.inputs[0]);
  const Value& b = graph.value(node.inputs[1]);
  if (!a.has_shape() || !b.has_shape()) return {};
  if (a.shape().size() != 2 || b.shape().size() != 2)
    return error(ErrorCode::InvalidModel, "its inputs are no matrices");
  const bool a_turned = node.int_or("transA", 0) != 0;
  const bool b_turned = node.int_or("transB", 0) != 0;
  const std::int64_t summed = a.shape()[a_turned ? 0 : 1];
  if (summed != b.shape()[b_turned ? 1 : 0]) {
    return error(ErrorCode::InvalidModel, "{} and {} cannot be multiplied", to_string(a.shape()),
                 to_string(b.shape()));
  }
  const ValueId c = node.input(2);
  if (c == kNoValue || !graph.value(c).has_shape()) return {};
  const Shape shape = graph.value(c).shape();
  const std::int64_t wanted[] = {b.shape()[b_turned ? 0 : 1],
                                 a.shape()[a_turned ? 1 : 0]};  // innermost first
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const std::int64_t extent = shape[shape.size() - 1 - d];
    if (d >= 2 || (extent != 1 && extent != wanted[d]))
      return error(ErrorCode::InvalidModel, "its bias of shape {} does not fit the result", to_string(shape));
  }
  return {};
}

/// Nor whether a window fits at all.
Status check_span(const Graph& graph, const Node& node, std::size_t weight) {
  if (node.op == "ConvTranspose" || node.op == "MaxUnpool") return {};
  const std::vector<Dimension>& in = *graph.value(node.inputs[0]).dims;
  const std::size_t axes = in.size() - 2;
  const auto pads = node.ints_or("pads", std::vector<std::int64_t>(2 * axes, 0));
  const auto dilations = node.ints_or("dilations", std::vector<std::int64_t>(axes, 1));
  std::vector<std::int64_t> kernel = node.ints_or("kernel_shape", {});
  if (kernel.empty() && weight > 0 && graph.value(node.inputs[weight]).has_shape()) {
    const Shape taps = graph.value(node.inputs[weight]).shape();
    kernel.assign(taps.begin() + 2, taps.end());
  }
  if (std::ranges::any_of(pads, [](std::int64_t pad) { return pad < 0; }))
    return error(ErrorCode::InvalidModel, "pads={}", to_string(pads));
  if (node.string_or("auto_pad", "NOTSET").starts_with("SAME")) return {};
  for (std::size_t d = 0; d < kernel.size(); ++d) {
    const std::int64_t span = (kernel[d] - 1) * dilations[d] + 1;
    if (in[d + 2].known() && span > in[d + 2].extent + pads[d] + pads[d + axes])
      return error(ErrorCode::InvalidModel, "a kernel spanning {} on an extent of {} padded by {} and {}",
                   span, in[d + 2].extent, pads[d], pads[d + axes]);
  }
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
    const std::vector<std::int64_t> kernel = node.ints_or("kernel_shape", {});
    for (std::size_t d = 0; d < kernel.size() && d + 2 < rank; ++d) {
      const Dimension& taps = (*graph.value(w).dims)[d + 2];
      if (taps.known() && taps.extent != kernel[d])
        return error(ErrorCode::InvalidModel, "kernel_shape={}, its weight is for {} along axis {}",
                     to_string(kernel), taps.extent, d + 2);
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
  return check_span(graph, node, found->second);
}

/// As many inputs and outputs as the operator has, and all there that must be. (Other outputs than the first
/// lose their names where nobody reads them.)
Status check_arity(const Node& node) {
  const auto missing = [](const char* what, std::size_t position) {
    return error(ErrorCode::InvalidModel, "{} {} is missing", what, position);
  };
  const bool gives = node.outputs.empty() || node.outputs[0] != kNoValue;
  if (node.domain == kDiscoDomain) return gives ? Status() : missing("output", 0);
  const auto* schema = onnx::OpSchemaRegistry::Schema(node.op, kOpset, node.domain);
  if (schema == nullptr) return {};
  const auto check = [](const char* what, const std::vector<ValueId>& ids, int least, int most) -> Status {
    const auto count = static_cast<int>(ids.size());
    if (count < least)
      return error(ErrorCode::InvalidModel, "{} {}s, at least {} are wanted", count, what, least);
    if (count > most)
      return error(ErrorCode::InvalidModel, "{} {}s, at most {} are wanted", count, what, most);
    return {};
  };
  DISCO_CHECK(check("input", node.inputs, schema->min_input(), schema->max_input()));
  DISCO_CHECK(check("output", node.outputs, schema->min_output(), schema->max_output()));
  const auto& formal = schema->inputs();
  for (std::size_t i = 0; i < node.inputs.size() && !formal.empty(); ++i) {
    const auto option = formal[std::min(i, formal.size() - 1)].GetOption();
    if (node.inputs[i] == kNoValue && option != onnx::OpSchema::Optional) return missing("input", i);
  }
  const bool must = !schema->outputs().empty() && schema->outputs()[0].GetOption() == onnx::OpSchema::Single;
  return gives || !must ? Status() : missing("output", 0);
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
  // onnx's functions follow null pointers where an input's type is not known.
  for (const ValueId id : node.inputs) {
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
  if (status) status = check_arity(node);
  if (status) status = check_axis(graph, node);
  if (status) status = check_permutation(graph, node);
  if (status) status = check_parameters(graph, node);
  if (status) status = check_gemm(graph, node);
  if (status) status = rule != nullptr ? rule(graph, node, results) : infer_by_onnx(graph, node, results);
  if (!status) return located(status.error());
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] == kNoValue) continue;
    if (const Status merged = merge(graph.value(node.outputs[i]), results[i]); !merged)
      return located(merged.error());
  }
  if (const Status same = check_elements(graph, node); !same) return located(same.error());
  return {};
}

void infer_quietly(Graph& graph, std::size_t node) {
  // infer_node changes values only, never nodes.
  (void)infer_node(graph, graph.nodes[node]);
}

}  // namespace disco
