// The building blocks of vision networks as exporters write them: split over nodes they give the answer of
// the unsplit model, and no node computes more than its share of it.

#include <gtest/gtest.h>

#include <iostream>
#include <numeric>

#include "../relative_error.h"
#include "blocks_attention.h"
#include "blocks_convolution.h"
#include "blocks_detection.h"
#include "blocks_other.h"
#include "blocks_quantised.h"
#include "compare.h"
#include "partition/cost.h"

namespace disco::testing {
namespace {

struct Setting {
  int nodes;
  bool uneven;  ///< 3:1, 3:1:1 …
};

std::vector<double> shares_of(const Setting& setting) {
  std::vector<double> shares(static_cast<std::size_t>(setting.nodes), 1.0);
  if (setting.uneven) shares[0] = 3.0;
  return shares;
}

Tensor random_input(const Value& value, unsigned seed) {
  std::mt19937 generator(seed);
  Tensor tensor(value.type, value.shape());
  if (value.type == DataType::Int64) {
    for (std::int64_t i = 0; i < tensor.elements(); ++i)
      tensor.data<std::int64_t>()[i] =
          static_cast<std::int64_t>(generator() % 8);  // tokens of a small vocabulary
    return tensor;
  }
  std::normal_distribution<float> normal;
  for (std::int64_t i = 0; i < tensor.elements(); ++i) tensor.data<float>()[i] = normal(generator);
  return tensor;
}

std::vector<Block> all_blocks() {
  std::vector<Block> all;
  for (const auto& family :
       {convolution_blocks(), attention_blocks(), detection_blocks(), quantised_blocks(), other_blocks()})
    all.insert(all.end(), family.begin(), family.end());
  return all;
}

class ExportedBlock : public ::testing::TestWithParam<Block> {};
INSTANTIATE_TEST_SUITE_P(, ExportedBlock, ::testing::ValuesIn(all_blocks()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(ExportedBlock, SplitEqualsUnsplitAndNobodyDoesMoreThanItsShare) {
  const Block& block = GetParam();
  const auto bytes = model_of(block);
  ASSERT_TRUE(bytes) << bytes.error().message;
  const auto model = parse_onnx(std::as_bytes(std::span(*bytes)));
  ASSERT_TRUE(model) << model.error().message;
  const auto graph = specialise(*model, {.shapes = {}, .default_batch = 2});
  ASSERT_TRUE(graph) << graph.error().message;
  NamedTensors inputs;
  for (const ValueId id : graph->inputs) inputs[graph->value(id).name] = random_input(graph->value(id), 5);
  const auto want = reference::run(*graph, inputs);
  ASSERT_TRUE(want) << want.error().message;

  for (const Setting setting : {Setting{1, false},
                                {2, false},
                                {3, false},
                                {5, false},
                                {2, true},
                                {3, true},
                                {5, true},
                                {16, false}}) {
    const std::vector<double> shares = shares_of(setting);
    const std::string where =
        fmt::format("{} nodes={} shares={}", block.name, setting.nodes, fmt::join(shares, ":"));
    const auto partition = partition_channels(*graph, {setting.nodes, shares});
    if (!partition && partition.error().code == ErrorCode::InvalidArgument && setting.nodes > 5) continue;
    ASSERT_TRUE(partition) << where << ": " << partition.error().message;
    const auto plan = plan_split(*graph, *partition);
    ASSERT_TRUE(plan) << where << ": " << plan.error().message;
    const auto shards = make_shards(*graph, *partition);
    ASSERT_TRUE(shards) << where << ": " << shards.error().message;
    const auto got = run_shards(*shards, inputs);
    ASSERT_TRUE(got) << where << ": " << got.error().message;
    EXPECT_LE(relative_error(*want, *got), block.tolerance) << where;

    const CostTable costs = cost_table(*graph, *plan, *shards);
    const auto total = static_cast<double>(costs.unsplit.macs);
    const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
    if (setting.nodes > 5) continue;  // more nodes than these small blocks have heads
    std::string replicated;
    for (const LayerCost& layer : costs.layers) {
      if (layer.form == to_string(Form::Replicated) && layer.unsplit.macs > 0)
        replicated += fmt::format("; {} '{}' is replicated: {}", layer.op, layer.name, layer.reason);
    }
    for (std::size_t r = 0; r < shares.size(); ++r) {
      EXPECT_LE(static_cast<double>(costs.nodes[r].macs) / total, shares[r] / sum + block.slack)
          << where << " node " << r << replicated;
    }
  }
}

/// What a partition chose at one batch size is what it does at another.
TEST_P(ExportedBlock, APartitionHoldsForOtherBatches) {
  const Block& block = GetParam();
  const auto bytes = model_of(block);
  ASSERT_TRUE(bytes) << bytes.error().message;
  const auto model = parse_onnx(std::as_bytes(std::span(*bytes)));
  ASSERT_TRUE(model) << model.error().message;
  const auto one = specialise(*model, {.shapes = {}, .default_batch = 1});
  const auto graph = specialise(*model, {.shapes = {}, .default_batch = 40});
  ASSERT_TRUE(one && graph);
  const auto partition = partition_channels(*one, {2, {}});
  ASSERT_TRUE(partition) << partition.error().message;
  const auto shards = make_shards(*graph, *partition);
  ASSERT_TRUE(shards) << shards.error().message;
  NamedTensors inputs;
  for (const ValueId id : graph->inputs) inputs[graph->value(id).name] = random_input(graph->value(id), 6);
  const auto want = reference::run(*graph, inputs);
  ASSERT_TRUE(want) << want.error().message;
  const auto got = run_shards(*shards, inputs);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_LE(relative_error(*want, *got), block.tolerance);
}

}  // namespace
}  // namespace disco::testing
