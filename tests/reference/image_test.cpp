// Resizing, sampling, regions: by what they must reproduce.

#include <algorithm>

#include "nn_helpers.h"

namespace disco::reference {
namespace {

Tensor floats(const std::vector<float>& values) {
  return Tensor::of<float>({static_cast<std::int64_t>(values.size())}, values);
}
Tensor int64s(const Ints& values) {
  return Tensor::of<std::int64_t>({static_cast<std::int64_t>(values.size())}, values);
}

Tensor ramp(const Shape& shape) {
  Doubles values(static_cast<std::size_t>(element_count(shape)));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  return from_doubles(DataType::Float64, shape, values);
}

const std::vector<std::string> kCoordinates{"half_pixel",    "half_pixel_symmetric", "pytorch_half_pixel",
                                            "align_corners", "asymmetric",           "tf_crop_and_resize"};
const std::vector<std::string> kInterpolations{"nearest", "linear", "cubic"};

TEST(Resize, ToItsOwnSizeChangesNothing) {
  for (const Shape& shape : {Shape{6}, Shape{2, 5}, Shape{1, 2, 4, 5}, Shape{1, 2, 3, 4, 5}}) {
    const Tensor x = random_tensor(shape, 1);
    std::vector<float> whole(shape.size(), 0.0F);
    whole.resize(2 * shape.size(), 1.0F);
    for (const std::string& mode : kInterpolations) {
      for (const std::string& coordinates : kCoordinates) {
        const Attributes attributes{{"mode", mode}, {"coordinate_transformation_mode", coordinates}};
        const Tensor ones = floats(std::vector<float>(shape.size(), 1));
        EXPECT_TRUE(is_near(compute("Resize", attributes, {x, floats(whole), ones}), x, 0))
            << mode << " " << coordinates << " by scales " << to_string(shape);
        EXPECT_TRUE(is_near(compute("Resize", attributes, {x, floats(whole), {}, int64s(shape)}), x, 0))
            << mode << " " << coordinates << " by sizes " << to_string(shape);
      }
    }
  }
}

// A straight line stays one: inside, away from the edges, an output is its own coordinate in the input.
TEST(Resize, ReproducesALineInEveryCoordinateMode) {
  for (const std::int64_t in : {4, 7, 10}) {
    for (const std::int64_t out : {2, 3, 5, 8, 14, 20, 31}) {
      for (const std::string& mode : {std::string("linear"), std::string("cubic")}) {
        for (const std::string& coordinates : kCoordinates) {
          const double scale = static_cast<double>(out) / static_cast<double>(in);
          const Tensor y = compute("Resize",
                                   {{"mode", mode},
                                    {"cubic_coeff_a", -0.5F},  // Keys's own, the one that keeps lines
                                    {"coordinate_transformation_mode", coordinates},
                                    {"extrapolation_value", -7.0F}},
                                   {ramp({in}), floats({0.25F, 1.5F}), {}, int64s({out})});
          for (std::int64_t i = 0; i < out; ++i) {
            const auto p = static_cast<double>(i);
            const double last = static_cast<double>(in - 1), last_out = static_cast<double>(out - 1);
            const double at = coordinates == "align_corners"        ? p * last / last_out
                              : coordinates == "asymmetric"         ? p / scale
                              : coordinates == "tf_crop_and_resize" ? last * (0.25 + p * 1.25 / last_out)
                                                                    : (p + 0.5) / scale - 0.5;
            const double got = y.data<double>()[i];
            const std::string where = mode + " " + coordinates + " from " + std::to_string(in) + " to " +
                                      std::to_string(out) + " at " + std::to_string(i);
            if (coordinates == "tf_crop_and_resize" && at > last) {
              EXPECT_EQ(got, -7) << where;
            } else if (at >= 1 && at <= last - 1) {
              EXPECT_NEAR(got, at, 1e-9) << where;
            } else {
              EXPECT_NEAR(got, std::clamp(at, 0.0, last), mode == "cubic" ? 0.4 : 1e-9) << where;
            }
          }
        }
      }
    }
  }
}

TEST(Resize, NearestModesRoundAsNamed) {
  struct Rounding {
    const char* name;
    double (*round)(double);
  };
  const std::vector<Rounding> roundings{
      {"floor", [](double v) { return std::floor(v); }},
      {"ceil", [](double v) { return std::ceil(v); }},
      {"round_prefer_floor",
       [](double v) { return v - std::floor(v) <= 0.5 ? std::floor(v) : std::ceil(v); }},
      {"round_prefer_ceil", [](double v) { return v - std::floor(v) < 0.5 ? std::floor(v) : std::ceil(v); }}};
  for (const std::int64_t in : {4, 8}) {
    for (const std::int64_t out :
         {1, 2, 4, 8, 16, 32}) {  // powers of two: coordinates without rounding error
      for (const Rounding& rounding : roundings) {
        const Tensor y = compute("Resize", {{"nearest_mode", std::string(rounding.name)}},
                                 {ramp({in}), {}, {}, int64s({out})});
        for (std::int64_t i = 0; i < out; ++i) {
          const double at =
              (static_cast<double>(i) + 0.5) * static_cast<double>(in) / static_cast<double>(out) - 0.5;
          EXPECT_EQ(y.data<double>()[i], std::clamp(rounding.round(at), 0.0, static_cast<double>(in - 1)))
              << rounding.name << " from " << in << " to " << out << " at " << i;
        }
      }
    }
  }
}

TEST(Upsample, RepeatsEveryElement) {
  for (const std::int64_t factor : {1, 2, 3}) {
    const Tensor x = random_tensor({2, 3, 4, 5}, 2);
    const auto f = static_cast<float>(factor);
    const Tensor y = compute("Upsample", {{"mode", std::string("nearest")}}, {x, floats({1, 1, f, f})});
    ASSERT_EQ(y.shape(), (Shape{2, 3, 4 * factor, 5 * factor}));
    for (std::int64_t i = 0; i < y.elements(); ++i) {
      const std::int64_t column = i % (5 * factor), row = i / (5 * factor) % (4 * factor),
                         plane = i / (20 * factor * factor);
      EXPECT_EQ(y.data<float>()[i], x.data<float>()[(plane * 4 + row / factor) * 5 + column / factor])
          << "factor=" << factor << " at " << i;
    }
  }
}

TEST(SpaceToDepth, IsTheInverseOfDepthToSpace) {
  for (const std::int64_t block : {1, 2, 3}) {
    const Tensor x = random_tensor({2, 2 * block * block, 3, 4}, 3);
    const Attributes attributes{{"blocksize", block}};
    const Tensor space = compute("DepthToSpace", attributes, {x});
    ASSERT_EQ(space.shape(), (Shape{2, 2, 3 * block, 4 * block}));
    EXPECT_TRUE(is_near(compute("SpaceToDepth", attributes, {space}), x, 0)) << "blocksize=" << block;
    // CRD is PyTorch's pixel shuffle: out[c, h·b + i, w·b + j] = in[c·b² + i·b + j, h, w].
    const Tensor shuffled =
        compute("DepthToSpace", {{"blocksize", block}, {"mode", std::string("CRD")}}, {x});
    for (std::int64_t at = 0; at < shuffled.elements(); ++at) {
      const std::int64_t column = at % (4 * block), row = at / (4 * block) % (3 * block),
                         plane = at / (12 * block * block);
      const std::int64_t channel = plane * block * block + row % block * block + column % block;
      EXPECT_EQ(shuffled.data<float>()[at], x.data<float>()[(channel * 3 + row / block) * 4 + column / block])
          << "blocksize=" << block << " at " << at;
    }
  }
}

TEST(GridSample, OfElementCentresIsTheInput) {
  const std::int64_t height = 4, width = 5;
  const Tensor x = random_tensor({2, 3, height, width}, 4, DataType::Float64);
  for (const std::string& mode : {std::string("bilinear"), std::string("nearest"), std::string("bicubic")}) {
    for (const std::string& padding :
         {std::string("zeros"), std::string("border"), std::string("reflection")}) {
      for (const bool align : {false, true}) {
        Doubles grid;
        const auto normal = [&](std::int64_t i, std::int64_t extent) {
          const auto p = static_cast<double>(i), n = static_cast<double>(extent);
          return align ? 2 * p / (n - 1) - 1 : (2 * p + 1) / n - 1;
        };
        for (std::int64_t n = 0; n < 2; ++n) {
          for (std::int64_t r = 0; r < height; ++r) {
            for (std::int64_t c = 0; c < width; ++c)
              grid.insert(grid.end(), {normal(c, width), normal(r, height)});
          }
        }
        const Tensor points = from_doubles(DataType::Float64, {2, height, width, 2}, grid);
        const Attributes attributes{
            {"mode", mode}, {"padding_mode", padding}, {"align_corners", std::int64_t{align}}};
        EXPECT_TRUE(is_near(compute("GridSample", attributes, {x, points}), x, 1e-12))
            << mode << " " << padding << " align_corners=" << align;
      }
    }
  }
}

TEST(GridSample, FarOutsideIsZeroOrTheEdge) {
  const Tensor x = Tensor::of<float>({1, 1, 2, 2}, std::vector<float>{1, 2, 3, 4});
  const Tensor far = Tensor::of<float>({1, 1, 2, 2}, std::vector<float>{-9, -9, 1e30F, 1e30F});
  for (const std::string& mode : {std::string("bilinear"), std::string("nearest")}) {
    EXPECT_EQ(to_doubles(compute("GridSample", {{"mode", mode}}, {x, far})), (Doubles{0, 0})) << mode;
    EXPECT_EQ(to_doubles(
                  compute("GridSample", {{"mode", mode}, {"padding_mode", std::string("border")}}, {x, far})),
              (Doubles{1, 4}))
        << mode;
  }
}

TEST(RoiAlign, OfALinearImageIsItsValueAtTheCellCentres) {
  const std::int64_t height = 12, width = 16;
  Doubles image;
  for (std::int64_t r = 0; r < height; ++r) {
    for (std::int64_t c = 0; c < width; ++c)
      image.push_back(3 * static_cast<double>(r) - 2 * static_cast<double>(c));
  }
  const Tensor x = from_doubles(DataType::Float64, {1, 1, height, width}, image);
  const Tensor roi =
      from_doubles(DataType::Float64, {1, 4}, {4, 5, 24, 17});  // x1, y1, x2, y2 at twice the scale
  for (const std::int64_t ratio : {0, 1, 2, 3}) {
    for (const std::int64_t cells : {1, 2, 5}) {
      for (const bool half : {false, true}) {
        const Tensor y = compute(
            "RoiAlign",
            {{"output_height", cells},
             {"output_width", cells},
             {"sampling_ratio", ratio},
             {"spatial_scale", 0.5F},
             {"coordinate_transformation_mode", std::string(half ? "half_pixel" : "output_half_pixel")}},
            {x, roi, int64s({0})});
        for (std::int64_t i = 0; i < cells; ++i) {
          for (std::int64_t j = 0; j < cells; ++j) {
            const double shift = half ? 0.5 : 0;
            const double row = 2.5 - shift + 6 * (static_cast<double>(i) + 0.5) / static_cast<double>(cells);
            const double column =
                2 - shift + 10 * (static_cast<double>(j) + 0.5) / static_cast<double>(cells);
            EXPECT_NEAR(y.data<double>()[i * cells + j], 3 * row - 2 * column, 1e-9)
                << "ratio=" << ratio << " cells=" << cells << " half=" << half << " at " << i << "," << j;
          }
        }
      }
    }
  }
}

TEST(MaxRoiPool, OfTheWholeImageIsMaxPool) {
  const Tensor x = random_tensor({2, 3, 6, 8}, 5);
  const Tensor rois = Tensor::of<float>({2, 5}, std::vector<float>{1, 0, 0, 7, 5, 0, 0, 0, 7, 5});
  const Tensor got = compute("MaxRoiPool", {{"pooled_shape", Ints{3, 4}}}, {x, rois});
  const Tensor pooled = compute("MaxPool", {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}}, {x});
  ASSERT_EQ(got.shape(), pooled.shape());
  for (std::int64_t i = 0; i < 36; ++i) {
    EXPECT_EQ(got.data<float>()[i], pooled.data<float>()[36 + i]) << i;
    EXPECT_EQ(got.data<float>()[36 + i], pooled.data<float>()[i]) << i;
  }
}

// What is kept does not overlap; what is dropped overlaps something better that was kept, or came too late.
TEST(NonMaxSuppression, KeepsTheBestOfEveryOverlap) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    for (const double threshold : {0.0, 0.3, 0.7, 1.0}) {
      for (const std::int64_t most : {0, 3, 100}) {
        const std::int64_t count = 30;
        Doubles corners = to_doubles(random_tensor({1, count, 4}, seed));
        const Tensor boxes = from_doubles(DataType::Float32, {1, count, 4}, corners);
        const Tensor scores = random_tensor({1, 2, count}, seed + 100);
        const Tensor kept =
            compute("NonMaxSuppression", {},
                    {boxes, scores, int64s({most}), floats({static_cast<float>(threshold)}), floats({0})});
        const auto overlap = [&](std::int64_t a, std::int64_t b) {
          const float* p = boxes.data<float>() + 4 * a;
          const float* q = boxes.data<float>() + 4 * b;
          double common = 1, area_p = 1, area_q = 1;
          for (int axis = 0; axis < 2; ++axis) {
            const float p0 = std::min(p[axis], p[axis + 2]), p1 = std::max(p[axis], p[axis + 2]);
            const float q0 = std::min(q[axis], q[axis + 2]), q1 = std::max(q[axis], q[axis + 2]);
            common *= std::max(0.0F, std::min(p1, q1) - std::max(p0, q0));
            area_p *= p1 - p0;
            area_q *= q1 - q0;
          }
          return common / (area_p + area_q - common);
        };
        for (std::int64_t c = 0; c < 2; ++c) {
          Ints chosen;
          for (std::int64_t i = 0; i < kept.shape()[0]; ++i) {
            const std::int64_t* row = kept.data<std::int64_t>() + 3 * i;
            ASSERT_EQ(row[0], 0);
            if (row[1] == c) chosen.push_back(row[2]);
          }
          const auto where = [&] {
            return testing::Message()
                   << "seed=" << seed << " iou=" << threshold << " most=" << most << " class=" << c;
          };
          EXPECT_LE(static_cast<std::int64_t>(chosen.size()), most) << where();
          const float* score = scores.data<float>() + c * count;
          for (std::size_t i = 0; i < chosen.size(); ++i) {
            EXPECT_GT(score[chosen[i]], 0) << where();
            if (i > 0) {
              EXPECT_LE(score[chosen[i]], score[chosen[i - 1]]) << where();
            }
            for (std::size_t j = 0; j < i; ++j)
              EXPECT_LE(overlap(chosen[i], chosen[j]), threshold + 1e-6) << where();
          }
          for (std::int64_t box = 0; box < count; ++box) {
            if (score[box] <= 0 || std::find(chosen.begin(), chosen.end(), box) != chosen.end()) continue;
            bool explained = static_cast<std::int64_t>(chosen.size()) == most;
            for (const std::int64_t better : chosen) {
              explained =
                  explained || (score[better] >= score[box] && overlap(better, box) > threshold - 1e-6);
            }
            EXPECT_TRUE(explained) << where() << " box=" << box;
          }
        }
      }
    }
  }
}

TEST(QuantizeLinear, ErrsByHalfAStepInsideTheRange) {
  for (const DataType type : {DataType::UInt8, DataType::Int8}) {
    for (const std::int64_t axis : {0, 1, 2}) {
      const Shape shape{3, 4, 5};
      const Tensor x = random_tensor(shape, 6);
      std::vector<float> scales;
      Doubles zeros;
      for (std::int64_t i = 0; i < shape[static_cast<std::size_t>(axis)]; ++i) {
        scales.push_back(0.01F * static_cast<float>(i + 1));
        zeros.push_back(type == DataType::UInt8 ? 128 - static_cast<double>(i) : static_cast<double>(i));
      }
      const Tensor zero = from_doubles(type, {static_cast<std::int64_t>(zeros.size())}, zeros);
      const Attributes along{{"axis", axis}};
      const Tensor q = compute("QuantizeLinear", along, {x, floats(scales), zero});
      const Tensor back = compute("DequantizeLinear", along, {q, floats(scales), zero});
      const AxisView view = view_axis(shape, axis);
      for (std::int64_t i = 0; i < x.elements(); ++i) {
        const auto at = static_cast<std::size_t>(i / view.inner % view.extent);
        EXPECT_NEAR(back.data<float>()[i], x.data<float>()[i], 0.5 * scales[at] + 1e-6)
            << to_string(type) << " axis=" << axis << " at " << i;
      }
    }
  }
}

TEST(DynamicQuantizeLinear, ErrsByHalfAStep) {
  for (unsigned seed = 1; seed < 20; ++seed) {
    Doubles values = to_doubles(random_tensor({50}, seed));
    for (double& value : values) value = value * seed + (seed % 3 == 0 ? 30 : seed % 3 == 1 ? -30 : 0);
    const Tensor x = from_doubles(DataType::Float32, {50}, values);
    const Outputs out = outputs_of(node_of("DynamicQuantizeLinear", {}, 3), {x});
    ASSERT_EQ(out.size(), 3U);
    const Tensor back = compute("DequantizeLinear", {}, out);
    for (std::int64_t i = 0; i < 50; ++i) {
      EXPECT_NEAR(back.data<float>()[i], x.data<float>()[i], 1.01 * out[1].data<float>()[0])
          << "seed=" << seed;
    }
  }
}

}  // namespace
}  // namespace disco::reference
