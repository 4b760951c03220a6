// Attributes and inputs that no exporter writes: every operator gives an error or a result, and touches no
// memory that is not its own (run it under DISCO_SANITIZE=address,undefined).

#include "nn_helpers.h"

namespace disco::reference {
namespace {

/// A call that works, to be broken in one or two places.
struct Call {
  Node node;
  Inputs inputs;
};

Tensor int64s(const Ints& values) {
  return Tensor::of<std::int64_t>({static_cast<std::int64_t>(values.size())}, values);
}
Tensor byte_zero() { return Tensor::zeros(DataType::UInt8, {}); }

std::vector<Call> calls() {
  const Tensor x = random_tensor({2, 4, 6, 6}, 1);
  const Tensor c = random_tensor({4}, 2);
  const Tensor half = Tensor::scalar<float>(0.5F);
  const Attributes window{{"kernel_shape", Ints{2, 2}},
                          {"strides", Ints{2, 2}},
                          {"pads", Ints{0, 0, 1, 1}},
                          {"dilations", Ints{1, 1}},
                          {"ceil_mode", std::int64_t{1}}};
  const Attributes conv{{"group", std::int64_t{2}},
                        {"strides", Ints{2, 2}},
                        {"pads", Ints{1, 1, 1, 1}},
                        {"dilations", Ints{1, 1}}};
  Attributes transposed = conv;
  transposed["output_padding"] = Ints{1, 0};
  transposed["output_shape"] = Ints{11, 12};
  const Attributes axis{{"axis", std::int64_t{1}}};
  const Tensor u8 = small_integers({2, 4, 6, 6}, 3, DataType::UInt8);
  const Tensor w8 = small_integers({4, 2, 3, 3}, 4, DataType::UInt8);
  const auto resize = [](const char* mode, const char* coordinates) {
    return Attributes{{"mode", std::string(mode)},
                      {"coordinate_transformation_mode", std::string(coordinates)}};
  };
  const auto recurrent = [](const char* op, std::int64_t gates) {
    Call call{
        node_of(op,
                {{"hidden_size", std::int64_t{4}},
                 {"direction", std::string("bidirectional")},
                 {"layout", std::int64_t{0}},
                 {"clip", 3.0F},
                 {"linear_before_reset", std::int64_t{1}},
                 {"input_forget", std::int64_t{0}}},
                gates == 4 ? 3 : 2),
        {random_tensor({5, 3, 2}, 1), random_tensor({2, gates * 4, 2}, 2),
         random_tensor({2, gates * 4, 4}, 3), random_tensor({2, gates * 8}, 4),
         Tensor::of<std::int32_t>({3}, std::vector<std::int32_t>{5, 0, 2}), random_tensor({2, 3, 4}, 5)}};
    if (gates == 4) {
      call.inputs.push_back(random_tensor({2, 3, 4}, 6));
      call.inputs.push_back(random_tensor({2, 12}, 7));
    }
    return call;
  };
  std::vector<Call> all{
      recurrent("RNN", 1),
      recurrent("GRU", 3),
      recurrent("LSTM", 4),
      {node_of("Conv", conv), {x, random_tensor({4, 2, 3, 3}, 3), c}},
      {node_of("ConvTranspose", transposed), {x, random_tensor({4, 2, 3, 3}, 3), c}},
      {node_of("ConvInteger", conv), {u8, w8, byte_zero(), byte_zero()}},
      {node_of("QLinearConv", conv), {u8, half, byte_zero(), w8, half, byte_zero(), half, byte_zero()}},
      {node_of("MatMul"), {x, random_tensor({6, 3}, 3)}},
      {node_of("MatMulInteger"), {u8, small_integers({6, 3}, 3, DataType::UInt8), byte_zero(), byte_zero()}},
      {node_of("QLinearMatMul"),
       {u8, half, byte_zero(), small_integers({6, 3}, 3, DataType::UInt8), half, byte_zero(), half,
        byte_zero()}},
      {node_of("Gemm", {{"transA", std::int64_t{1}}, {"transB", std::int64_t{0}}}),
       {random_tensor({4, 3}, 1), random_tensor({4, 5}, 2), random_tensor({5}, 3)}},
      {node_of("Einsum", {{"equation", std::string("nchw,wk->nhk")}}), {x, random_tensor({6, 3}, 3)}},
      {node_of("MaxPool", window, 2), {x}},
      {node_of("AveragePool", window), {x}},
      {node_of("LpPool", window), {x}},
      {node_of("MaxUnpool", window),
       {x, small_integers({2, 4, 6, 6}, 3, DataType::Int64), int64s({2, 4, 11, 11})}},
      {node_of("GlobalAveragePool"), {x}},
      {node_of("GlobalMaxPool"), {x}},
      {node_of("GlobalLpPool", {{"p", std::int64_t{2}}}), {x}},
      {node_of("BatchNormalization"), {x, c, c, c, c}},
      {node_of("InstanceNormalization"), {x, c, c}},
      {node_of("LayerNormalization", {{"axis", std::int64_t{3}}, {"stash_type", std::int64_t{1}}}, 3),
       {x, random_tensor({6}, 2), random_tensor({6}, 2)}},
      {node_of("LRN", {{"size", std::int64_t{3}}}), {x}},
      {node_of("LpNormalization", {{"axis", std::int64_t{1}}, {"p", std::int64_t{1}}}), {x}},
      {node_of("MeanVarianceNormalization", {{"axes", Ints{0, 2}}}), {x}},
      {node_of("Softmax", axis), {x}},
      {node_of("LogSoftmax", axis), {x}},
      {node_of("Hardmax", axis), {x}},
      {node_of("Resize", resize("cubic", "half_pixel")), {x, {}, random_tensor({4}, 8)}},
      {node_of("Resize", resize("linear", "tf_crop_and_resize")),
       {x, random_tensor({8}, 8), {}, int64s({2, 4, 3, 9})}},
      {node_of("Resize", resize("nearest", "align_corners")), {x, {}, {}, int64s({2, 4, 3, 9})}},
      {node_of("Upsample"), {x, Tensor::of<float>({4}, std::vector<float>{1, 1, 2, 2})}},
      {node_of("DepthToSpace", {{"blocksize", std::int64_t{2}}}), {x}},
      {node_of("SpaceToDepth", {{"blocksize", std::int64_t{2}}}), {x}},
      {node_of("GridSample", {{"mode", std::string("bicubic")}, {"padding_mode", std::string("reflection")}}),
       {x, random_tensor({2, 3, 3, 2}, 8)}},
      {node_of("RoiAlign", {{"output_height", std::int64_t{2}},
                            {"output_width", std::int64_t{2}},
                            {"sampling_ratio", std::int64_t{2}}}),
       {x, random_tensor({2, 4}, 8), int64s({0, 1})}},
      {node_of("MaxRoiPool", {{"pooled_shape", Ints{2, 2}}}),
       {x, Tensor::of<float>({1, 5}, {0, 0, 0, 5, 5})}},
      {node_of("NonMaxSuppression"),
       {random_tensor({1, 5, 4}, 8), random_tensor({1, 2, 5}, 8), int64s({3}), half, half}},
      {node_of("QuantizeLinear", axis),
       {x, Tensor::of<float>({4}, {1, 2, 3, 4}), Tensor::zeros(DataType::Int8, {4})}},
      {node_of("DequantizeLinear", axis),
       {u8, Tensor::of<float>({4}, {1, 2, 3, 4}), Tensor::zeros(DataType::UInt8, {4})}},
      {node_of("DynamicQuantizeLinear", {}, 3), {x}},
      {node_of("LayerNormStatistics", axis, 1, "disco"), {x}},
      {node_of("LayerNormApply", {{"axis", std::int64_t{2}}, {"counts", Ints{36}}}, 1, "disco"),
       {x, random_tensor({6, 6}, 2), {}, random_tensor({2, 4, 2}, 2)}},
      {node_of("SoftmaxStatistics", axis, 1, "disco"), {x}},
      {node_of("SoftmaxApply", axis, 1, "disco"), {x, random_tensor({2, 2, 6, 6}, 2)}},
  };
  return all;
}

const Ints kNumbers{INT64_MIN, -(std::int64_t{1} << 40), -3,       -1, 0, 1, 2, 3,
                    7,         std::int64_t{1} << 31,    INT64_MAX};

Attribute broken(const Attribute& attribute, std::mt19937& random) {
  const auto number = [&] { return kNumbers[random() % kNumbers.size()]; };
  if (const auto* ints = std::get_if<Ints>(&attribute)) {
    Ints changed = *ints;
    if (changed.empty() || random() % 4 == 0) changed.resize(random() % 6, number());
    if (!changed.empty()) changed[random() % changed.size()] = number();
    return changed;
  }
  if (std::holds_alternative<std::string>(attribute)) return std::string(random() % 2 == 0 ? "" : "linear");
  if (std::holds_alternative<float>(attribute)) return std::nanf("");
  return number();
}

Tensor broken(const Tensor& tensor, std::mt19937& random) {
  if (tensor.empty()) return tensor;
  switch (random() % 6) {
    case 0: return {};
    case 1: return small_integers(tensor.shape(), random(), DataType::Int32);
    case 2: {  // another extent
      Shape shape = tensor.shape();
      if (shape.empty()) return Tensor::zeros(tensor.type(), {2});
      shape[random() % shape.size()] = static_cast<std::int64_t>(random() % 4);
      return Tensor::zeros(tensor.type(), shape);
    }
    case 3: {  // another rank
      Shape shape = tensor.shape();
      if (random() % 2 == 0 || shape.empty())
        shape.push_back(1 + static_cast<std::int64_t>(random() % 2));
      else
        shape.pop_back();
      return Tensor::zeros(tensor.type(), shape);
    }
    case 4: {  // values that are no indices, scales or coordinates
      Doubles values = to_doubles(tensor);
      const Doubles odd{NAN, INFINITY, -INFINITY, 1e300, -1e300, 0, -1, 4e9, 1e-300};
      for (double& value : values) value = odd[random() % odd.size()];
      return from_doubles(tensor.type(), tensor.shape(), values);
    }
    default: return random_tensor(tensor.shape(), random(), DataType::Float64);
  }
}

TEST(Hostile, WorkingCallsWork) {
  for (const Call& call : calls()) {
    const auto result = evaluate(call.node, call.inputs);
    if (call.node.op == "Resize" || call.node.op == "MaxUnpool")
      continue;  // random scales or indices may be refused
    EXPECT_TRUE(result.ok()) << call.node.op << ": " << result.error().message;
  }
}

TEST(Hostile, EveryBrokenCallEndsInAResultOrAnError) {
  std::size_t refused = 0, tried = 0;
  for (const Call& call : calls()) {
    for (unsigned seed = 0; seed < 300; ++seed) {
      SCOPED_TRACE(testing::Message() << call.node.op << " seed=" << seed);
      std::mt19937 random(seed);
      Call bad = call;
      for (unsigned change = 0; change <= seed % 2; ++change) {
        const std::size_t places = bad.node.attributes.size() + bad.inputs.size();
        const std::size_t place = random() % places;
        if (place < bad.node.attributes.size()) {
          const auto at = std::next(bad.node.attributes.begin(), static_cast<std::ptrdiff_t>(place));
          at->second = broken(at->second, random);
        } else {
          Tensor& input = bad.inputs[place - bad.node.attributes.size()];
          input = broken(input, random);
        }
      }
      const auto result = evaluate(bad.node, bad.inputs);
      ++tried;
      if (!result.ok()) {
        ++refused;
        EXPECT_NE(result.error().code, ErrorCode::Internal) << result.error().message;
        EXPECT_FALSE(result.error().message.empty());
      } else {
        for (const Tensor& output : *result) EXPECT_EQ(output.elements(), element_count(output.shape()));
      }
    }
  }
  EXPECT_GT(refused, tried / 4) << "of " << tried << ": most broken calls can't have a result";
}

}  // namespace
}  // namespace disco::reference
