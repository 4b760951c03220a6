// Recurrent layers by their symmetries; their values are ONNX's own test data (the conformance run).

#include "nn_helpers.h"

namespace disco::reference {
namespace {

struct Layer {
  std::string op;
  std::int64_t gates;
  [[nodiscard]] std::size_t outputs() const { return op == "LSTM" ? 3 : 2; }
};

const std::vector<Layer> kLayers{{"RNN", 1}, {"GRU", 3}, {"LSTM", 4}};
constexpr std::int64_t kSteps = 5, kBatch = 3, kFeatures = 4, kHidden = 6;

// Moves element [a, b, rest…] to [b, a, rest…].
Tensor swapped(const Tensor& x) {
  const Shape& s = x.shape();
  const std::int64_t inner = count_between(s, 2, s.size());
  Shape shape = s;
  std::swap(shape[0], shape[1]);
  const Doubles values = to_doubles(x);
  Doubles out;
  for (std::int64_t b = 0; b < s[1]; ++b) {
    for (std::int64_t a = 0; a < s[0]; ++a) {
      for (std::int64_t i = 0; i < inner; ++i)
        out.push_back(values[static_cast<std::size_t>((a * s[1] + b) * inner + i)]);
    }
  }
  return from_doubles(x.type(), shape, out);
}

// Positions [begin, begin + count) of axis 0; reversed where asked.
Tensor rows(const Tensor& x, std::int64_t begin, std::int64_t count, bool reversed = false) {
  Shape shape = x.shape();
  const std::int64_t inner = count_between(shape, 1, shape.size());
  shape[0] = count;
  const Doubles values = to_doubles(x);
  Doubles out;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t at = begin + (reversed ? count - 1 - i : i);
    out.insert(out.end(), values.begin() + at * inner, values.begin() + (at + 1) * inner);
  }
  return from_doubles(x.type(), shape, out);
}

Inputs inputs_of(const Layer& layer, std::int64_t directions, unsigned seed) {
  const std::int64_t n = layer.gates * kHidden;
  return {random_tensor({kSteps, kBatch, kFeatures}, seed),
          random_tensor({directions, n, kFeatures}, seed + 1),
          random_tensor({directions, n, kHidden}, seed + 2), random_tensor({directions, 2 * n}, seed + 3)};
}

Outputs run_layer(const Layer& layer, const std::string& direction, const Inputs& inputs,
                  Attributes more = {}) {
  more["direction"] = direction;
  more["hidden_size"] = kHidden;
  return outputs_of(node_of(layer.op, more, layer.outputs()), inputs);
}

TEST(Recurrent, BackwardIsForwardOnTheReversedSequence) {
  for (const Layer& layer : kLayers) {
    const Inputs inputs = inputs_of(layer, 1, 10);
    Inputs flipped = inputs;
    flipped[0] = rows(inputs[0], 0, kSteps, true);
    const Outputs backward = run_layer(layer, "reverse", inputs);
    const Outputs forward = run_layer(layer, "forward", flipped);
    EXPECT_TRUE(is_near(backward[0], rows(forward[0], 0, kSteps, true), 0)) << layer.op;
    for (std::size_t i = 1; i < layer.outputs(); ++i)
      EXPECT_TRUE(is_near(backward[i], forward[i], 0)) << layer.op;
  }
}

TEST(Recurrent, BidirectionalIsOneOfEach) {
  for (const Layer& layer : kLayers) {
    const Inputs inputs = inputs_of(layer, 2, 20);
    const Outputs both = run_layer(layer, "bidirectional", inputs);
    for (std::int64_t d = 0; d < 2; ++d) {
      Inputs one = inputs;
      for (std::size_t i = 1; i < one.size(); ++i) one[i] = rows(inputs[i], d, 1);
      const Outputs single = run_layer(layer, d == 0 ? "forward" : "reverse", one);
      EXPECT_TRUE(is_near(swapped(rows(swapped(both[0]), d, 1)), single[0], 0))
          << layer.op << " direction " << d;
      for (std::size_t i = 1; i < layer.outputs(); ++i) {
        EXPECT_TRUE(is_near(rows(both[i], d, 1), single[i], 0))
            << layer.op << " direction " << d << " output " << i;
      }
    }
  }
}

TEST(Recurrent, AStateHandedOnContinuesTheSequence) {
  for (const Layer& layer : kLayers) {
    for (std::int64_t cut = 1; cut < kSteps; ++cut) {
      const Inputs inputs = inputs_of(layer, 1, 30);
      const Outputs whole = run_layer(layer, "forward", inputs);
      Inputs head = inputs, tail = inputs;
      head[0] = rows(inputs[0], 0, cut);
      tail[0] = rows(inputs[0], cut, kSteps - cut);
      const Outputs first = run_layer(layer, "forward", head);
      tail.emplace_back();
      tail.insert(tail.end(), first.begin() + 1, first.end());
      const Outputs second = run_layer(layer, "forward", tail);
      EXPECT_TRUE(is_near(first[0], rows(whole[0], 0, cut), 1e-6)) << layer.op << " cut=" << cut;
      EXPECT_TRUE(is_near(second[0], rows(whole[0], cut, kSteps - cut), 1e-6)) << layer.op << " cut=" << cut;
      for (std::size_t i = 1; i < layer.outputs(); ++i)
        EXPECT_TRUE(is_near(second[i], whole[i], 1e-6)) << layer.op;
    }
  }
}

TEST(Recurrent, LengthsEndEachSequenceByItself) {
  const std::vector<std::int32_t> lengths{5, 0, 3};
  for (const Layer& layer : kLayers) {
    for (const std::string& direction : {std::string("forward"), std::string("reverse")}) {
      Inputs inputs = inputs_of(layer, 1, 40);
      inputs.push_back(Tensor::of<std::int32_t>({kBatch}, lengths));
      const Outputs got = run_layer(layer, direction, inputs);
      for (std::int64_t b = 0; b < kBatch; ++b) {
        const std::int64_t length = lengths[static_cast<std::size_t>(b)];
        Inputs alone{swapped(rows(swapped(rows(inputs[0], 0, length)), b, 1)), inputs[1], inputs[2],
                     inputs[3]};
        const Outputs want = run_layer(layer, direction, alone);
        for (std::int64_t t = 0; t < kSteps; ++t) {
          for (std::int64_t j = 0; j < kHidden; ++j) {
            const float expected = t < length ? want[0].data<float>()[t * kHidden + j] : 0.0F;
            EXPECT_EQ(got[0].data<float>()[(t * kBatch + b) * kHidden + j], expected)
                << layer.op << " " << direction << " sequence " << b << " step " << t;
          }
        }
        for (std::size_t i = 1; i < layer.outputs(); ++i) {
          EXPECT_TRUE(is_near(swapped(rows(swapped(got[i]), b, 1)), want[i], 0))
              << layer.op << " " << direction;
        }
      }
    }
  }
}

TEST(Recurrent, BatchFirstIsTheSameTransposed) {
  for (const Layer& layer : kLayers) {
    const Inputs inputs = inputs_of(layer, 2, 50);
    Inputs first = inputs;
    first[0] = swapped(inputs[0]);
    const Outputs want = run_layer(layer, "bidirectional", inputs);
    const Outputs got = run_layer(layer, "bidirectional", first, {{"layout", std::int64_t{1}}});
    ASSERT_EQ(got[0].shape(), (Shape{kBatch, kSteps, 2, kHidden})) << layer.op;
    for (std::size_t i = 1; i < layer.outputs(); ++i)
      EXPECT_TRUE(is_near(swapped(got[i]), want[i], 0)) << layer.op;
    for (std::int64_t d = 0; d < 2; ++d) {
      for (std::int64_t t = 0; t < kSteps; ++t) {
        for (std::int64_t b = 0; b < kBatch; ++b) {
          for (std::int64_t j = 0; j < kHidden; ++j) {
            EXPECT_EQ(got[0].data<float>()[((b * kSteps + t) * 2 + d) * kHidden + j],
                      want[0].data<float>()[((t * 2 + d) * kBatch + b) * kHidden + j])
                << layer.op;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace disco::reference
