// Normalisations against the property that names them, and the exchanged halves against the unsplit operator.

#include <algorithm>

#include "nn_helpers.h"

namespace disco::reference {
namespace {

// Positions [begin, end) along an axis.
Tensor slice(const Tensor& x, std::int64_t axis, std::int64_t begin, std::int64_t end) {
  const AxisView view = view_axis(x.shape(), axis);
  const Doubles values = to_doubles(x);
  Doubles part;
  for (std::int64_t o = 0; o < view.outer; ++o) {
    for (std::int64_t i = begin; i < end; ++i) {
      for (std::int64_t j = 0; j < view.inner; ++j) {
        part.push_back(values[static_cast<std::size_t>((o * view.extent + i) * view.inner + j)]);
      }
    }
  }
  Shape shape = x.shape();
  shape[static_cast<std::size_t>(axis)] = end - begin;
  return from_doubles(x.type(), shape, part);
}

// Where to cut an extent: from one part to one element a part, with empty parts too.
std::vector<Ints> cuts_of(std::int64_t extent) {
  Ints single;
  for (std::int64_t i = 0; i <= extent; ++i) single.push_back(i);
  return {{0, extent}, {0, 1, extent}, {0, extent / 2, extent}, {0, extent / 3, extent / 3, extent}, single};
}

TEST(ExchangedLayerNorm, EqualsTheUnsplit) {
  unsigned seed = 1;
  for (const Shape& shape : {Shape{8}, Shape{3, 7}, Shape{2, 3, 16}, Shape{2, 6, 4, 3}}) {
    const auto rank = static_cast<std::int64_t>(shape.size());
    for (std::int64_t axis = 0; axis < rank; ++axis) {
      for (const double offset : {0.0, 100.0}) {  // a mean far from 0 shows cancellation
        Doubles values = to_doubles(random_tensor(shape, seed++, DataType::Float64));
        for (double& value : values) value += offset;
        const Tensor x = from_doubles(DataType::Float32, shape, values);
        const Shape normalised(shape.begin() + axis, shape.end());
        const Tensor scale = random_tensor(normalised, seed++);
        const Tensor bias = random_tensor(normalised, seed++);
        const Tensor want =
            compute("LayerNormalization", {{"axis", axis}, {"epsilon", 1e-6F}}, {x, scale, bias});
        for (const Ints& cuts : cuts_of(shape[static_cast<std::size_t>(axis)])) {
          Inputs statistics;
          Ints counts;
          for (std::size_t k = 0; k + 1 < cuts.size(); ++k) {
            const Tensor part = slice(x, axis, cuts[k], cuts[k + 1]);
            statistics.push_back(compute("LayerNormStatistics", {{"axis", axis}}, {part}, "disco"));
            counts.push_back(
                count_between(part.shape(), static_cast<std::size_t>(axis), part.shape().size()));
          }
          for (std::size_t k = 0; k + 1 < cuts.size(); ++k) {
            Inputs inputs{slice(x, axis, cuts[k], cuts[k + 1]), slice(scale, 0, cuts[k], cuts[k + 1]),
                          slice(bias, 0, cuts[k], cuts[k + 1])};
            inputs.insert(inputs.end(), statistics.begin(), statistics.end());
            const Tensor got = compute(
                "LayerNormApply", {{"axis", axis}, {"epsilon", 1e-6F}, {"counts", counts}}, inputs, "disco");
            EXPECT_TRUE(is_near(got, slice(want, axis, cuts[k], cuts[k + 1]), offset == 0 ? 2e-6 : 2e-4))
                << "x" << to_string(shape) << " axis=" << axis << " offset=" << offset << " cuts"
                << to_string(cuts) << " part " << k;
          }
        }
      }
    }
  }
}

TEST(ExchangedSoftmax, EqualsTheUnsplit) {
  unsigned seed = 1;
  for (const Shape& shape : {Shape{9}, Shape{3, 8}, Shape{2, 5, 4}, Shape{2, 3, 7, 2}}) {
    for (std::int64_t axis = 0; axis < static_cast<std::int64_t>(shape.size()); ++axis) {
      for (const bool log : {false, true}) {
        for (const bool masked : {false, true}) {
          Doubles values = to_doubles(random_tensor(shape, seed++));
          for (double& value : values) value *= 50;
          const AxisView view = view_axis(shape, axis);
          // A mask of -infinity over the first half leaves some parts with nothing to say.
          for (std::size_t i = 0; masked && i < values.size(); ++i) {
            const auto at = static_cast<std::int64_t>(i) / view.inner % view.extent;
            if (at < view.extent / 2) values[i] = -INFINITY;
          }
          const Tensor x = from_doubles(DataType::Float32, shape, values);
          const Tensor want = compute(log ? "LogSoftmax" : "Softmax", {{"axis", axis}}, {x});
          for (const Ints& cuts : cuts_of(view.extent)) {
            Inputs statistics;
            for (std::size_t k = 0; k + 1 < cuts.size(); ++k) {
              statistics.push_back(compute("SoftmaxStatistics", {{"axis", axis}},
                                           {slice(x, axis, cuts[k], cuts[k + 1])}, "disco"));
            }
            for (std::size_t k = 0; k + 1 < cuts.size(); ++k) {
              Inputs inputs{slice(x, axis, cuts[k], cuts[k + 1])};
              inputs.insert(inputs.end(), statistics.begin(), statistics.end());
              const Tensor got =
                  compute("SoftmaxApply", {{"axis", axis}, {"log", std::int64_t{log}}}, inputs, "disco");
              EXPECT_TRUE(is_near(got, slice(want, axis, cuts[k], cuts[k + 1]), 1e-6))
                  << "x" << to_string(shape) << " axis=" << axis << " log=" << log << " masked=" << masked
                  << " cuts" << to_string(cuts) << " part " << k;
            }
          }
        }
      }
    }
  }
}

TEST(ExchangedHalves, RefuseWhatDoesNotFit) {
  const Tensor x = random_tensor({2, 6}, 1);
  const Tensor scale = random_tensor({6}, 2);
  const Tensor stats = random_tensor({2, 2}, 3);
  const auto apply = [&](Attributes attributes, Inputs inputs) {
    return evaluate(node_of("LayerNormApply", std::move(attributes), 1, "disco"), inputs);
  };
  const Attributes one{{"axis", std::int64_t{1}}, {"counts", Ints{6}}};
  EXPECT_TRUE(apply(one, {x, scale, {}, stats}).ok());
  EXPECT_FALSE(apply(one, {x, scale, {}}).ok()) << "no statistics";
  EXPECT_FALSE(apply(one, {x, scale, {}, stats, stats}).ok()) << "one count for two statistics";
  EXPECT_FALSE(apply(one, {x, scale, {}, random_tensor({2, 3}, 3)}).ok()) << "shape of the statistics";
  EXPECT_FALSE(apply(one, {x, random_tensor({5}, 2), {}, stats}).ok()) << "shape of the scale";
  EXPECT_FALSE(apply({{"axis", std::int64_t{2}}, {"counts", Ints{6}}}, {x, scale, {}, stats}).ok()) << "axis";
  EXPECT_FALSE(apply({{"axis", std::int64_t{1}}, {"counts", Ints{0}}}, {x, scale, {}, stats}).ok())
      << "no elements";
  EXPECT_FALSE(apply({{"axis", std::int64_t{1}}, {"counts", Ints{-6}}}, {x, scale, {}, stats}).ok())
      << "count";
  EXPECT_FALSE(evaluate(node_of("SoftmaxApply", {{"axis", std::int64_t{1}}}, 1, "disco"), {x, x}).ok())
      << "softmax";
}

// Every group of values that is normalised together has mean 0 and variance 1, whatever it was.
void expect_standard(const Doubles& values, const std::string& what) {
  double mean = 0, variance = 0;
  for (const double v : values) mean += v / static_cast<double>(values.size());
  for (const double v : values) variance += (v - mean) * (v - mean) / static_cast<double>(values.size());
  EXPECT_NEAR(mean, 0, 1e-6) << what;
  EXPECT_NEAR(variance, 1, 1e-5) << what;
}

TEST(Normalisations, StandardiseTheirGroups) {
  for (const Shape& shape : {Shape{2, 3, 40}, Shape{3, 4, 5, 6}, Shape{2, 2, 3, 4, 5}}) {
    Doubles values = to_doubles(random_tensor(shape, 5, DataType::Float64));
    for (double& value : values) value = 7 + 3 * value;
    const Tensor x = from_doubles(DataType::Float64, shape, values);
    const Tensor ones =
        from_doubles(DataType::Float64, {shape[1]}, Doubles(static_cast<std::size_t>(shape[1]), 1));
    const Tensor zeros = Tensor::zeros(DataType::Float64, {shape[1]});
    const Tensor instance = compute("InstanceNormalization", {{"epsilon", 0.0F}}, {x, ones, zeros});
    const Doubles ys = to_doubles(instance);
    const auto plane = static_cast<std::size_t>(count_between(shape, 2, shape.size()));
    for (std::size_t i = 0; i < ys.size(); i += plane) {
      expect_standard(
          {ys.begin() + static_cast<std::ptrdiff_t>(i), ys.begin() + static_cast<std::ptrdiff_t>(i + plane)},
          "InstanceNormalization " + to_string(shape));
    }
    Ints spatial;
    for (std::size_t i = 2; i < shape.size(); ++i) spatial.push_back(static_cast<std::int64_t>(i));
    EXPECT_TRUE(is_near(compute("MeanVarianceNormalization", {{"axes", spatial}}, {x}), instance, 1e-6))
        << to_string(shape);
    // A batch normalisation with an instance's own statistics is its instance normalisation.
    const Tensor first = slice(x, 0, 0, 1);
    Doubles means, variances;
    for (std::int64_t c = 0; c < shape[1]; ++c) {
      const Doubles channel = to_doubles(slice(first, 1, c, c + 1));
      double mean = 0, variance = 0;
      for (const double v : channel) mean += v / static_cast<double>(channel.size());
      for (const double v : channel)
        variance += (v - mean) * (v - mean) / static_cast<double>(channel.size());
      means.push_back(mean);
      variances.push_back(variance);
    }
    const Tensor batch = compute("BatchNormalization", {{"epsilon", 0.0F}},
                                 {first, ones, zeros, from_doubles(DataType::Float64, {shape[1]}, means),
                                  from_doubles(DataType::Float64, {shape[1]}, variances)});
    EXPECT_TRUE(is_near(batch, slice(instance, 0, 0, 1), 1e-12)) << to_string(shape);
  }
}

TEST(LayerNormalization, GivesItsStatistics) {
  const Shape shape{2, 3, 8};
  const Tensor x = random_tensor(shape, 6, DataType::Float64);
  for (const std::int64_t axis : {-3, -2, -1, 0, 1, 2}) {
    const std::int64_t from = axis < 0 ? axis + 3 : axis;
    const Shape normalised(shape.begin() + from, shape.end());
    const Tensor ones = from_doubles(DataType::Float64, normalised,
                                     Doubles(static_cast<std::size_t>(element_count(normalised)), 1));
    const Outputs out = outputs_of(
        node_of("LayerNormalization", {{"axis", axis}, {"stash_type", std::int64_t{11}}}, 3), {x, ones});
    ASSERT_EQ(out.size(), 3U);
    Shape reduced = shape;
    std::fill(reduced.begin() + from, reduced.end(), 1);
    ASSERT_EQ(out[1].shape(), reduced) << axis;
    ASSERT_EQ(out[2].shape(), reduced) << axis;
    const Doubles ys = to_doubles(out[0]), xs = to_doubles(x), means = to_doubles(out[1]),
                  inverses = to_doubles(out[2]);
    const std::size_t inner = xs.size() / means.size();
    for (std::size_t i = 0; i < xs.size(); ++i) {
      EXPECT_NEAR(ys[i], (xs[i] - means[i / inner]) * inverses[i / inner], 1e-12)
          << "axis=" << axis << " at " << i;
    }
    for (std::size_t i = 0; i < ys.size(); i += inner) {
      double mean = 0;
      for (std::size_t j = 0; j < inner; ++j) mean += ys[i + j];
      EXPECT_NEAR(mean, 0, 1e-9) << "axis=" << axis;
    }
  }
}

TEST(Softmax, SumsToOneAndSurvivesLargeValues) {
  for (const double magnitude : {1.0, 1e4, 1e30}) {
    for (const std::int64_t axis : {-1, 0, 1, 2}) {
      Doubles values = to_doubles(random_tensor({3, 4, 5}, 7));
      for (double& value : values) value *= magnitude;
      const Tensor x = from_doubles(DataType::Float32, {3, 4, 5}, values);
      const Tensor y = compute("Softmax", {{"axis", axis}}, {x});
      const Tensor hard = compute("Hardmax", {{"axis", axis}}, {x});
      const AxisView view = view_axis(x.shape(), axis < 0 ? axis + 3 : axis);
      for (std::int64_t o = 0; o < view.outer; ++o) {
        for (std::int64_t j = 0; j < view.inner; ++j) {
          double sum = 0, ones = 0, hardest = 0, largest = 0;
          for (std::int64_t i = 0; i < view.extent; ++i) {
            const std::int64_t at = (o * view.extent + i) * view.inner + j;
            sum += y.data<float>()[at];
            ones += hard.data<float>()[at];
            hardest += hard.data<float>()[at] * y.data<float>()[at];
            largest = std::max(largest, static_cast<double>(y.data<float>()[at]));
          }
          EXPECT_NEAR(sum, 1, 1e-6) << "magnitude=" << magnitude << " axis=" << axis;
          EXPECT_EQ(ones, 1) << "axis=" << axis;
          EXPECT_EQ(hardest, largest) << "axis=" << axis;
        }
      }
    }
  }
}

TEST(LpNormalization, GivesUnitNorm) {
  const Tensor x = random_tensor({3, 4, 5}, 8, DataType::Float64);
  for (const std::int64_t p : {1, 2}) {
    for (const std::int64_t axis : {0, 1, 2}) {
      const Tensor y = compute("LpNormalization", {{"p", p}, {"axis", axis}}, {x});
      const Tensor moved = compute("LpPool", {{"p", p}, {"kernel_shape", Ints{1}}}, {y});
      const AxisView view = view_axis(x.shape(), axis);
      const Doubles ys = to_doubles(moved);
      for (std::int64_t line = 0; line < view.outer * view.inner; ++line) {
        double norm = 0;
        for (std::int64_t i = 0; i < view.extent; ++i) {
          norm += std::pow(ys[static_cast<std::size_t>((line / view.inner * view.extent + i) * view.inner +
                                                       line % view.inner)],
                           p);
        }
        EXPECT_NEAR(norm, 1, 1e-12) << "p=" << p << " axis=" << axis;
      }
    }
  }
}

TEST(LRN, EqualsTheDefinition) {
  const Tensor x = random_tensor({2, 7, 3, 2}, 9, DataType::Float64);
  const Doubles xs = to_doubles(x);
  for (const std::int64_t size : {1, 2, 3, 4, 5, 20}) {
    const Tensor y = compute("LRN", {{"size", size}, {"alpha", 0.5F}, {"beta", 0.75F}, {"bias", 2.0F}}, {x});
    for (std::int64_t n = 0; n < 2; ++n) {
      for (std::int64_t c = 0; c < 7; ++c) {
        for (std::int64_t i = 0; i < 6; ++i) {
          double squares = 0;
          for (std::int64_t k = 0; k < 7; ++k) {
            const auto distance = static_cast<double>(k - c);
            const double half = static_cast<double>(size - 1) / 2;
            const double value = xs[static_cast<std::size_t>((n * 7 + k) * 6 + i)];
            if (distance >= -std::floor(half) && distance <= std::ceil(half)) squares += value * value;
          }
          const std::int64_t at = (n * 7 + c) * 6 + i;
          EXPECT_NEAR(y.data<double>()[at],
                      xs[static_cast<std::size_t>(at)] /
                          std::pow(2 + 0.5 / static_cast<double>(size) * squares, 0.75),
                      1e-12)
              << "size=" << size << " at " << at;
        }
      }
    }
  }
}

}  // namespace
}  // namespace disco::reference
