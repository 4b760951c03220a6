#include <fmt/format.h>

#include <limits>
#include <set>

#include "base/file.h"
#include "graph/onnx.h"
#include "graph/onnx_proto.h"
#include "graph/onnx_tensor.h"

namespace disco {

namespace {

constexpr int kIrVersion = 8;  // the one that goes with opset 17
// protobuf's limit is 2 GiB; below it, room for everything that is not a weight.
constexpr std::size_t kExternalAbove = 1'900'000'000;
constexpr std::size_t kStaysInside =
    1024;                      // bytes of a tensor that is never worth a place in an external file
constexpr int kMaxDepth = 24;  // of subgraphs; protobuf reads back 100 levels of messages, a subgraph takes 3

/// Writes graphs as protobuf; where `external` is set, large weights go to that file.
class Writer {
 public:
  Writer(bool weights, FileWriter* external, std::string location)
      : weights_(weights), external_(external), location_(std::move(location)) {}

  Status write(const Graph& graph, onnx::GraphProto& proto, int depth);
  Status write(const Graph& graph, const Node& node, onnx::NodeProto& proto, int depth);
  [[nodiscard]] bool uses_disco() const { return uses_disco_; }

 private:
  Status write_attribute(const std::string& key, const Attribute& attribute, onnx::AttributeProto& proto,
                         int depth);
  Status write_initializer(const Value& value, onnx::GraphProto& graph);

  bool weights_;
  FileWriter* external_;
  std::string location_;
  bool uses_disco_ = false;
};

Status Writer::write_initializer(const Value& value, onnx::GraphProto& graph) {
  const Tensor& tensor = *value.constant;
  if (!weights_ && tensor.bytes() > kStaysInside) {
    auto& input = *graph.add_input();
    input.set_name(value.name);
    Value typed = {.name = value.name, .type = tensor.type()};
    typed.set_shape(tensor.shape());
    *input.mutable_type() = type_to_onnx(typed);
    return {};
  }
  auto& proto = *graph.add_initializer();
  proto.set_name(value.name);
  if (external_ == nullptr || tensor.bytes() <= kStaysInside) {
    tensor_to_onnx(tensor, proto);
    return {};
  }
  proto.set_data_type(static_cast<std::int32_t>(tensor.type()));
  for (const std::int64_t extent : tensor.shape()) proto.add_dims(extent);
  proto.set_data_location(onnx::TensorProto::EXTERNAL);
  const auto entry = [&proto](std::string key, std::string text) {
    auto& added = *proto.add_external_data();
    added.set_key(std::move(key));
    added.set_value(std::move(text));
  };
  entry("location", location_);
  entry("offset", std::to_string(external_->size()));
  entry("length", std::to_string(tensor.bytes()));
  return external_->append({tensor.raw(), tensor.bytes()});
}

Status Writer::write_attribute(const std::string& key, const Attribute& attribute,
                               onnx::AttributeProto& proto, int depth) {
  proto.set_name(key);
  if (const auto* integer = std::get_if<std::int64_t>(&attribute)) {
    proto.set_type(onnx::AttributeProto::INT);
    proto.set_i(*integer);
  } else if (const auto* real = std::get_if<float>(&attribute)) {
    proto.set_type(onnx::AttributeProto::FLOAT);
    proto.set_f(*real);
  } else if (const auto* text = std::get_if<std::string>(&attribute)) {
    proto.set_type(onnx::AttributeProto::STRING);
    proto.set_s(*text);
  } else if (const auto* tensor = std::get_if<Tensor>(&attribute)) {
    proto.set_type(onnx::AttributeProto::TENSOR);
    tensor_to_onnx(*tensor, *proto.mutable_t());
  } else if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&attribute)) {
    proto.set_type(onnx::AttributeProto::INTS);
    proto.mutable_ints()->Add(integers->begin(), integers->end());
  } else if (const auto* reals = std::get_if<std::vector<float>>(&attribute)) {
    proto.set_type(onnx::AttributeProto::FLOATS);
    proto.mutable_floats()->Add(reals->begin(), reals->end());
  } else if (const auto* texts = std::get_if<std::vector<std::string>>(&attribute)) {
    proto.set_type(onnx::AttributeProto::STRINGS);
    for (const std::string& one : *texts) proto.add_strings(one);
  } else if (const auto* graph = std::get_if<std::shared_ptr<const Graph>>(&attribute)) {
    proto.set_type(onnx::AttributeProto::GRAPH);
    if (depth >= kMaxDepth)
      return error(ErrorCode::InvalidModel, "subgraphs are nested deeper than {}", kMaxDepth);
    return write(**graph, *proto.mutable_g(), depth + 1);
  }
  return {};
}

Status Writer::write(const Graph& graph, const Node& node, onnx::NodeProto& proto, int depth) {
  proto.set_name(node.name);
  proto.set_op_type(node.op);
  proto.set_domain(node.domain);
  if (node.domain == kDiscoDomain) uses_disco_ = true;
  for (const ValueId id : node.inputs) proto.add_input(id == kNoValue ? "" : graph.value(id).name);
  for (const ValueId id : node.outputs) proto.add_output(id == kNoValue ? "" : graph.value(id).name);
  for (const auto& [key, attribute] : node.attributes) {
    DISCO_CHECK(write_attribute(key, attribute, *proto.add_attribute(), depth));
  }
  return {};
}

Status Writer::write(const Graph& graph, onnx::GraphProto& proto, int depth) {
  proto.set_name(graph.name.empty() ? "graph" : graph.name);  // the checker wants one
  std::vector<bool> listed(graph.values.size(), false);
  const auto describe_value = [&](ValueId id, onnx::ValueInfoProto& info, bool is_interface) {
    const Value& value = graph.value(id);
    listed[static_cast<std::size_t>(id)] = true;
    info.set_name(value.name);
    if (value.type != DataType::Undefined || is_interface) *info.mutable_type() = type_to_onnx(value);
  };
  for (const ValueId id : graph.inputs) describe_value(id, *proto.add_input(), depth == 0);
  for (const ValueId id : graph.outputs) describe_value(id, *proto.add_output(), depth == 0);
  const std::set<std::string_view> captures(graph.captures.begin(), graph.captures.end());
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    const Value& value = graph.values[i];
    if (value.is_constant()) {
      DISCO_CHECK(write_initializer(value, proto));
    } else if (!listed[i] && value.type != DataType::Undefined && !captures.contains(value.name)) {
      describe_value(static_cast<ValueId>(i), *proto.add_value_info(), false);
    }
  }
  for (const Node& node : graph.nodes) DISCO_CHECK(write(graph, node, *proto.add_node(), depth));
  return {};
}

Result<onnx::ModelProto> write_model(const Graph& graph, bool weights, FileWriter* external,
                                     std::string location) {
  onnx::ModelProto model;
  model.set_ir_version(kIrVersion);
  model.set_producer_name("disco");
  Writer writer(weights, external, std::move(location));
  DISCO_CHECK(writer.write(graph, *model.mutable_graph(), 0));
  auto& opset = *model.add_opset_import();
  opset.set_domain("");
  opset.set_version(kOpset);
  if (writer.uses_disco()) {
    auto& own = *model.add_opset_import();
    own.set_domain(std::string(kDiscoDomain));
    own.set_version(1);
  }
  for (const auto& [key, text] : graph.metadata) {
    auto& entry = *model.add_metadata_props();
    entry.set_key(key);
    entry.set_value(text);
  }
  return model;
}

std::size_t constant_bytes(const Graph& graph) {
  std::size_t bytes = 0;
  for (const Value& value : graph.values) {
    if (value.is_constant()) bytes += value.constant->bytes();
  }
  for (const Node& node : graph.nodes) {
    for (const auto& [key, attribute] : node.attributes) {
      if (const auto* tensor = std::get_if<Tensor>(&attribute)) bytes += tensor->bytes();
      if (const auto* inner = std::get_if<std::shared_ptr<const Graph>>(&attribute))
        bytes += constant_bytes(**inner);
    }
  }
  return bytes;
}

Result<std::string> to_bytes(const onnx::ModelProto& model) {
  std::string bytes;
  if (model.ByteSizeLong() > static_cast<std::size_t>(std::numeric_limits<int>::max()) ||
      !model.SerializeToString(&bytes)) {
    return error(ErrorCode::Unsupported, "the model takes {} bytes, an ONNX file holds 2 GiB",
                 model.ByteSizeLong());
  }
  return bytes;
}

}  // namespace

onnx::NodeProto node_to_onnx(const Graph& graph, const Node& node) {
  onnx::NodeProto proto;
  Writer writer(true, nullptr, {});
  Node shallow = node;
  for (auto& [key, attribute] : shallow.attributes) {
    // The definition is checked for "a graph"; its insides are checked where they are read.
    if (std::holds_alternative<std::shared_ptr<const Graph>>(attribute))
      attribute = std::make_shared<const Graph>();
  }
  (void)writer.write(graph, shallow, proto, 0);  // cannot fail without subgraphs and external data
  return proto;
}

Result<onnx::ModelProto> model_to_onnx(const Graph& graph, bool weights) {
  return write_model(graph, weights, nullptr, {});
}

Result<std::string> serialise_onnx(const Graph& graph) {
  if (constant_bytes(graph) > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return error(ErrorCode::Unsupported, "the weights take {} bytes, an ONNX file holds 2 GiB",
                 constant_bytes(graph));
  }
  DISCO_TRY(const onnx::ModelProto model, model_to_onnx(graph));
  return to_bytes(model);
}

Status save_onnx(const Graph& graph, const std::filesystem::path& path, std::size_t external_above) {
  if (constant_bytes(graph) <= external_above) {
    DISCO_TRY(const std::string bytes, serialise_onnx(graph));
    return write_file(path, std::as_bytes(std::span(bytes)));
  }
  std::filesystem::path data = path;
  data += ".data";
  DISCO_TRY(FileWriter external, FileWriter::create(data));
  DISCO_TRY(const onnx::ModelProto model, write_model(graph, true, &external, data.filename().string()));
  DISCO_TRY(const std::string bytes, to_bytes(model));
  // The model comes last: whoever sees it finds its weights.
  DISCO_CHECK(external.commit());
  return write_file(path, std::as_bytes(std::span(bytes)));
}

Status save_onnx(const Graph& graph, const std::filesystem::path& path) {
  return save_onnx(graph, path, kExternalAbove);
}

}  // namespace disco
