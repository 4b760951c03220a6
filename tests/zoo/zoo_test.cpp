// The zoo: counts as published, settings, and what the networks say of their answers.

#include "zoo/zoo.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "graph/onnx.h"
#include "partition/cost.h"
#include "reference/evaluate.h"
#include "reference/specialise.h"
#include "task/task.h"
#include "zoo/inputs.h"

namespace disco {
namespace {

Graph fixed(const Graph& graph, std::vector<std::pair<std::string, Shape>> shapes = {}) {
  auto result = specialise(graph, {{shapes.begin(), shapes.end()}});
  EXPECT_TRUE(result.ok()) << graph.name << ": " << (result.ok() ? "" : result.error().message);
  return result.ok() ? std::move(*result) : Graph{};
}

/// What optimisers train: weights, biases, scales, tokens; neither running statistics nor helping constants.
std::int64_t parameters(const Graph& graph) {
  std::set<ValueId> seen;
  std::int64_t total = 0;
  for (const Node& node : graph.nodes) {
    if (node.is("Resize")) continue;
    const std::size_t used = node.is("BatchNormalization") ? 3 : node.inputs.size();
    for (std::size_t i = 0; i < used; ++i) {
      const Tensor* constant = graph.constant(node.inputs[i]);
      if (constant == nullptr || constant->type() != DataType::Float32 || constant->shape().empty()) continue;
      if (seen.insert(node.inputs[i]).second) total += constant->elements();
    }
  }
  return total;
}

struct Published {
  std::string name;
  double parameters;  ///< millions; 0: none is published
  double macs;        ///< 1e9; 0: none is published
  double tolerance;   ///< relative, of the MACs: half of the last digit that is published, or what counters
                      ///< disagree in
  std::string source;
};
std::ostream& operator<<(std::ostream& stream, const Published& p) {
  return stream << p.name << " (" << p.source << ")";
}

class Counts : public ::testing::TestWithParam<Published> {};
INSTANTIATE_TEST_SUITE_P(
    , Counts,
    ::testing::Values(Published{"resnet18", 11.689512, 1.814, 0.002,
                                "torchvision's documentation: 11689512 parameters, 1.81 GFLOPS"},
                      Published{"resnet50", 25.557032, 4.089, 0.002,
                                "torchvision's documentation: 25557032 parameters, 4.09 GFLOPS"},
                      Published{"mobilenetv2", 3.504872, 0.301, 0.002,
                                "torchvision's documentation: 3504872 parameters, 0.30 GFLOPS"},
                      Published{"deit-tiny", 5.717416, 1.26, 0.01,
                                "facebookresearch/deit and timm: 5.7M parameters, 1.3 GMACs"},
                      Published{"deit-small", 22.050664, 4.6, 0.01,
                                "facebookresearch/deit and timm: 22.1M parameters, 4.6 GMACs"},
                      Published{"deit-base", 86.567656, 17.6, 0.01,
                                "facebookresearch/deit and timm: 86.6M parameters, 17.6 GMACs"},
                      Published{"deit-tiny-distilled", 5.910800, 1.27, 0.01,
                                "timm's model card: 5.9M parameters, 1.3 GMACs"},
                      Published{"deit-small-distilled", 22.436432, 4.63, 0.01,
                                "timm's model card: 22.4M parameters, 4.6 GMACs"},
                      Published{"deit-base-distilled", 87.338192, 17.7, 0.01,
                                "timm's model card: 87.3M parameters, 17.7 GMACs"},
                      Published{"deeplabv3plus-resnet50", 0, 62.7, 0.01,
                                "VainF/DeepLabV3Plus-Pytorch, README: 62.7G at 513 pixels"},
                      Published{"deeplabv3plus-mobilenetv2", 0, 17.0, 0.015,
                                "VainF/DeepLabV3Plus-Pytorch, README: 17.0G at 513 pixels"},
                      Published{"esrgan", 16.697987, 0, 0, "xinntao/BasicSR's RRDBNet of 23 blocks: 16.70M"}),
    [](const auto& info) {
      std::string name = info.param.name;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

TEST_P(Counts, AreAsPublished) {
  const Published& published = GetParam();
  const auto model = zoo(published.name);
  ASSERT_TRUE(model.ok()) << model.error().message;
  if (published.parameters > 0) {
    EXPECT_EQ(parameters(*model), std::llround(published.parameters * 1e6)) << published;
  }
  if (published.macs > 0) {
    const double macs = 1e-9 * static_cast<double>(total_cost(fixed(*model)).macs);
    EXPECT_NEAR(macs, published.macs, published.tolerance * published.macs) << published;
  }
}

std::int64_t conv(std::int64_t in, std::int64_t out, std::int64_t kernel, bool bias) {
  return in * out * kernel * kernel + (bias ? out : 0);
}

/// No count is published for NVIDIA's detector; these are its constructor's loops, over torchvision's trunk.
TEST(Detectors, Ssd300ResNet50HasTheParametersOfItsCode) {
  const std::int64_t outs[] = {1024, 512, 512, 256, 256, 256};
  const std::int64_t middles[] = {256, 256, 128, 128, 128};
  const std::int64_t boxes[] = {4, 6, 6, 6, 4, 4};
  std::int64_t want = 25'557'032 - 14'964'736 - 2'049'000;  // ResNet-50 without layer4 and fc
  for (int i = 0; i < 5; ++i) {
    want += conv(outs[i], middles[i], 1, false) + 2 * middles[i];
    want += conv(middles[i], outs[i + 1], 3, false) + 2 * outs[i + 1];
  }
  for (int i = 0; i < 6; ++i)
    want += conv(outs[i], boxes[i] * 4, 3, true) + conv(outs[i], boxes[i] * 81, 3, true);
  EXPECT_EQ(parameters(zoo("ssd300-resnet50").value()), want);
}

/// The same for xinntao/BasicSR's VGGStyleDiscriminator(3, 64, 128).
TEST(SuperResolution, TheDiscriminatorHasTheParametersOfItsCode) {
  const std::int64_t widths[] = {3, 64, 128, 256, 512, 512};
  std::int64_t want = 512 * 4 * 4 * 100 + 100 + 100 + 1;
  for (int i = 0; i < 5; ++i) {
    want += conv(widths[i], widths[i + 1], 3, i == 0) + conv(widths[i + 1], widths[i + 1], 4, false);
    want += (i == 0 ? 1 : 2) * 2 * widths[i + 1];
  }
  EXPECT_EQ(parameters(zoo("esrgan-discriminator").value()), want);
}

/// The same for qfgaohao/pytorch-ssd's create_mobilenetv2_ssd_lite(21).
TEST(Detectors, Ssd300MobileNetV2HasTheParametersOfItsCode) {
  const std::int64_t sources[] = {576, 1280, 512, 256, 256, 64};
  const double ratios[] = {0.2, 0.25, 0.5, 0.25};
  std::int64_t want = 3'504'872 - 1'281'000;  // MobileNetV2 without its classifier
  for (int i = 0; i < 4; ++i) {
    const std::int64_t in = sources[i + 1], out = sources[i + 2];
    const auto hidden = static_cast<std::int64_t>(std::round(static_cast<double>(in) * ratios[i]));
    want += in * hidden + 2 * hidden + 9 * hidden + 2 * hidden + hidden * out + 2 * out;
  }
  for (int i = 0; i < 6; ++i) {
    for (const std::int64_t values : {std::int64_t{4}, std::int64_t{21}}) {
      if (i < 5) want += 9 * sources[i] + sources[i] + 2 * sources[i];
      want += conv(sources[i], 6 * values, 1, true);
    }
  }
  EXPECT_EQ(parameters(zoo("ssd300-mobilenetv2").value()), want);
}

struct Spec {
  int map;
  double step, side, next;
  std::vector<double> ratios;
};

void expect_priors(const std::string& name, const std::vector<Spec>& specs, std::int64_t count) {
  const auto task = task_of(zoo(name).value());
  ASSERT_TRUE(task.ok() && task->has_value()) << name;
  const DetectorHead& head = *(*task)->head;
  EXPECT_EQ(head.prior_count(), count) << name;
  ASSERT_EQ(head.priors.size(), specs.size()) << name;
  for (std::size_t m = 0; m < specs.size(); ++m) {
    const Spec& spec = specs[m];
    const PriorMap& map = head.priors[m];
    EXPECT_EQ(map.rows, spec.map) << name << " map " << m;
    EXPECT_EQ(map.columns, spec.map) << name << " map " << m;
    EXPECT_NEAR(map.step_y, spec.step / 300, 1e-9) << name << " map " << m;
    EXPECT_NEAR(map.step_x, spec.step / 300, 1e-9) << name << " map " << m;
    std::vector<std::pair<double, double>> want = {
        {spec.side, spec.side}, {std::sqrt(spec.side * spec.next), std::sqrt(spec.side * spec.next)}};
    for (const double ratio : spec.ratios) {
      want.emplace_back(spec.side / std::sqrt(ratio), spec.side * std::sqrt(ratio));
      want.emplace_back(spec.side * std::sqrt(ratio), spec.side / std::sqrt(ratio));
    }
    ASSERT_EQ(map.boxes.size(), want.size()) << name << " map " << m;
    for (std::size_t i = 0; i < want.size(); ++i) {
      EXPECT_NEAR(map.boxes[i].height, std::min(1.0, want[i].first / 300), 1e-9)
          << name << " map " << m << " box " << i;
      EXPECT_NEAR(map.boxes[i].width, std::min(1.0, want[i].second / 300), 1e-9)
          << name << " map " << m << " box " << i;
    }
  }
}

TEST(Detectors, PriorsAreThePublishedOnes) {
  // dboxes300_coco() of NVIDIA's DeepLearningExamples
  expect_priors("ssd300-resnet50",
                {{38, 8, 21, 45, {2}},
                 {19, 16, 45, 99, {2, 3}},
                 {10, 32, 99, 153, {2, 3}},
                 {5, 64, 153, 207, {2, 3}},
                 {3, 100, 207, 261, {2}},
                 {1, 300, 261, 315, {2}}},
                8732);
  // mobilenetv1_ssd_config.py of qfgaohao/pytorch-ssd
  expect_priors("ssd300-mobilenetv2",
                {{19, 16, 60, 105, {2, 3}},
                 {10, 32, 105, 150, {2, 3}},
                 {5, 64, 150, 195, {2, 3}},
                 {3, 100, 195, 240, {2, 3}},
                 {2, 150, 240, 285, {2, 3}},
                 {1, 300, 285, 330, {2, 3}}},
                3000);
}

struct Small {
  std::string name;
  ZooOptions options;
  Shape input;
};
std::ostream& operator<<(std::ostream& stream, const Small& c) {
  return stream << c.name << " at " << to_string(c.input);
}

std::vector<Small> small_cases() {
  std::vector<Small> cases;
  for (const ZooEntry& entry : zoo_entries()) {
    const auto has = [&](std::string_view setting) {
      return std::find(entry.settings.begin(), entry.settings.end(), setting) != entry.settings.end();
    };
    for (const ImageSize size : {ImageSize{64, 64}, ImageSize{96, 72}, ImageSize{67, 90}}) {
      ImageSize taken = size;
      ZooOptions options{.seed = 5, .width = 0.25};
      if (has("classes")) options.classes = 3;
      if (has("blocks")) options.blocks = 2;
      if (has("patch")) {
        options.patch = 8;
        taken = {size.rows / 8 * 8, size.columns / 8 * 8};
      }
      if (!has("classes") && has("blocks"))
        taken = {size.rows / 8, size.columns / 8};  // what is made four times larger
      options.size = taken;
      for (const std::int64_t stride : {8, 16}) {
        if (has("stride")) options.stride = stride;
        cases.push_back({std::string(entry.name), options, {2, 3, taken.rows, taken.columns}});
        if (!has("stride")) break;
      }
    }
  }
  return cases;
}

/// Small settings run, their outputs have the extents that the files state and numbers of a usual scale, and
/// what their metadata says of them fits.
TEST(Settings, MakeNetworksThatRunAndFitTheirTask) {
  for (const Small& c : small_cases()) {
    const auto model = zoo(c.name, c.options);
    ASSERT_TRUE(model.ok()) << c << ": " << model.error().message;
    const auto bytes = serialise_onnx(*model);
    ASSERT_TRUE(bytes.ok()) << c << ": " << bytes.error().message;
    const auto read = parse_onnx(std::as_bytes(std::span(*bytes)));
    ASSERT_TRUE(read.ok()) << c << ": " << read.error().message;
    const Graph graph = fixed(*read, {{"input", c.input}});
    const auto outputs = reference::run(graph, random_inputs(graph));
    ASSERT_TRUE(outputs.ok()) << c << ": " << outputs.error().message;
    for (const ValueId id : read->outputs) {
      const Value& stated = read->value(id);
      const Tensor& got = outputs->at(stated.name);
      ASSERT_EQ(got.shape().size(), stated.dims->size()) << c << ": " << stated.name;
      for (std::size_t axis = 1; axis < got.shape().size(); ++axis) {
        EXPECT_EQ(got.shape()[axis], (*stated.dims)[axis].extent)
            << c << ": " << stated.name << " axis " << axis;
      }
      double squares = 0;
      for (std::int64_t i = 0; i < got.elements(); ++i) squares += std::pow(double{got.data<float>()[i]}, 2);
      const double scale = std::sqrt(squares / static_cast<double>(got.elements()));
      EXPECT_TRUE(scale > 0.02 && scale < 20) << c << ": " << stated.name << " has values of scale " << scale;
    }
    auto task = task_of(*read);
    if (c.name == "esrgan-discriminator") {
      EXPECT_TRUE(task.ok() && !task->has_value()) << "it judges, and has no task of its own";
      continue;
    }
    ASSERT_TRUE(task.ok() && task->has_value())
        << c << ": " << (task.ok() ? "no task" : task.error().message);
    const Status fits = check_task(**task, graph);
    EXPECT_TRUE(fits.ok()) << c << ": " << (fits.ok() ? "" : fits.error().message);
  }
}

TEST(Settings, WidthAndBlocksMakeModelsSmaller) {
  for (const ZooEntry& entry : zoo_entries()) {
    const std::int64_t half = parameters(zoo(entry.name, {.width = 0.5}).value());
    EXPECT_LT(parameters(zoo(entry.name, {.width = 0.25}).value()), half) << entry.name;
    if (std::find(entry.settings.begin(), entry.settings.end(), "blocks") == entry.settings.end()) continue;
    EXPECT_LT(parameters(zoo(entry.name, {.width = 0.5, .blocks = 1}).value()), half) << entry.name;
  }
}

TEST(Settings, TheSameSeedGivesTheSameBytes) {
  for (const std::string_view name : {"deit-tiny-distilled", "ssd300-mobilenetv2",
                                      "deeplabv3plus-mobilenetv2", "esrgan-small", "cifar-resnet8"}) {
    const auto bytes = [&](std::uint64_t seed) {
      return serialise_onnx(zoo(name, {.seed = seed}).value()).value();
    };
    const std::string first = bytes(4);
    EXPECT_EQ(first, bytes(4)) << name;
    EXPECT_NE(first, bytes(5)) << name;
  }
}

TEST(Settings, WhatAFamilyHasNotIsRefusedByName) {
  const struct {
    std::string name;
    ZooOptions options;
    std::vector<std::string> says;
  } cases[] = {
      {"resnet51", {}, {"'resnet51'", "resnet50"}},
      {"resnet50", {.blocks = 3}, {"resnet50", "--blocks", "size, width, classes"}},
      {"esrgan", {.classes = 3}, {"esrgan", "--classes"}},
      {"ssd300-resnet50", {.stride = 16}, {"--stride"}},
      {"mobilenetv2", {.patch = 4}, {"--patch"}},
      {"deit-tiny", {.size = ImageSize{50, 50}}, {"50x50", "patches of 16", "--patch"}},
      {"ssd300-mobilenetv2", {.size = ImageSize{32, 300}}, {"--size", "32", "64"}},
      {"deeplabv3plus-resnet50", {.size = ImageSize{100, 100'000}}, {"--size", "100000"}},
      {"deeplabv3plus-resnet50", {.stride = 32}, {"--stride", "32", "8"}},
      {"resnet18", {.width = 0.0}, {"--width", "0"}},
      {"resnet18", {.width = std::nan("")}, {"--width"}},
      {"resnet18", {.width = 100.0}, {"--width", "100"}},
      {"resnet18", {.classes = 0}, {"--classes", "0"}},
      {"esrgan", {.blocks = -1}, {"--blocks", "-1"}},
  };
  for (const auto& c : cases) {
    const auto model = zoo(c.name, c.options);
    ASSERT_FALSE(model.ok()) << c.name << " wants " << c.says[0];
    for (const std::string& word : c.says) {
      EXPECT_NE(model.error().message.find(word), std::string::npos)
          << model.error().message << " wants " << word;
    }
  }
}

TEST(Settings, SizesAreReadRowsFirst) {
  const auto square = parse_image_size("96");
  ASSERT_TRUE(square.ok());
  EXPECT_EQ(square->rows, 96);
  EXPECT_EQ(square->columns, 96);
  const auto two = parse_image_size("120x160");
  ASSERT_TRUE(two.ok());
  EXPECT_EQ(two->rows, 120);
  EXPECT_EQ(two->columns, 160);
  for (const std::string_view bad :
       {"", "x", "12x", "x12", "0", "-3", "3x0", "96 ", "1x2x3", "a", "99999999999999999999"})
    EXPECT_FALSE(parse_image_size(bad).ok()) << bad;
}

}  // namespace
}  // namespace disco
