// Compiled programs equal the evaluator: whole models and shards, optimised and not.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>

#include "../relative_error.h"
#include "compile/program.h"
#include "graph/onnx.h"
#include "reference/evaluate.h"
#include "reference/specialise.h"

namespace disco {
namespace {

namespace fs = std::filesystem;

Tensor random_tensor(const Shape& shape, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Tensor tensor(DataType::Float32, shape);
  for (std::int64_t i = 0; i < tensor.elements(); ++i) tensor.data<float>()[i] = normal(generator);
  return tensor;
}

Result<NamedTensors> run_compiled(const Graph& graph, const NamedTensors& inputs, bool optimise) {
  DISCO_TRY(const Program program, compile(graph, {optimise}));
  Workspace workspace(program);
  NamedTensors outputs;
  // Twice: what one run leaves in the arena must not reach the next.
  for (int run = 0; run < 2; ++run) {
    for (const std::string& name : program.input_names())
      DISCO_CHECK(workspace.set_input(name, inputs.at(name)));
    for (const Step& step : program.steps()) DISCO_CHECK(step.kernel->run(workspace));
    for (const std::string& name : program.output_names()) {
      DISCO_TRY(outputs[name], workspace.output(name));
    }
  }
  return outputs;
}

fs::path shared_folder() {
  if (const char* given = std::getenv("DISCO_SHARED")) return given;
  return fs::path(DISCO_SOURCE_DIR) / ".." / "shared";
}

TEST(Compiled, EqualsEvaluatorOnPretrainedModels) {
  const fs::path models = shared_folder() / "data" / "models";
  if (!fs::exists(models)) GTEST_SKIP() << "no pretrained models at " << models << "; set DISCO_SHARED";
  for (const auto& entry : fs::directory_iterator(models)) {
    if (entry.path().extension() != ".onnx") continue;
    const std::string name = entry.path().stem().string();
    auto model = load_onnx(entry.path());
    ASSERT_TRUE(model) << name << ": " << model.error().message;
    InputShapes shapes;
    if (name == "sr_imdn_x4" || name == "sr_fsrcnn_x4") {
      const std::string input = model->value(model->inputs[0]).name;
      shapes.shapes[input] = {1, name == "sr_imdn_x4" ? 3 : 1, 17, 22};
    }
    if (name == "imagenet_squeezenet1_1") shapes.default_batch = 2;
    auto graph = specialise(*model, shapes);
    ASSERT_TRUE(graph) << name << ": " << graph.error().message;
    NamedTensors inputs;
    for (const ValueId id : graph->inputs)
      inputs[graph->value(id).name] = random_tensor(graph->value(id).shape(), 3);
    auto want = reference::run(*graph, inputs);
    ASSERT_TRUE(want) << name << ": " << want.error().message;
    for (const bool optimise : {true, false}) {
      auto got = run_compiled(*graph, inputs, optimise);
      ASSERT_TRUE(got) << name << ": " << got.error().message;
      for (const auto& [output, tensor] : *want) {
        EXPECT_LE(testing::relative_error(tensor, got->at(output)), 2e-5)
            << name << " output " << output << " optimise=" << optimise;
      }
    }
  }
}

/// oneDNN computes what follows a transposed convolution an element at a time where it is told to.
TEST(Compiled, WhatFollowsATransposedConvolutionIsAStepOfItsOwn) {
  Graph graph;
  const auto map = [&](const std::string& name, const Shape& shape) {
    const ValueId id = graph.add_value(name, DataType::Float32);
    graph.value(id).set_shape(shape);
    return id;
  };
  const ValueId x = map("x", {1, 4, 6, 6});
  const ValueId other = map("other", {1, 3, 12, 12});
  const ValueId w = graph.add_constant("w", random_tensor({4, 3, 2, 2}, 1));
  const ValueId enlarged = map("enlarged", {1, 3, 12, 12});
  const ValueId sum = map("sum", {1, 3, 12, 12});
  const ValueId y = map("y", {1, 3, 12, 12});
  graph.inputs = {x, other};
  graph.nodes.push_back({.name = "up",
                         .op = "ConvTranspose",
                         .inputs = {x, w},
                         .outputs = {enlarged},
                         .attributes = {{"strides", std::vector<std::int64_t>{2, 2}}}});
  graph.nodes.push_back({.name = "add", .op = "Add", .inputs = {enlarged, other}, .outputs = {sum}});
  graph.nodes.push_back({.name = "relu", .op = "Relu", .inputs = {sum}, .outputs = {y}});
  graph.outputs = {y};
  const auto program = compile(graph, {});
  ASSERT_TRUE(program) << program.error().message;
  bool found = false;
  for (const Step& step : program->steps()) found = found || step.op == "ConvTranspose";
  EXPECT_TRUE(found);
  const NamedTensors inputs = {{"x", random_tensor({1, 4, 6, 6}, 2)},
                               {"other", random_tensor({1, 3, 12, 12}, 3)}};
  const auto got = run_compiled(graph, inputs, true);
  const auto want = reference::run(graph, inputs);
  ASSERT_TRUE(got && want);
  EXPECT_LT(testing::relative_error(*want, *got), 1e-5);
}

}  // namespace
}  // namespace disco
