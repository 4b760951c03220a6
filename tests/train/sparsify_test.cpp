// From samples to an artifact: bytes as asked for, zeros where nothing travels, least squares that helps, bad
// samples in one line.

#include "train/sparsify.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "partition/cost.h"
#include "reference/evaluate.h"
#include "reference/specialise.h"
#include "train/bridge.h"
#include "train/masks.h"
#include "train/rows.h"
#include "zoo/builder.h"

namespace disco::train {
namespace {

/// Convolutions with and without batch norm, a residual sum, a product of tokens, an open batch.
Graph model() {
  GraphBuilder b("net", 21);
  ValueId x = b.input("x", {{-1, "N"}, {3, ""}, {8, ""}, {8, ""}});
  ValueId trunk = b.relu("r0", b.batch_norm("bn0", b.conv("c0", x, 3, 16, {.kernel = 3, .padding = 1}), 16));
  ValueId y = b.relu("r1", b.batch_norm("bn1", b.conv("c1", trunk, 16, 16, {.kernel = 3, .padding = 1}), 16));
  y = b.conv("c2", y, 16, 16, {.kernel = 3, .padding = 1});
  trunk = b.relu("r2", b.add("a", y, trunk));
  y = b.relu("r3", b.conv("c3", trunk, 16, 24, {.kernel = 3, .stride = 2, .padding = 1, .bias = true}));
  y = b.op("pool", "GlobalAveragePool", {y});
  y = b.op("flat", "Flatten", {y});
  y = b.relu("r4", b.linear("l1", y, 24, 32, 0.3));
  return b.finish(b.gemm("fc", y, 32, 10, 0.3), "y", {{-1, "N"}, {10, ""}});
}

Tensor samples(std::int64_t count, unsigned seed) {
  // Smooth images: neighbouring features say much about each other, as in photographs.
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Tensor tensor(DataType::Float32, {count, 3, 8, 8});
  for (std::int64_t i = 0; i < count * 3; ++i) {
    const float a = normal(generator), bx = normal(generator), by = normal(generator), f = normal(generator);
    for (int p = 0; p < 64; ++p) {
      tensor.data<float>()[i * 64 + p] = a + 0.3F * bx * static_cast<float>(p % 8 - 4) +
                                         0.3F * by * static_cast<float>(p / 8 - 4) +
                                         std::sin(f * static_cast<float>(p));
    }
  }
  return tensor;
}

/// Root of the mean squared difference of the outputs on samples that the choice never saw.
double error_of(const Graph& artifact, const Graph& dense) {
  const Tensor unseen = samples(64, 77);
  const auto answer = [&](const Graph& graph) {
    return reference::run(specialise(graph, {{{"x", unseen.shape()}}}).value(), {{"x", unseen}})
        .value()
        .at("y");
  };
  const Tensor a = answer(artifact);
  const Tensor b = answer(dense);
  double sum = 0.0;
  for (std::int64_t i = 0; i < a.elements(); ++i)
    sum += std::pow(double{a.data<float>()[i]} - double{b.data<float>()[i]}, 2);
  return std::sqrt(sum / static_cast<double>(a.elements()));
}

class Artifacts : public ::testing::TestWithParam<std::tuple<int, double, Method>> {};

TEST_P(Artifacts, SendWhatWasAskedFor) {
  const auto [nodes, communication, method] = GetParam();
  SparsifyOptions options;
  options.nodes = nodes;
  options.budget.communication = communication;
  options.method = method;
  const Graph dense = model();
  const auto made = sparsify(dense, {{"x", samples(96, 1)}}, options);
  ASSERT_TRUE(made.ok()) << made.error().message;
  const std::string where = std::to_string(nodes) + " nodes, " + std::to_string(communication) + ", " +
                            std::string(to_string(method));
  EXPECT_LE(static_cast<double>(made->bytes), communication * static_cast<double>(made->dense_bytes))
      << where;
  EXPECT_GE(static_cast<double>(made->bytes), communication * static_cast<double>(made->dense_bytes) - 300.0)
      << where;

  // The artifact alone says the same: partition in the metadata, zeros where nothing travels.
  const auto partition = partition_from_json(made->model.metadata.at(std::string(kPartitionKey)));
  ASSERT_TRUE(partition.ok()) << partition.error().message;
  EXPECT_EQ(partition->method, to_string(method));
  const Graph fixed = specialise(made->model, {}).value();
  const std::vector<Graph> shards = make_shards(fixed, *partition).value();
  std::int64_t sent = 0;
  for (const Graph& shard : shards) sent += total_cost(shard).bytes_sent;
  EXPECT_EQ(sent, made->bytes) << where;
  const Traffic traffic = traffic_of(fixed, *partition).value();
  const KeptChannels kept = kept_of(fixed, traffic, *partition);
  const Weights weights = read_weights(fixed, at::kCPU).value();
  for (const LinearMap& map : traffic.maps) {
    const MapWeight place = weight_of(fixed, fixed.nodes[map.node]);
    at::Tensor weight = weights.parameters.at(place.name).detach().abs();
    if (weight.dim() > 2) weight = weight.flatten(2).sum(2);
    if (place.out_axis == 1) weight = weight.t();
    EXPECT_EQ((weight * (1 - block_mask(traffic, map, kept))).sum().item<float>(), 0.0F)
        << where << ' ' << place.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Budgets, Artifacts,
                         ::testing::Combine(::testing::Values(2, 3), ::testing::Values(0.2, 0.5),
                                            ::testing::Values(Method::Disco, Method::DenseThenSplit,
                                                              Method::SplitThenAggregate)));

TEST(Refit, MakesUpForMostOfWhatTheMaskCosts) {
  SparsifyOptions options;
  options.budget.communication = 0.3;
  const Graph dense = model();
  options.refit = false;
  const auto masked = sparsify(dense, {{"x", samples(256, 1)}}, options);
  options.refit = true;
  options.distil_epochs = 0;
  const auto refitted = sparsify(dense, {{"x", samples(256, 1)}}, options);
  options.distil_epochs = 20;
  const auto distilled = sparsify(dense, {{"x", samples(256, 1)}}, options);
  options.distil_epochs.reset();
  const auto by_default = sparsify(dense, {{"x", samples(256, 1)}}, options);
  ASSERT_TRUE(masked.ok() && refitted.ok() && distilled.ok() && by_default.ok());
  const double before = error_of(masked->model, dense);
  const double after = error_of(refitted->model, dense);
  EXPECT_GT(before, 0.0);
  EXPECT_LT(after, 0.5 * before);
  EXPECT_LT(error_of(distilled->model, dense), after);
  EXPECT_LT(error_of(by_default->model, dense), after);
  EXPECT_EQ(distilled->distilled.held_out, 0);
  EXPECT_EQ(by_default->distilled.epochs, 40);
  EXPECT_EQ(by_default->distilled.held_out, 32);
  EXPECT_GT(by_default->distilled.part, 0.0);
  EXPECT_LT(by_default->distilled.after, by_default->distilled.before);
}

TEST(Refit, IsAllThatFewSamplesGetUnlessMoreIsAsked) {
  SparsifyOptions options;
  const auto by_default = sparsify(model(), {{"x", samples(64, 1)}}, options);
  options.distil_epochs = 0;
  const auto refitted = sparsify(model(), {{"x", samples(64, 1)}}, options);
  ASSERT_TRUE(by_default.ok() && refitted.ok());
  EXPECT_EQ(by_default->distilled.epochs, 0);
  EXPECT_EQ(error_of(by_default->model, refitted->model), 0.0);
}

/// A sum of a rectified trunk, whose error no fit of its own can centre, and a branch.
Graph residual(bool batch_norm) {
  GraphBuilder b("residual", 5);
  const ValueId x = b.input("x", {{-1, "N"}, {3, ""}, {8, ""}, {8, ""}});
  const ConvOptions three{.kernel = 3, .padding = 1};
  const ValueId first = b.relu("r0", b.conv("c0", x, 3, 16, three));
  const ValueId trunk = b.relu("r1", b.conv("c1", first, 16, 16, three));
  ValueId y = b.conv("c3", b.relu("r2", b.conv("c2", trunk, 16, 16, three)), 16, 16, three);
  if (batch_norm) y = b.batch_norm("bn3", y, 16);
  return b.finish(b.add("a", y, trunk), "y", {{-1, "N"}, {16, ""}, {8, ""}, {8, ""}});
}

TEST(Refit, BranchesMakeUpForWhatTheirTrunkLacks) {
  const Tensor seen = samples(96, 1);
  for (const bool batch_norm : {false, true}) {
    for (const double keep : {0.2, 0.5}) {
      SparsifyOptions options;
      options.budget.communication = keep;
      const Graph dense = residual(batch_norm);
      const auto made = sparsify(dense, {{"x", seen}}, options);
      ASSERT_TRUE(made.ok()) << made.error().message;
      const auto answer = [&](const Graph& graph) {
        const Graph fixed = specialise(graph, {{{"x", seen.shape()}}}).value();
        return to_torch(reference::run(fixed, {{"x", seen}}).value().at("y")).value();
      };
      const at::Tensor error = answer(made->model) - answer(dense);
      const double spread = error.std().item<double>();
      const double off = error.mean({0, 2, 3}).abs().max().item<double>();
      EXPECT_GT(spread, 0.0);
      EXPECT_LT(off, 1e-3 * spread) << "keep " << keep << (batch_norm ? ", batch norm" : "");
    }
  }
}

TEST(Refit, ChangesNothingWhereEverythingIsSent) {
  SparsifyOptions options;
  options.budget.communication = 1.0;
  const Graph dense = model();
  const auto made = sparsify(dense, {{"x", samples(256, 1)}}, options);
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_LE(error_of(made->model, dense), 1e-4);
}

TEST(Refit, IsTheSameForTheSameSeed) {
  SparsifyOptions options;
  options.distil_epochs = 1;
  const auto one = sparsify(model(), {{"x", samples(64, 1)}}, options);
  const auto two = sparsify(model(), {{"x", samples(64, 1)}}, options);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(one->model.metadata, two->model.metadata);
  EXPECT_EQ(error_of(one->model, two->model), 0.0);
}

TEST(Wire, ScalesCoverTheSamples) {
  SparsifyOptions options;
  options.wire = DataType::UInt8;
  const auto made = sparsify(model(), {{"x", samples(96, 1)}}, options);
  ASSERT_TRUE(made.ok()) << made.error().message;
  options.wire = DataType::Float32;
  const auto whole = sparsify(model(), {{"x", samples(96, 1)}}, options);
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  // A quarter, but for what is added up, l1's summands both ways, and the five answers of node 1.
  constexpr std::int64_t kFixed = (2 * 32 + 5) * sizeof(float);
  EXPECT_EQ(made->bytes - kFixed, (whole->bytes - kFixed) / 4);
  ASSERT_FALSE(made->partition.wire.empty());
  for (const auto& [name, format] : made->partition.wire) {
    EXPECT_EQ(format.type, DataType::UInt8) << name;
    EXPECT_EQ(format.zero_point, 0) << name << " is behind a Relu";
    EXPECT_GT(format.scale, 1e-4F) << name;
  }
}

TEST(Wire, AnArtifactGetsAnotherWireAndStaysAsItIsOtherwise) {
  SparsifyOptions options;
  options.wire = DataType::UInt8;
  const auto at_once = sparsify(model(), {{"x", samples(96, 1)}}, options);
  options.wire = DataType::Float32;
  const auto plain = sparsify(model(), {{"x", samples(96, 1)}}, options);
  ASSERT_TRUE(at_once.ok() && plain.ok());
  options.wire = DataType::UInt8;
  options.wire_only = true;
  options.nodes = 7;  // what the artifact says counts
  const auto later = sparsify(plain->model, {{"x", samples(96, 1)}}, options);
  ASSERT_TRUE(later.ok()) << later.error().message;
  EXPECT_EQ(to_json(later->partition), to_json(at_once->partition));
  EXPECT_EQ(later->bytes, at_once->bytes);
  EXPECT_EQ(error_of(later->model, plain->model), 0.0) << "weights changed";
  const auto none = sparsify(model(), {{"x", samples(96, 1)}}, options);
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().message.find("no artifact"), std::string::npos) << none.error().message;
}

TEST(Planned, MapsInTwoPartsAreWhatThePlanSays) {
  Graph planned = model();
  Partition plan = partition_channels(specialise(planned, {}).value(), {2, {}}).value();
  plan.local_first = std::set<std::string>{"c2"};
  plan.bands = 2;
  planned.metadata[std::string(kPartitionKey)] = to_json(plan);
  SparsifyOptions options;
  options.budget.communication = 0.5;
  const auto as_planned = sparsify(planned, {{"x", samples(16, 1)}}, options);
  ASSERT_TRUE(as_planned) << as_planned.error().message;
  EXPECT_EQ(as_planned->partition.local_first, plan.local_first);
  const Partition written =
      partition_from_json(as_planned->model.metadata.at(std::string(kPartitionKey))).value();
  EXPECT_EQ(written.local_first, plan.local_first);
  EXPECT_EQ(written.bands, 2);
  // A plan for another number of nodes says nothing about this one.
  options.nodes = 3;
  const auto others = sparsify(planned, {{"x", samples(16, 1)}}, options);
  ASSERT_TRUE(others) << others.error().message;
  EXPECT_FALSE(others->partition.local_first);
  EXPECT_EQ(others->partition.bands, 1);
}

TEST(Samples, ThatCannotBeAreOneLine) {
  Tensor nan = samples(32, 1);
  nan.data<float>()[5] = NAN;
  const std::vector<std::pair<NamedTensors, std::string>> bad = {
      {{}, "no array 'x'"},
      {{{"z", samples(32, 1)}, {"x", samples(32, 1)}}, "no input 'z'"},
      {{{"x", Tensor::zeros(DataType::Int64, {32, 3, 8, 8})}}, "int64"},
      {{{"x", Tensor::zeros(DataType::Float32, {32, 4, 8, 8})}}, "'x'"},
      {{{"x", Tensor::zeros(DataType::Float32, {0, 3, 8, 8})}}, "no samples"},
      {{{"x", nan}}, "not finite"}};
  for (const auto& [arrays, words] : bad) {
    const auto made = sparsify(model(), arrays, {});
    ASSERT_FALSE(made.ok()) << words;
    EXPECT_NE(made.error().message.find(words), std::string::npos) << made.error().message;
    EXPECT_EQ(made.error().message.find('\n'), std::string::npos) << made.error().message;
  }
  Graph broken = model();
  for (Value& value : broken.values) {
    if (value.name == "c1.weight") value.constant->data<float>()[0] = INFINITY;
  }
  const auto made = sparsify(broken, {{"x", samples(32, 1)}}, {});
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message.find("c1.weight"), std::string::npos) << made.error().message;
}

}  // namespace
}  // namespace disco::train
