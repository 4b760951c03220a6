// Linear maps in two parts: what runs before the wait, and that the order of messages stays one that cannot
// deadlock.

#include "compile/overlap.h"

#include <gtest/gtest.h>

#include <map>

#include "compile/program.h"
#include "partition/plan.h"
#include "reference/specialise.h"
#include "zoo/zoo.h"

namespace disco {
namespace {

struct Case {
  std::string model;
  int nodes;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.model << " nodes=" << c.nodes; }

class LocalFirst : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(, LocalFirst,
                         ::testing::Values(Case{"resnet18", 2}, Case{"resnet18", 3}, Case{"resnet50", 2},
                                           Case{"mobilenetv2", 2}, Case{"deit-tiny", 2},
                                           Case{"deit-tiny", 3}));

std::vector<Graph> shards_of(const Case& c, std::optional<std::set<std::string>> local_first) {
  auto model = zoo(c.model, {.seed = 3});
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  auto graph = specialise(*model, {});
  EXPECT_TRUE(graph) << (graph ? "" : graph.error().message);
  auto partition = partition_channels(*graph, {c.nodes, {}});
  EXPECT_TRUE(partition) << (partition ? "" : partition.error().message);
  partition->local_first = std::move(local_first);
  auto shards = make_shards(*graph, *partition);
  EXPECT_TRUE(shards) << (shards ? "" : shards.error().message);
  return std::move(*shards);
}

/// By (peer, tag): how many Sends stand before each Receive.
std::map<std::pair<int, std::uint32_t>, std::size_t> sends_before(const Program& program) {
  std::map<std::pair<int, std::uint32_t>, std::size_t> result;
  std::size_t sends = 0;
  for (const Step& step : program.steps()) {
    if (step.kind == StepKind::Send) ++sends;
    if (step.kind == StepKind::Receive) result[{step.peer, step.tag}] = sends;
  }
  return result;
}

std::vector<std::pair<int, std::uint32_t>> sends_of(const Program& program) {
  std::vector<std::pair<int, std::uint32_t>> result;
  for (const Step& step : program.steps()) {
    if (step.kind == StepKind::Send) result.emplace_back(step.peer, step.tag);
  }
  return result;
}

/// MACs between each Receive and the communication step before it: what hides its message.
std::int64_t hidden_macs(const Program& program) {
  std::int64_t total = 0;
  std::int64_t since = 0;
  for (const Step& step : program.steps()) {
    if (step.kind == StepKind::Receive) total += since;
    since = step.kind == StepKind::Compute ? since + step.macs : 0;
  }
  return total;
}

std::int64_t macs_of(const Program& program) {
  std::int64_t total = 0;
  for (const Step& step : program.steps()) total += step.macs;
  return total;
}

TEST_P(LocalFirst, ComputesBeforeItWaitsAndCannotDeadlock) {
  const std::vector<Graph> plain = shards_of(GetParam(), std::set<std::string>());
  const std::vector<Graph> split = shards_of(GetParam(), std::nullopt);
  for (std::size_t rank = 0; rank < plain.size(); ++rank) {
    const auto before = compile(plain[rank]);
    const auto after = compile(split[rank]);
    ASSERT_TRUE(before) << before.error().message;
    ASSERT_TRUE(after) << after.error().message;
    EXPECT_EQ(macs_of(*before), macs_of(*after)) << "rank " << rank;
    EXPECT_EQ(sends_of(*before), sends_of(*after)) << "rank " << rank << ": Sends left their order";
    const auto early = sends_before(*before);
    const auto late = sends_before(*after);
    ASSERT_EQ(early.size(), late.size());
    for (const auto& [message, sends] : early) {
      EXPECT_GE(late.at(message), sends) << "rank " << rank << ": the Receive of node " << message.first
                                         << "'s message " << message.second << " moved before a Send";
    }
    // Node by node, about half of what a linear map computes needs no message.
    EXPECT_GE(hidden_macs(*after), hidden_macs(*before) + macs_of(*after) / 10) << "rank " << rank;
  }
}

TEST(LocalFirstNames, OnlyWhatIsNamedIsSplit) {
  const Case c{"resnet18", 2};
  const std::vector<Graph> none = shards_of(c, std::set<std::string>());
  const std::vector<Graph> all = shards_of(c, std::nullopt);
  const auto products = [](const Graph& shard) {
    const auto program = compile(shard);
    EXPECT_TRUE(program) << (program ? "" : program.error().message);
    std::size_t count = 0;
    for (const Step& step : program->steps()) count += step.macs > 0 ? 1 : 0;
    return count;
  };
  const std::size_t plain = products(none[0]);
  // Every convolution but the first, which reads the input, and the classifier where it contracts features.
  EXPECT_GE(products(all[0]), plain + 19);
  Graph one = none[0];
  std::string name;
  for (const Node& node : one.nodes) {
    if (node.is("Conv")) name = node.name;  // the last
  }
  one.metadata[std::string(kLocalFirst)] = "[\"" + name + "\"]";
  EXPECT_EQ(products(one), plain + 1);
  one.metadata[std::string(kLocalFirst)] = "[\"of no node\", 7";  // a file may say anything
  EXPECT_EQ(products(one), plain);
}

}  // namespace
}  // namespace disco
