// Every opset comes out as opset 17: the forms, operator by operator. What they compute is tested in
// tests/reference.

#include "graph/onnx_canonical.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>

#include "onnx_models.h"

namespace disco {
namespace {

using test::ModelBuilder;
using test::set;
using Ints = std::vector<std::int64_t>;

std::string operators(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) names.push_back(node.op);
  return fmt::format("{}", fmt::join(names, " "));
}

/// The elements of the constant at an input, "-" where there is none.
std::string constant_at(const Graph& graph, const Node& node, std::size_t position) {
  const Tensor* tensor = graph.constant(node.input(position));
  if (tensor == nullptr) return "-";
  if (tensor->type() == DataType::Int64) return fmt::format("{}", fmt::join(to_int64s(*tensor), " "));
  return fmt::format("{}", fmt::join(tensor->values<float>(), " "));
}

void expect_written_form_is_valid(const Graph& graph, const std::string& label) {
  const Result<std::string> bytes = serialise_onnx(graph);
  ASSERT_TRUE(bytes) << label;
  const Result<Graph> again = parse_onnx(test::as_span(*bytes));
  EXPECT_TRUE(again) << label << ": " << again.error().message;
}

TEST(OnnxCanonical, AttributesThatBecameInputs) {
  struct Case {
    std::string op;
    int opset;
    std::string attribute;
    std::size_t position;
    Ints given;
  };
  for (const Case& one : std::vector<Case>{{"Squeeze", 11, "axes", 1, {0}},
                                           {"Squeeze", 6, "axes", 1, {0}},
                                           {"Unsqueeze", 12, "axes", 1, {0, 2}},
                                           {"ReduceSum", 11, "axes", 1, {1}},
                                           {"Split", 12, "split", 1, {4}},
                                           {"Pad", 10, "pads", 1, {0, 0, 0, 0, 1, 1}},
                                           {"Slice", 9, "starts", 1, {0}}}) {
    ModelBuilder builder(one.opset);
    builder.input("x", {1, 4, 4}).output("y", {});
    builder.graph().mutable_output(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
    auto& node = builder.node(one.op, {"x"}, {"y"});
    set(node, one.attribute, one.given);
    if (one.op == "Slice") set(node, "ends", Ints{1});
    if (one.op == "Split") set(node, "axis", std::int64_t{1});
    const Result<Graph> graph = test::parse(builder.model());
    const std::string label = fmt::format("{} of opset {}", one.op, one.opset);
    ASSERT_TRUE(graph) << label << ": " << graph.error().message;
    ASSERT_EQ(operators(*graph), one.op) << label;
    EXPECT_EQ(constant_at(*graph, graph->nodes[0], one.position),
              fmt::format("{}", fmt::join(one.given, " ")))
        << label;
    EXPECT_FALSE(graph->nodes[0].has(one.attribute)) << label;
    expect_written_form_is_valid(*graph, label);
  }
}

TEST(OnnxCanonical, InputsThatWereAttributes) {
  for (const std::string op : {"ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
                               "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"}) {
    for (const int opset : {18, 20, 23}) {
      ModelBuilder builder(opset);
      builder.input("x", {2, 3, 4}).integers("axes", {-1, 0}).output("y", {1, 3, 1});
      builder.node(op, {"x", "axes"}, {"y"});
      const Result<Graph> graph = test::parse(builder.model());
      ASSERT_TRUE(graph) << op << ": " << graph.error().message;
      ASSERT_EQ(operators(*graph), op);
      EXPECT_EQ(graph->nodes[0].ints_or("axes", {}), (Ints{-1, 0})) << op;
      EXPECT_EQ(graph->nodes[0].inputs.size(), 1U) << op;
      expect_written_form_is_valid(*graph, op);
    }
  }
  ModelBuilder computed(18);
  computed.input("x", {2, 3}).input("axes", {1}, onnx::TensorProto::INT64).output("y", {1, 1});
  computed.node("ReduceMean", {"x", "axes"}, {"y"});
  const Result<Graph> graph = test::parse(computed.model());
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().code, ErrorCode::Unsupported);
  EXPECT_EQ(graph.error().message, "node 'y' (ReduceMean, opset 18): input 1 is not a constant");
}

TEST(OnnxCanonical, SoftmaxOfOldOpsetsIsFlatUnlessItsAxisIsLast) {
  for (const std::string op : {"Softmax", "LogSoftmax", "Hardmax"}) {
    for (const std::int64_t axis : {-3, -2, -1, 0, 1, 2}) {
      for (const int opset : {11, 12, 13}) {
        ModelBuilder builder(opset);
        builder.input("x", {2, 3, 4}).output("y", {2, 3, 4});
        set(builder.node(op, {"x"}, {"y"}), "axis", axis);
        const Result<Graph> graph = test::parse(builder.model());
        const std::string label = fmt::format("{} axis {} opset {}", op, axis, opset);
        ASSERT_TRUE(graph) << label << ": " << graph.error().message;
        const bool one = opset >= 13 || axis == -1 || axis == 2;
        EXPECT_EQ(operators(*graph), one ? op : "Flatten " + op + " Shape Reshape") << label;
        expect_written_form_is_valid(*graph, label);
      }
    }
  }
}

TEST(OnnxCanonical, DefaultsThatChanged) {
  ModelBuilder align(15);
  align.input("x", {1, 1, 4, 4})
      .input("r", {1, 4})
      .input("b", {1}, onnx::TensorProto::INT64)
      .output("y", {1, 1, 1, 1});
  align.node("RoiAlign", {"x", "r", "b"}, {"y"});
  Result<Graph> graph = test::parse(align.model());
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(graph->nodes[0].string_or("coordinate_transformation_mode", ""), "output_half_pixel");

  for (const int opset : {7, 9}) {
    ModelBuilder upsample(opset);
    upsample.input("x", {1, 1, 4, 4}).output("y", {1, 1, 8, 8});
    if (opset == 9) {
      auto& scales = *upsample.graph().add_initializer();
      scales.set_name("s");
      scales.set_data_type(onnx::TensorProto::FLOAT);
      scales.add_dims(4);
      for (const float scale : {1.0F, 1.0F, 2.0F, 2.0F}) scales.add_float_data(scale);
      upsample.node("Upsample", {"x", "s"}, {"y"});
      upsample.model().set_ir_version(4);
    } else {
      auto& attribute = *upsample.node("Upsample", {"x"}, {"y"}).add_attribute();
      attribute.set_name("scales");
      attribute.set_type(onnx::AttributeProto::FLOATS);
      for (const float scale : {1.0F, 1.0F, 2.0F, 2.0F}) attribute.add_floats(scale);
    }
    graph = test::parse(upsample.model());
    ASSERT_TRUE(graph) << graph.error().message;
    EXPECT_EQ(operators(*graph), "Resize");
    EXPECT_EQ(constant_at(*graph, graph->nodes[0], 2), "1 1 2 2");
    EXPECT_EQ(graph->nodes[0].string_or("coordinate_transformation_mode", ""), "asymmetric");
    EXPECT_EQ(graph->nodes[0].string_or("nearest_mode", ""), "floor");
  }
}

TEST(OnnxCanonical, PadAndResizeOfSomeAxes) {
  ModelBuilder pad(18);
  pad.input("x", {1, 2, 3, 4})
      .integers("p", {1, 2, 3, 4})
      .integers("axes", {-1, 1})
      .output("y", {1, 8, 3, 8});
  pad.node("Pad", {"x", "p", "", "axes"}, {"y"});
  Result<Graph> graph = test::parse(pad.model());
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(constant_at(*graph, graph->nodes[0], 1), "0 2 0 1 0 4 0 3");

  ModelBuilder resize(18);
  resize.input("x", {1, 2, 3, 4}).integers("s", {6, 8}).integers("axes", {}).output("y", {1, 2, 6, 8});
  set(resize.node("Resize", {"x", "", "", "s"}, {"y"}), "axes", Ints{2, 3});
  graph = test::parse(resize.model());
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(operators(*graph), "Shape ScatterElements Resize");
  expect_written_form_is_valid(*graph, "Resize");
}

TEST(OnnxCanonical, SplitIntoUnequalParts) {
  ModelBuilder builder(18);
  builder.input("x", {7, 2}).output("a", {3, 2}).output("b", {3, 2}).output("c", {1, 2});
  set(builder.node("Split", {"x"}, {"a", "b", "c"}), "num_outputs", std::int64_t{3});
  const Result<Graph> graph = test::parse(builder.model());
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(constant_at(*graph, graph->nodes[0], 1), "3 3 1");
}

TEST(OnnxCanonical, NewOperatorsBecomeOldOnes) {
  struct Case {
    std::string op;
    int opset;
    std::vector<std::string> inputs;
    std::string expected;
  };
  for (const Case& one : std::vector<Case>{
           {"Gelu", 20, {"x"}, "Mul Erf Add Mul Mul"},
           {"Mish", 18, {"x"}, "Softplus Tanh Mul"},
           {"Swish", 24, {"x"}, "Sigmoid Mul"},
           {"GroupNormalization",
            21,
            {"x", "s4", "b4"},
            "Reshape Shape InstanceNormalization Reshape Unsqueeze Mul Unsqueeze Add"},
           {"GroupNormalization", 18, {"x", "s2", "b2"}, "Reshape Shape InstanceNormalization Reshape"},
           {"RMSNormalization", 23, {"x", "s5"}, "Mul ReduceMean Add Sqrt Div Mul"},
       }) {
    ModelBuilder builder(one.opset);
    builder.input("x", {1, 4, 5, 5}).output("y", {1, 4, 5, 5});
    builder.weight("s4", {4}).weight("b4", {4}).weight("s2", {2}).weight("b2", {2}).weight("s5", {5});
    auto& node = builder.node(one.op, one.inputs, {"y"});
    if (one.op == "GroupNormalization") set(node, "num_groups", std::int64_t{2});
    const Result<Graph> graph = test::parse(builder.model());
    ASSERT_TRUE(graph) << one.op << ": " << graph.error().message;
    EXPECT_EQ(operators(*graph), one.expected) << one.op;
    expect_written_form_is_valid(*graph, one.op);
  }
}

TEST(OnnxCanonical, WhatOpset17CannotSayIsNamed) {
  struct Case {
    std::string op;
    int opset;
    std::function<void(onnx::NodeProto&)> adjust;
    std::string words;
  };
  for (const Case& one : std::vector<Case>{
           {"Resize", 18, [](auto& n) { set(n, "antialias", std::int64_t{1}); }, "antialias=1"},
           {"Pad", 19, [](auto& n) { set(n, "mode", std::string("wrap")); }, "mode=wrap"},
           {"AveragePool", 19,
            [](auto& n) {
              set(n, "dilations", Ints{2, 2});
            },
            "dilations"},
           {"BitwiseNot", 18, [](auto&) {}, "no form in opset 17"},
           {"Attention", 23, [](auto&) {}, "no form in opset 17"},
           {"Relu", 22, [](auto& n) { set(n, "novelty", std::int64_t{1}); }, "'novelty'"},
       }) {
    ModelBuilder builder(one.opset);
    builder.input("x", {1, 4, 5, 5}).output("y", {1, 4, 5, 5});
    one.adjust(builder.node(one.op, {"x"}, {"y"}));
    const Result<Graph> graph = test::parse(builder.model());
    ASSERT_FALSE(graph) << one.op;
    EXPECT_EQ(graph.error().code, ErrorCode::Unsupported) << graph.error().message;
    for (const std::string& words :
         {one.words, one.op, std::string("'y'"), fmt::format("opset {}", one.opset)}) {
      EXPECT_NE(graph.error().message.find(words), std::string::npos)
          << words << ": " << graph.error().message;
    }
  }
}

TEST(OnnxCanonical, AxesAreSeenInsideSubgraphs) {
  ModelBuilder builder(18);
  builder.input("x", {2, 3})
      .input("p", {}, onnx::TensorProto::BOOL)
      .integers("axes", {1})
      .output("y", {2, 1});
  auto& branch = builder.node("If", {"p"}, {"y"});
  for (const std::string key : {"then_branch", "else_branch"}) {
    auto& inner = test::set_graph(branch, key);
    auto& node = *inner.add_node();
    node.set_op_type("ReduceMax");
    node.add_input("x");
    node.add_input("axes");
    node.add_output(key);
    inner.add_output()->set_name(key);
  }
  Result<Graph> graph = test::parse(builder.model());
  ASSERT_TRUE(graph) << graph.error().message;
  const auto& attribute = graph->nodes[0].attributes.at("then_branch");
  const Graph& inner = *std::get<std::shared_ptr<const Graph>>(attribute);
  EXPECT_EQ(inner.captures, std::vector<std::string>{"x"});
  EXPECT_EQ(inner.nodes[0].ints_or("axes", {}), Ints{1});
  graph->value(graph->outputs[0]).dims.reset();
  ASSERT_TRUE(infer_node(*graph, graph->nodes[0]));
  EXPECT_EQ(graph->value(graph->outputs[0]).shape(), (Shape{2, 1}));
  expect_written_form_is_valid(*graph, "If");
}

}  // namespace
}  // namespace disco
