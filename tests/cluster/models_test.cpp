// Whole networks, split in many ways, answer as the evaluator does on the unsplit one: the zoo at small
// extents, and pretrained models where the folder of real data is there.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>

#include "../relative_error.h"
#include "cluster/cluster.h"
#include "graph/onnx.h"
#include "partition/cost.h"
#include "partition/plan.h"
#include "reference/evaluate.h"
#include "reference/specialise.h"
#include "zoo/zoo.h"

namespace disco::testing {
namespace {

namespace fs = std::filesystem;

struct Case {
  std::string model;
  Shape extents;  ///< of its input
  ZooOptions options{};
};

std::ostream& operator<<(std::ostream& stream, const Case& c) {
  return stream << c.model << " " << to_string(c.extents);
}

const Case kCases[] = {
    {"resnet18", {2, 3, 64, 64}},
    {"mobilenetv2", {1, 3, 64, 64}},
    {"deit-tiny", {1, 3, 224, 224}},
    {"deit-tiny-distilled", {2, 3, 48, 32}, {.size = ImageSize{48, 32}, .blocks = 3, .patch = 8}},
    {"deit-base", {1, 3, 32, 32}, {.size = ImageSize{32, 32}, .width = 0.25, .blocks = 2}},
    {"ssd300-resnet50", {1, 3, 96, 128}, {.size = ImageSize{96, 128}, .width = 0.25, .classes = 5}},
    {"ssd300-mobilenetv2",
     {2, 3, 96, 96},
     {.size = ImageSize{96, 96}, .width = 0.5, .classes = 3, .stride = 8}},
    {"deeplabv3plus-resnet50", {1, 3, 65, 81}, {.size = ImageSize{65, 81}, .width = 0.25}},
    {"deeplabv3plus-mobilenetv2",
     {1, 3, 90, 120},
     {.size = ImageSize{90, 120}, .width = 0.5, .classes = 11, .stride = 8}},
    {"esrgan", {1, 3, 14, 9}, {.blocks = 1}},
    {"esrgan-small", {1, 3, 12, 17}, {}},
    {"camvid_espnet", {1, 3, 360, 480}},
    {"cifar10_resnet20_bn", {5, 3, 32, 32}},
    {"cifar10_resnet56_folded", {1, 3, 32, 32}},
    {"face_ssd_rfb320", {1, 3, 240, 320}},
    {"imagenet_mobilenetv2", {1, 3, 224, 224}},
    {"imagenet_squeezenet1_1", {1, 3, 227, 227}},
    {"sr_fsrcnn_x4", {1, 1, 21, 34}},
    {"sr_imdn_x4", {1, 3, 13, 17}},
    {"voc_deeplabv3_mobilenetv2", {1, 3, 513, 513}},
};

const Case kProcessCases[] = {
    {"resnet18", {1, 3, 64, 64}},     {"mobilenetv2", {1, 3, 64, 64}},
    {"deit-tiny", {1, 3, 224, 224}},  {"cifar10_resnet20_bn", {3, 3, 32, 32}},
    {"sr_fsrcnn_x4", {1, 1, 21, 34}}, {"face_ssd_rfb320", {1, 3, 240, 320}},
};

const std::vector<std::vector<double>> kShares = {{1, 1}, {1, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 1, 1}, {3, 1}};

bool is_zoo(const std::string& name) {
  const auto names = zoo_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

fs::path pretrained(const std::string& name) {
  const char* given = std::getenv("DISCO_SHARED");
  const fs::path shared = given != nullptr ? fs::path(given) : fs::path(DISCO_SOURCE_DIR) / ".." / "shared";
  return shared / "data" / "models" / (name + ".onnx");
}

/// The model at the case's extents. The zoo's graphs are made for 224 pixels; convolutions take any.
Result<Graph> graph_of(const Case& c) {
  if (!is_zoo(c.model)) {
    DISCO_TRY(const Graph model, load_onnx(pretrained(c.model)));
    return specialise(model, {{{model.value(model.inputs[0]).name, c.extents}}});
  }
  ZooOptions options = c.options;
  options.seed = 7;
  DISCO_TRY(Graph model, zoo(c.model, options));
  model.value(model.inputs[0]).set_shape(c.extents);
  return specialise(model, {});
}

NamedTensors input_of(const Graph& graph, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Tensor tensor(DataType::Float32, graph.value(graph.inputs[0]).shape());
  for (std::int64_t i = 0; i < tensor.elements(); ++i) tensor.data<float>()[i] = normal(generator);
  return {{graph.value(graph.inputs[0]).name, tensor}};
}

bool same_bits(const NamedTensors& a, const NamedTensors& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [name, tensor] : a) {
    const auto found = b.find(name);
    if (found == b.end() || found->second.bytes() != tensor.bytes() ||
        std::memcmp(found->second.raw(), tensor.raw(), tensor.bytes()) != 0)
      return false;
  }
  return true;
}

/// Elements of the weights that a linear map's ranks hold of it, by the whole weight's name.
std::map<std::string, std::int64_t> held_weights(const std::vector<Graph>& shards) {
  std::map<std::string, std::int64_t> held;
  for (std::size_t rank = 0; rank < shards.size(); ++rank) {
    const std::string suffix = fmt::format("@{}", rank);
    for (const Value& value : shards[rank].values) {
      if (!value.is_constant()) continue;
      std::string name = value.name;
      if (name.ends_with(suffix)) name.resize(name.size() - suffix.size());
      held[name] += value.constant->elements();
    }
  }
  return held;
}

class Models : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!is_zoo(GetParam().model) && !fs::exists(pretrained(GetParam().model)))
      GTEST_SKIP() << "no " << pretrained(GetParam().model)
                   << "; set DISCO_SHARED to the folder of real data";
  }
};
class ModelsAsProcesses : public Models {};

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.model;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(, Models, ::testing::ValuesIn(kCases), name_of);
INSTANTIATE_TEST_SUITE_P(, ModelsAsProcesses, ::testing::ValuesIn(kProcessCases), name_of);

TEST_P(Models, AnswerAsUnsplitInEverySplit) {
  const auto graph = graph_of(GetParam());
  ASSERT_TRUE(graph.ok()) << GetParam() << ": " << graph.error().message;
  const NamedTensors inputs = input_of(*graph, 3);
  const auto want = reference::run(*graph, inputs);
  ASSERT_TRUE(want.ok()) << GetParam() << ": " << want.error().message;
  auto whole = Cluster::start_inproc({*graph}, {.threads = 1});
  ASSERT_TRUE(whole.ok()) << GetParam() << ": " << whole.error().message;
  const auto whole_bytes = static_cast<double>((*whole)->nodes()[0].weight_bytes);
  const auto unsplit = (*whole)->run(inputs);
  ASSERT_TRUE(unsplit.ok()) << GetParam() << ": " << unsplit.error().message;
  EXPECT_LE(relative_error(*want, unsplit->outputs), 2e-5) << GetParam() << " on one node";

  for (const std::vector<double>& shares : kShares) {
    const int nodes = static_cast<int>(shares.size());
    const std::string what =
        fmt::format("{} shares={}", ::testing::PrintToString(GetParam()), fmt::join(shares, ":"));
    const auto partition = partition_channels(*graph, {nodes, shares});
    ASSERT_TRUE(partition.ok()) << what << ": " << partition.error().message;
    const auto shards = make_shards(*graph, *partition);
    ASSERT_TRUE(shards.ok()) << what << ": " << shards.error().message;
    auto cluster = Cluster::start_inproc(*shards, {.threads = 1});
    ASSERT_TRUE(cluster.ok()) << what << ": " << cluster.error().message;
    const auto first = (*cluster)->run(inputs);
    ASSERT_TRUE(first.ok()) << what << ": " << first.error().message;
    EXPECT_LE(relative_error(*want, first->outputs), 2e-5) << what;
    const auto second = (*cluster)->run(inputs);
    ASSERT_TRUE(second.ok()) << what << ": " << second.error().message;
    EXPECT_TRUE(same_bits(first->outputs, second->outputs)) << what << ": the second run gave other bits";

    // Every element of a weight lies on one rank.
    const std::map<std::string, std::int64_t> held = held_weights(*shards);
    const auto plan = plan_split(*graph, *partition);
    ASSERT_TRUE(plan.ok()) << what << ": " << plan.error().message;
    for (std::size_t n = 0; n < graph->nodes.size(); ++n) {
      const Rule& rule = plan->node_plans[n].rule;
      if (rule.form != Form::Linear || rule.groups != 1) continue;
      const Value& weight = graph->value(graph->nodes[n].inputs[rule.weight]);
      const auto found = held.find(weight.name);
      EXPECT_EQ(found == held.end() ? 0 : found->second, weight.constant->elements())
          << what << ": of " << weight.name << ", all ranks together";
    }
    if (nodes != 2 || shares[0] != shares[1]) continue;
    const auto model_bytes = static_cast<double>(total_cost(*graph).weight_bytes);
    for (std::size_t rank = 0; rank < shards->size(); ++rank) {
      EXPECT_LE(static_cast<double>(total_cost((*shards)[rank]).weight_bytes), 0.52 * model_bytes)
          << what << " rank=" << rank;
      // Kernels fill few channels up to whole vectors, which only shows in small models.
      if (model_bytes < 6e6) continue;
      EXPECT_LE(static_cast<double>((*cluster)->nodes()[rank].weight_bytes), 0.52 * whole_bytes)
          << what << " rank=" << rank << ", in the kernels' layouts";
    }
  }
}

TEST_P(ModelsAsProcesses, AnswerAsThreadsDo) {
  const auto graph = graph_of(GetParam());
  ASSERT_TRUE(graph.ok()) << GetParam() << ": " << graph.error().message;
  const auto partition = partition_channels(*graph, {3, {2, 1, 1}});
  ASSERT_TRUE(partition.ok()) << GetParam() << ": " << partition.error().message;
  const auto shards = make_shards(*graph, *partition);
  ASSERT_TRUE(shards.ok()) << GetParam() << ": " << shards.error().message;
  const NamedTensors inputs = input_of(*graph, 11);
  NamedTensors answers[2];
  for (const bool processes : {false, true}) {
    const ClusterOptions options{.threads = 1};
    auto cluster =
        processes ? Cluster::start_local(*shards, options) : Cluster::start_inproc(*shards, options);
    ASSERT_TRUE(cluster.ok()) << GetParam() << " processes=" << processes << ": " << cluster.error().message;
    const auto result = (*cluster)->run(inputs);
    ASSERT_TRUE(result.ok()) << GetParam() << " processes=" << processes << ": " << result.error().message;
    answers[processes ? 1 : 0] = result->outputs;
  }
  EXPECT_TRUE(same_bits(answers[0], answers[1]))
      << GetParam() << " max |difference| / max |output| " << relative_error(answers[0], answers[1]);
}

}  // namespace
}  // namespace disco::testing
