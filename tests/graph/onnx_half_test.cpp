// Models of half precision are read as float32: weights, inputs, outputs, casts, subgraphs.

#include <functional>

#include "onnx_models.h"

namespace disco {
namespace {

using test::ModelBuilder;
using test::set;

void add_halves(onnx::TensorProto& tensor, const std::string& name, int type,
                const std::vector<std::uint16_t>& bits) {
  tensor.set_name(name);
  tensor.set_data_type(type);
  tensor.add_dims(static_cast<std::int64_t>(bits.size()));
  for (const std::uint16_t one : bits) tensor.add_int32_data(one);
}

void expect_no_halves(const Graph& graph) {
  for (const Value& value : graph.values) {
    EXPECT_NE(value.type, DataType::Float16) << value.name;
    EXPECT_NE(value.type, DataType::BFloat16) << value.name;
    if (value.is_constant()) {
      EXPECT_EQ(value.constant->type(), value.type) << value.name;
    }
  }
  for (const Node& node : graph.nodes) {
    for (const auto& [name, attribute] : node.attributes) {
      if (const auto* inner = std::get_if<std::shared_ptr<const Graph>>(&attribute))
        expect_no_halves(**inner);
    }
  }
}

class OnnxHalf : public ::testing::TestWithParam<int> {};

TEST_P(OnnxHalf, IsReadAsFloat) {
  const int type = GetParam();
  const bool brain = type == onnx::TensorProto::BFLOAT16;
  ModelBuilder b;
  b.input("x", {3}, type).output("y", {3}, type).output("whole", {3}, onnx::TensorProto::INT64);
  add_halves(*b.graph().add_initializer(), "w", type,
             brain ? std::vector<std::uint16_t>{0x3F80, 0xC020, 0x0000}
                   : std::vector<std::uint16_t>{0x3C00, 0xC100, 0});
  b.node("Mul", {"x", "w"}, {"a"});
  set(b.node("Cast", {"a"}, {"wide"}), "to", std::int64_t{onnx::TensorProto::FLOAT});
  b.node("Relu", {"wide"}, {"r"});
  set(b.node("Cast", {"r"}, {"y"}), "to", std::int64_t{type});
  set(b.node("Cast", {"a"}, {"whole"}), "to", std::int64_t{onnx::TensorProto::INT64});
  const Result<Graph> graph = test::parse(b.model());
  ASSERT_TRUE(graph) << graph.error().message;
  expect_no_halves(*graph);
  EXPECT_EQ(graph->value(graph->inputs[0]).type, DataType::Float32);
  EXPECT_EQ(graph->value(graph->outputs[0]).type, DataType::Float32);
  EXPECT_EQ(graph->value(graph->outputs[1]).type, DataType::Int64);
  const auto weights = graph->constant(graph->find_value("w"))->values<float>();
  EXPECT_EQ(std::vector<float>(weights.begin(), weights.end()), (std::vector<float>{1.0F, -2.5F, 0.0F}));
  // The written file is one that says the same.
  const Result<std::string> bytes = serialise_onnx(*graph);
  ASSERT_TRUE(bytes);
  const Result<Graph> again = parse_onnx(test::as_span(*bytes));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->nodes.size(), graph->nodes.size());
}

TEST_P(OnnxHalf, SubgraphsTooAndWhatNodesMakeUp) {
  const int type = GetParam();
  ModelBuilder b;
  b.input("x", {3}, type)
      .input("c", {}, onnx::TensorProto::BOOL)
      .output("y", {3}, type)
      .output("e", {3, 3}, type);
  auto& choice = b.node("If", {"c"}, {"y"});
  for (const char* key : {"then_branch", "else_branch"}) {
    auto& branch = test::set_graph(choice, key);
    branch.set_name(key);
    add_halves(*branch.add_initializer(), std::string(key) + "/w", type, {0, 0, 0});
    auto& sum = *branch.add_node();
    sum.set_op_type("Add");
    sum.add_input("x");
    sum.add_input(std::string(key) + "/w");
    sum.add_output(std::string(key) + "/y");
    ModelBuilder::fill(*branch.add_output(), std::string(key) + "/y", {3}, type);
  }
  b.integers("shape", {3, 3});
  auto& filled = b.node("ConstantOfShape", {"shape"}, {"f"});
  auto& value = *filled.add_attribute();
  value.set_name("value");
  value.set_type(onnx::AttributeProto::TENSOR);
  add_halves(*value.mutable_t(), "", type, {0});
  set(b.node("EyeLike", {"f"}, {"e"}), "dtype", std::int64_t{type});
  const Result<Graph> graph = test::parse(b.model());
  ASSERT_TRUE(graph) << graph.error().message;
  expect_no_halves(*graph);
  for (const Node& node : graph->nodes) {
    if (node.is("EyeLike")) {
      EXPECT_EQ(node.int_or("dtype", 0), onnx::TensorProto::FLOAT);
    }
    if (node.is("ConstantOfShape")) {
      EXPECT_EQ(std::get<Tensor>(node.attributes.at("value")).type(), DataType::Float32);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, OnnxHalf,
                         ::testing::Values(onnx::TensorProto::FLOAT16, onnx::TensorProto::BFLOAT16));

}  // namespace
}  // namespace disco
