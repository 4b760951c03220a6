// Pools against windows read element by element from an input that is padded in the test.

#include <algorithm>

#include "nn_helpers.h"

namespace disco::reference {
namespace {

struct PoolCase {
  Ints extents, kernel, strides, dilations, pads;
  bool ceil_mode = false;
  [[nodiscard]] Attributes attributes() const {
    return {{"kernel_shape", kernel},
            {"strides", strides},
            {"dilations", dilations},
            {"pads", pads},
            {"ceil_mode", std::int64_t{ceil_mode}}};
  }
};

std::ostream& operator<<(std::ostream& out, const PoolCase& c) {
  return out << "extents" << to_string(c.extents) << " kernel" << to_string(c.kernel) << " strides"
             << to_string(c.strides) << " dilations" << to_string(c.dilations) << " pads" << to_string(c.pads)
             << " ceil_mode=" << c.ceil_mode;
}

/// What one window holds: its elements inside the input, with their flat offsets in the plane, and how many
/// taps lie in the input or its declared padding.
struct WindowContent {
  Doubles values;
  Ints offsets;
  std::int64_t padded = 0;
};

std::pair<Ints, std::vector<WindowContent>> windows_of(const PoolCase& c, const Doubles& plane) {
  const std::size_t rank = c.extents.size();
  Ints out;
  for (std::size_t i = 0; i < rank; ++i) {
    std::int64_t count =
        0;  // by walking: a window is one if it fits, or with ceil_mode if it starts before the tail
    const std::int64_t span = (c.kernel[i] - 1) * c.dilations[i] + 1;
    for (std::int64_t start = -c.pads[i];; start += c.strides[i]) {
      const bool fits = start + span <= c.extents[i] + c.pads[rank + i];
      const bool previous_fell_short = start - c.strides[i] + span < c.extents[i] + c.pads[rank + i];
      const bool reaches_over = c.ceil_mode && count > 0 && previous_fell_short && start < c.extents[i];
      if (!fits && !reaches_over) break;
      ++count;
    }
    out.push_back(count);
  }
  std::vector<WindowContent> windows;
  for (std::int64_t o = 0; o < element_count(out); ++o) {
    WindowContent content;
    for (std::int64_t t = 0; t < element_count(c.kernel); ++t) {
      std::int64_t rest_o = o, rest_t = t, offset = 0, stride = 1;
      bool inside = true, padded = true;
      for (std::size_t i = rank; i-- > 0;) {
        const std::int64_t at =
            rest_o % out[i] * c.strides[i] - c.pads[i] + rest_t % c.kernel[i] * c.dilations[i];
        rest_o /= out[i];
        rest_t /= c.kernel[i];
        inside = inside && at >= 0 && at < c.extents[i];
        padded = padded && at < c.extents[i] + c.pads[rank + i];
        offset += at * stride;
        stride *= c.extents[i];
      }
      if (padded) ++content.padded;
      if (!inside) continue;
      content.values.push_back(plane[static_cast<std::size_t>(offset)]);
      content.offsets.push_back(offset);
    }
    windows.push_back(content);
  }
  return {out, windows};
}

std::vector<PoolCase> sweep() {
  std::vector<PoolCase> cases;
  for (const Ints& extents : {Ints{9}, Ints{6, 7}, Ints{4, 5, 3}}) {
    const std::size_t rank = extents.size();
    for (const std::int64_t kernel : {1, 2, 3}) {
      for (const std::int64_t stride : {1, 2, 3}) {
        for (const std::int64_t dilation : {1, 2}) {
          for (std::int64_t pad = 0; pad < kernel; ++pad) {
            for (const bool ceil_mode : {false, true}) {
              PoolCase c{
                  extents,  Ints(rank, kernel), Ints(rank, stride), Ints(rank, dilation), Ints(2 * rank, pad),
                  ceil_mode};
              if (pad > 0) c.pads[0] -= 1;
              if ((kernel - 1) * dilation + 1 <= *std::min_element(extents.begin(), extents.end()) + pad) {
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

TEST(Pools, EqualTheDefinition) {
  unsigned seed = 1;
  for (const PoolCase& c : sweep()) {
    Shape shape{2, 3};
    shape.insert(shape.end(), c.extents.begin(), c.extents.end());
    const Tensor x = random_tensor(shape, seed++, DataType::Float64);
    const auto plane_size = static_cast<std::size_t>(element_count(c.extents));
    const Doubles xs = to_doubles(x);
    Doubles most, mean, padded_mean, norm1, norm3;
    Ints at;
    Shape out{2, 3};
    for (std::size_t plane = 0; plane < 6; ++plane) {
      const Doubles values(xs.begin() + static_cast<std::ptrdiff_t>(plane * plane_size),
                           xs.begin() + static_cast<std::ptrdiff_t>((plane + 1) * plane_size));
      const auto [extents, windows] = windows_of(c, values);
      if (plane == 0) out.insert(out.end(), extents.begin(), extents.end());
      for (const WindowContent& window : windows) {
        double sum = 0, p1 = 0, p3 = 0;
        for (const double v : window.values) sum += v, p1 += std::fabs(v), p3 += std::pow(std::fabs(v), 3);
        const auto best =
            std::max_element(window.values.begin(), window.values.end()) - window.values.begin();
        const bool nothing = window.values.empty();
        most.push_back(nothing ? -INFINITY : window.values[static_cast<std::size_t>(best)]);
        at.push_back(nothing ? -1
                             : window.offsets[static_cast<std::size_t>(best)] +
                                   static_cast<std::int64_t>(plane * plane_size));
        mean.push_back(nothing ? 0 : sum / static_cast<double>(window.values.size()));
        padded_mean.push_back(window.padded == 0 ? 0 : sum / static_cast<double>(window.padded));
        norm1.push_back(p1);
        norm3.push_back(std::cbrt(p3));
      }
    }
    const auto tensor = [&](const Doubles& values) { return from_doubles(DataType::Float64, out, values); };
    ASSERT_EQ(static_cast<std::size_t>(element_count(out)), most.size()) << c;
    const Outputs max = outputs_of(node_of("MaxPool", c.attributes(), 2), {x});
    EXPECT_TRUE(is_near(max[0], tensor(most), 0)) << "MaxPool " << c;
    EXPECT_TRUE(is_near(max[1], Tensor::of<std::int64_t>(out, at), 0)) << "MaxPool Indices " << c;
    EXPECT_TRUE(is_near(compute("AveragePool", c.attributes(), {x}), tensor(mean), 1e-12))
        << "AveragePool " << c;
    Attributes with_pad = c.attributes();
    with_pad["count_include_pad"] = std::int64_t{1};
    EXPECT_TRUE(is_near(compute("AveragePool", with_pad, {x}), tensor(padded_mean), 1e-12))
        << "AveragePool count_include_pad " << c;
    Attributes p = c.attributes();
    p["p"] = std::int64_t{1};
    EXPECT_TRUE(is_near(compute("LpPool", p, {x}), tensor(norm1), 1e-12)) << "LpPool p=1 " << c;
    p["p"] = std::int64_t{3};
    EXPECT_TRUE(is_near(compute("LpPool", p, {x}), tensor(norm3), 1e-12)) << "LpPool p=3 " << c;
  }
}

TEST(Pools, GlobalFormsAreOneWindow) {
  for (const Shape& shape : {Shape{2, 3, 7}, Shape{1, 4, 5, 6}, Shape{2, 2, 3, 4, 2}}) {
    const Tensor x = random_tensor(shape, 9);
    const Attributes whole{{"kernel_shape", Ints(shape.begin() + 2, shape.end())}};
    for (const char* op : {"MaxPool", "AveragePool", "LpPool"}) {
      EXPECT_TRUE(is_near(compute(std::string("Global") + op, {}, {x}), compute(op, whole, {x}), 1e-6))
          << op << to_string(shape);
    }
  }
}

TEST(MaxUnpool, PutsEveryMaximumBack) {
  for (const Shape& shape : {Shape{2, 3, 8}, Shape{2, 3, 6, 8}, Shape{1, 2, 4, 6, 2}}) {
    const std::size_t rank = shape.size() - 2;
    const Attributes halves{{"kernel_shape", Ints(rank, 2)}, {"strides", Ints(rank, 2)}};
    const Tensor x = random_tensor(shape, 10);
    const Outputs pooled = outputs_of(node_of("MaxPool", halves, 2), {x});
    const Tensor back = compute("MaxUnpool", halves, pooled);
    ASSERT_EQ(back.shape(), shape);
    Doubles want(static_cast<std::size_t>(x.elements()), 0.0);
    for (const std::int64_t at : pooled[1].values<std::int64_t>()) {
      want[static_cast<std::size_t>(at)] = x.data<float>()[at];
    }
    EXPECT_EQ(to_doubles(back), want) << to_string(shape);
  }
}

TEST(MaxUnpool, RefusesIndicesOutside) {
  const Tensor x = random_tensor({1, 1, 2, 2}, 1);
  for (const std::int64_t index : {std::int64_t{-1}, std::int64_t{16}, INT64_MAX, INT64_MIN}) {
    const Tensor at = Tensor::of<std::int64_t>({1, 1, 2, 2}, std::vector<std::int64_t>{0, 1, index, 3});
    const Node node = node_of("MaxUnpool", {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}});
    const auto result = evaluate(node, {x, at});
    ASSERT_FALSE(result.ok()) << index;
    EXPECT_EQ(result.error().code, ErrorCode::ShapeMismatch);
  }
}

}  // namespace
}  // namespace disco::reference
