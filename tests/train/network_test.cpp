// The differentiable network: forward passes as the reference evaluator computes them, gradients as
// differences show them.

#include "train/network.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <functional>
#include <random>

#include "graph/onnx.h"
#include "reference/evaluate.h"
#include "reference/specialise.h"
#include "train/bridge.h"
#include "train/device.h"
#include "zoo/builder.h"
#include "zoo/zoo.h"

namespace disco::train {
namespace {

using Build = std::function<ValueId(GraphBuilder&, ValueId)>;

struct Case {
  std::string name;
  Shape input;
  Build build;
};
std::ostream& operator<<(std::ostream& stream, const Case& c) { return stream << c.name; }

Graph graph_of(const Case& c) {
  GraphBuilder builder(c.name, 11);
  std::vector<Dimension> dims;
  for (const std::int64_t extent : c.input) dims.push_back({extent, ""});
  const ValueId x = builder.input("x", dims);
  const ValueId y = c.build(builder, x);
  Graph graph = builder.finish(y, "y", {});
  graph.value(y).dims.reset();
  auto fixed = specialise(graph, {});
  EXPECT_TRUE(fixed.ok()) << c.name << ": " << (fixed ? "" : fixed.error().message);
  return std::move(*fixed);
}

Tensor random_input(const Shape& shape, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.1F, 1.0F);
  Tensor tensor(DataType::Float32, shape);
  for (std::int64_t i = 0; i < tensor.elements(); ++i) tensor.data<float>()[i] = normal(generator);
  return tensor;
}

double relative_difference(const Tensor& want, const Tensor& got) {
  if (want.shape() != got.shape()) return INFINITY;
  double worst = 0.0;
  double scale = 1e-30;
  for (std::int64_t i = 0; i < want.elements(); ++i) {
    worst = std::max(worst, std::abs(double{want.data<float>()[i]} - double{got.data<float>()[i]}));
    scale = std::max(scale, std::abs(double{want.data<float>()[i]}));
  }
  return worst / scale;
}

/// The first GPU where there is one: what holds there holds on a CPU too, which every other test uses.
at::Device device() {
  static const at::Device chosen = [] {
    if (gpu_count() == 0) return at::Device(at::kCPU);
    at::globalContext().setAllowTF32CuDNN(false);  // products of 10 bits would hide mistakes
    return at::Device(at::kCUDA, 0);
  }();
  return chosen;
}

at::Tensor on_device(const Tensor& tensor) { return to_torch(tensor).value().to(device()); }

/// The weights in double, so that differences are exact enough to judge gradients.
std::shared_ptr<Weights> in_double(const Graph& graph) {
  auto weights = std::make_shared<Weights>(read_weights(graph, device()).value());
  for (auto* group : {&weights->parameters, &weights->buffers, &weights->constants}) {
    for (auto& [name, tensor] : *group) {
      if (tensor.scalar_type() == at::kFloat)
        tensor = tensor.detach().to(at::kDouble).set_requires_grad(tensor.requires_grad());
    }
  }
  return weights;
}

class Operators : public ::testing::TestWithParam<Case> {};

TEST_P(Operators, ForwardIsTheReferenceEvaluators) {
  const Graph graph = graph_of(GetParam());
  const Tensor input = random_input(GetParam().input, 3);
  const auto want = reference::run(graph, {{"x", input}});
  ASSERT_TRUE(want.ok()) << want.error().message;
  auto network = Network::create(graph, std::make_shared<Weights>(read_weights(graph, device()).value()));
  ASSERT_TRUE(network.ok()) << network.error().message;
  EXPECT_TRUE(network->opaque().empty()) << "no gradient passes node " << network->opaque()[0];
  const auto got = network->forward({on_device(input)}, {});
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_LE(relative_difference(want->at("y"), from_torch((*got)[0])), 1e-5) << GetParam();
}

TEST_P(Operators, GradientsAreWhatDifferencesShow) {
  const Graph graph = graph_of(GetParam());
  const auto weights = in_double(graph);
  const auto network = Network::create(graph, weights);
  ASSERT_TRUE(network.ok()) << network.error().message;
  at::Tensor input = on_device(random_input(GetParam().input, 4)).to(at::kDouble).set_requires_grad(true);
  for (const bool training : {false, true}) {
    Mode mode;
    mode.training = training;
    mode.momentum = 0.0;  // running statistics stay
    at::Tensor direction_out;
    const auto loss = [&] {
      const at::Tensor y = network->forward({input}, mode).value()[0];
      if (!direction_out.defined()) {
        at::manual_seed(5);
        direction_out = at::randn(y.sizes(), y.options());
      }
      return (y * direction_out).sum();
    };
    std::vector<at::Tensor> leaves = {input};
    for (const auto& [name, tensor] : weights->parameters) leaves.push_back(tensor);
    const std::vector<at::Tensor> gradients = torch::autograd::grad({loss()}, leaves, {}, false, false, true);
    for (std::size_t k = 0; k < leaves.size(); ++k) {
      if (!gradients[k].defined()) continue;
      const at::Tensor direction = at::randn(leaves[k].sizes(), leaves[k].options());
      const double predicted = (gradients[k] * direction).sum().item<double>();
      constexpr double kStep = 1e-6;
      const at::NoGradGuard no_grad;
      leaves[k].add_(direction, kStep);
      const double above = loss().item<double>();
      leaves[k].sub_(direction, 2 * kStep);
      const double below = loss().item<double>();
      leaves[k].add_(direction, kStep);
      const double measured = (above - below) / (2 * kStep);
      EXPECT_NEAR(predicted, measured, 2e-4 * std::max(1.0, std::abs(measured)))
          << GetParam() << (k == 0 ? " input" : " parameter " + std::to_string(k))
          << (training ? " training" : "");
    }
  }
}

Attributes with(std::initializer_list<std::pair<const std::string, Attribute>> list) {
  return Attributes(list.begin(), list.end());
}

ValueId unary(GraphBuilder& b, ValueId x, const char* op, Attributes attributes = {}) {
  return b.op("op", op, {x}, std::move(attributes));
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const Shape image = {2, 4, 7, 6};
  const auto add = [&](std::string name, Shape input, Build build) {
    list.push_back({std::move(name), std::move(input), std::move(build)});
  };
  for (const char* op :
       {"Relu", "Sigmoid", "Tanh", "Exp", "Neg", "Abs", "Erf", "Softplus", "Softsign", "HardSwish",
        "HardSigmoid", "Elu", "Selu", "Celu", "LeakyRelu", "Sin", "Cos", "Identity", "ThresholdedRelu"}) {
    add(op, image, [op](GraphBuilder& b, ValueId x) { return unary(b, x, op); });
  }
  add("Clip", image, [](GraphBuilder& b, ValueId x) {
    return b.op("op", "Clip", {x, b.scalar("low", -0.5F), b.scalar("high", 0.75F)});
  });
  add("PRelu", image, [](GraphBuilder& b, ValueId x) {
    return b.op("op", "PRelu", {x, b.normal("slope", {4, 1, 1}, 0.3)});
  });
  for (const char* op : {"Add", "Sub", "Mul", "Div", "Min", "Max", "Sum", "Mean"}) {
    add(op, image, [op](GraphBuilder& b, ValueId x) {
      return b.op("op", op, {x, b.normal("w", {1, 4, 1, 6}, 1.0, 3.0)});
    });
  }
  add("Pow", image, [](GraphBuilder& b, ValueId x) { return b.op("op", "Pow", {x, b.scalar("two", 2.0F)}); });
  add("Sqrt", image, [](GraphBuilder& b, ValueId x) {
    return b.op("op", "Sqrt", {b.op("sq", "Add", {b.op("abs", "Abs", {x}), b.scalar("one", 1.0F)})});
  });
  add("Conv 3x3", image, [](GraphBuilder& b, ValueId x) {
    return b.conv("c", x, 4, 5, {.kernel = 3, .padding = 1, .bias = true});
  });
  add("Conv stride 2", image, [](GraphBuilder& b, ValueId x) {
    return b.conv("c", x, 4, 5, {.kernel = 3, .stride = 2, .padding = 1});
  });
  add("Conv groups", image, [](GraphBuilder& b, ValueId x) {
    return b.conv("c", x, 4, 8, {.kernel = 3, .padding = 1, .groups = 2});
  });
  add("Conv depthwise", image, [](GraphBuilder& b, ValueId x) {
    return b.conv("c", x, 4, 4, {.kernel = 3, .stride = 2, .groups = 4});
  });
  add("Conv asymmetric", image, [](GraphBuilder& b, ValueId x) {
    return b.op("c", "Conv", {x, b.normal("w", {5, 4, 2, 3}, 0.3)},
                with({{"pads", Ints{0, 1, 1, 2}}, {"dilations", Ints{2, 1}}, {"strides", Ints{1, 2}}}));
  });
  add("Conv same", image, [](GraphBuilder& b, ValueId x) {
    return b.op("c", "Conv", {x, b.normal("w", {5, 4, 3, 3}, 0.3)},
                with({{"auto_pad", std::string("SAME_UPPER")}, {"strides", Ints{2, 2}}}));
  });
  add("ConvTranspose", image, [](GraphBuilder& b, ValueId x) {
    return b.op("c", "ConvTranspose", {x, b.normal("w", {4, 3, 3, 3}, 0.3), b.normal("bias", {3}, 0.5)},
                with({{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}, {"output_padding", Ints{1, 1}}}));
  });
  add("ConvTranspose groups", image, [](GraphBuilder& b, ValueId x) {
    return b.op("c", "ConvTranspose", {x, b.normal("w", {4, 3, 2, 2}, 0.3)},
                with({{"strides", Ints{3, 2}}, {"group", std::int64_t{2}}}));
  });
  add("BatchNormalization", image, [](GraphBuilder& b, ValueId x) { return b.batch_norm("bn", x, 4); });
  add("InstanceNormalization", image, [](GraphBuilder& b, ValueId x) {
    return b.op("in", "InstanceNormalization", {x, b.normal("s", {4}, 0.2, 1.0), b.normal("t", {4}, 0.2)});
  });
  add("LayerNormalization", {2, 5, 8}, [](GraphBuilder& b, ValueId x) {
    return b.op("ln", "LayerNormalization", {x, b.normal("s", {8}, 0.2, 1.0), b.normal("t", {8}, 0.2)},
                with({{"axis", std::int64_t{-1}}}));
  });
  add("Softmax", {2, 5, 8}, [](GraphBuilder& b, ValueId x) {
    return unary(b, x, "Softmax", with({{"axis", std::int64_t{1}}}));
  });
  add("LogSoftmax", {3, 8}, [](GraphBuilder& b, ValueId x) { return unary(b, x, "LogSoftmax"); });
  add("Gemm", {3, 8}, [](GraphBuilder& b, ValueId x) { return b.gemm("fc", x, 8, 5, 0.3); });
  add("MatMul", {2, 5, 8}, [](GraphBuilder& b, ValueId x) { return b.linear("fc", x, 8, 6, 0.3); });
  add("MatMul of values", {2, 5, 8}, [](GraphBuilder& b, ValueId x) {
    const ValueId t = b.op("t", "Transpose", {x}, with({{"perm", Ints{0, 2, 1}}}));
    return b.op("mm", "MatMul", {x, t});
  });
  for (const std::int64_t ceil : {0, 1}) {
    for (const char* op : {"MaxPool", "AveragePool"}) {
      add(std::string(op) + (ceil != 0 ? " ceil" : ""), image, [op, ceil](GraphBuilder& b, ValueId x) {
        return unary(b, x, op,
                     with({{"kernel_shape", Ints{3, 2}},
                           {"strides", Ints{2, 2}},
                           {"pads", Ints{1, 0, 0, 1}},
                           {"ceil_mode", ceil}}));
      });
    }
  }
  add("AveragePool counting pads", image, [](GraphBuilder& b, ValueId x) {
    return unary(b, x, "AveragePool",
                 with({{"kernel_shape", Ints{3, 3}},
                       {"pads", Ints{1, 1, 1, 1}},
                       {"count_include_pad", std::int64_t{1}}}));
  });
  add("GlobalAveragePool", image,
      [](GraphBuilder& b, ValueId x) { return unary(b, x, "GlobalAveragePool"); });
  add("GlobalMaxPool", image, [](GraphBuilder& b, ValueId x) { return unary(b, x, "GlobalMaxPool"); });
  add("Reshape", image, [](GraphBuilder& b, ValueId x) {
    return b.op("r", "Reshape", {x, b.ints("s", {2, -1, 3})});
  });
  add("Transpose", image, [](GraphBuilder& b, ValueId x) {
    return unary(b, x, "Transpose", with({{"perm", Ints{0, 2, 3, 1}}}));
  });
  add("Concat", image, [](GraphBuilder& b, ValueId x) {
    return b.op("c", "Concat", {x, b.op("n", "Neg", {x})}, with({{"axis", std::int64_t{1}}}));
  });
  add("Split", image, [](GraphBuilder& b, ValueId x) {
    const auto parts =
        b.op_many("s", "Split", {x, b.ints("p", {1, 3})}, with({{"axis", std::int64_t{1}}}), 2);
    return b.op("m", "Mul", {parts[0], parts[1]});
  });
  add("Slice", image, [](GraphBuilder& b, ValueId x) {
    return b.op("s", "Slice",
                {x, b.ints("b", {1, -5}), b.ints("e", {4, 99}), b.ints("a", {1, 2}), b.ints("st", {2, 1})});
  });
  add("Slice backwards", image, [](GraphBuilder& b, ValueId x) {
    return b.op("s", "Slice",
                {x, b.ints("b", {-1}), b.ints("e", {-99}), b.ints("a", {3}), b.ints("st", {-2})});
  });
  add("Pad", image, [](GraphBuilder& b, ValueId x) {
    return b.op("p", "Pad", {x, b.ints("p0", {0, 2, 1, 0, 0, 1, 0, 3}), b.scalar("v", 0.5F)});
  });
  add("Pad reflect", image, [](GraphBuilder& b, ValueId x) {
    return b.op("p", "Pad", {x, b.ints("p0", {0, 0, 2, 1, 0, 0, 1, 3})},
                with({{"mode", std::string("reflect")}}));
  });
  add("Gather", image, [](GraphBuilder& b, ValueId x) {
    return b.op("g", "Gather", {x, b.ints("i", {3, 0, -1, 3})}, with({{"axis", std::int64_t{1}}}));
  });
  add("Expand", {2, 1, 6}, [](GraphBuilder& b, ValueId x) {
    return b.op("e", "Expand", {x, b.ints("s", {2, 5, 6})});
  });
  add("Tile", {2, 3, 4}, [](GraphBuilder& b, ValueId x) {
    return b.op("t", "Tile", {x, b.ints("s", {1, 2, 3})});
  });
  add("DepthToSpace", image, [](GraphBuilder& b, ValueId x) {
    return unary(b, x, "DepthToSpace", with({{"blocksize", std::int64_t{2}}, {"mode", std::string("CRD")}}));
  });
  add("SpaceToDepth", {1, 2, 4, 6}, [](GraphBuilder& b, ValueId x) {
    return unary(b, x, "SpaceToDepth", with({{"blocksize", std::int64_t{2}}}));
  });
  for (const char* mode : {"nearest", "linear", "cubic"}) {
    for (const char* coordinates : {"half_pixel", "align_corners", "asymmetric"}) {
      add(std::string("Resize ") + mode + " " + coordinates, {1, 2, 5, 4},
          [mode, coordinates](GraphBuilder& b, ValueId x) {
            return b.op("r", "Resize", {x, kNoValue, kNoValue, b.ints("s", {1, 2, 9, 7})},
                        with({{"mode", std::string(mode)},
                              {"coordinate_transformation_mode", std::string(coordinates)}}));
          });
    }
  }
  for (const char* op : {"ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare"}) {
    add(op, image, [op](GraphBuilder& b, ValueId x) {
      return unary(b, x, op, with({{"axes", Ints{1, 3}}, {"keepdims", std::int64_t{0}}}));
    });
  }
  add("ReduceSum", image, [](GraphBuilder& b, ValueId x) {
    return b.op("r", "ReduceSum", {x, b.ints("a", {-1})});
  });
  return list;
}

INSTANTIATE_TEST_SUITE_P(All, Operators, ::testing::ValuesIn(cases()), [](const auto& info) {
  std::string name = std::to_string(info.index) + "_" + info.param.name;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
});

TEST(Networks, AnswerAsTheReferenceEvaluatorDoes) {
  for (const char* name : {"mobilenetv2", "deit-tiny"}) {
    const Graph graph = specialise(zoo(name, {3}).value(), {}).value();
    const Tensor input = random_input({1, 3, 224, 224}, 6);
    const auto want = reference::run(graph, {{"input", input}});
    ASSERT_TRUE(want.ok()) << want.error().message;
    const auto network =
        Network::create(graph, std::make_shared<Weights>(read_weights(graph, device()).value()));
    ASSERT_TRUE(network.ok()) << network.error().message;
    EXPECT_TRUE(network->opaque().empty()) << name;
    const auto got = network->forward({on_device(input)}, {});
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_LE(relative_difference(want->at("logits"), from_torch((*got)[0])), 1e-4) << name;
  }
}

/// Small settings of every family: as the evaluator answers, and a gradient reaches every parameter.
TEST(Networks, OfEveryFamilyAnswerAndLearn) {
  const std::pair<const char*, ZooOptions> cases[] = {
      {"resnet50", {.size = ImageSize{33, 47}, .width = 0.25, .classes = 5}},
      {"deit-tiny-distilled",
       {.size = ImageSize{32, 24}, .width = 0.5, .classes = 5, .blocks = 2, .patch = 8}},
      {"ssd300-resnet50", {.size = ImageSize{64, 96}, .width = 0.25, .classes = 3}},
      {"ssd300-mobilenetv2", {.size = ImageSize{96, 64}, .width = 0.25, .classes = 3, .stride = 8}},
      {"deeplabv3plus-resnet50", {.size = ImageSize{48, 65}, .width = 0.25, .classes = 4}},
      {"deeplabv3plus-mobilenetv2", {.size = ImageSize{50, 64}, .width = 0.25, .classes = 4, .stride = 8}},
      {"esrgan", {.size = ImageSize{9, 7}, .width = 0.25, .blocks = 1}},
  };
  for (auto [name, options] : cases) {
    options.seed = 3;
    const Graph model = zoo(name, options).value();
    // Weights are read at one batch size and used at another.
    const auto weights =
        std::make_shared<Weights>(read_weights(specialise(model, {{}, 1}).value(), device()).value());
    const Graph graph = specialise(model, {{}, 3}).value();
    const Tensor input = random_input(graph.value(graph.inputs[0]).shape(), 6);
    const auto want = reference::run(graph, {{"input", input}});
    ASSERT_TRUE(want.ok()) << name << ": " << want.error().message;
    const auto network = Network::create(graph, weights);
    ASSERT_TRUE(network.ok()) << name << ": " << network.error().message;
    EXPECT_TRUE(network->opaque().empty()) << name;
    const auto got = network->forward({on_device(input)}, {});
    ASSERT_TRUE(got.ok()) << name << ": " << got.error().message;
    at::Tensor loss;
    for (std::size_t o = 0; o < graph.outputs.size(); ++o) {
      const std::string& output = graph.value(graph.outputs[o]).name;
      EXPECT_LE(relative_difference(want->at(output), from_torch((*got)[o].detach())), 1e-4)
          << name << " " << output;
      const at::Tensor term = (*got)[o].square().sum();
      loss = loss.defined() ? loss + term : term;
    }
    loss.backward();
    for (const auto& [parameter, tensor] : weights->parameters) {
      EXPECT_TRUE(tensor.grad().defined() && tensor.grad().abs().sum().item<float>() > 0.0F)
          << name << ": nothing reaches " << parameter;
    }
  }
}

/// A token of an open batch is one parameter, and goes back to where it came from.
TEST(Networks, TokensAreSharedByBatchesOfAnySize) {
  Graph model = zoo("deit-tiny-distilled",
                    {.size = ImageSize{16, 16}, .width = 0.25, .classes = 3, .blocks = 1, .patch = 8})
                    .value();
  Weights weights = read_weights(specialise(model, {{}, 4}).value(), at::kCPU).value();
  std::size_t tokens = 0;
  for (auto& [name, tensor] : weights.parameters) {
    if (!name.starts_with("cls_token") && !name.starts_with("dist_token")) continue;
    ++tokens;
    EXPECT_EQ(tensor.size(0), 1) << name;
    const at::NoGradGuard no_grad;
    tensor.fill_(7.0);
  }
  EXPECT_EQ(tokens, 2U);
  write_weights(weights, model);
  for (const char* name : {"cls_token", "dist_token"}) {
    const Tensor* token = model.constant(model.find_value(name));
    ASSERT_NE(token, nullptr) << name;
    EXPECT_EQ(token->data<float>()[0], 7.0F) << name;
  }
  EXPECT_TRUE(specialise(model, {{}, 5}).ok());
}

TEST(Networks, BatchNormsLearnTheirStatisticsInTraining) {
  GraphBuilder builder("bn", 1);
  const ValueId x = builder.input("x", {{64, ""}, {3, ""}, {4, ""}, {4, ""}});
  const ValueId y = builder.batch_norm("bn", x, 3);
  const Graph graph = specialise(builder.finish(y, "y", {{64, ""}, {3, ""}, {4, ""}, {4, ""}}), {}).value();
  auto weights = std::make_shared<Weights>(read_weights(graph, device()).value());
  const auto network = Network::create(graph, weights);
  const at::Tensor input = on_device(random_input({64, 3, 4, 4}, 8)) * 2 + 5;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(network->forward({input}, {true, 0.1}).ok());
  EXPECT_LE((weights->buffers.at("bn.running_mean") - input.mean({0, 2, 3})).abs().max().item<float>(), 1e-3);
  EXPECT_LE((weights->buffers.at("bn.running_var") - input.var({0, 2, 3})).abs().max().item<float>(), 1e-2);
}

TEST(Networks, ChangedWeightsAreWrittenBack) {
  Graph graph = zoo("resnet18", {3}).value();
  const Graph fixed = specialise(graph, {}).value();
  Weights weights = read_weights(fixed, at::kCPU).value();
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : weights.parameters) tensor.mul_(2.0);
  const Graph before = graph;
  write_weights(weights, graph);
  std::size_t changed = 0;
  for (std::size_t v = 0; v < graph.values.size(); ++v) {
    if (!graph.values[v].is_constant() || !weights.parameters.contains(graph.values[v].name)) continue;
    const Tensor& old =
        *before.values[static_cast<std::size_t>(before.find_value(graph.values[v].name))].constant;
    ASSERT_EQ(graph.values[v].constant->data<float>()[0], 2.0F * old.data<float>()[0])
        << graph.values[v].name;
    ++changed;
  }
  EXPECT_EQ(changed, weights.parameters.size());
}

}  // namespace
}  // namespace disco::train
