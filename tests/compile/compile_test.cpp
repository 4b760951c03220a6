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

}  // namespace
}  // namespace disco
