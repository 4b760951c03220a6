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

/// A graph written down node by node, every value of a given shape.
struct Written {
  Graph graph;

  ValueId value(const std::string& name, const Shape& shape) {
    const ValueId id = graph.add_value(name, DataType::Float32);
    graph.value(id).set_shape(shape);
    return id;
  }
  ValueId input(const std::string& name, const Shape& shape) {
    graph.inputs.push_back(value(name, shape));
    return graph.inputs.back();
  }
  ValueId constant(const Shape& shape, unsigned seed) {
    return graph.add_constant("c" + std::to_string(seed), random_tensor(shape, seed));
  }
  ValueId add(const std::string& op, std::vector<ValueId> inputs, const Shape& shape,
              std::map<std::string, Attribute, std::less<>> attributes = {}) {
    const std::string name = op + std::to_string(graph.nodes.size());
    const ValueId out = value(name, shape);
    graph.nodes.push_back({.name = name,
                           .op = op,
                           .inputs = std::move(inputs),
                           .outputs = {out},
                           .attributes = std::move(attributes)});
    return out;
  }
  /// Compiles with `last` as output, checks it against the evaluator, and returns the steps' operators.
  std::vector<std::string> steps_of(ValueId last) {
    graph.outputs = {last};
    NamedTensors inputs;
    for (const ValueId id : graph.inputs)
      inputs[graph.value(id).name] = random_tensor(graph.value(id).shape(), 7 + static_cast<unsigned>(id));
    const auto program = compile(graph, {});
    EXPECT_TRUE(program) << program.error().message;
    std::vector<std::string> ops;
    for (const Step& step : program->steps()) {
      if (step.op != "Reorder") ops.push_back(step.op);
    }
    const auto got = run_compiled(graph, inputs, true);
    const auto want = reference::run(graph, inputs);
    EXPECT_TRUE(got && want);
    EXPECT_LT(testing::relative_error(*want, *got), 1e-5);
    return ops;
  }
};

using Strings = std::vector<std::string>;

/// oneDNN computes what follows a transposed convolution an element at a time where it is told to.
TEST(Compiled, WhatFollowsATransposedConvolutionIsAStepOfItsOwn) {
  Written w;
  const ValueId x = w.input("x", {1, 4, 6, 6});
  const ValueId other = w.input("other", {1, 3, 12, 12});
  const ValueId up = w.add("ConvTranspose", {x, w.constant({4, 3, 2, 2}, 1), w.constant({3}, 2)},
                           {1, 3, 12, 12}, {{"strides", std::vector<std::int64_t>{2, 2}}});
  const ValueId sum = w.add("Add", {up, other}, {1, 3, 12, 12});
  EXPECT_EQ(w.steps_of(w.add("Relu", {sum}, {1, 3, 12, 12})),
            (Strings{"ConvTranspose", "Bias", "Add", "Relu"}));
}

TEST(Compiled, ConstantsAfterAConvolutionGoIntoItsWeights) {
  for (const Shape& per_channel : {Shape{1, 6, 1, 1}, Shape{6, 1, 1}, Shape{}, Shape{1}}) {
    for (const std::string op : {"Conv", "ConvTranspose"}) {
      for (const std::int64_t groups : {1, 2}) {
        Written w;
        const Shape weight = op == "Conv" ? Shape{6, 4 / groups, 1, 1} : Shape{4, 6 / groups, 1, 1};
        const Shape out = {2, 6, 5, 5};
        ValueId y = w.add(op, {w.input("x", {2, 4, 5, 5}), w.constant(weight, 1)}, out, {{"group", groups}});
        y = w.add("Add", {w.constant(per_channel, 2), y}, out);
        y = w.add("Mul", {y, w.constant(per_channel, 3)}, out);
        y = w.add("Sub", {y, w.constant(per_channel, 4)}, out);
        y = w.add("Div", {y, w.constant(per_channel, 5)}, out);
        EXPECT_EQ(w.steps_of(y), op == "Conv" ? Strings{"Conv"} : (Strings{"ConvTranspose", "Bias"}))
            << op << " in " << groups << " groups, constants of " << to_string(per_channel);
      }
    }
  }
}

TEST(Compiled, WhatIsNotTheSameForAChannelStaysAStep) {
  const Shape out = {1, 6, 5, 5};
  for (const Shape& constant : {Shape{5}, Shape{1, 1, 5, 5}, Shape{6, 5, 1}}) {
    Written w;
    const ValueId y = w.add("Conv", {w.input("x", {1, 4, 5, 5}), w.constant({6, 4, 1, 1}, 1)}, out);
    EXPECT_EQ(w.steps_of(w.add("Add", {y, w.constant(constant, 2)}, out)), (Strings{"Conv", "Add"}))
        << to_string(constant);
  }
  Written w;  // a constant less what was computed, and a result that another node reads
  const ValueId y = w.add("Conv", {w.input("x", {1, 4, 5, 5}), w.constant({6, 4, 1, 1}, 1)}, out);
  const ValueId less = w.add("Sub", {w.constant({1}, 2), y}, out);
  EXPECT_EQ(w.steps_of(w.add("Mul", {less, y}, out)).size(), 3U);
}

TEST(Compiled, AProductAndASumWithConstantsAreOnePass) {
  const Shape out = {1, 6, 5, 5};
  Written w;
  ValueId y = w.add("Tanh", {w.input("x", out)}, out);
  y = w.add("Mul", {y, w.constant({1}, 2)}, out);
  EXPECT_EQ(w.steps_of(w.add("Add", {y, w.constant({6, 1, 1}, 3)}, out)),
            (Strings{"Tanh", "BatchNormalization"}));
}

}  // namespace
}  // namespace disco
