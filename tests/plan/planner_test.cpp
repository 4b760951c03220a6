#include "plan/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "programs.h"
#include "reference/specialise.h"
#include "sparsify/traffic.h"
#include "zoo/zoo.h"

namespace disco {
namespace {

/// Speeds that make every cost a matter of arithmetic: 1 GMAC/s, and 1 GB/s of memory.
Speeds plain_speeds() { return testing::alike({{1e3, 1e-6}, {1e9, 1.0}}); }

Graph model() {
  auto graph = zoo("cifar-resnet20", {1});
  EXPECT_TRUE(graph) << graph.error().message;
  auto fixed = specialise(*graph, {{}, 1});
  EXPECT_TRUE(fixed) << fixed.error().message;
  return std::move(*fixed);
}

class PlannerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { graph_ = std::make_unique<Graph>(model()); }
  static void TearDownTestSuite() { graph_.reset(); }

  static Result<Plan> plan(const Profile& profile, const PlanOptions& options) {
    StepCosts costs(plain_speeds(), {.estimate = true});
    return make_plan(*graph_, profile, costs, options);
  }
  /// Nodes without overheads.
  static Profile cluster(const std::vector<double>& speeds, double bytes_per_s) {
    Profile profile = uniform_profile(static_cast<int>(speeds.size()), {.bytes_per_s = bytes_per_s});
    for (std::size_t n = 0; n < speeds.size(); ++n) profile.nodes[n].speed = speeds[n];
    return profile;
  }
  static std::unique_ptr<Graph> graph_;
};
std::unique_ptr<Graph> PlannerTest::graph_;

TEST_F(PlannerTest, TakesMoreNodesWhereTheNetworkIsFast) {
  const auto result = plan(cluster({1, 1, 1, 1}, 1e11), {.keeps = {1.0}, .wires = {"fp32"}});
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_TRUE(result->chosen);
  EXPECT_FALSE(result->alone_is_better);
  EXPECT_EQ(result->candidates[*result->chosen].nodes.size(), 4U);
  EXPECT_LT(result->candidates[*result->chosen].simulation.latency_ms,
            0.5 * result->alone.simulation.latency_ms);
}

TEST_F(PlannerTest, SaysThatOneNodeIsFasterWhereTheNetworkIsSlow) {
  const auto result = plan(cluster({1, 1}, 1e6), {.keeps = {1.0}, .wires = {"fp32"}});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->alone_is_better);
}

/// Where wire and computing take about as long, half of a message hides behind the other half.
TEST_F(PlannerTest, CutsMapsIntoBandsWhereThatHidesTheWire) {
  const auto graph = specialise(*zoo("resnet18", {.seed = 1}), {});
  ASSERT_TRUE(graph) << graph.error().message;
  const auto chosen_on = [&](double bytes_per_s) {
    StepCosts costs(plain_speeds(), {.estimate = true});
    const auto result = make_plan(*graph, cluster({1, 1}, bytes_per_s), costs,
                                  {.keeps = {1.0}, .wires = {"fp32"}, .node_counts = {2}});
    EXPECT_TRUE(result) << result.error().message;
    return result->candidates[*result->chosen];
  };
  const PlanCandidate balanced = chosen_on(1e7);
  EXPECT_GT(balanced.partition.bands, 1);
  StepCosts costs(plain_speeds(), {.estimate = true});
  Partition whole = balanced.partition;
  whole.bands = 1;
  const Profile profile = cluster({1, 1}, 1e7);
  const auto programs = programs_of(*make_shards(*graph, whole), profile, costs);
  ASSERT_TRUE(programs) << programs.error().message;
  EXPECT_LT(balanced.simulation.latency_ms, 0.97 * simulate(*programs, profile, {})->latency_ms);
}

TEST_F(PlannerTest, GivesFastNodesMore) {
  const auto result =
      plan(cluster({1, 3, 0.5}, 1e11), {.keeps = {1.0}, .wires = {"fp32"}, .node_counts = {3}});
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_TRUE(result->chosen);
  const PlanCandidate& chosen = result->candidates[*result->chosen];
  EXPECT_EQ(chosen.nodes, (std::vector<std::size_t>{1, 0, 2}));
  EXPECT_NEAR(std::accumulate(chosen.shares.begin(), chosen.shares.end(), 0.0), 1.0, 0.005);
  EXPECT_GT(chosen.shares[0], 1.8 * chosen.shares[1]);
  EXPECT_GT(chosen.shares[1], 1.3 * chosen.shares[2]);
  // All are about as long at it.
  double least = 1e30, most = 0;
  for (const SimulatedNode& node : chosen.simulation.nodes) {
    least = std::min(least, node.compute_ms + node.pack_ms);
    most = std::max(most, node.compute_ms + node.pack_ms);
  }
  EXPECT_LT(most, 1.5 * least);
}

TEST_F(PlannerTest, KeepsWithinTheMemoryOfEachNode) {
  Profile profile = cluster({1, 1}, 1e11);
  const auto free = plan(profile, {.keeps = {1.0}, .wires = {"fp32"}});
  ASSERT_TRUE(free) << free.error().message;
  const std::uint64_t usual = free->candidates[0].memory;
  profile.nodes[1].memory_free = usual * 7 / 10;
  const auto result = plan(profile, {.keeps = {1.0}, .wires = {"fp32"}});
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_TRUE(result->chosen);
  const PlanCandidate& chosen = result->candidates[*result->chosen];
  EXPECT_TRUE(chosen.fits);
  for (std::size_t r = 0; r < 2; ++r) {
    if (chosen.nodes[r] == 1) {
      EXPECT_LE(chosen.simulation.nodes[r].memory_bytes, profile.nodes[1].memory_free) << "rank " << r;
    }
  }
  profile.nodes[0].memory_free = profile.nodes[1].memory_free = usual / 10;
  const auto none = plan(profile, {.keeps = {1.0}, .wires = {"fp32"}});
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_FALSE(none->chosen);
  EXPECT_FALSE(none->alone_is_better);
}

TEST_F(PlannerTest, GivesUpAsLittleAsTheTargetAsks) {
  const Profile profile = cluster({1, 1}, 2e8);
  const auto all = plan(profile, {.wires = {"fp32"}});
  ASSERT_TRUE(all) << all.error().message;
  double dense = 0, least = 1e30;
  for (const PlanCandidate& candidate : all->candidates) {
    if (candidate.keep == 1.0) dense = candidate.simulation.latency_ms;
    least = std::min(least, candidate.simulation.latency_ms);
  }
  ASSERT_LT(least, dense);
  const double target = (dense + least) / 2;
  const auto result = plan(profile, {.target_latency_ms = target, .wires = {"fp32"}});
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_TRUE(result->chosen);
  const PlanCandidate& chosen = result->candidates[*result->chosen];
  EXPECT_LE(chosen.simulation.latency_ms, target);
  for (const PlanCandidate& candidate : result->candidates)
    EXPECT_FALSE(candidate.reaches && candidate.keep > chosen.keep) << candidate.keep << " > " << chosen.keep;
  EXPECT_GT(chosen.keep, 0.05);
  EXPECT_LT(chosen.keep, 1.0);
  const auto impossible = plan(profile, {.target_latency_ms = least / 100, .wires = {"fp32"}});
  ASSERT_TRUE(impossible);
  EXPECT_FALSE(impossible->chosen);
}

TEST_F(PlannerTest, PrefersRoundingToLeavingOut) {
  const auto dense = plan(cluster({1, 1}, 1e9), {.keeps = {1.0}, .wires = {"fp32"}});
  ASSERT_TRUE(dense && !dense->candidates.empty());
  const auto result =
      plan(cluster({1, 1}, 1e9), {.max_bytes = static_cast<double>(dense->candidates[0].bytes) * 0.6});
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_TRUE(result->chosen);
  EXPECT_EQ(result->candidates[*result->chosen].keep, 1.0);
  EXPECT_EQ(result->candidates[*result->chosen].wire, "fp16");
}

/// What `sparsify` must be told so that an artifact takes as long as predicted.
TEST_F(PlannerTest, SaysWhatAMessageCostsAndWhatNodesHold) {
  const auto chosen = [&](double bytes_per_s) {
    const auto result = plan(cluster({1, 1}, bytes_per_s), {.keeps = {0.2}, .wires = {"fp32"}});
    EXPECT_TRUE(result && result->chosen);
    return result->candidates[*result->chosen];
  };
  const Profile profile = cluster({1, 1}, 1e6);
  const double handling = profile.nodes[0].messages.send_s + profile.nodes[1].messages.receive_s;
  const PlanCandidate slow = chosen(1e6);
  EXPECT_NEAR(static_cast<double>(slow.message_bytes), (profile.link.latency_s + handling) * 1e6, 1.0);
  // Where the wire is as good as free, what features cost to compute with counts.
  const PlanCandidate fast = chosen(1e12);
  const double a_sixth_s =
      fast.simulation.nodes[0].compute_ms / 6e3;  // 0.2 of the others' beside all of one's own
  EXPECT_NEAR(static_cast<double>(fast.message_bytes),
              handling * static_cast<double>(fast.bytes) / 2 / a_sixth_s,
              0.1 * static_cast<double>(fast.message_bytes));
  EXPECT_GT(fast.message_bytes, slow.message_bytes);
  ASSERT_EQ(slow.weights.size(), 2U);
  for (const double share : slow.weights) EXPECT_NEAR(share, 0.5 * (0.5 + 0.2 * 0.5), 0.02);
}

TEST_F(PlannerTest, PlansForSixtyFourNodes) {
  const auto result = plan(cluster(std::vector<double>(64, 1.0), 1e9),
                           {.keeps = {1.0}, .wires = {"fp32"}, .node_counts = {64}});
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_TRUE(result->chosen);
  EXPECT_EQ(result->candidates[*result->chosen].nodes.size(), 64U);
}

TEST_F(PlannerTest, AssumedKeepSetsCarryTheirShareOfTheBytes) {
  for (const int nodes : {2, 3, 5}) {
    const auto partition = partition_channels(*graph_, {nodes, {}});
    ASSERT_TRUE(partition);
    const auto traffic = traffic_of(*graph_, *partition);
    ASSERT_TRUE(traffic);
    for (const double keep : {0.7, 0.4, 0.15}) {
      const auto sparse = with_exchanges(*graph_, *partition, keep, "");
      ASSERT_TRUE(sparse) << sparse.error().message;
      const double bytes = static_cast<double>(traffic->bytes(kept_of(*graph_, *traffic, *sparse)));
      EXPECT_NEAR(bytes / static_cast<double>(traffic->dense_bytes), keep, 0.05)
          << nodes << " nodes, keep " << keep;
    }
  }
}

TEST_F(PlannerTest, StepsAreMeasured) {
  const auto partition = partition_channels(*graph_, {2, {}});
  ASSERT_TRUE(partition);
  auto shards = make_shards(*graph_, *partition);
  ASSERT_TRUE(shards);
  StepCosts costs({}, {.runs = 2});
  NodeProfile node, slow;
  slow.speed = 0.25;
  const auto program = costs.of((*shards)[0], node);
  const auto slower = costs.of((*shards)[0], slow);
  ASSERT_TRUE(program && slower);
  ASSERT_EQ(program->steps.size(), slower->steps.size());
  for (std::size_t s = 0; s < program->steps.size(); ++s) {
    EXPECT_GT(program->steps[s].seconds, 0.0) << program->steps[s].name;
    EXPECT_NEAR(slower->steps[s].seconds, 4 * program->steps[s].seconds, 1e-12);  // measured once
  }
  EXPECT_EQ(program->input_bytes, 32U * 32 * 3 * 4);
}

}  // namespace
}  // namespace disco
