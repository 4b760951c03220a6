// Nodes whose attributes, weights or inputs contradict each other, where onnx's own inference says nothing.

#include <gtest/gtest.h>

#include "block.h"
#include "reference/specialise.h"

namespace disco::testing {
namespace {

struct Contradiction {
  const char* name;
  const char* nodes;  ///< from x of [2, 12, 8, 8], with weights w of [20, 12, 3, 3], to y
  const char* said;   ///< a part of what is said
};

TEST(Contradictions, AreNamed) {
  const Contradiction all[] = {
      {"perm_of_fewer_axes", "y = Transpose<perm = [0, 2, 1]>(x)", "perm=[0, 2, 1] does not order 4 axes"},
      {"perm_with_one_twice", "y = Transpose<perm = [0, 1, 1, 3]>(x)", "does not order 4 axes"},
      {"reshape_of_too_many", "s = Constant<value = int64[2] {2, 767}>() y = Reshape(x, s)",
       "reshaped to [2, 767]"},
      {"kernel_unlike_weight", "y = Conv<kernel_shape = [3, 5]>(x, w)", "its weight is for 3 along axis 3"},
      {"window_beyond_input", "y = MaxPool<kernel_shape = [9, 1]>(x)",
       "a kernel spanning 9 on an extent of 8"},
      {"pads_that_cut", "y = Conv<pads = [0, -1, 0, 0]>(x, w)", "pads=[0, -1, 0, 0]"},
      {"bias_of_others", "b = Constant<value = float[2] {1.0, 2.0}>() y = Conv(x, w, b)",
       "its bias is of shape [2]"},
      {"scales_of_others", "s = Constant<value = float[2] {1.0, 2.0}>() y = InstanceNormalization(x, s, s)",
       "'s' of shape [2] for 12 channels"},
      {"groups_that_do_not_divide", "y = Conv<group = 5>(x, w)", "channels"},
      {"axis_that_is_not", "y = Softmax<axis = 4>(x)", "axis"},
      {"split_without_axis", "y, z = Split<axis = -5>(x)", "axis"},
      {"factors_that_do_not_fit", "f = Flatten(x) y = Gemm(f, f)", "cannot be multiplied"},
      {"no_such_mode", "y = DepthToSpace<blocksize = 2, mode = \"CDR\">(x)", "mode='CDR'"},
      {"neither_yes_nor_no", "y = ReduceMax<axes = [1], keepdims = 2>(x)", "keepdims=2"},
      {"batches_below_zero", "i = Constant<value = int64[1,1] {0}>() y = GatherND<batch_dims = -2>(x, i)",
       "batch_dims=-2"},
  };
  for (const Contradiction& one : all) {
    const std::string text =
        fmt::format("g (float[2,12,8,8] x, float[20,12,3,3] w) => (float[] y) {{ {} }}", one.nodes);
    const auto bytes = model_of(Block{one.name, 13, text.c_str()});
    ASSERT_TRUE(bytes) << one.name << ": " << bytes.error().message;
    const auto model = parse_onnx(std::as_bytes(std::span(*bytes)));
    const auto graph = model ? specialise(*model, {}) : Result<Graph>(model.error());
    ASSERT_FALSE(graph) << one.name;
    EXPECT_EQ(graph.error().code, ErrorCode::InvalidModel) << one.name;
    EXPECT_NE(graph.error().message.find(one.said), std::string::npos)
        << one.name << ": " << graph.error().message;
  }
}

}  // namespace
}  // namespace disco::testing
