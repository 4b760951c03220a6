#include "plan/tune.h"

#include <gtest/gtest.h>

#include "partition/plan.h"
#include "plan/scenario.h"
#include "programs.h"
#include "reference/specialise.h"
#include "zoo/zoo.h"

namespace disco {
namespace {

/// Speeds by which two products of half the work cost a quarter more than one.
Speeds plain_speeds() { return testing::alike({{1e3, 1e-5}, {1e9, 0.1}}); }

class TuneTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto graph = zoo("cifar-resnet20", {1});
    ASSERT_TRUE(graph) << graph.error().message;
    auto fixed = specialise(*graph, {{}, 1});
    ASSERT_TRUE(fixed) << fixed.error().message;
    graph_ = std::move(*fixed);
    auto whole = partition_channels(graph_, {2});
    ASSERT_TRUE(whole) << whole.error().message;
    auto sparse = with_exchanges(graph_, *whole, 0.3, "u8");
    ASSERT_TRUE(sparse) << sparse.error().message;
    partition_ = std::move(*sparse);
  }
  [[nodiscard]] Result<Tuned> tune(const Partition& partition, const Profile& profile, int concurrency = 1) {
    return tune_overlap(graph_, partition, profile, costs_, concurrency, [&](std::size_t) { ++told_; });
  }
  [[nodiscard]] double latency(const Partition& partition, const Profile& profile) {
    const auto programs = programs_of(*make_shards(graph_, partition), profile, costs_);
    EXPECT_TRUE(programs) << programs.error().message;
    return simulate(*programs, profile, {})->latency_ms;
  }
  /// Two nodes without overheads.
  static Profile cluster(double bytes_per_s, double latency_s) {
    return uniform_profile(2, {.bytes_per_s = bytes_per_s, .latency_s = latency_s});
  }

  Graph graph_;
  Partition partition_;
  StepCosts costs_{plain_speeds(), {.estimate = true}};
  int told_ = 0;
};

TEST_F(TuneTest, NothingIsSplitInTwoWhereNothingIsWaitedFor) {
  const Profile fast = cluster(1e12, 0.0);
  const auto tuned = tune(partition_, fast);
  ASSERT_TRUE(tuned) << tuned.error().message;
  EXPECT_GT(tuned->maps, 10U);
  EXPECT_LT(tuned->two_parts, tuned->maps / 2);
  EXPECT_LT(tuned->simulation.latency_ms, tuned->as_given.latency_ms);
  EXPECT_GT(told_, 4);
}

TEST_F(TuneTest, WaitsAreHiddenWhereThereAreAny) {
  const Profile slow = cluster(1e9, 2e-3);
  Partition one_piece = partition_;
  one_piece.local_first.emplace();
  const auto tuned = tune(one_piece, slow);
  ASSERT_TRUE(tuned) << tuned.error().message;
  EXPECT_GT(tuned->two_parts, tuned->maps / 2);
  EXPECT_LT(tuned->simulation.latency_ms, tuned->as_given.latency_ms);
}

TEST_F(TuneTest, WhatTravelsStaysAndThePredictionIsOfWhatIsReturned) {
  for (const double bytes_per_s : {1e7, 1e8, 1e10}) {
    const Profile profile = cluster(bytes_per_s, 1e-4);
    const auto tuned = tune(partition_, profile);
    ASSERT_TRUE(tuned) << tuned.error().message;
    EXPECT_EQ(tuned->partition.owners, partition_.owners);
    EXPECT_EQ(tuned->partition.keep, partition_.keep);
    EXPECT_EQ(tuned->partition.wire, partition_.wire);
    EXPECT_DOUBLE_EQ(tuned->simulation.latency_ms, latency(tuned->partition, profile));
    EXPECT_DOUBLE_EQ(tuned->as_given.latency_ms, latency(partition_, profile));
    EXPECT_LE(tuned->simulation.latency_ms, tuned->as_given.latency_ms);
  }
}

TEST_F(TuneTest, ManyRequestsInFlightAreTunedForTheirRate) {
  const Profile profile = cluster(1e7, 1e-4);
  const auto tuned = tune(partition_, profile, 4);
  ASSERT_TRUE(tuned) << tuned.error().message;
  EXPECT_EQ(tuned->simulation.concurrency, 4);
  EXPECT_GE(tuned->simulation.throughput, tuned->as_given.throughput);
}

TEST_F(TuneTest, TooFewNodesAreAnError) {
  const auto tuned = tune(partition_, uniform_profile(1, {}));
  ASSERT_FALSE(tuned);
  EXPECT_EQ(tuned.error().code, ErrorCode::InvalidArgument);
}

}  // namespace
}  // namespace disco
