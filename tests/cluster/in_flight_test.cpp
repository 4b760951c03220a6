// Several requests in flight: each gets its own answer, on every kind of cluster.

#include <gtest/gtest.h>

#include <deque>
#include <fstream>
#include <map>
#include <random>

#include "../runtime/shards.h"
#include "cluster/cluster.h"

namespace disco::testing {
namespace {

using namespace std::chrono_literals;

Result<std::unique_ptr<Cluster>> start(const std::string& kind, std::vector<Graph> shards) {
  const ClusterOptions options{.threads = 1};
  return kind == "threads" ? Cluster::start_inproc(std::move(shards), options)
                           : Cluster::start_local(std::move(shards), options);
}

class InFlight : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(, InFlight, ::testing::Values("threads", "processes"),
                         [](const auto& info) { return info.param; });

TEST_P(InFlight, EveryRequestGetsItsOwnAnswer) {
  for (const int ranks : {1, 2, 3}) {
    for (const std::size_t most : {std::size_t{1}, std::size_t{4}, Cluster::kMostInFlight}) {
      constexpr int kRounds = 3;
      constexpr std::int64_t kElements = 5000;
      constexpr int kRequests = 40;
      const std::string what = fmt::format("{} ranks={} in flight={}", GetParam(), ranks, most);
      auto cluster = start(GetParam(), all_reduce_shards(ranks, kRounds, kElements));
      ASSERT_TRUE(cluster.ok()) << what << ": " << cluster.error().message;
      std::map<std::uint64_t, NamedTensors> asked;
      int submitted = 0;
      int answered = 0;
      while (answered < kRequests) {
        while (submitted < kRequests && (*cluster)->in_flight() < most) {
          const NamedTensors inputs = all_reduce_input(kElements, submitted++);
          const auto number = (*cluster)->submit(inputs);
          ASSERT_TRUE(number.ok()) << what << ": " << number.error().message;
          asked[*number] = inputs;
        }
        auto completed = (*cluster)->next();
        ASSERT_TRUE(completed.ok()) << what << ": " << completed.error().message;
        ASSERT_TRUE(completed->result.ok()) << what << ": " << completed->result.error().message;
        const auto question = asked.find(completed->request);
        ASSERT_NE(question, asked.end()) << what << ": request " << completed->request << " twice, or never";
        EXPECT_EQ(first_wrong(completed->result->outputs, question->second, ranks, kRounds), -1)
            << what << " request=" << completed->request;
        asked.erase(question);
        ++answered;
      }
      EXPECT_EQ((*cluster)->in_flight(), 0U) << what;
    }
  }
}

TEST_P(InFlight, OneTooManyAndNoneAreErrors) {
  auto cluster = start(GetParam(), all_reduce_shards(2, 1, 100));
  ASSERT_TRUE(cluster.ok()) << cluster.error().message;
  const auto none = (*cluster)->next();
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, ErrorCode::InvalidArgument);
  for (std::size_t i = 0; i < Cluster::kMostInFlight; ++i) {
    ASSERT_TRUE((*cluster)->submit(all_reduce_input(100)).ok());
  }
  const auto full = (*cluster)->submit(all_reduce_input(100));
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.error().code, ErrorCode::Unsupported);
  const auto beside = (*cluster)->run(all_reduce_input(100));
  ASSERT_FALSE(beside.ok());
  EXPECT_NE(beside.error().message.find("in flight"), std::string::npos) << beside.error().message;
  for (std::size_t i = 0; i < Cluster::kMostInFlight; ++i) {
    const auto completed = (*cluster)->next();
    ASSERT_TRUE(completed.ok() && completed->result.ok());
  }
  EXPECT_TRUE((*cluster)->run(all_reduce_input(100)).ok());
}

TEST_P(InFlight, ABadInputLeavesTheOthersAlone) {
  auto cluster = start(GetParam(), all_reduce_shards(2, 2, 100));
  ASSERT_TRUE(cluster.ok()) << cluster.error().message;
  ASSERT_TRUE((*cluster)->submit(all_reduce_input(100)).ok());
  EXPECT_FALSE((*cluster)->submit({}).ok());
  const auto completed = (*cluster)->next();
  ASSERT_TRUE(completed.ok());
  EXPECT_TRUE(completed->result.ok());
}

/// Rank 1's answer never comes: it waits for a message that rank 0 does not send.
std::vector<Graph> shards_that_stall() {
  std::vector<Graph> shards = all_reduce_shards(2, 2, 100);
  std::erase_if(shards[0].nodes, [](const Node& node) { return node.is_disco("Send"); });
  return shards;
}

TEST_P(InFlight, OneThatFailsTakesTheOthersAlongAndTheClusterGoesOn) {
  auto cluster = start(GetParam(), shards_that_stall());
  ASSERT_TRUE(cluster.ok()) << cluster.error().message;
  for (int round = 0; round < 2; ++round) {
    constexpr std::size_t kRequests = 5;
    for (std::size_t i = 0; i < kRequests; ++i) {
      ASSERT_TRUE((*cluster)->submit(all_reduce_input(100), {.deadline = i == 0 ? 300ms : 20'000ms}).ok())
          << "round " << round;
    }
    std::size_t given_up = 0;
    for (std::size_t i = 0; i < kRequests; ++i) {
      const auto completed = (*cluster)->next();
      ASSERT_TRUE(completed.ok());
      ASSERT_FALSE(completed->result.ok());
      EXPECT_EQ(completed->result.error().code, ErrorCode::Timeout) << completed->result.error().message;
      EXPECT_NE(completed->result.error().message.find("while waiting for 'sum_"), std::string::npos)
          << completed->result.error().message;
      given_up += completed->result.error().message.starts_with("given up with another request") ? 1 : 0;
    }
    EXPECT_EQ(given_up, kRequests - 1) << "round " << round;
    EXPECT_EQ((*cluster)->in_flight(), 0U);
  }
}

}  // namespace
}  // namespace disco::testing
