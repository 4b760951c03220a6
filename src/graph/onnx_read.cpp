#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <limits>
#include <set>
#include <unordered_map>

#include "base/file.h"
#include "graph/onnx.h"
#include "graph/onnx_canonical.h"
#include "graph/onnx_order.h"
#include "graph/onnx_proto.h"
#include "graph/onnx_tensor.h"

namespace disco {

namespace {

constexpr int kNewestIr = 13;
constexpr int kCheckerIr = 8;
// Local functions can call each other so that a small file grows without bound; no exporter comes near these.
constexpr std::size_t kMaxExpandedNodes = 100'000;
constexpr int kMaxFunctionDepth = 16;
// Inference walks the body of a Loop several times, and so a nest of them exponentially often.
constexpr int kMaxSubgraphDepth = 6;
constexpr std::size_t kCopiedConstant = 1024;  // bytes of an outer constant that a subgraph gets a copy of

/// What every graph of one model shares while it is read.
struct Model {
  int opset = 0;
  bool infer_ranks = false;
  std::map<std::pair<std::string, std::string>, const onnx::FunctionProto*> functions;
  std::size_t expanded_nodes = 0;
  std::size_t expanded_calls = 0;
};

/// Values by the names of one scope: a graph, or the body of a function.
using Names = std::unordered_map<std::string, ValueId>;
using AttributesByName = std::map<std::string, const onnx::AttributeProto*>;

std::string label_of(const onnx::NodeProto& node) {
  const std::string& name = !node.name().empty()     ? node.name()
                            : node.output_size() > 0 ? node.output(0)
                                                     : node.op_type();
  return fmt::format("node '{}' ({}{}{})", name, node.domain(), node.domain().empty() ? "" : ".",
                     node.op_type());
}

/// Whether an attribute of this name is an element type, of a Cast or of what a node makes up.
bool names_a_type(std::string_view attribute) { return attribute == "to" || attribute == "dtype"; }

/// An element type as tensors of it are read: half types are float32 here.
void as_read(Attribute& type) {
  auto* number = std::get_if<std::int64_t>(&type);
  if (number == nullptr || (*number != onnx::TensorProto::FLOAT16 && *number != onnx::TensorProto::BFLOAT16))
    return;
  *number = onnx::TensorProto::FLOAT;
}

class GraphReader {
 public:
  GraphReader(Model& model, const GraphReader* outer)
      : model_(model), outer_(outer), depth_(outer == nullptr ? 0 : outer->depth_ + 1) {}
  Result<Graph> read(onnx::GraphProto& proto);

 private:
  Status declare(const std::string& name, bool defined);
  Status declare_values(onnx::GraphProto& proto);
  Status declare_captures(const onnx::GraphProto& proto);
  Status read_node(const onnx::NodeProto& proto, Names& names, int opset, const AttributesByName* arguments,
                   int depth);
  Status expand(const onnx::NodeProto& call, const onnx::FunctionProto& function, Node node, int depth);
  Status read_constant(const Node& node, const std::string& label);
  ValueId add_undefined(const std::string& name);
  Result<Attribute> read_attribute(const onnx::AttributeProto& proto);
  [[nodiscard]] bool is_defined(ValueId id) const {
    // Values added while lowering come after the declared ones, and are defined where they are added.
    return static_cast<std::size_t>(id) >= defined_.size() || defined_[static_cast<std::size_t>(id)];
  }
  [[nodiscard]] const Value* find_visible(const std::string& name) const;

  Model& model_;
  const GraphReader* outer_;
  int depth_;
  Graph graph_;
  Names names_;
  std::vector<bool> defined_;
};

const Value* GraphReader::find_visible(const std::string& name) const {
  const auto found = names_.find(name);
  if (found == names_.end() || !is_defined(found->second)) return nullptr;
  return &graph_.value(found->second);
}

/// A value of a function's body, whose node comes later.
ValueId GraphReader::add_undefined(const std::string& name) {
  defined_.resize(graph_.values.size(), true);
  defined_.push_back(false);
  return graph_.add_value(name);
}

Status GraphReader::declare(const std::string& name, bool defined) {
  if (name.empty()) return error(ErrorCode::InvalidModel, "a value without a name");
  const auto id = static_cast<ValueId>(graph_.values.size());
  if (!names_.emplace(name, id).second) {
    return error(ErrorCode::InvalidModel, "value '{}' is computed or given twice", name.substr(0, 100));
  }
  graph_.add_value(name);
  defined_.push_back(defined);
  return {};
}

/// Every name of the file is taken before lowering invents its own, so that none of the file's ever changes.
Status GraphReader::declare_values(onnx::GraphProto& proto) {
  for (const auto& input : proto.input()) {
    DISCO_CHECK(declare(input.name(), true));
    Value& value = graph_.values.back();
    if (outer_ == nullptr || input.has_type()) DISCO_CHECK(type_from_onnx(input.type(), value));
  }
  for (onnx::TensorProto& tensor : *proto.mutable_initializer()) {
    if (!names_.contains(tensor.name())) DISCO_CHECK(declare(tensor.name(), true));
    Value& value = graph_.value(names_.at(tensor.name()));
    if (value.is_constant()) {
      return error(ErrorCode::InvalidModel, "initializer '{}' is given twice", tensor.name().substr(0, 100));
    }
    DISCO_TRY(Tensor elements, tensor_from_onnx(tensor));
    value.type = elements.type();
    value.set_shape(elements.shape());
    value.constant = std::move(elements);
    onnx::TensorProto emptied;  // large models are held once, not twice; Clear() would keep the memory
    emptied.set_name(tensor.name());
    tensor.Swap(&emptied);
  }
  // Before IR 4 every initialiser was listed as an input too; what has a value here is a constant.
  for (const auto& input : proto.input()) {
    const ValueId id = names_.at(input.name());
    if (!graph_.value(id).is_constant()) graph_.inputs.push_back(id);
  }
  for (const auto& node : proto.node()) {
    for (const auto& output : node.output()) {
      if (!output.empty()) DISCO_CHECK(declare(output, false));
    }
  }
  return {};
}

Status GraphReader::declare_captures(const onnx::GraphProto& proto) {
  if (outer_ == nullptr) return {};
  std::vector<std::string> constants;
  for (const std::string& name : free_names(proto)) {
    const Value* value = outer_->find_visible(name);
    if (value == nullptr) {
      return error(ErrorCode::InvalidModel, "value '{}' of a subgraph is computed nowhere before it",
                   name.substr(0, 100));
    }
    if (value->is_constant() && value->constant->bytes() <= kCopiedConstant) {
      constants.push_back(name);
      continue;
    }
    DISCO_CHECK(declare(name, true));
    graph_.captures.push_back(name);
    graph_.values.back().type = value->type;
    graph_.values.back().dims = value->dims;
  }
  // Axes, pads and shapes must be seen inside as the constants that they are; under a name of their own,
  // because a subgraph may not use a name of the graph around it again.
  for (const std::string& name : constants) {
    names_[name] = graph_.add_constant(name + "/copy", *outer_->find_visible(name)->constant);
    defined_.push_back(true);
  }
  return {};
}

Result<Attribute> GraphReader::read_attribute(const onnx::AttributeProto& proto) {
  switch (proto.type()) {
    case onnx::AttributeProto::FLOAT: return Attribute(proto.f());
    case onnx::AttributeProto::INT: return Attribute(static_cast<std::int64_t>(proto.i()));
    case onnx::AttributeProto::STRING: return Attribute(proto.s());
    case onnx::AttributeProto::FLOATS:
      return Attribute(std::vector<float>(proto.floats().begin(), proto.floats().end()));
    case onnx::AttributeProto::INTS:
      return Attribute(std::vector<std::int64_t>(proto.ints().begin(), proto.ints().end()));
    case onnx::AttributeProto::STRINGS:
      return Attribute(std::vector<std::string>(proto.strings().begin(), proto.strings().end()));
    case onnx::AttributeProto::TENSOR: {
      DISCO_TRY(Tensor tensor, tensor_from_onnx(proto.t()));
      return Attribute(std::move(tensor));
    }
    case onnx::AttributeProto::GRAPH: {
      GraphReader reader(model_, this);
      if (reader.depth_ > kMaxSubgraphDepth) {
        return error(ErrorCode::Unsupported, "subgraphs are nested deeper than {}", kMaxSubgraphDepth);
      }
      onnx::GraphProto copy = proto.g();
      DISCO_TRY(Graph graph, reader.read(copy));
      return Attribute(std::make_shared<const Graph>(std::move(graph)));
    }
    case onnx::AttributeProto::UNDEFINED:
      return error(ErrorCode::InvalidModel, "attribute '{}' has no type", proto.name());
    default:
      return error(ErrorCode::Unsupported, "attribute '{}' is of a kind that is not supported ({})",
                   proto.name(), static_cast<int>(proto.type()));
  }
}

/// A Constant node is a constant value; a node remains only where its kind has no tensor.
Status GraphReader::read_constant(const Node& node, const std::string& label) {
  if (node.outputs.size() != 1 || node.outputs[0] == kNoValue || node.attributes.size() != 1) {
    return error(ErrorCode::InvalidModel, "{}: one output and one attribute are wanted", label);
  }
  const auto& [key, attribute] = *node.attributes.begin();
  Tensor tensor;
  if (const auto* value = std::get_if<Tensor>(&attribute); value != nullptr && key == "value") {
    tensor = *value;
  } else if (const auto* real = std::get_if<float>(&attribute); real != nullptr && key == "value_float") {
    tensor = Tensor::scalar(*real);
  } else if (const auto* integer = std::get_if<std::int64_t>(&attribute);
             integer != nullptr && key == "value_int") {
    tensor = Tensor::scalar(*integer);
  } else if (const auto* reals = std::get_if<std::vector<float>>(&attribute);
             reals != nullptr && key == "value_floats") {
    tensor = Tensor::of<float>({static_cast<std::int64_t>(reals->size())}, *reals);
  } else if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&attribute);
             integers != nullptr && key == "value_ints") {
    tensor = Tensor::of<std::int64_t>({static_cast<std::int64_t>(integers->size())}, *integers);
  } else {
    return error(ErrorCode::Unsupported, "{}: constants of kind '{}' are not supported", label, key);
  }
  Value& value = graph_.value(node.outputs[0]);
  value.type = tensor.type();
  value.set_shape(tensor.shape());
  value.constant = std::move(tensor);
  return {};
}

Status GraphReader::read_node(const onnx::NodeProto& proto, Names& names, int opset,
                              const AttributesByName* arguments, int depth) {
  const std::string label = label_of(proto);
  Node node = {
      .name = proto.name(), .op = proto.op_type(), .domain = std::string(canonical_domain(proto.domain()))};
  for (const std::string& input : proto.input()) {
    if (input.empty()) {
      node.inputs.push_back(kNoValue);
      continue;
    }
    const auto found = names.find(input);
    if (found == names.end() || (found->second != kNoValue && !is_defined(found->second))) {
      return error(ErrorCode::InvalidModel, "{}: its input '{}' is computed nowhere before it", label,
                   input.substr(0, 100));
    }
    node.inputs.push_back(found->second);
  }
  for (const std::string& output : proto.output()) {
    node.outputs.push_back(output.empty() ? kNoValue : names.at(output));
  }
  for (const auto& attribute : proto.attribute()) {
    const onnx::AttributeProto* given = &attribute;
    if (!attribute.ref_attr_name().empty()) {
      if (arguments == nullptr) {
        return error(ErrorCode::InvalidModel, "{}: attribute '{}' refers to '{}' outside of a function",
                     label, attribute.name(), attribute.ref_attr_name());
      }
      const auto found = arguments->find(attribute.ref_attr_name());
      if (found == arguments->end()) continue;  // left out by the caller: the operator's own default
      given = found->second;
    }
    if (depth > 0 && given->has_g()) {
      return error(ErrorCode::Unsupported, "{}: subgraphs inside of local functions are not supported",
                   label);
    }
    Result<Attribute> value = read_attribute(*given);
    if (!value) return in_context(label, value.error());
    if (names_a_type(attribute.name())) as_read(*value);
    if (!node.attributes.emplace(attribute.name(), std::move(value).value()).second) {
      return error(ErrorCode::InvalidModel, "{}: attribute '{}' is given twice", label, attribute.name());
    }
  }
  const auto mark_defined = [this](const Node& done) {
    for (const ValueId id : done.outputs) {
      if (id != kNoValue && static_cast<std::size_t>(id) < defined_.size()) {
        defined_[static_cast<std::size_t>(id)] = true;
      }
    }
  };
  if (const auto function = model_.functions.find({node.domain, node.op});
      function != model_.functions.end()) {
    const std::vector<ValueId> outputs = node.outputs;
    DISCO_CHECK(expand(proto, *function->second, std::move(node), depth));
    mark_defined({.outputs = outputs});
    return {};
  }
  if (!node.domain.empty() && node.domain != kDiscoDomain) {
    return error(ErrorCode::Unsupported, "{}: operators of the domain '{}' are not supported", label,
                 node.domain);
  }
  if (node.is("Constant")) {
    DISCO_CHECK(read_constant(node, label));
    mark_defined(node);
    return {};
  }
  const std::vector<ValueId> outputs = node.outputs;
  const std::size_t first = graph_.nodes.size();
  DISCO_CHECK(append_canonical(graph_, std::move(node), opset));
  // What lowering left out (training outputs, the mask of a Dropout) stays undefined, and so cannot be read.
  for (std::size_t n = first; n < graph_.nodes.size(); ++n) {
    if (model_.infer_ranks) infer_quietly(graph_, n);
    mark_defined(graph_.nodes[n]);
  }
  return {};
}

/// Puts a local function's body in the place of its call.
Status GraphReader::expand(const onnx::NodeProto& call, const onnx::FunctionProto& function, Node node,
                           int depth) {
  const std::string label = label_of(call);
  if (depth >= kMaxFunctionDepth) {
    return error(ErrorCode::Unsupported, "{}: local functions are nested deeper than {}", label,
                 kMaxFunctionDepth);
  }
  model_.expanded_nodes += static_cast<std::size_t>(function.node_size());
  if (model_.expanded_nodes > kMaxExpandedNodes) {
    return error(ErrorCode::Unsupported, "{}: local functions expand to more than {} nodes", label,
                 kMaxExpandedNodes);
  }
  int opset = model_.opset;
  for (const auto& import : function.opset_import()) {
    if (canonical_domain(import.domain()).empty()) {
      opset =
          static_cast<int>(std::clamp<std::int64_t>(import.version(), 0, std::numeric_limits<int>::max()));
    }
  }
  if (opset < kOldestOpset || opset > kNewestOpset) {
    return error(ErrorCode::Unsupported, "{}: opset {} is not supported", label, opset);
  }
  if (node.inputs.size() > static_cast<std::size_t>(function.input_size()) ||
      node.outputs.size() > static_cast<std::size_t>(function.output_size())) {
    return error(ErrorCode::InvalidModel, "{}: more inputs or outputs than its function has", label);
  }
  // Attributes by the function's parameter names; defaults (IR 9) are a field that this protobuf does not
  // know.
  AttributesByName arguments;
  std::vector<onnx::AttributeProto> defaults;
  constexpr int kAttributeProtoField = 11;
  const auto& unknown = function.GetReflection()->GetUnknownFields(function);
  defaults.reserve(static_cast<std::size_t>(unknown.field_count()));
  for (int i = 0; i < unknown.field_count(); ++i) {
    const auto& field = unknown.field(i);
    if (field.number() != kAttributeProtoField ||
        field.type() != google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED) {
      continue;
    }
    if (!defaults.emplace_back().ParseFromString(field.length_delimited())) {
      return error(ErrorCode::InvalidModel, "{}: its function has a broken default", label);
    }
    arguments[defaults.back().name()] = &defaults.back();
  }
  for (const auto& attribute : call.attribute()) arguments[attribute.name()] = &attribute;

  Names names;
  for (int i = 0; i < function.input_size(); ++i)
    names[function.input(i)] = node.input(static_cast<std::size_t>(i));
  std::map<std::string, ValueId> results;
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    const std::string& name = function.output(static_cast<int>(i));
    if (node.outputs[i] == kNoValue) continue;
    if (const auto input = names.find(name); input != names.end()) {
      graph_.nodes.push_back({.op = "Identity", .inputs = {input->second}, .outputs = {node.outputs[i]}});
      continue;
    }
    if (!results.emplace(name, node.outputs[i]).second) {
      return error(ErrorCode::InvalidModel, "{}: its function has an output twice", label);
    }
  }
  // A prefix of its own for every call: searching for a free suffix among thousands would take quadratic
  // time.
  const std::string prefix = fmt::format("{}.{}", call.op_type(), model_.expanded_calls++);
  for (const auto& inner : function.node()) {
    for (const std::string& input : inner.input()) {
      if (!input.empty() && !names.contains(input)) {
        return error(ErrorCode::InvalidModel, "{}: value '{}' of its function is computed nowhere before",
                     label, input);
      }
    }
    for (const std::string& output : inner.output()) {
      if (output.empty()) continue;
      const auto result = results.find(output);
      const ValueId id = result != results.end() ? result->second : add_undefined(prefix + "/" + output);
      if (!names.emplace(output, id).second) {
        return error(ErrorCode::InvalidModel, "{}: value '{}' of its function is computed twice", label,
                     output);
      }
    }
    DISCO_CHECK(read_node(inner, names, opset, &arguments, depth + 1));
  }
  for (const auto& [name, id] : results) {
    if (!names.contains(name)) {
      return error(ErrorCode::InvalidModel, "{}: its function computes no '{}'", label, name);
    }
  }
  return {};
}

Result<Graph> GraphReader::read(onnx::GraphProto& proto) {
  graph_.name = proto.name();
  if (proto.sparse_initializer_size() > 0) {
    return error(ErrorCode::Unsupported, "sparse initializers are not supported");
  }
  DISCO_CHECK(declare_values(proto));
  DISCO_CHECK(declare_captures(proto));
  // Annotations of what cannot be a tensor of ours are not needed: who computes it says so.
  for (const auto& info : proto.value_info()) {
    const auto found = names_.find(info.name());
    if (found == names_.end() || graph_.value(found->second).is_constant() || !info.has_type()) continue;
    Value annotated = {.name = info.name()};
    if (!type_from_onnx(info.type(), annotated)) continue;
    graph_.value(found->second).type = annotated.type;
    graph_.value(found->second).dims = std::move(annotated.dims);
  }
  for (const auto& output : proto.output()) {
    const auto found = names_.find(output.name());
    if (found == names_.end()) {
      return error(ErrorCode::InvalidModel, "output '{}' is computed nowhere", output.name().substr(0, 100));
    }
    graph_.outputs.push_back(found->second);
    Value& value = graph_.value(found->second);
    const bool is_computed = !is_defined(found->second);
    if (is_computed && (outer_ == nullptr || output.has_type()))
      DISCO_CHECK(type_from_onnx(output.type(), value));
  }
  for (const auto& node : proto.node()) {
    DISCO_CHECK(read_node(node, names_, model_.opset, nullptr, 0));
  }
  for (const ValueId id : graph_.outputs) {
    if (!is_defined(id)) {
      return error(ErrorCode::Unsupported, "output '{}' is one that only training uses",
                   graph_.value(id).name);
    }
  }
  return std::move(graph_);
}

Status load_external(onnx::GraphProto& graph, ExternalData& data) {
  const auto load = [&data](onnx::TensorProto& tensor) -> Status {
    return tensor.data_location() == onnx::TensorProto::EXTERNAL ? data.load(tensor) : Status();
  };
  for (onnx::TensorProto& tensor : *graph.mutable_initializer()) DISCO_CHECK(load(tensor));
  for (onnx::NodeProto& node : *graph.mutable_node()) {
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_t()) DISCO_CHECK(load(*attribute.mutable_t()));
      if (attribute.has_g()) DISCO_CHECK(load_external(*attribute.mutable_g(), data));
    }
  }
  return {};
}

bool any_needs_ranks(const onnx::GraphProto& graph, int opset) {
  for (const auto& node : graph.node()) {
    if (needs_ranks(node.op_type(), opset)) return true;
    for (const auto& attribute : node.attribute()) {
      if (attribute.has_g() && any_needs_ranks(attribute.g(), opset)) return true;
    }
  }
  return false;
}

/// The opset of the ONNX domain; Unsupported outside [6, 24], InvalidModel where there is none.
Result<int> opset_of(const onnx::ModelProto& model) {
  std::int64_t opset = 0;
  for (const auto& import : model.opset_import()) {
    if (canonical_domain(import.domain()).empty()) opset = std::max<std::int64_t>(opset, import.version());
  }
  // A model of another domain's operators only: these are named where they are read.
  if (opset == 0 && model.opset_import_size() > 0) return kOpset;
  if (opset == 0) return error(ErrorCode::InvalidModel, "no opset of ONNX is imported");
  if (opset < kOldestOpset || opset > kNewestOpset) {
    return error(ErrorCode::Unsupported, "opset {} is not supported, only {} to {}; convert the model first",
                 opset, kOldestOpset, kNewestOpset);
  }
  return static_cast<int>(opset);
}

Result<Graph> read_model(onnx::ModelProto& proto, const std::filesystem::path& folder) {
  Model model;
  if (!proto.has_graph()) return error(ErrorCode::InvalidModel, "not an ONNX model: no graph");
  DISCO_TRY(model.opset, opset_of(proto));
  if (proto.ir_version() > kNewestIr) {
    return error(ErrorCode::Unsupported, "IR version {} is not supported, only up to {}", proto.ir_version(),
                 kNewestIr);
  }
  for (const auto& function : proto.functions()) {
    const std::pair key(std::string(canonical_domain(function.domain())), function.name());
    if (!model.functions.emplace(key, &function).second) {
      return error(ErrorCode::Unsupported, "function '{}' has several overloads", function.name());
    }
    for (const auto& node : function.node()) {
      model.infer_ranks = model.infer_ranks || needs_ranks(node.op_type(), model.opset);
    }
  }
  model.infer_ranks = model.infer_ranks || any_needs_ranks(proto.graph(), model.opset);
  ExternalData data(folder);
  DISCO_CHECK(load_external(*proto.mutable_graph(), data));
  sort_nodes(*proto.mutable_graph());
  // This checker knows opsets to 17; a newer model is checked once it is lowered. Local functions of IR 9 are
  // beyond it too, and so are checked as the nodes that they become.
  const bool checked_late = model.opset > kOpset || proto.functions_size() > 0;
  if (!checked_late) {
    proto.set_ir_version(std::min<std::int64_t>(proto.ir_version(), kCheckerIr));
    DISCO_CHECK(check_model(proto));
  }
  GraphReader reader(model, nullptr);
  DISCO_TRY(Graph graph, reader.read(*proto.mutable_graph()));
  for (const auto& entry : proto.metadata_props()) graph.metadata[entry.key()] = entry.value();
  if (checked_late) {
    DISCO_TRY(onnx::ModelProto lowered, model_to_onnx(graph, /*weights=*/false));
    DISCO_CHECK(check_model(lowered));
  }
  return graph;
}

}  // namespace

Result<Graph> parse_onnx(std::span<const std::byte> bytes, const std::filesystem::path& folder) {
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return error(ErrorCode::InvalidModel, "{} bytes, an ONNX file holds 2 GiB; keep weights in external data",
                 bytes.size());
  }
  try {
    onnx::ModelProto proto;
    if (bytes.empty() || !proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return error(ErrorCode::InvalidModel, "not an ONNX file, or truncated ({} bytes)", bytes.size());
    }
    Result<Graph> graph = read_model(proto, folder);
    // Names in messages come from the file and may hold anything.
    if (!graph) return Error{graph.error().code, one_line(graph.error().message)};
    return graph;
  } catch (const std::bad_alloc&) {
    return error(ErrorCode::InvalidModel, "the model needs more memory than there is");
  }
}

Result<std::pair<std::string, Tensor>> parse_tensor(std::span<const std::byte> bytes) {
  onnx::TensorProto proto;
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()) ||
      !proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return error(ErrorCode::InvalidModel, "not an ONNX tensor, or truncated ({} bytes)", bytes.size());
  }
  if (proto.data_location() == onnx::TensorProto::EXTERNAL) {
    return error(ErrorCode::Unsupported, "tensor '{}' keeps its data in another file", proto.name());
  }
  DISCO_TRY(Tensor tensor, tensor_from_onnx(proto));
  return std::pair(proto.name(), std::move(tensor));
}

Result<Graph> load_onnx(const std::filesystem::path& path) {
  DISCO_TRY(const std::vector<std::byte> bytes, read_file(path));
  const std::filesystem::path folder =
      path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  Result<Graph> graph = parse_onnx(bytes, folder);
  if (!graph) return in_context(path.string(), graph.error());
  return graph;
}

}  // namespace disco
