// What opsets above 17 added computes the same in the forms of opset 17 that the reader gives it. ONNX's test
// data for those opsets is not in Debian 12, so that the formulas of the specification stand here.

// The onnx headers need these; the module under test does not link onnx in public.
#define ONNX_NAMESPACE onnx
#define ONNX_ML 1

#include <cmath>
#include <functional>

#include "../graph/onnx_models.h"
#include "reference/evaluate.h"
#include "reference/specialise.h"

namespace disco {
namespace {

using test::ModelBuilder;
using test::set;

constexpr std::int64_t kChannels = 4;
constexpr std::int64_t kPixels = 6;  // of 2 x 3

Tensor image() {
  Tensor x(DataType::Float32, {1, kChannels, 2, 3});
  for (std::int64_t i = 0; i < x.elements(); ++i)
    x.data<float>()[i] = 0.3F * static_cast<float>(i * 7 % 11) - 1.5F;
  return x;
}

double weight(std::int64_t i) { return 0.01 * static_cast<double>(i + 1); }  // ModelBuilder::weight

/// Normalises runs of `size` elements, as GroupNormalization with size = kPixels * channels a group.
double normalised(const Tensor& x, std::int64_t i, std::int64_t size) {
  const float* run = x.data<float>() + i / size * size;
  double mean = 0;
  double variance = 0;
  for (std::int64_t k = 0; k < size; ++k) mean += run[k] / static_cast<double>(size);
  for (std::int64_t k = 0; k < size; ++k)
    variance += (run[k] - mean) * (run[k] - mean) / static_cast<double>(size);
  return (x.data<float>()[i] - mean) / std::sqrt(variance + 1e-5);
}

struct Case {
  std::string label, op;
  int opset;
  std::vector<std::string> inputs;
  std::function<void(onnx::NodeProto&)> adjust;
  std::function<double(const Tensor& x, std::int64_t i)> formula;
};

class NewerOpsets : public ::testing::TestWithParam<Case> {};

TEST_P(NewerOpsets, ComputeTheirFormulas) {
  const Case& one = GetParam();
  ModelBuilder builder(one.opset);
  builder.input("x", {-1, kChannels, 2, 3}).output("y", {-1, kChannels, 2, 3});
  builder.weight("s4", {4}).weight("b4", {4}).weight("s2", {2}).weight("b2", {2}).weight("s3", {3});
  one.adjust(builder.node(one.op, one.inputs, {"y"}));
  const Result<Graph> graph = test::parse(builder.model());
  ASSERT_TRUE(graph) << graph.error().message;
  const Result<Graph> fixed = specialise(*graph, {});
  ASSERT_TRUE(fixed) << fixed.error().message;
  EXPECT_EQ(fixed->value(fixed->outputs[0]).shape(), image().shape());
  const Tensor x = image();
  const Result<NamedTensors> got = reference::run(*fixed, {{"x", x}});
  ASSERT_TRUE(got) << got.error().message;
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    EXPECT_NEAR(got->at("y").data<float>()[i], one.formula(x, i), 2e-6) << one.label << ", element " << i;
  }
}

const auto kNothing = [](onnx::NodeProto&) {};
const auto kTwoGroups = [](onnx::NodeProto& node) { set(node, "num_groups", std::int64_t{2}); };

INSTANTIATE_TEST_SUITE_P(
    Operators, NewerOpsets,
    ::testing::Values(Case{"Gelu",
                           "Gelu",
                           20,
                           {"x"},
                           kNothing,
                           [](const Tensor& x, std::int64_t i) {
                             const double v = x.data<float>()[i];
                             return 0.5 * v * (1 + std::erf(v / std::sqrt(2.0)));
                           }},
                      Case{"GeluTanh",
                           "Gelu",
                           20,
                           {"x"},
                           [](auto& node) { set(node, "approximate", std::string("tanh")); },
                           [](const Tensor& x, std::int64_t i) {
                             const double v = x.data<float>()[i];
                             return 0.5 * v *
                                    (1 +
                                     std::tanh(std::sqrt(2 / std::acos(-1.0)) * (v + 0.044715 * v * v * v)));
                           }},
                      Case{"Mish",
                           "Mish",
                           18,
                           {"x"},
                           kNothing,
                           [](const Tensor& x, std::int64_t i) {
                             const double v = x.data<float>()[i];
                             return v * std::tanh(std::log1p(std::exp(v)));
                           }},
                      Case{"Swish",
                           "Swish",
                           24,
                           {"x"},
                           [](auto& node) { set(node, "alpha", 1.5F); },
                           [](const Tensor& x, std::int64_t i) {
                             const double v = x.data<float>()[i];
                             return v / (1 + std::exp(-1.5 * v));
                           }},
                      Case{"GroupsOf18",
                           "GroupNormalization",
                           18,
                           {"x", "s2", "b2"},
                           kTwoGroups,
                           [](const Tensor& x, std::int64_t i) {
                             const std::int64_t group = i / (2 * kPixels);
                             return normalised(x, i, 2 * kPixels) * weight(group) + weight(group);
                           }},
                      Case{"GroupsOf21",
                           "GroupNormalization",
                           21,
                           {"x", "s4", "b4"},
                           kTwoGroups,
                           [](const Tensor& x, std::int64_t i) {
                             return normalised(x, i, 2 * kPixels) * weight(i / kPixels) + weight(i / kPixels);
                           }},
                      Case{"RootMeanSquare",
                           "RMSNormalization",
                           23,
                           {"x", "s3"},
                           kNothing,
                           [](const Tensor& x, std::int64_t i) {
                             const float* row = x.data<float>() + i / 3 * 3;
                             const double square =
                                 (row[0] * row[0] + row[1] * row[1] + row[2] * row[2]) / 3.0;
                             return x.data<float>()[i] / std::sqrt(square + 1e-5) * weight(i % 3);
                           }}),
    [](const auto& info) { return info.param.label; });

}  // namespace
}  // namespace disco
