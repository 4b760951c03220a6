// ESRGAN's second stage: features are those of the classifier, a discriminator learns and is deceived.

#include "train/enlargement_loss.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/optim/optimizer.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

#include "data/placed_truth.h"
#include "train/bridge.h"
#include "train/trainer.h"
#include "zoo/builder.h"
#include "zoo/zoo.h"

namespace disco::train {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const Shape kImages = {4, 3, 32, 32};

/// Convolutions over images of a fixed size, and an end that takes no other one.
Graph classifier() {
  GraphBuilder b("classifier", 5);
  ValueId x = b.input("x", {{1, ""}, {3, ""}, {16, ""}, {16, ""}});
  x = b.relu("r1", b.conv("c1", x, 3, 6, {.kernel = 3, .padding = 1, .bias = true}));
  x = b.relu("r2", b.conv("c2", x, 6, 8, {.kernel = 3, .stride = 2, .padding = 1}));
  x = b.op("flatten", "Flatten", {x});
  return b.finish(b.gemm("fc", x, 8 * 8 * 8, 10, 0.1), "y", {{1, ""}, {10, ""}});
}

TEST(PerceptualDistance, IsThatOfTheFeatures) {
  const Graph seen = classifier();
  const at::Tensor ours = at::rand(kImages).set_requires_grad(true);
  const at::Tensor theirs = at::rand(kImages);
  const auto normal = [](const at::Tensor& x) {
    return (x - at::tensor({0.485, 0.456, 0.406}).view({1, 3, 1, 1})) /
           at::tensor({0.229, 0.224, 0.225}).view({1, 3, 1, 1});
  };
  const auto weight = [&](const std::string& name) {
    return to_torch(*seen.value(seen.find_value(name)).constant).value();
  };
  const auto first = [&](const at::Tensor& x) {
    return at::conv2d(normal(x).to(at::kFloat), weight("c1.weight"), weight("c1.bias"), 1, 1);
  };
  const auto last = [&](const at::Tensor& x) {
    return at::conv2d(first(x).relu(), weight("c2.weight"), {}, 2, 1);
  };
  const struct {
    std::string name;
    at::Tensor want;
  } cases[] = {{"", (last(ours) - last(theirs)).abs().mean()},
               {"c1", (first(ours) - first(theirs)).abs().mean()},
               {"r1_output", (first(ours).relu() - first(theirs).relu()).abs().mean()}};
  for (const auto& c : cases) {
    const auto distance = PerceptualDistance::create(seen, c.name, kImages, at::kCPU);
    ASSERT_TRUE(distance.ok()) << distance.error().message;
    const at::Tensor got = (*distance)(ours, theirs).value();
    EXPECT_NEAR(got.item<double>(), c.want.item<double>(), 1e-5) << c.name;
    const at::Tensor gradient = torch::autograd::grad({got}, {ours})[0];
    const at::Tensor wanted = torch::autograd::grad({c.want}, {ours})[0];
    EXPECT_LT((gradient - wanted).abs().max().item<double>(), 1e-6) << c.name;
  }
}

TEST(PerceptualDistance, SaysWhatDoesNotFit) {
  const auto complaint = [](const Graph& graph, const std::string& name, const Shape& images) {
    const auto made = PerceptualDistance::create(graph, name, images, at::kCPU);
    return made.ok() ? std::string() : made.error().message;
  };
  EXPECT_THAT(complaint(classifier(), "conv5_4", kImages), HasSubstr("no value or node 'conv5_4'"));
  EXPECT_THAT(complaint(classifier(), "", {1, 1, 8, 8}), HasSubstr("three channels"));
  GraphBuilder b("none", 1);
  const ValueId x = b.input("x", {{1, ""}, {3, ""}});
  const Graph linear = b.finish(b.gemm("fc", x, 3, 2, 0.1), "y", {{1, ""}, {2, ""}});
  EXPECT_THAT(complaint(linear, "", kImages), HasSubstr("no convolution"));
}

TEST(Adversary, LearnsToTellAndGuidesTheAnswers) {
  at::manual_seed(1);
  const Graph graph = zoo("esrgan-discriminator", {.size = ImageSize{32, 32}, .width = 0.125}).value();
  auto adversary = Adversary::create(
      graph, kImages, {.kind = Optimiser::AdamW, .learning_rate = 0.002, .weight_decay = 0.0}, at::kCPU);
  ASSERT_TRUE(adversary.ok()) << adversary.error().message;
  const auto real = [] { return 0.6 + 0.2 * at::rand(kImages); };
  at::Tensor answer = (0.4 + 0.2 * at::rand(kImages)).set_requires_grad(true);
  double first = 0, last = 0;
  for (int step = 0; step < 30; ++step) {
    last = adversary->learn(answer, real(), 0.002, nullptr).value();
    if (step == 0) first = last;
  }
  EXPECT_LT(last, 0.5 * first);
  EXPECT_FALSE(answer.grad().defined()) << "its step is its own";
  const at::Tensor told = adversary->loss(answer, real()).value();
  EXPECT_GT(told.item<double>(), 1.0) << "answers are told from real images";
  const auto& weight = adversary->weights().parameters.begin()->second;
  adversary->optimiser().zero_grad();
  told.backward();
  EXPECT_TRUE(!weight.grad().defined() || weight.grad().abs().max().item<double>() == 0.0);
  EXPECT_TRUE(weight.requires_grad());
  // Brighter images look more real: the gradient leads there.
  EXPECT_LT(answer.grad().sum().item<double>(), 0.0);
}

TEST(Adversary, SaysWhatDoesNotFit) {
  const auto complaint = [](const Graph& graph, const Shape& images) {
    const auto made = Adversary::create(graph, images, {}, at::kCPU);
    return made.ok() ? std::string() : made.error().message;
  };
  const Graph graph = zoo("esrgan-discriminator", {.size = ImageSize{32, 32}, .width = 0.125}).value();
  EXPECT_THAT(complaint(graph, {4, 3, 40, 32}), HasSubstr("input"));
  EXPECT_THAT(complaint(zoo("cifar-resnet8").value(), kImages), HasSubstr("one number for each"));
}

/// Enlargement of scenes: its model, its data, and options with both of the second stage's judges.
struct SecondStage {
  SecondStage() {
    model = zoo("esrgan-small", {.width = 0.25, .blocks = 1}).value();
    DataSetOptions data;
    data.source = "scenes:16";
    data.limit = 16;
    ask_for_truth(task_of(model).value().value(), data);
    set = open_data_set(data, nullptr).value();
    options.epochs = 2;
    options.batch = 4;
    options.optimiser = Optimiser::AdamW;
    options.learning_rate = 0.002;
    options.objective = {.distillation = 0.0, .labels = 1.0};
    options.enlargement.pixels = 0.1;
    options.enlargement.classifier = classifier();
    options.enlargement.discriminator =
        zoo("esrgan-discriminator", {.size = ImageSize{64, 64}, .width = 0.125}).value();
  }
  [[nodiscard]] Result<Trained> run(const TrainWatch& watch = {}) const {
    return train(model, nullptr, {*set, nullptr}, options, nullptr, watch);
  }
  Graph model;
  std::unique_ptr<DataSet> set;
  TrainOptions options;
};

TEST(EnlargementLoss, AKilledRunEndsAsOneThatWasNot) {
  SecondStage stage;
  const auto whole = stage.run();
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  stage.options.checkpoint =
      fs::temp_directory_path() / ("disco-enlargement-test-" + std::to_string(getpid()));
  stage.options.checkpoint_steps = 2;
  stage.options.resume = true;
  std::int64_t steps = 0;
  TrainWatch watch;
  watch.on_step = [&](std::int64_t, std::int64_t, std::int64_t, double) {
    if (++steps == 6) throw std::runtime_error("killed");
  };
  ASSERT_FALSE(stage.run(watch).ok());
  const auto resumed = stage.run();
  fs::remove(stage.options.checkpoint);
  ASSERT_TRUE(resumed.ok()) << resumed.error().message;
  EXPECT_EQ(whole->history.back().loss, resumed->history.back().loss) << "the discriminator's weights too";
}

TEST(EnlargementLoss, EveryJudgeCounts) {
  const SecondStage both;
  const double loss = both.run().value().history.back().loss;
  SecondStage without;
  without.options.enlargement.classifier.reset();
  EXPECT_LT(without.run().value().history.back().loss, loss);
  SecondStage alone;
  alone.options.enlargement.discriminator.reset();
  EXPECT_LT(alone.run().value().history.back().loss, loss);
}

TEST(EnlargementLoss, ImagesAreComparedAsTheyAreShown) {
  GraphBuilder b("enlarger", 1);
  const ValueId x = b.input("x", {{4, ""}, {3, ""}, {32, ""}, {32, ""}});
  const Graph graph =
      b.finish(b.conv("c", x, 3, 3, {.kernel = 1}), "y", {{4, ""}, {3, ""}, {32, ""}, {32, ""}});
  Task task{.kind = TaskKind::SuperResolution, .output = "y"};
  const auto loss_of = [&](const PixelCode& code) {
    task.pixels = code;
    EnlargementOptions options;
    options.classifier = classifier();
    auto made = EnlargementLoss::create(make_task_loss(&task, graph, {}).value(), 0, code, kImages, options,
                                        {}, at::kCPU);
    EXPECT_TRUE(made.ok()) << made.error().message;
    return std::move(*made);
  };
  const auto plain = loss_of({});
  const auto coded = loss_of({.white = 255.0, .bgr = true});
  const auto written = [](const at::Tensor& image) { return image.flip(1) * 255.0; };
  at::manual_seed(3);
  const at::Tensor answer = at::rand(kImages), other = at::rand(kImages), truth = at::rand(kImages);
  EXPECT_NEAR(coded->loss({written(answer)}, {truth})->item<double>(),
              plain->loss({answer}, {truth})->item<double>(), 1e-5);
  EXPECT_NEAR(coded->distillation({written(answer)}, {written(other)}, 1.0).item<double>(),
              plain->distillation({answer}, {other}, 1.0).item<double>(), 1e-5);
  EXPECT_GT(plain->loss({answer.flip(1)}, {truth})->item<double>(), 0.01) << "or nothing was compared";
}

TEST(EnlargementLoss, IsOfSuperResolutionWithLabels) {
  SecondStage stage;
  stage.options.objective = {.distillation = 1.0, .labels = 0.0};
  const auto made = train(stage.model, &stage.model, {*stage.set, nullptr}, stage.options, nullptr, {});
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message, HasSubstr("need --labels"));
}

}  // namespace
}  // namespace disco::train
