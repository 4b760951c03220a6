// Networks of every family, sparsified: dense blocks, atrous and separable convolutions, heads, tokens, and
// normalisations that are local to a node.

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "partition/cost.h"
#include "partition/local_norm.h"
#include "reference/evaluate.h"
#include "reference/specialise.h"
#include "train/bridge.h"
#include "train/exact_norm.h"
#include "train/refit.h"
#include "train/sparsify.h"
#include "zoo/builder.h"
#include "zoo/zoo.h"

namespace disco::train {
namespace {

/// Smooth images: neighbouring positions say much about each other, as in photographs.
Tensor pictures(Shape shape, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Tensor tensor(DataType::Float32, shape);
  const std::int64_t rows = shape[2], columns = shape[3];
  for (std::int64_t plane = 0; plane < shape[0] * shape[1]; ++plane) {
    const float a = normal(generator), y = normal(generator), x = normal(generator), f = normal(generator);
    for (std::int64_t p = 0; p < rows * columns; ++p) {
      tensor.data<float>()[plane * rows * columns + p] =
          0.5F * a + y * static_cast<float>(p / columns) / static_cast<float>(rows) +
          x * static_cast<float>(p % columns) / static_cast<float>(columns) +
          0.5F * std::sin(f * static_cast<float>(p));
    }
  }
  return tensor;
}

NamedTensors answers(const Graph& model, const Tensor& input) {
  return reference::run(specialise(model, {{{"input", input.shape()}}}).value(), {{"input", input}}).value();
}

/// Root of the mean squared difference over all outputs.
double error_of(const NamedTensors& got, const NamedTensors& want) {
  double sum = 0.0;
  std::int64_t count = 0;
  for (const auto& [name, tensor] : want) {
    for (std::int64_t i = 0; i < tensor.elements(); ++i)
      sum += std::pow(double{tensor.data<float>()[i]} - double{got.at(name).data<float>()[i]}, 2);
    count += tensor.elements();
  }
  return std::sqrt(sum / static_cast<double>(count));
}

TEST(Families, AreSparsifiedAndRefitted) {
  const std::pair<const char*, ZooOptions> cases[] = {
      {"deit-tiny-distilled",
       {.size = ImageSize{32, 24}, .width = 0.5, .classes = 5, .blocks = 2, .patch = 8}},
      {"ssd300-mobilenetv2", {.size = ImageSize{64, 64}, .width = 0.25, .classes = 3, .stride = 8}},
      {"deeplabv3plus-resnet50", {.size = ImageSize{33, 40}, .width = 0.125, .classes = 4}},
      {"deeplabv3plus-mobilenetv2", {.size = ImageSize{48, 64}, .width = 0.25, .classes = 4}},
      {"esrgan", {.width = 0.25, .blocks = 1}},
  };
  for (const auto& [name, zoo_options] : cases) {
    const Graph dense = zoo(name, zoo_options).value();
    const ImageSize size = zoo_options.size.value_or(ImageSize{12, 14});
    SparsifyOptions options;
    options.budget.communication = 0.3;
    const Tensor seen = pictures({12, 3, size.rows, size.columns}, 1);
    const Tensor unseen = pictures({4, 3, size.rows, size.columns}, 2);
    const NamedTensors want = answers(dense, unseen);
    double errors[2];
    for (const bool refit : {false, true}) {
      options.refit = refit;
      const auto made = sparsify(dense, {{"input", seen}}, options);
      ASSERT_TRUE(made.ok()) << name << ": " << made.error().message;
      EXPECT_LE(static_cast<double>(made->bytes), 0.3 * static_cast<double>(made->dense_bytes)) << name;
      errors[refit ? 1 : 0] = error_of(answers(made->model, unseen), want);
    }
    EXPECT_LT(errors[1], 0.8 * errors[0]) << name << ": refitted " << errors[1] << ", not " << errors[0];
  }
}

/// A convolution in groups is fitted to what it should answer, wherever its weights began.
TEST(Refit, SolvesConvolutionsInGroups) {
  for (const std::int64_t groups : {2, 6}) {
    for (const bool bias : {false, true}) {
      GraphBuilder b("groups", 3);
      const ValueId x = b.input("input", {{4, ""}, {6, ""}, {9, ""}, {8, ""}});
      ValueId y =
          b.conv("c", x, 6, 12, {.kernel = 3, .stride = 2, .padding = 1, .groups = groups, .bias = bias});
      if (!bias) y = b.batch_norm("bn", y, 12);
      const Graph graph = specialise(b.finish(y, "y", {{4, ""}, {12, ""}, {5, ""}, {4, ""}}), {}).value();
      const auto dense = std::make_shared<Weights>(read_weights(graph, at::kCPU).value());
      const auto changed = std::make_shared<Weights>(read_weights(graph, at::kCPU).value());
      const at::NoGradGuard no_grad;
      at::Tensor& weight = changed->parameters.at("c.weight");
      weight = (weight * 0.3 + 0.2 * at::randn_like(weight)).set_requires_grad(true);
      if (bias) changed->parameters.at("c.bias").add_(0.5);
      const Network theirs = Network::create(graph, dense).value();
      const Network ours = Network::create(graph, changed).value();
      Batches batches;
      for (int i = 0; i < 8; ++i) batches.push_back({at::randn({4, 6, 9, 8})});
      const auto error = [&] {
        const at::Tensor want = theirs.forward(batches[0], {}).value()[0];
        return ((ours.forward(batches[0], {}).value()[0] - want).square().mean() / want.square().mean())
            .sqrt()
            .item<double>();
      };
      const double before = error();
      Traffic traffic;
      traffic.nodes = 2;
      RefitOptions options;
      options.ridge = 1e-6;
      ASSERT_TRUE(refit(theirs, ours, *changed, traffic, {}, batches, options).ok());
      EXPECT_GT(before, 0.3);
      EXPECT_LT(error(), 1e-3) << groups << " groups" << (bias ? ", bias" : "");
    }
  }
}

TEST(LocalNorms, SendNoStatisticsAndAreFittedToTheExactModel) {
  const Graph dense =
      zoo("deit-tiny", {.size = ImageSize{32, 24}, .width = 0.5, .classes = 5, .blocks = 2, .patch = 8})
          .value();
  const Tensor seen = pictures({32, 3, 32, 24}, 1);
  const Tensor unseen = pictures({4, 3, 32, 24}, 2);
  const NamedTensors want = answers(dense, unseen);
  SparsifyOptions options;
  options.budget.communication = 0.3;
  const auto exact = sparsify(dense, {{"input", seen}}, options);
  ASSERT_TRUE(exact.ok()) << exact.error().message;
  options.local_norms = true;
  double errors[2];
  for (const bool refit : {false, true}) {
    options.refit = refit;
    const auto made = sparsify(dense, {{"input", seen}}, options);
    ASSERT_TRUE(made.ok()) << made.error().message;
    EXPECT_EQ(made->dense_bytes, exact->dense_bytes) << "the budget is a share of the exact model's exchange";
    EXPECT_LE(static_cast<double>(made->bytes), 0.3 * static_cast<double>(made->dense_bytes));
    const Graph fixed = specialise(made->model, {}).value();
    const std::vector<Graph> shards = make_shards(fixed, made->partition).value();
    for (const Graph& shard : shards) {
      for (const Node& node : shard.nodes)
        EXPECT_EQ(node.string_or("value", "").find("/statistics"), std::string::npos)
            << describe(shard, node);
    }
    errors[refit ? 1 : 0] = error_of(answers(made->model, unseen), want);
  }
  EXPECT_LT(errors[1], 0.8 * errors[0]);
  options.distil_epochs = 1;
  EXPECT_TRUE(sparsify(dense, {{"input", seen}}, options).ok());
  const auto none =
      sparsify(zoo("cifar-resnet8").value(), {{"input", pictures({16, 3, 32, 32}, 1)}}, options);
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().message.find("LayerNormalization"), std::string::npos) << none.error().message;
}

/// What the refit is fitted to: the local graph's network, made exact, answers as the model that it came
/// from.
TEST(LocalNorms, AreMadeExactForTheTeacher) {
  const Graph dense =
      zoo("deit-tiny", {.size = ImageSize{16, 16}, .width = 0.5, .classes = 5, .blocks = 2, .patch = 8})
          .value();
  const Graph fixed = specialise(dense, {{}, 2}).value();
  Partition partition = partition_channels(fixed, {3, {}}).value();
  const Graph local =
      specialise(localise_norms(dense, fixed, plan_split(fixed, partition).value()).value(), {{}, 2}).value();
  const auto weights = std::make_shared<Weights>(read_weights(local, at::kCPU).value());
  Network network = Network::create(local, weights).value();
  const Tensor input = pictures({2, 3, 16, 16}, 3);
  const NamedTensors want = answers(dense, input);
  const auto got = [&] {
    return NamedTensors{
        {"logits", from_torch(network.forward({to_torch(input).value()}, {}).value()[0].detach())}};
  };
  EXPECT_GT(error_of(got(), want), 1e-3);
  normalise_exactly(network, *weights);
  EXPECT_LT(error_of(got(), want), 1e-5);
}

}  // namespace
}  // namespace disco::train
