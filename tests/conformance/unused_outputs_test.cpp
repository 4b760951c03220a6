// Networks that were cut somewhere leave outputs that nobody reads.

#include <gtest/gtest.h>

#include "block.h"
#include "compare.h"

namespace disco::testing {
namespace {

TEST(UnusedOutputs, AreNoFault) {
  const Block blocks[] = {
      {"split_first_part_unused", 17, R"(
      g (float[2,3,8,8] x, float[12,3,3,3] w0, float[5,4,1,1] w1) => (float[2,5,8,8] y) {
        c = Conv<pads = [1,1,1,1]>(x, w0)
        parts = Constant<value = int64[3] {4, 4, 4}>()
        a, b, d = Split<axis = 1>(c, parts)
        r = Relu(b)
        y = Conv(r, w1)
      })"},
      {"equal_split_last_part_used", 13, R"(
      g (float[2,9,12] x, float[12,12] w0, float[4,6] w1) => (float[2,9,6] y) {
        p = MatMul(x, w0)
        a, b, d = Split<axis = 2>(p)
        y = MatMul(d, w1)
      })"},
      {"indices_of_a_top_k_only", 17, R"(
      g (float[2,3,8,8] x, float[12,3,3,3] w0) => (int64[2,5,8,8] y) {
        c = Conv<pads = [1,1,1,1]>(x, w0)
        five = Constant<value = int64[1] {5}>()
        best, y = TopK<axis = 1>(c, five)
      })"},
  };
  for (const Block& block : blocks) {
    const auto bytes = model_of(block);
    ASSERT_TRUE(bytes) << bytes.error().message;
    const auto model = parse_onnx(std::as_bytes(std::span(*bytes)));
    ASSERT_TRUE(model) << model.error().message;
    const auto graph = specialise(*model, {});
    ASSERT_TRUE(graph) << graph.error().message;
    NamedTensors inputs;
    Tensor x(DataType::Float32, graph->value(graph->inputs[0]).shape());
    for (std::int64_t i = 0; i < x.elements(); ++i) x.data<float>()[i] = 0.01F * static_cast<float>(i % 37);
    inputs["x"] = x;
    const auto want = reference::run(*graph, inputs);
    ASSERT_TRUE(want) << want.error().message;
    for (const int nodes : {1, 2, 3}) {
      const auto partition = partition_channels(*graph, {.nodes = nodes, .shares = {}});
      ASSERT_TRUE(partition) << block.name << " nodes=" << nodes << ": " << partition.error().message;
      auto shards = make_shards(*graph, *partition);
      ASSERT_TRUE(shards) << block.name << " nodes=" << nodes << ": " << shards.error().message;
      const auto got = run_shards(std::move(*shards), inputs);
      ASSERT_TRUE(got) << block.name << " nodes=" << nodes << ": " << got.error().message;
      EXPECT_EQ(difference(*want, *got, {.relative = 1e-5, .absolute = 1e-5}), "")
          << block.name << " nodes=" << nodes;
    }
  }
}

}  // namespace
}  // namespace disco::testing
