// Nodes that stand before what they read, as converters to half precision leave them.

#include <fmt/ranges.h>

#include "onnx_models.h"

namespace disco {
namespace {

using test::ModelBuilder;

std::vector<std::string> operators(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) names.push_back(node.op);
  return names;
}

TEST(OnnxOrder, NodesComeAfterWhatTheyReadAndElseStay) {
  for (const int opset : {17, 22}) {
    ModelBuilder b(opset);
    b.input("x", {2, 3}).output("y", {2, 3});
    b.node("Add", {"b", "a"}, {"y"});
    b.node("Relu", {"x"}, {"a"});
    b.node("Neg", {"c"}, {"b"});
    b.node("Abs", {"x"}, {"c"});
    const Result<Graph> graph = test::parse(b.model());
    ASSERT_TRUE(graph) << graph.error().message;
    EXPECT_EQ(operators(*graph), (std::vector<std::string>{"Relu", "Abs", "Neg", "Add"})) << opset;
  }
}

TEST(OnnxOrder, WhatASubgraphReadsComesBeforeItsNode) {
  ModelBuilder b;
  b.input("x", {2, 3}).input("c", {}, onnx::TensorProto::BOOL).output("y", {2, 3});
  auto& choice = b.node("If", {"c"}, {"y"});
  for (const char* key : {"then_branch", "else_branch"}) {
    auto& branch = test::set_graph(choice, key);
    branch.set_name(key);
    auto& last = *branch.add_node();  // stands before what it reads, and reads what is computed after the If
    last.set_op_type("Add");
    last.add_input(std::string(key) + "/a");
    last.add_input("outer");
    last.add_output(std::string(key) + "/y");
    auto& first = *branch.add_node();
    first.set_op_type("Neg");
    first.add_input("outer");
    first.add_output(std::string(key) + "/a");
    ModelBuilder::fill(*branch.add_output(), std::string(key) + "/y", {2, 3});
  }
  b.node("Relu", {"x"}, {"outer"});
  const Result<Graph> graph = test::parse(b.model());
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(operators(*graph), (std::vector<std::string>{"Relu", "If"}));
  const auto& branch = std::get<std::shared_ptr<const Graph>>(graph->nodes[1].attributes.at("then_branch"));
  EXPECT_EQ(operators(*branch), (std::vector<std::string>{"Neg", "Add"}));
}

TEST(OnnxOrder, ACycleIsNamedByTheChecker) {
  ModelBuilder b;
  b.input("x", {2, 3}).output("y", {2, 3});
  b.node("Add", {"x", "b"}, {"a"});
  b.node("Relu", {"a"}, {"b"});
  b.node("Neg", {"b"}, {"y"});
  const Result<Graph> graph = test::parse(b.model());
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().code, ErrorCode::InvalidModel);
}

}  // namespace
}  // namespace disco
