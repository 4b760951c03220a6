#pragma once
// Small ONNX models for the tests, built field by field so that they can be wrong in any way.

#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "graph/onnx.h"

namespace disco::test {

inline std::span<const std::byte> as_span(const std::string& bytes) {
  return std::as_bytes(std::span(bytes));
}

inline Result<Graph> parse(const onnx::ModelProto& model) {
  return parse_onnx(as_span(model.SerializeAsString()));
}

/// The folder of real data, or empty.
inline std::filesystem::path shared_folder() {
  const char* variable = std::getenv("DISCO_SHARED");
  const std::filesystem::path folder = variable != nullptr
                                           ? std::filesystem::path(variable)
                                           : std::filesystem::path(DISCO_SOURCE_DIR).parent_path() / "shared";
  return std::filesystem::is_directory(folder) ? folder : std::filesystem::path();
}

/// Every .onnx file below a folder, sorted.
inline std::vector<std::filesystem::path> models_below(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> result;
  std::error_code failure;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, failure)) {
    if (entry.path().extension() == ".onnx") result.push_back(entry.path());
  }
  std::ranges::sort(result);
  return result;
}

/// Builds a model with one graph; every call appends.
class ModelBuilder {
 public:
  explicit ModelBuilder(int opset = 17, int ir = 8) {
    model_.set_ir_version(ir);
    auto& import = *model_.add_opset_import();
    import.set_domain("");
    import.set_version(opset);
    model_.mutable_graph()->set_name("test");
  }

  ModelBuilder& input(const std::string& name, const Shape& shape, int type = onnx::TensorProto::FLOAT) {
    fill(*graph().add_input(), name, shape, type);
    return *this;
  }
  ModelBuilder& output(const std::string& name, const Shape& shape, int type = onnx::TensorProto::FLOAT) {
    fill(*graph().add_output(), name, shape, type);
    return *this;
  }
  /// Elements 0.01, 0.02, … of the shape.
  ModelBuilder& weight(const std::string& name, const Shape& shape) {
    auto& tensor = *graph().add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    for (const std::int64_t extent : shape) tensor.add_dims(extent);
    for (std::int64_t i = 0; i < element_count(shape); ++i)
      tensor.add_float_data(0.01F * static_cast<float>(i + 1));
    return *this;
  }
  ModelBuilder& integers(const std::string& name, const std::vector<std::int64_t>& values) {
    auto& tensor = *graph().add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::INT64);
    tensor.add_dims(static_cast<std::int64_t>(values.size()));
    for (const std::int64_t value : values) tensor.add_int64_data(value);
    return *this;
  }
  onnx::NodeProto& node(const std::string& op, const std::vector<std::string>& inputs,
                        const std::vector<std::string>& outputs, const std::string& domain = "") {
    auto& node = *graph().add_node();
    node.set_op_type(op);
    node.set_domain(domain);
    for (const std::string& name : inputs) node.add_input(name);
    for (const std::string& name : outputs) node.add_output(name);
    return node;
  }
  onnx::GraphProto& graph() { return *model_.mutable_graph(); }
  onnx::ModelProto& model() { return model_; }

  static void fill(onnx::ValueInfoProto& info, const std::string& name, const Shape& shape,
                   int type = onnx::TensorProto::FLOAT) {
    info.set_name(name);
    auto& tensor = *info.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(type);
    tensor.mutable_shape();
    for (const std::int64_t extent : shape) {
      auto& dim = *tensor.mutable_shape()->add_dim();
      if (extent >= 0) {
        dim.set_dim_value(extent);
      } else {
        dim.set_dim_param("N");
      }
    }
  }

 private:
  onnx::ModelProto model_;
};

inline void set(onnx::NodeProto& node, const std::string& key, std::int64_t value) {
  auto& attribute = *node.add_attribute();
  attribute.set_name(key);
  attribute.set_type(onnx::AttributeProto::INT);
  attribute.set_i(value);
}
inline void set(onnx::NodeProto& node, const std::string& key, float value) {
  auto& attribute = *node.add_attribute();
  attribute.set_name(key);
  attribute.set_type(onnx::AttributeProto::FLOAT);
  attribute.set_f(value);
}
inline void set(onnx::NodeProto& node, const std::string& key, const std::string& value) {
  auto& attribute = *node.add_attribute();
  attribute.set_name(key);
  attribute.set_type(onnx::AttributeProto::STRING);
  attribute.set_s(value);
}
inline void set(onnx::NodeProto& node, const std::string& key, const std::vector<std::int64_t>& values) {
  auto& attribute = *node.add_attribute();
  attribute.set_name(key);
  attribute.set_type(onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) attribute.add_ints(value);
}
inline onnx::GraphProto& set_graph(onnx::NodeProto& node, const std::string& key) {
  auto& attribute = *node.add_attribute();
  attribute.set_name(key);
  attribute.set_type(onnx::AttributeProto::GRAPH);
  attribute.mutable_g()->set_name(key);
  return *attribute.mutable_g();
}

/// A small network with a bit of everything: a convolution, a branch, a folded shape, typed and raw weights.
inline ModelBuilder small_network(int opset = 17) {
  ModelBuilder builder(opset);
  builder.input("x", {-1, 3, 8, 8}).weight("w", {4, 3, 3, 3}).weight("b", {4}).output("y", {-1, 4});
  auto& convolution = builder.node("Conv", {"x", "w", "b"}, {"c"});
  set(convolution, "pads", std::vector<std::int64_t>{1, 1, 1, 1});
  set(convolution, "kernel_shape", std::vector<std::int64_t>{3, 3});
  builder.node("Relu", {"c"}, {"r"});
  builder.node("GlobalAveragePool", {"r"}, {"g"});
  builder.node("Flatten", {"g"}, {"f"});
  set(builder.node("Softmax", {"f"}, {"y"}), "axis", std::int64_t{1});
  auto& entry = *builder.model().add_metadata_props();
  entry.set_key("author");
  entry.set_value("a test");
  return builder;
}

/// What distinguishes two graphs, or an empty string; values are compared by name, constants by bytes.
inline std::string difference(const Graph& a, const Graph& b) {
  const auto names = [](const Graph& graph, const std::vector<ValueId>& ids) {
    std::string text;
    for (const ValueId id : ids) text += (id == kNoValue ? "-" : graph.value(id).name) + " ";
    return text;
  };
  if (names(a, a.inputs) != names(b, b.inputs))
    return "inputs: " + names(a, a.inputs) + "/ " + names(b, b.inputs);
  if (names(a, a.outputs) != names(b, b.outputs)) return "outputs";
  if (a.metadata != b.metadata) return "metadata";
  if (a.captures.size() != b.captures.size()) return "captures";
  if (a.nodes.size() != b.nodes.size()) return "number of nodes";
  for (std::size_t n = 0; n < a.nodes.size(); ++n) {
    const Node& left = a.nodes[n];
    const Node& right = b.nodes[n];
    const std::string where = describe(a, left) + ": ";
    if (left.op != right.op || left.domain != right.domain || left.name != right.name)
      return where + "operator";
    if (names(a, left.inputs) != names(b, right.inputs)) return where + "inputs";
    if (names(a, left.outputs) != names(b, right.outputs)) return where + "outputs";
    if (left.attributes.size() != right.attributes.size()) return where + "number of attributes";
    for (const auto& [key, attribute] : left.attributes) {
      const auto found = right.attributes.find(key);
      if (found == right.attributes.end() || found->second.index() != attribute.index()) return where + key;
      if (const auto* graph = std::get_if<std::shared_ptr<const Graph>>(&attribute)) {
        const std::string inner = difference(**graph, *std::get<std::shared_ptr<const Graph>>(found->second));
        if (!inner.empty()) return where + inner;
      } else if (const auto* tensor = std::get_if<Tensor>(&attribute)) {
        const Tensor& other = std::get<Tensor>(found->second);
        if (tensor->shape() != other.shape() || tensor->type() != other.type() ||
            !std::equal(tensor->raw(), tensor->raw() + tensor->bytes(), other.raw())) {
          return where + key;
        }
      } else if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&attribute)) {
        if (*integers != std::get<std::vector<std::int64_t>>(found->second)) return where + key;
      } else if (const auto* integer = std::get_if<std::int64_t>(&attribute)) {
        if (*integer != std::get<std::int64_t>(found->second)) return where + key;
      } else if (const auto* text = std::get_if<std::string>(&attribute)) {
        if (*text != std::get<std::string>(found->second)) return where + key;
      } else if (const auto* real = std::get_if<float>(&attribute)) {
        if (*real != std::get<float>(found->second)) return where + key;
      } else if (const auto* reals = std::get_if<std::vector<float>>(&attribute)) {
        if (*reals != std::get<std::vector<float>>(found->second)) return where + key;
      }
    }
  }
  for (const Value& value : a.values) {
    const ValueId id = b.find_value(value.name);
    if (id == kNoValue) return "value '" + value.name + "' is gone";
    const Value& other = b.value(id);
    if (value.is_constant() != other.is_constant())
      return "value '" + value.name + "' is a constant in one only";
    if (value.type != other.type || value.dims != other.dims)
      return "type or extents of '" + value.name + "'";
    if (value.is_constant() &&
        !std::equal(value.constant->raw(), value.constant->raw() + value.constant->bytes(),
                    other.constant->raw())) {
      return "elements of '" + value.name + "'";
    }
  }
  return "";
}

}  // namespace disco::test
