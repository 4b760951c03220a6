// The sharded graph equals the unsplit one, whatever the model, the number of nodes and their shares.

#include "partition/partition.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "../relative_error.h"
#include "graph/onnx.h"
#include "lockstep.h"
#include "partition/cost.h"
#include "partition/local_norm.h"
#include "reference/specialise.h"

namespace disco {
namespace {

namespace fs = std::filesystem;

Tensor random_tensor(const Shape& shape, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, 1.0F);
  Tensor tensor(DataType::Float32, shape);
  for (std::int64_t i = 0; i < tensor.elements(); ++i) tensor.data<float>()[i] = normal(generator);
  return tensor;
}

fs::path shared_folder() {
  if (const char* given = std::getenv("DISCO_SHARED")) return given;
  return fs::path(DISCO_SOURCE_DIR) / ".." / "shared";
}

/// Small operator graphs, each aimed at one rule. Written as a list of nodes over one input "x".
class GraphOf {
 public:
  explicit GraphOf(const Shape& input) : last_(graph.add_value("x", DataType::Float32)) {
    graph.value(last_).set_shape(input);
    graph.inputs.push_back(last_);
  }
  GraphOf& weighted(const std::string& op, const Shape& weight,
                    std::map<std::string, Attribute, std::less<>> attributes = {}, std::int64_t bias = 0) {
    std::vector<ValueId> inputs = {last_, graph.add_constant(op + "_w", random_tensor(weight, seed_++))};
    if (bias > 0) inputs.push_back(graph.add_constant(op + "_b", random_tensor({bias}, seed_++)));
    return node(op, std::move(inputs), std::move(attributes));
  }
  GraphOf& unary(const std::string& op, std::map<std::string, Attribute, std::less<>> attributes = {}) {
    return node(op, {last_}, std::move(attributes));
  }
  GraphOf& with_ints(const std::string& op, std::vector<std::vector<std::int64_t>> lists,
                     std::map<std::string, Attribute, std::less<>> attributes = {}) {
    std::vector<ValueId> inputs = {last_};
    for (const auto& list : lists) {
      inputs.push_back(graph.add_constant(
          op + "_i", Tensor::of<std::int64_t>({static_cast<std::int64_t>(list.size())}, list)));
    }
    return node(op, std::move(inputs), std::move(attributes));
  }
  GraphOf& node(const std::string& op, std::vector<ValueId> inputs,
                std::map<std::string, Attribute, std::less<>> attributes = {}, int outputs = 1) {
    Node made;
    made.op = op;
    made.inputs = std::move(inputs);
    for (int o = 0; o < outputs; ++o) made.outputs.push_back(graph.add_value(op, DataType::Undefined));
    made.attributes = std::move(attributes);
    last_ = made.outputs[0];
    graph.nodes.push_back(std::move(made));
    return *this;
  }
  [[nodiscard]] ValueId last() const { return last_; }
  Graph done() {
    graph.outputs.push_back(last_);
    return graph;
  }
  Graph graph;

 private:
  ValueId last_;
  unsigned seed_ = 1;
};

using Ints = std::vector<std::int64_t>;
using Attributes = std::map<std::string, Attribute, std::less<>>;

struct Case {
  std::string name;
  Graph graph;
};

GraphOf conv_trunk(std::int64_t channels = 12) {
  GraphOf g({2, 3, 6, 5});
  g.weighted("Conv", {channels, 3, 3, 3}, {{"pads", Ints{1, 1, 1, 1}}}, channels);
  return g;
}

GraphOf token_trunk(std::int64_t features = 12) {
  GraphOf g({2, 5, 7});
  g.weighted("MatMul", {7, features});
  return g;
}

/// Two layers of a dense block and what enlarges the result: every piece is read as it is, joined,
/// normalised, padded and resized.
GraphOf growing() {
  GraphOf g = conv_trunk(12);
  g.unary("Relu");
  const ValueId first = g.last();
  g.weighted("Conv", {6, 12, 1, 1}, {}, 6).unary("LeakyRelu", {{"alpha", 0.2F}});
  const ValueId second = g.last();
  const Attributes channels = {{"axis", std::int64_t{1}}};
  g.node("Concat", {first, second}, channels)
      .weighted("Conv", {6, 18, 3, 3}, {{"pads", Ints{1, 1, 1, 1}}}, 6)
      .unary("LeakyRelu");
  const ValueId third = g.last();
  g.node("Concat", {first, second, third}, channels);
  const auto vector = [&](const std::string& name, unsigned seed, bool positive) {
    Tensor values = random_tensor({24}, seed);
    for (std::int64_t i = 0; positive && i < 24; ++i)
      values.data<float>()[i] = 0.5F + std::abs(values.data<float>()[i]);
    return g.graph.add_constant(name, std::move(values));
  };
  const std::vector<ValueId> statistics = {vector("scale", 50, false), vector("shift", 51, false),
                                           vector("mean", 52, false), vector("variance", 53, true)};
  std::vector<ValueId> inputs = {g.last()};
  inputs.insert(inputs.end(), statistics.begin(), statistics.end());
  g.node("BatchNormalization", inputs).unary("Relu");
  const ValueId zero = g.graph.add_constant("zero", Tensor::scalar(0.0F));
  g.node("Pad",
         {g.last(), g.graph.add_constant("pads", Tensor::of<std::int64_t>({8}, {0, 0, 2, 1, 0, 0, 1, 2})),
          zero});
  g.node("Resize", {g.last(), kNoValue, g.graph.add_constant("scales", Tensor::of<float>({4}, {1, 1, 2, 3}))},
         {{"mode", std::string("linear")}, {"coordinate_transformation_mode", std::string("half_pixel")}});
  g.weighted("Conv", {8, 24, 1, 1}, {}, 8);
  return g;
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::string name, GraphOf& g) { list.push_back({std::move(name), g.done()}); };
  {
    GraphOf g = growing();
    add("dense block, padded and enlarged", g);
  }
  {
    // The output's channels of others are enlarged by who answers.
    GraphOf g = conv_trunk(12);
    g.node("Resize",
           {g.last(), kNoValue, g.graph.add_constant("scales", Tensor::of<float>({4}, {1, 1, 3, 4}))},
           {{"mode", std::string("nearest")}});
    add("enlarged output", g);
  }
  {
    GraphOf g = conv_trunk();
    g.unary("Relu").weighted("Conv", {9, 12, 1, 1}, {}, 9);
    add("conv_conv", g);
  }
  {
    GraphOf g = conv_trunk();
    const ValueId trunk = g.last();
    g.weighted("Conv", {12, 1, 3, 3}, {{"group", std::int64_t{12}}, {"pads", Ints{1, 1, 1, 1}}}, 12);
    g.node("Add", {g.last(), trunk}).weighted("Conv", {24, 2, 1, 1}, {{"group", std::int64_t{6}}}, 24);
    g.weighted("ConvTranspose", {24, 2, 2, 2}, {{"group", std::int64_t{3}}, {"strides", Ints{2, 2}}}, 6);
    g.weighted("ConvTranspose", {6, 5, 2, 2}, {{"strides", Ints{2, 2}}}, 5);
    add("grouped_depthwise_transposed", g);
  }
  {
    GraphOf g = conv_trunk();
    const ValueId trunk = g.last();
    g.unary("GlobalAveragePool")
        .weighted("Conv", {4, 12, 1, 1}, {}, 4)
        .unary("Relu")
        .weighted("Conv", {12, 4, 1, 1}, {}, 12);
    g.unary("Sigmoid");
    g.node("Mul", {trunk, g.last()})
        .unary("GlobalAveragePool")
        .unary("Flatten")
        .weighted("Gemm", {12, 10}, {}, 10);
    add("squeeze_excite", g);
  }
  {
    GraphOf g = conv_trunk();
    g.unary("Flatten").weighted("Gemm", {11, 360},
                                {{"transB", std::int64_t{1}}, {"alpha", 0.5F}, {"beta", 2.0F}}, 11);
    g.unary("Softmax", {{"axis", std::int64_t{-1}}});
    add("flatten_gemm_softmax", g);
  }
  {
    GraphOf g = conv_trunk();
    const ValueId trunk = g.last();
    g.with_ints("Slice", {{0, 0}, {6, 5}, {2, 3}, {2, 2}});
    g.with_ints("Pad", {{0, 3, 0, 0, 0, 5, 0, 0}}).weighted("Conv", {20, 20, 1, 1});
    g.node("Concat", {g.last(), g.last()}, {{"axis", std::int64_t{1}}});
    g.with_ints("Slice", {{30}, {2}, {1}, {-3}}).unary("LRN", {{"size", std::int64_t{3}}});
    (void)trunk;
    add("slice_pad_concat_reverse_lrn", g);
  }
  {
    GraphOf g = conv_trunk(16);
    g.with_ints("Gather", {{3, 1, 15, 8, 0, 2, 7, 7}}, {{"axis", std::int64_t{1}}});
    g.unary("DepthToSpace", {{"blocksize", std::int64_t{2}}}).weighted("Conv", {8, 2, 3, 3});
    g.unary("DepthToSpace", {{"blocksize", std::int64_t{2}}, {"mode", std::string("CRD")}});
    g.unary("SpaceToDepth", {{"blocksize", std::int64_t{2}}})
        .unary("LogSoftmax", {{"axis", std::int64_t{1}}});
    add("gather_depth_to_space", g);
  }
  {
    GraphOf g = conv_trunk(16);
    g.with_ints("Split", {{5, 11}}, {{"axis", std::int64_t{1}}});
    g.graph.nodes.back().outputs.push_back(g.graph.add_value("second", DataType::Undefined));
    const ValueId first = g.graph.nodes.back().outputs[0];
    const ValueId second = g.graph.nodes.back().outputs[1];
    g.node("Concat", {second, first, second}, {{"axis", std::int64_t{1}}})
        .weighted("Conv", {7, 27, 1, 1}, {}, 7);
    g.unary("ReduceMean", {{"axes", Ints{1}}});
    add("split_concat_mean_over_channels", g);
  }
  {
    GraphOf g = conv_trunk(16);
    // Group normalisation as exporters write it.
    g.with_ints("Reshape", {{2, 4, -1}});
    std::vector<ValueId> inputs = {g.last(), g.graph.add_constant("s", random_tensor({4}, 5)),
                                   g.graph.add_constant("b", random_tensor({4}, 6))};
    g.node("InstanceNormalization", inputs).with_ints("Reshape", {{2, 16, 6, 5}});
    g.node("Mul", {g.last(), g.graph.add_constant("gs", random_tensor({16, 1, 1}, 7))});
    g.with_ints("Reshape", {{2, 2, 8, 6, 5}})
        .unary("Transpose", {{"perm", Ints{0, 2, 1, 3, 4}}})
        .with_ints("Reshape", {{2, 16, 6, 5}});
    g.weighted("Conv", {5, 16, 1, 1});
    add("group_norm_shuffle", g);
  }
  for (const std::int64_t heads : {2, 3, 6}) {
    GraphOf g = token_trunk(12);
    const ValueId trunk = g.last();
    std::vector<ValueId> norm = {trunk, g.graph.add_constant("ln_s", random_tensor({12}, 11)),
                                 g.graph.add_constant("ln_b", random_tensor({12}, 12))};
    g.node("LayerNormalization", norm, {{"axis", std::int64_t{-1}}}).weighted("MatMul", {12, 36});
    g.node("Add", {g.last(), g.graph.add_constant("qkv_b", random_tensor({36}, 13))});
    g.with_ints("Reshape", {{2, 5, 3, heads, 12 / heads}})
        .unary("Transpose", {{"perm", Ints{2, 0, 3, 1, 4}}});
    const ValueId qkv = g.last();
    const auto part = [&](std::int64_t index) {
      g.node("Gather", {qkv, g.graph.add_constant("i", Tensor::scalar<std::int64_t>(index))},
             {{"axis", std::int64_t{0}}});
      return g.last();
    };
    const ValueId q = part(0);
    const ValueId k = part(1);
    const ValueId v = part(2);
    g.node("Transpose", {k}, {{"perm", Ints{0, 1, 3, 2}}});
    g.node("MatMul", {q, g.last()}).unary("Softmax", {{"axis", std::int64_t{-1}}});
    g.node("MatMul", {g.last(), v})
        .unary("Transpose", {{"perm", Ints{0, 2, 1, 3}}})
        .with_ints("Reshape", {{2, 5, 12}});
    g.weighted("MatMul", {12, 12});
    g.node("Add", {g.last(), trunk});
    add("attention_" + std::to_string(heads), g);
  }
  {
    GraphOf g = token_trunk(12);
    // Attention over channels: the contraction itself is sharded.
    const ValueId x = g.last();
    g.unary("Transpose", {{"perm", Ints{0, 2, 1}}});
    const ValueId y = g.last();
    g.node("MatMul", {x, y});
    const ValueId gram = g.last();
    g.node("MatMul", {gram, x}).unary("ReduceL2", {{"axes", Ints{2}}, {"keepdims", std::int64_t{0}}});
    add("gram_partial_sums", g);
  }
  {
    GraphOf g = conv_trunk(6);
    g.node("Resize",
           {g.last(), kNoValue,
            g.graph.add_constant("scales", Tensor::of<float>({4}, std::vector<float>{1, 1, 2, 2}))},
           {{"mode", std::string("linear")}});
    g.node("Resize", {g.last(), kNoValue, kNoValue,
                      g.graph.add_constant("sizes", Tensor::of<std::int64_t>({4}, Ints{2, 6, 7, 9}))});
    g.unary("MaxPool", {{"kernel_shape", Ints{2, 2}}})
        .unary("Transpose", {{"perm", Ints{0, 2, 3, 1}}})
        .with_ints("Reshape", {{2, -1, 2}});
    g.unary("ArgMax", {{"axis", std::int64_t{-1}}});
    add("resize_detection_head", g);
  }
  {
    GraphOf g = token_trunk(12);
    g.unary("ReduceMax", {{"axes", Ints{2}}, {"keepdims", std::int64_t{1}}});
    const ValueId top = g.last();
    g.node("Sub", {g.graph.nodes[0].outputs[0], top});
    g.with_ints("Unsqueeze", {{1}})
        .with_ints("Expand", {{2, 3, 5, 12}})
        .with_ints("Tile", {{1, 1, 2, 1}})
        .with_ints("Squeeze", {{}});
    g.graph.nodes.back().inputs.resize(1);
    add("broadcast_back", g);
  }
  return list;
}

struct Setting {
  int nodes;
  std::vector<double> shares;
};

std::vector<Setting> settings() {
  return {{1, {}}, {2, {}}, {3, {}}, {4, {}}, {5, {}}, {2, {3, 1}}, {3, {2, 5, 2}}};
}

void expect_equal(const std::string& name, const Graph& graph, const Setting& setting,
                  double tolerance = 1e-5) {
  const std::string where = fmt::format("{} nodes={} shares={}", name, setting.nodes, setting.shares.size());
  auto partition = partition_channels(graph, {setting.nodes, setting.shares});
  ASSERT_TRUE(partition) << where << ": " << partition.error().message;
  auto shards = make_shards(graph, *partition);
  ASSERT_TRUE(shards) << where << ": " << shards.error().message;
  NamedTensors inputs;
  for (const ValueId id : graph.inputs)
    inputs[graph.value(id).name] = random_tensor(graph.value(id).shape(), 99);
  auto want = reference::run(graph, inputs);
  ASSERT_TRUE(want) << where << ": " << want.error().message;
  auto got = testing::run_lockstep(*shards, inputs);
  ASSERT_TRUE(got) << where << ": " << got.error().message;
  EXPECT_LE(testing::relative_error(*want, got->outputs), tolerance) << where;

  // The table's bytes are those that travelled.
  auto plan = plan_split(graph, *partition);
  ASSERT_TRUE(plan) << where << ": " << plan.error().message;
  const CostTable costs = cost_table(graph, *plan, *shards);
  for (std::size_t r = 0; r < shards->size(); ++r) {
    EXPECT_EQ(costs.nodes[r].bytes_sent, got->bytes_sent[r]) << where << " rank " << r;
    std::int64_t by_layer = 0;
    for (const LayerCost& layer : costs.layers) by_layer += layer.nodes[r].bytes_sent;
    EXPECT_EQ(by_layer, got->bytes_sent[r]) << where << " rank " << r << ": layers do not add up";
  }

  // What the artifact's metadata keeps is enough to make the same shards.
  auto reread = partition_from_json(to_json(*partition));
  ASSERT_TRUE(reread) << where << ": " << reread.error().message;
  auto again = make_shards(graph, *reread);
  ASSERT_TRUE(again) << where << ": " << again.error().message;
  auto same = testing::run_lockstep(*again, inputs);
  ASSERT_TRUE(same) << where << ": " << same.error().message;
  EXPECT_EQ(testing::relative_error(got->outputs, same->outputs), 0.0) << where;
}

TEST(Sharded, EqualsUnsplitRuleByRule) {
  for (const Case& c : cases()) {
    auto graph = specialise(c.graph, {});
    ASSERT_TRUE(graph) << c.name << ": " << graph.error().message;
    for (const Setting& setting : settings()) expect_equal(c.name, *graph, setting);
  }
}

TEST(Sharded, NothingSplittableFallsBackToReplicated) {
  for (const Case& c : cases()) {
    auto graph = specialise(c.graph, {});
    ASSERT_TRUE(graph) << c.name;
    const Layouts layouts = infer_layouts(*graph, {});
    for (std::size_t n = 0; n < layouts.rules.size(); ++n) {
      const Node& node = graph->nodes[n];
      // ArgMax over the channels is the one that needs them all in one place.
      EXPECT_TRUE(layouts.rules[n].reason.empty() || node.is("ArgMax"))
          << c.name << ": " << describe(*graph, node) << " is replicated: " << layouts.rules[n].reason;
    }
  }
}

TEST(Sharded, EqualsUnsplitOnPretrainedModels) {
  const fs::path models = shared_folder() / "data" / "models";
  if (!fs::exists(models)) GTEST_SKIP() << "no pretrained models at " << models << "; set DISCO_SHARED";
  // The whole sweep over all models runs on the compiled programs; the evaluator here is slow, so small ones
  // are taken.
  for (const std::string name : {"cifar10_resnet20_bn", "cifar10_resnet20_folded", "face_ssd_rfb320"}) {
    auto model = load_onnx(models / (name + ".onnx"));
    ASSERT_TRUE(model) << name << ": " << model.error().message;
    auto graph = specialise(*model, {});
    ASSERT_TRUE(graph) << name << ": " << graph.error().message;
    for (const Setting& setting : {Setting{3, {}}, Setting{2, {3, 1}}})
      expect_equal(name, *graph, setting, 1e-4);
  }
}

TEST(Partition, BadOptionsGetOneLine) {
  GraphOf g = conv_trunk();
  auto graph = specialise(g.done(), {});
  ASSERT_TRUE(graph);
  const auto code = [&](PartitionOptions options) {
    auto result = partition_channels(*graph, options);
    EXPECT_FALSE(result);
    EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
    return result.error().code;
  };
  EXPECT_EQ(code({0, {}}), ErrorCode::InvalidArgument);
  EXPECT_EQ(code({65, {}}), ErrorCode::InvalidArgument);
  EXPECT_EQ(code({13, {}}), ErrorCode::InvalidArgument);  // more nodes than channels
  EXPECT_EQ(code({2, {1}}), ErrorCode::InvalidArgument);
  EXPECT_EQ(code({2, {1, -1}}), ErrorCode::InvalidArgument);
  EXPECT_EQ(code({2, {1, 1000}}), ErrorCode::InvalidArgument);  // a node without any channel
}

TEST(Partition, HostileMetadataIsRefused) {
  for (
      const std::string text :
      {"", "{", "[]", "{\"version\":1}",
       R"({"version":99,"nodes":2,"shares":[1,1],"method":"dense","axes":{},"owners":{},"keep":{}})",
       R"({"version":1,"nodes":2,"shares":[1,1],"method":"dense","axes":{},"owners":{"x":[[7,3]]},"keep":{}})",
       R"({"version":1,"nodes":2,"shares":[1,1],"method":"dense","axes":{},"owners":{"x":[[0,99999999999]]},"keep":{}})",
       R"({"version":1,"nodes":2,"shares":[1,1],"method":"dense","axes":{},"owners":{},"keep":{"x":[{"from":0,"to":1,"channels":"5-2"}]}})",
       R"({"version":1,"nodes":2,"shares":[1,1],"method":"dense","axes":{},"owners":{},"keep":{},"bands":0})",
       R"({"version":1,"nodes":2,"shares":[1,1],"method":"dense","axes":{},"owners":{},"keep":{},"bands":17})",
       R"({"version":1,"nodes":2,"shares":[1,1],"method":"dense","axes":{},"owners":{},"keep":{},"bands":"2"})",
       R"({"version":1,"nodes":2,"shares":[1,1],"method":"dense","axes":{},"owners":{},"keep":{},"bands":2,"band_bytes":-1})"}) {
    EXPECT_FALSE(partition_from_json(text)) << text;
  }
}

/// Normalised part by part, the model is another one, which its own split equals without any statistics;
/// channels of one owner need not lie together.
TEST(LocalNorm, SplitsAsItIsWrittenWithoutStatistics) {
  GraphOf g = token_trunk(12);
  const ValueId scale = g.graph.add_constant("scale", random_tensor({12}, 21));
  const ValueId shift = g.graph.add_constant("shift", random_tensor({12}, 22));
  g.node("LayerNormalization", {g.last(), scale, shift}, {{"axis", std::int64_t{-1}}, {"epsilon", 1e-5F}});
  const std::string normalised = g.graph.value(g.last()).name;
  g.weighted("MatMul", {12, 9});
  const Graph model = g.done();
  const Graph fixed = specialise(model, {}).value();
  const NamedTensors inputs = {{"x", random_tensor({2, 5, 7}, 4)}};
  const NamedTensors exact = reference::run(fixed, inputs).value();
  for (const int nodes : {2, 3}) {
    for (const bool scattered : {false, true}) {
      const std::string where = fmt::format("{} nodes{}", nodes, scattered ? ", scattered" : "");
      Partition partition = partition_channels(fixed, {nodes, {}}).value();
      for (auto& [name, owners] : partition.owners) {
        for (std::size_t c = 0; scattered && c < owners.size(); ++c)
          owners[c] = static_cast<std::int32_t>(c * 5 % owners.size()) % nodes;
      }
      const auto local = localise_norms(model, fixed, plan_split(fixed, partition).value());
      ASSERT_TRUE(local) << where << ": " << local.error().message;
      EXPECT_NE(local->find_value(normalised), kNoValue) << where;
      const Graph graph = specialise(*local, {}).value();
      const NamedTensors want = reference::run(graph, inputs).value();
      EXPECT_GT(testing::relative_error(exact, want), 1e-3) << where << ": it is the same function";
      const std::vector<Graph> shards = make_shards(graph, partition).value();
      const auto got = testing::run_lockstep(shards, inputs);
      ASSERT_TRUE(got) << where << ": " << got.error().message;
      EXPECT_LE(testing::relative_error(want, got->outputs), 1e-5) << where;
      for (const Graph& shard : shards) {
        for (const Node& node : shard.nodes) {
          EXPECT_EQ(node.string_or("value", "").find("/statistics"), std::string::npos) << where;
          EXPECT_FALSE((node.is("Gather") || node.is("Split")) && node.name.starts_with(normalised))
              << where << ": " << describe(shard, node);
        }
      }
      // Another number of nodes exchanges the parts' statistics again.
      expect_equal("local norms, split anew", graph, {4, {}}, 1e-4);
    }
  }
  EXPECT_FALSE(
      localise_norms(model, fixed, plan_split(fixed, partition_channels(fixed, {1, {}}).value()).value()));
}

TEST(Partition, WhatGrowsIsSentBeforeItDoes) {
  auto graph = specialise(growing().done(), {});
  ASSERT_TRUE(graph) << graph.error().message;
  auto partition = partition_channels(*graph, {2, {}});
  ASSERT_TRUE(partition);
  const NamedTensors inputs = {{"x", random_tensor({2, 3, 6, 5}, 4)}};
  const auto got = testing::run_lockstep(make_shards(*graph, *partition).value(), inputs);
  ASSERT_TRUE(got) << got.error().message;
  // Half of 12, 6 and 6 channels once, of two images of 6 by 5; and four of the output's 8 to rank 0.
  const std::int64_t pieces = 2 * (6 + 3 + 3) * 30 * 4;
  EXPECT_EQ(got->bytes_sent[0], pieces);
  EXPECT_EQ(got->bytes_sent[1], pieces + 2 * 4 * (9 * 2) * (8 * 3) * 4);
}

/// Keep-sets of a dense block's layers: what is sent is what any of them keeps.
TEST(Partition, KeepSetsOfJoinedValuesEqualPrunedWeights) {
  auto graph = specialise(growing().done(), {});
  ASSERT_TRUE(graph) << graph.error().message;
  auto partition = partition_channels(*graph, {2, {}});
  ASSERT_TRUE(partition);
  const auto plan = plan_split(*graph, *partition);
  ASSERT_TRUE(plan);
  Graph pruned = *graph;
  for (std::size_t n = 0; n < graph->nodes.size(); ++n) {
    const Node& node = graph->nodes[n];
    if (!node.is("Conv") || graph->value(node.inputs[0]).name == "x") continue;
    const ValuePlan& in = plan->value_plans[static_cast<std::size_t>(node.inputs[0])];
    const ValuePlan& out = plan->value_plans[static_cast<std::size_t>(node.outputs[0])];
    auto& keep = partition->keep[graph->value(node.inputs[0]).name];
    Tensor weight = graph->constant(node.inputs[1])->clone();
    const Shape& shape = weight.shape();
    const std::int64_t taps = shape[2] * shape[3];
    for (const int to : {0, 1}) {
      for (const std::int32_t c : in.owned[static_cast<std::size_t>(1 - to)]) {
        if ((c + static_cast<std::int32_t>(n) + to) % 3 == 0) {
          keep[{1 - to, to}].push_back(c);
          continue;
        }
        for (const std::int32_t o : out.owned[static_cast<std::size_t>(to)])
          std::fill_n(weight.data<float>() + (o * shape[1] + c) * taps, taps, 0.0F);
      }
    }
    pruned.value(node.inputs[1]).constant = weight;
  }
  const NamedTensors inputs = {{"x", random_tensor({2, 3, 6, 5}, 4)}};
  const auto want = reference::run(pruned, inputs);
  const auto got = testing::run_lockstep(make_shards(pruned, *partition).value(), inputs);
  ASSERT_TRUE(want && got);
  EXPECT_LE(testing::relative_error(*want, got->outputs), 1e-5);
  EXPECT_LT(got->bytes_sent[0], 2 * (6 + 3 + 3) * 30 * 4);
}

TEST(Partition, SparseKeepSetsEqualPrunedWeights) {
  // Zero the weights of the channels that are not kept: the sparse exchange must equal the pruned model.
  GraphOf g = conv_trunk(12);
  g.unary("Relu").weighted("Conv", {10, 12, 1, 1}, {}, 10);
  auto graph = specialise(g.done(), {});
  ASSERT_TRUE(graph);
  auto partition = partition_channels(*graph, {2, {}});
  ASSERT_TRUE(partition);
  Graph pruned = *graph;
  std::string value;
  for (Node& node : pruned.nodes) {
    if (!node.is("Conv") || pruned.value(node.inputs[0]).name == "x") continue;
    value = pruned.value(node.inputs[0]).name;
    Tensor weight = pruned.constant(node.inputs[1])->clone();
    for (std::int64_t o = 0; o < 10; ++o) {
      for (std::int64_t c = 0; c < 12; ++c) {
        const bool off_diagonal = (o < 5) != (c < 6);
        if (off_diagonal && c != 2 && c != 9) weight.data<float>()[o * 12 + c] = 0.0F;
      }
    }
    pruned.value(node.inputs[1]).constant = weight;
  }
  partition->keep[value] = {{{0, 1}, {2}}, {{1, 0}, {9}}};
  const NamedTensors inputs = {{"x", random_tensor({2, 3, 6, 5}, 4)}};
  auto want = reference::run(pruned, inputs);
  auto shards = make_shards(pruned, *partition);
  ASSERT_TRUE(want && shards);
  auto got = testing::run_lockstep(*shards, inputs);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_LE(testing::relative_error(*want, got->outputs), 1e-5);
  EXPECT_EQ(got->bytes_sent[0], 2 * 1 * 30 * 4);                   // one channel of two images
  EXPECT_EQ(got->bytes_sent[1], 2 * 1 * 30 * 4 + 2 * 5 * 30 * 4);  // and the output's five to rank 0
}

}  // namespace
}  // namespace disco
