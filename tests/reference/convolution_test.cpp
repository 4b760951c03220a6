// Convolutions against the definition written as seven loops, and transposed convolutions as their adjoint.

#include "nn_helpers.h"

namespace disco::reference {
namespace {

struct ConvCase {
  Shape x;         // [N, C, spatial…]
  std::int64_t m;  // output channels
  Shape kernel;
  Ints strides, dilations, pads;
  std::int64_t group = 1;

  [[nodiscard]] Attributes attributes() const {
    return {{"strides", strides}, {"dilations", dilations}, {"pads", pads}, {"group", group}};
  }
  [[nodiscard]] Shape weights() const {
    Shape shape{m, x[1] / group};
    shape.insert(shape.end(), kernel.begin(), kernel.end());
    return shape;
  }
};

std::ostream& operator<<(std::ostream& out, const ConvCase& c) {
  return out << "x" << to_string(c.x) << " w" << to_string(c.weights()) << " strides" << to_string(c.strides)
             << " dilations" << to_string(c.dilations) << " pads" << to_string(c.pads)
             << " group=" << c.group;
}

// The definition, over flat positions of any rank: no row, plane or tap range is shared with the code under
// test.
Tensor convolve_plainly(const ConvCase& c, const Tensor& x, const Tensor& w, const Tensor& bias) {
  const std::size_t rank = c.kernel.size();
  Shape out{c.x[0], c.m};
  for (std::size_t i = 0; i < rank; ++i) {
    const std::int64_t span = (c.kernel[i] - 1) * c.dilations[i] + 1;
    out.push_back((c.x[2 + i] + c.pads[i] + c.pads[rank + i] - span) / c.strides[i] + 1);
  }
  const Doubles xs = to_doubles(x), ws = to_doubles(w), bs = to_doubles(bias);
  const std::int64_t in_plane = count_between(c.x, 2, c.x.size());
  const std::int64_t out_plane = count_between(out, 2, out.size());
  const std::int64_t taps = element_count(c.kernel);
  const std::int64_t group_in = c.x[1] / c.group;
  Doubles y;
  for (std::int64_t n = 0; n < out[0]; ++n) {
    for (std::int64_t m = 0; m < c.m; ++m) {
      for (std::int64_t o = 0; o < out_plane; ++o) {
        double sum = bs[static_cast<std::size_t>(m)];
        for (std::int64_t k = 0; k < group_in; ++k) {
          for (std::int64_t t = 0; t < taps; ++t) {
            std::int64_t rest_o = o, rest_t = t, offset = 0, stride = 1;
            bool inside = true;
            for (std::size_t i = rank; i-- > 0;) {
              const std::int64_t at =
                  rest_o % out[2 + i] * c.strides[i] + rest_t % c.kernel[i] * c.dilations[i] - c.pads[i];
              rest_o /= out[2 + i];
              rest_t /= c.kernel[i];
              inside = inside && at >= 0 && at < c.x[2 + i];
              offset += at * stride;
              stride *= c.x[2 + i];
            }
            if (!inside) continue;
            const std::int64_t channel = m / (c.m / c.group) * group_in + k;
            sum += xs[static_cast<std::size_t>((n * c.x[1] + channel) * in_plane + offset)] *
                   ws[static_cast<std::size_t>((m * group_in + k) * taps + t)];
          }
        }
        y.push_back(sum);
      }
    }
  }
  return from_doubles(x.type(), out, y);
}

std::vector<ConvCase> sweep() {
  std::vector<ConvCase> cases;
  for (std::int64_t rank = 1; rank <= 3; ++rank) {
    const auto size = static_cast<std::size_t>(rank);
    const Shape extents = rank == 1 ? Shape{11} : rank == 2 ? Shape{7, 10} : Shape{4, 6, 5};
    for (const std::int64_t kernel : {1, 2, 3}) {
      for (const std::int64_t stride : {1, 2, 3}) {
        for (const std::int64_t dilation : {1, 2}) {
          for (const std::int64_t pad : {0, 1, 2}) {
            for (const std::int64_t group : {1, 2, 4}) {
              ConvCase c{{2, 4},
                         8,
                         Shape(size, kernel),
                         Ints(size, stride),
                         Ints(size, dilation),
                         Ints(2 * size, pad),
                         group};
              c.x.insert(c.x.end(), extents.begin(), extents.end());
              c.pads.back() += pad;  // asymmetric where there is padding
              if ((kernel - 1) * dilation + 1 <=
                  *std::min_element(extents.begin(), extents.end()) + 2 * pad) {
                cases.push_back(c);
              }
            }
          }
        }
      }
    }
  }
  return cases;
}

TEST(Conv, EqualsTheDefinition) {
  unsigned seed = 1;
  for (const ConvCase& c : sweep()) {
    for (const DataType type : {DataType::Float32, DataType::Float64}) {
      const Tensor x = random_tensor(c.x, seed, type);
      const Tensor w = random_tensor(c.weights(), seed + 1, type);
      const Tensor b = random_tensor({c.m}, seed + 2, type);
      seed += 3;
      const double tolerance = type == DataType::Float32 ? 1e-6 : 1e-12;
      EXPECT_TRUE(
          is_near(compute("Conv", c.attributes(), {x, w, b}), convolve_plainly(c, x, w, b), tolerance))
          << c << " " << to_string(type);
    }
  }
}

TEST(Conv, AutomaticPaddingKeepsTheRoundedUpExtent) {
  for (const std::int64_t extent : {1, 4, 5, 8, 13}) {
    for (const std::int64_t kernel : {1, 2, 3, 5}) {
      for (const std::int64_t stride : {1, 2, 3, 7}) {
        for (const char* mode : {"SAME_UPPER", "SAME_LOWER"}) {
          const Tensor x = random_tensor({1, 2, extent}, 5);
          const Tensor w = random_tensor({3, 2, kernel}, 6);
          const std::int64_t out = (extent + stride - 1) / stride;
          const std::int64_t total = std::max<std::int64_t>(0, (out - 1) * stride + kernel - extent);
          const std::int64_t less = total / 2;
          const Ints pads =
              mode == std::string("SAME_UPPER") ? Ints{less, total - less} : Ints{total - less, less};
          const Tensor got =
              compute("Conv", {{"auto_pad", std::string(mode)}, {"strides", Ints{stride}}}, {x, w});
          EXPECT_EQ(got.shape(), (Shape{1, 3, out}));
          EXPECT_TRUE(is_near(got, compute("Conv", {{"pads", pads}, {"strides", Ints{stride}}}, {x, w}), 0))
              << mode << " extent=" << extent << " kernel=" << kernel << " stride=" << stride;
        }
      }
    }
  }
}

double inner_product(const Tensor& a, const Tensor& b) {
  const Doubles x = to_doubles(a), y = to_doubles(b);
  EXPECT_EQ(a.shape(), b.shape());
  double sum = 0;
  for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) sum += x[i] * y[i];
  return sum;
}

// <Conv(x), y> = <x, ConvTranspose(y)> for every x and y: with output_padding, the shape is that of x.
TEST(ConvTranspose, IsTheAdjointOfConv) {
  unsigned seed = 100;
  for (const ConvCase& c : sweep()) {
    const std::size_t rank = c.kernel.size();
    const Tensor x = random_tensor(c.x, seed++, DataType::Float64);
    const Tensor w = random_tensor(c.weights(), seed++, DataType::Float64);
    const Tensor forward = compute("Conv", c.attributes(), {x, w});
    const Tensor y = random_tensor(forward.shape(), seed++, DataType::Float64);
    Attributes attributes = c.attributes();
    Ints extra;
    Ints wanted;
    bool allowed = true;
    for (std::size_t i = 0; i < rank; ++i) {
      const std::int64_t full =
          c.strides[i] * (forward.shape()[2 + i] - 1) + (c.kernel[i] - 1) * c.dilations[i] + 1;
      extra.push_back(c.x[2 + i] - (full - c.pads[i] - c.pads[rank + i]));
      allowed = allowed && extra.back() < std::max(c.strides[i], c.dilations[i]);
    }
    ASSERT_TRUE(allowed) << c;
    attributes["output_padding"] = extra;
    const Tensor back = compute("ConvTranspose", attributes, {y, w});
    EXPECT_EQ(back.shape(), c.x) << c;
    EXPECT_NEAR(inner_product(forward, y), inner_product(x, back), 1e-9) << c;
  }
}

TEST(ConvTranspose, OutputShapeChoosesThePadding) {
  for (const std::int64_t stride : {1, 2, 3}) {
    for (const std::int64_t kernel : {1, 2, 3, 4}) {
      const Tensor x = random_tensor({1, 2, 5}, 7);
      const Tensor w = random_tensor({2, 3, kernel}, 8);
      const std::int64_t full = stride * 4 + kernel;
      const Tensor all = compute("ConvTranspose", {{"strides", Ints{stride}}}, {x, w});
      ASSERT_EQ(all.shape(), (Shape{1, 3, full}));
      for (std::int64_t wanted = full - 2; wanted <= full; ++wanted) {
        const std::int64_t total = full - wanted;
        const Tensor got =
            compute("ConvTranspose", {{"strides", Ints{stride}}, {"output_shape", Ints{wanted}}}, {x, w});
        ASSERT_EQ(got.shape(), (Shape{1, 3, wanted}));
        for (std::int64_t c = 0; c < 3; ++c) {
          for (std::int64_t i = 0; i < wanted; ++i) {
            EXPECT_EQ(got.data<float>()[c * wanted + i], all.data<float>()[c * full + i + total - total / 2])
                << "stride=" << stride << " kernel=" << kernel << " wanted=" << wanted << " at " << c << ","
                << i;
          }
        }
      }
    }
  }
}

TEST(Conv, RefusesWhatDoesNotFit) {
  const Tensor x = random_tensor({1, 4, 6, 6}, 1);
  const Tensor w = random_tensor({4, 4, 3, 3}, 2);
  struct Case {
    const char* what;
    Attributes attributes;
    Inputs inputs;
    ErrorCode code;
  };
  const std::vector<Case> cases{
      {"no weights", {}, {x}, ErrorCode::InvalidModel},
      {"channels", {}, {x, random_tensor({4, 3, 3, 3}, 2)}, ErrorCode::ShapeMismatch},
      {"group does not divide", {{"group", std::int64_t{3}}}, {x, w}, ErrorCode::ShapeMismatch},
      {"group 0", {{"group", std::int64_t{0}}}, {x, w}, ErrorCode::ShapeMismatch},
      {"stride 0", {{"strides", Ints{0, 1}}}, {x, w}, ErrorCode::InvalidModel},
      {"dilation 0", {{"dilations", Ints{1, 0}}}, {x, w}, ErrorCode::InvalidModel},
      {"one stride", {{"strides", Ints{1}}}, {x, w}, ErrorCode::InvalidModel},
      {"negative pads", {{"pads", Ints{-1, 0, 0, 0}}}, {x, w}, ErrorCode::InvalidModel},
      {"overflowing pads", {{"pads", Ints(4, INT64_MAX)}}, {x, w}, ErrorCode::InvalidModel},
      {"large pads", {{"pads", Ints(4, 1 << 29)}}, {x, w}, ErrorCode::ShapeMismatch},
      {"large dilation", {{"dilations", Ints(2, 1 << 29)}}, {x, w}, ErrorCode::ShapeMismatch},
      {"unknown auto_pad", {{"auto_pad", std::string("SOME")}}, {x, w}, ErrorCode::InvalidModel},
      {"kernel_shape", {{"kernel_shape", Ints{5, 5}}}, {x, w}, ErrorCode::InvalidModel},
      {"kernel larger than input", {}, {x, random_tensor({4, 4, 7, 3}, 2)}, ErrorCode::ShapeMismatch},
      {"empty kernel", {}, {x, random_tensor({4, 4, 0, 3}, 2)}, ErrorCode::ShapeMismatch},
      {"bias", {}, {x, w, random_tensor({3}, 2)}, ErrorCode::ShapeMismatch},
      {"types", {}, {x, random_tensor({4, 4, 3, 3}, 2, DataType::Float64)}, ErrorCode::ShapeMismatch},
      {"4-D",
       {},
       {random_tensor({1, 1, 2, 2, 2, 2}, 1), random_tensor({1, 1, 1, 1, 1, 1}, 1)},
       ErrorCode::Unsupported},
  };
  for (const Case& c : cases) {
    const Result<Outputs> result = evaluate(node_of("Conv", c.attributes), c.inputs);
    ASSERT_FALSE(result.ok()) << c.what;
    EXPECT_EQ(result.error().code, c.code) << c.what << ": " << result.error().message;
  }
}

TEST(QLinearConv, IsTheConvolutionOfTheDequantised) {
  for (const DataType type : {DataType::UInt8, DataType::Int8}) {
    const Tensor x = small_integers({2, 4, 6, 6}, 11, type);
    const Tensor w = small_integers({6, 2, 3, 3}, 12, type);
    const Tensor zero = from_doubles(type, {}, {2});
    const Tensor x_scale = Tensor::scalar<float>(0.5F);
    const Tensor y_scale = Tensor::scalar<float>(0.25F);
    const Tensor w_scale = Tensor::of<float>({6}, std::vector<float>{0.5, 0.25, 1, 2, 0.125, 0.5});
    const Tensor w_zero = from_doubles(type, {6}, {0, 1, 2, 1, 0, 3});
    const Tensor bias = Tensor::of<std::int32_t>({6}, std::vector<std::int32_t>{1, -2, 3, 0, 50, -60});
    const Attributes attributes{{"group", std::int64_t{2}}, {"pads", Ints{1, 1, 1, 1}}};
    const Tensor got =
        compute("QLinearConv", attributes, {x, x_scale, zero, w, w_scale, w_zero, y_scale, zero, bias});
    const Tensor xf = compute("DequantizeLinear", {}, {x, x_scale, zero});
    const Tensor wf = compute("DequantizeLinear", {{"axis", std::int64_t{0}}}, {w, w_scale, w_zero});
    Doubles bf = to_doubles(bias);
    for (std::size_t i = 0; i < bf.size(); ++i) bf[i] *= 0.5 * w_scale.data<float>()[i];
    const Tensor yf = compute("Conv", attributes, {xf, wf, from_doubles(DataType::Float32, {6}, bf)});
    EXPECT_TRUE(is_near(got, compute("QuantizeLinear", {}, {yf, y_scale, zero}), 0)) << to_string(type);
  }
}

}  // namespace
}  // namespace disco::reference
