// What travels is counted as it is sent, budgets are kept to the byte, owners stay balanced, methods spend
// where they say.

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>
#include <set>

#include "partition/cost.h"
#include "reference/specialise.h"
#include "sparsify/methods.h"
#include "sparsify/owner_search.h"
#include "zoo/builder.h"
#include "zoo/zoo.h"

namespace disco {
namespace {

/// A residual network with a padded shortcut and a concatenation: channel spaces of every kind.
Graph network(std::int64_t width) {
  GraphBuilder b("net", 5);
  ValueId x = b.input("x", {{1, ""}, {3, ""}, {8, ""}, {8, ""}});
  ValueId trunk = b.relu("r0", b.conv("c0", x, 3, width, {.kernel = 3, .padding = 1}));
  ValueId inner = b.relu("r1", b.conv("c1", trunk, width, width, {.kernel = 3, .padding = 1}));
  trunk = b.relu("r2", b.add("a1", b.conv("c2", inner, width, width, {.kernel = 3, .padding = 1}), trunk));
  const ValueId pads = b.ints("pads", {0, width / 2, 0, 0, 0, width / 2, 0, 0});
  const ValueId padded = b.op("pad", "Pad", {trunk, pads});
  inner = b.relu("r3", b.conv("c3", trunk, width, 2 * width, {.kernel = 3, .padding = 1}));
  trunk = b.relu("r4",
                 b.add("a2", b.conv("c4", inner, 2 * width, 2 * width, {.kernel = 3, .padding = 1}), padded));
  const ValueId side = b.relu("r5", b.conv("c5", trunk, 2 * width, width, {}));
  const ValueId joined = b.op("cat", "Concat", {trunk, side}, {{"axis", std::int64_t{1}}});
  ValueId y = b.relu("r6", b.conv("c6", joined, 3 * width, 2 * width, {}));
  y = b.op("pool", "GlobalAveragePool", {y});
  y = b.op("flat", "Flatten", {y});
  return specialise(b.finish(b.gemm("fc", y, 2 * width, 10, 0.1), "y", {{1, ""}, {10, ""}}), {}).value();
}

std::vector<Sensitivity> random_sensitivities(const Graph& graph, const Traffic& traffic, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<Sensitivity> all;
  for (const LinearMap& map : traffic.maps) {
    Sensitivity one;
    one.outputs = static_cast<std::int64_t>(map.owner.size());
    one.samples = 6;
    one.inputs = static_cast<std::int64_t>(map.columns.size());
    one.values.resize(static_cast<std::size_t>(one.outputs * one.samples * one.inputs));
    std::normal_distribution<float> normal(0.0F, 1.0F + static_cast<float>(map.node % 3));
    for (float& value : one.values) value = normal(generator);
    all.push_back(std::move(one));
  }
  (void)graph;
  return all;
}

/// Bytes that the shards really send.
std::int64_t sent(const Graph& graph, const Partition& partition) {
  const auto shards = make_shards(graph, partition);
  EXPECT_TRUE(shards.ok()) << (shards ? "" : shards.error().message);
  std::int64_t bytes = 0;
  for (const Graph& shard : *shards) bytes += total_cost(shard).bytes_sent;
  return bytes;
}

struct Case {
  int nodes;
  std::vector<double> shares;
};

std::ostream& operator<<(std::ostream& stream, const Case& c) {
  stream << c.nodes << " nodes, shares";
  for (const double share : c.shares) stream << ' ' << share;
  return stream;
}

class Sparsify : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override { use(12); }
  void use(std::int64_t width) {
    graph_ = network(width);
    auto made = partition_channels(graph_, {GetParam().nodes, GetParam().shares});
    ASSERT_TRUE(made.ok()) << made.error().message;
    partition_ = std::move(*made);
    auto traffic = traffic_of(graph_, partition_);
    ASSERT_TRUE(traffic.ok()) << traffic.error().message;
    traffic_ = std::move(*traffic);
  }
  /// By rank: the bytes of a value that arrive, and those that could.
  [[nodiscard]] std::vector<std::pair<double, double>> received(const Allocation& choice,
                                                                std::size_t v) const {
    std::vector<std::pair<double, double>> by_rank;
    const Exchangeable& value = traffic_.values[v];
    for (std::size_t rank = 0; rank < static_cast<std::size_t>(traffic_.nodes); ++rank) {
      double some = 0.0, all = 0.0;
      for (std::size_t c = 0; c < value.owner.size(); ++c) {
        if (value.owner[c] == static_cast<std::int32_t>(rank) || value.forced[rank][c]) continue;
        all += static_cast<double>(value.channel_bytes);
        if (choice.kept[v][rank][c]) some += static_cast<double>(value.channel_bytes);
      }
      by_rank.emplace_back(some, all);
    }
    return by_rank;
  }

  Graph graph_;
  Partition partition_;
  Traffic traffic_;
};

TEST_P(Sparsify, BytesAreThoseThatShardsSend) {
  EXPECT_EQ(traffic_.dense_bytes, sent(graph_, partition_)) << GetParam();
  EXPECT_EQ(traffic_.bytes(keep_all(traffic_)), traffic_.dense_bytes) << GetParam();
  Partition least = partition_;
  set_keep(graph_, traffic_, keep_forced(traffic_), least);
  EXPECT_EQ(traffic_.bytes(keep_forced(traffic_)), sent(graph_, least)) << GetParam();
  EXPECT_LT(traffic_.fixed_bytes, traffic_.dense_bytes / 4) << GetParam();
}

TEST_P(Sparsify, BudgetsAreKeptAndUsed) {
  const Scores scores = score(traffic_, random_sensitivities(graph_, traffic_, 3));
  for (const double share : {0.1, 0.2, 0.5, 0.9, 1.0}) {
    const auto choice = allocate(traffic_, scores, {share});
    ASSERT_TRUE(choice.ok()) << choice.error().message;
    Partition partition = partition_;
    set_keep(graph_, traffic_, choice->kept, partition);
    const auto bytes = static_cast<double>(sent(graph_, partition));
    EXPECT_EQ(bytes, static_cast<double>(choice->bytes)) << GetParam() << " share " << share;
    EXPECT_LE(bytes, share * static_cast<double>(traffic_.dense_bytes)) << GetParam() << " share " << share;
    EXPECT_GE(bytes, share * static_cast<double>(traffic_.dense_bytes) - 256.0)
        << GetParam() << " share " << share;
    EXPECT_EQ(kept_of(graph_, traffic_, partition).size(), traffic_.values.size());
    EXPECT_EQ(traffic_.bytes(kept_of(graph_, traffic_, partition)), choice->bytes) << GetParam();
  }
}

/// By score / bytes^power, which is in the same proportions as the weighed score per byte.
TEST_P(Sparsify, WhatIsKeptIsWorthMoreThanWhatIsNot) {
  const std::vector<Sensitivity> sensitivities = random_sensitivities(graph_, traffic_, 4);
  const Scores scores = score(traffic_, sensitivities);
  std::int64_t largest = 0;
  for (const Exchangeable& value : traffic_.values) largest = std::max(largest, value.channel_bytes);
  for (const double power : {1.0, 1.5, 2.0}) {
    std::vector<Sensitivity> weighed = sensitivities;
    weigh_by_size(traffic_, power, weighed);
    const auto choice = allocate(traffic_, score(traffic_, weighed), {0.3});
    ASSERT_TRUE(choice.ok()) << choice.error().message;
    double least_kept = 1e30;
    double most_dropped = 0.0;
    for (std::size_t v = 0; v < traffic_.values.size(); ++v) {
      const Exchangeable& value = traffic_.values[v];
      for (std::size_t rank = 0; rank < scores[v].size(); ++rank) {
        for (std::size_t c = 0; c < value.owner.size(); ++c) {
          if (value.owner[c] == static_cast<std::int32_t>(rank) || value.forced[rank][c]) continue;
          const double worth = scores[v][rank][c] * std::pow(static_cast<double>(largest), power - 1.0) /
                               std::pow(static_cast<double>(value.channel_bytes), power);
          // Channels that only fitted into what a larger one left over may be worth less.
          if (choice->kept[v][rank][c] && worth > choice->threshold * (1 + 1e-5))
            least_kept = std::min(least_kept, worth);
          if (!choice->kept[v][rank][c]) most_dropped = std::max(most_dropped, worth);
        }
      }
    }
    EXPECT_GE(least_kept, most_dropped * (1 - 1e-5)) << GetParam() << " power " << power;
    EXPECT_NEAR(most_dropped, choice->threshold, 1e-5 * most_dropped) << GetParam() << " power " << power;
  }
}

/// Whatever one rank would gain by reading more, none computes more for others' features than its share, and
/// none is left without, however much of the whole it owns.
TEST_P(Sparsify, WorkIsLevelledByWhatEachCouldRead) {
  Scores scores = score(traffic_, random_sensitivities(graph_, traffic_, 9));
  for (auto& of_value : scores) {
    for (double& each : of_value[0]) each *= 100.0;
  }
  const auto ranks = static_cast<std::size_t>(traffic_.nodes);
  // By rank: multiply-accumulates beyond those of its own features.
  const auto beyond = [&](const KeptChannels& kept) {
    Partition partition = partition_;
    set_keep(graph_, traffic_, kept, partition);
    const std::vector<Graph> shards = make_shards(graph_, partition).value();
    std::vector<double> each;
    for (std::size_t rank = 0; rank < ranks; ++rank)
      each.push_back(static_cast<double>(total_cost(shards[rank]).macs - traffic_.least_macs[rank]));
    return each;
  };
  const auto chosen = [&](const Budget& budget) {
    const auto choice = allocate(traffic_, scores, budget);
    EXPECT_TRUE(choice.ok()) << choice.error().message;
    return beyond(choice->kept);
  };
  const auto sum = [](const std::vector<double>& each) {
    return std::accumulate(each.begin(), each.end(), 0.0);
  };
  const std::vector<double> readable = beyond(keep_all(traffic_));
  const std::vector<double> free = chosen({.communication = 0.3});
  const std::vector<double> level = chosen({.communication = 0.3, .level_work = true});
  const double share = sum(free) * readable[0] / sum(readable);
  EXPECT_LE(level[0], 1.003 * share) << GetParam();
  EXPECT_GE(level[0], 0.5 * share) << GetParam();
  EXPECT_LT(level[0], free[0]) << GetParam();
  // What arrives is shared too where messages have a price.
  const auto choice =
      allocate(traffic_, scores, {.communication = 0.3, .message_bytes = 1, .level_work = true});
  std::vector<double> arrived(ranks, 0.0), receivable(ranks, 0.0);
  for (std::size_t v = 0; v < traffic_.values.size(); ++v) {
    const auto by_rank = received(*choice, v);
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      arrived[rank] += by_rank[rank].first;
      receivable[rank] += by_rank[rank].second;
    }
  }
  const double bound = 0.3 * static_cast<double>(traffic_.dense_bytes) * receivable[0] /
                       std::accumulate(receivable.begin(), receivable.end(), 0.0);
  EXPECT_LE(arrived[0], 1.003 * bound) << GetParam();
}

/// Whatever one rank would gain by receiving more, an exchange is as full for the others, by what each could
/// receive; and the budget is used as before.
TEST_P(Sparsify, ExchangesAreLevelled) {
  Scores scores = score(traffic_, random_sensitivities(graph_, traffic_, 9));
  for (auto& of_value : scores) {
    for (double& each : of_value[0]) each *= 4.0;
  }
  const auto free = allocate(traffic_, scores, {.communication = 0.3});
  const auto level = allocate(traffic_, scores, {.communication = 0.3, .level_exchanges = true});
  ASSERT_TRUE(free.ok() && level.ok());
  EXPECT_LE(level->bytes, free->bytes) << GetParam();
  EXPECT_GE(static_cast<double>(level->bytes), 0.98 * static_cast<double>(free->bytes)) << GetParam();
  bool uneven = false;
  double beyond = 0.0;
  for (std::size_t v = 0; v < traffic_.values.size(); ++v) {
    const auto size = static_cast<double>(traffic_.values[v].channel_bytes);
    double some = 0.0, all = 0.0;
    for (const auto& [bytes, could] : received(*free, v)) {
      some += bytes;
      all += could;
    }
    for (const auto& [bytes, could] : received(*free, v))
      uneven = uneven || bytes > 1.1 * some * could / all + size;
    for (const auto& [bytes, could] : received(*level, v))
      beyond += std::max(0.0, bytes - (some * could / all + size));
  }
  // But for what is left since features come whole.
  EXPECT_LE(beyond, 0.06 * static_cast<double>(free->bytes)) << GetParam();
  EXPECT_TRUE(uneven) << GetParam() << ": nothing was to be levelled";
}

/// Where weights are used up before bytes are, what is left of those makes no exchange lopsided.
TEST_P(Sparsify, ExchangesStayLevelWhereWeightsAreTheLimit) {
  use(64);
  Scores scores = score(traffic_, random_sensitivities(graph_, traffic_, 9));
  // Every value is worth more to another rank.
  for (std::size_t v = 0; v < scores.size(); ++v) {
    for (double& each : scores[v][v % scores[v].size()]) each *= 20.0;
  }
  // What ranks receive less of a value than the one that receives most, by what they could, but for a
  // feature.
  const auto lopsided = [&](const Budget& budget) {
    const auto choice = allocate(traffic_, scores, budget);
    EXPECT_TRUE(choice.ok()) << choice.error().message;
    double behind = 0.0, kept = 0.0;
    for (std::size_t v = 0; v < traffic_.values.size(); ++v) {
      double fullest = 0.0;
      const auto by_rank = received(*choice, v);
      for (const auto& [bytes, could] : by_rank)
        fullest = std::max(fullest, could > 0.0 ? bytes / could : 0.0);
      for (const auto& [bytes, could] : by_rank) {
        kept += bytes;
        behind +=
            std::max(0.0, fullest * could - bytes - static_cast<double>(traffic_.values[v].channel_bytes));
      }
    }
    return behind / kept;
  };
  Budget budget{.communication = 0.9, .message_bytes = 1, .level_exchanges = true};
  for (std::int32_t rank = 0; rank < traffic_.nodes; ++rank) {
    std::int64_t most = 0;  // were everything read
    for (const LinearMap& map : traffic_.maps) {
      most += std::count(map.owner.begin(), map.owner.end(), rank) * map.pair_bytes *
              static_cast<std::int64_t>(map.columns.size());
    }
    const std::int64_t least = traffic_.least_weights[static_cast<std::size_t>(rank)];
    budget.weight_bytes.push_back(least + std::max<std::int64_t>(0, most - least) / 2);
  }
  const double before = lopsided(budget);
  budget.level_work = true;
  const double after = lopsided(budget);
  EXPECT_LT(after, 0.1) << GetParam();
  if (before > 0.1) {
    EXPECT_LT(after, 0.2 * before) << GetParam();
  }
  EXPECT_TRUE(before > 0.1 || traffic_.nodes == 2) << GetParam() << ": nothing was to be levelled";
}

TEST_P(Sparsify, NoNodeHoldsMoreWeightsThanItMay) {
  const Scores scores = score(traffic_, random_sensitivities(graph_, traffic_, 8));
  const auto held = [&](const Allocation& choice) {
    Partition partition = partition_;
    set_keep(graph_, traffic_, choice.kept, partition);
    std::vector<std::int64_t> bytes;
    const auto shards = make_shards(graph_, partition);
    for (const Graph& shard : *shards) bytes.push_back(total_cost(shard).weight_bytes);
    return bytes;
  };
  const auto free = allocate(traffic_, scores, {0.5});
  ASSERT_TRUE(free.ok()) << free.error().message;
  const std::vector<std::int64_t> before = held(*free);
  Budget budget{0.5};
  for (std::size_t r = 0; r < before.size(); ++r)
    budget.weight_bytes.push_back((before[r] + traffic_.least_weights[r]) / 2);
  const auto limited = allocate(traffic_, scores, budget);
  ASSERT_TRUE(limited.ok()) << limited.error().message;
  const std::vector<std::int64_t> after = held(*limited);
  for (std::size_t r = 0; r < after.size(); ++r)
    EXPECT_LE(after[r], budget.weight_bytes[r]) << GetParam() << " rank " << r;
  EXPECT_LE(limited->bytes, free->bytes) << GetParam();
  EXPECT_LE(limited->score, free->score) << GetParam();
  EXPECT_GT(limited->score, 0.25 * free->score) << GetParam();
  budget.weight_bytes[0] = traffic_.least_weights[0] - 1;
  const auto impossible = allocate(traffic_, scores, budget);
  ASSERT_FALSE(impossible.ok());
  EXPECT_NE(impossible.error().message.find("node 0 holds"), std::string::npos) << impossible.error().message;
}

TEST_P(Sparsify, MessagesThatDoNotEarnTheirPriceAreLeftOut) {
  const Scores scores = score(traffic_, random_sensitivities(graph_, traffic_, 5));
  const auto messages = [&](const KeptChannels& kept) {
    std::set<std::tuple<std::size_t, std::int32_t, std::size_t>> links;
    for (std::size_t v = 0; v < kept.size(); ++v) {
      for (std::size_t rank = 0; rank < kept[v].size(); ++rank) {
        for (std::size_t c = 0; c < kept[v][rank].size(); ++c) {
          if (kept[v][rank][c]) links.emplace(v, traffic_.values[v].owner[c], rank);
        }
      }
    }
    return links;
  };
  /// Of which one way only is used.
  const auto lopsided = [&](const KeptChannels& kept) {
    const auto links = messages(kept);
    return std::count_if(links.begin(), links.end(), [&](const auto& link) {
      const auto [value, from, to] = link;
      return !links.contains({value, static_cast<std::int32_t>(to), static_cast<std::size_t>(from)});
    });
  };
  const auto free = allocate(traffic_, scores, {0.3, 0});
  const auto priced = allocate(traffic_, scores, {0.3, 2000});
  ASSERT_TRUE(free.ok() && priced.ok());
  EXPECT_LT(messages(priced->kept).size(), messages(free->kept).size()) << GetParam();
  EXPECT_LE(lopsided(priced->kept), lopsided(free->kept)) << GetParam();
  EXPECT_LE(priced->bytes, free->bytes + 256) << GetParam();
}

TEST_P(Sparsify, OwnerSearchLowersTheLossAndKeepsTheBalance) {
  const std::vector<Sensitivity> sensitivities = random_sensitivities(graph_, traffic_, 6);
  const Budget budget{0.3};
  const auto found = search_owners(graph_, partition_, sensitivities, budget);
  ASSERT_TRUE(found.ok()) << found.error().message;
  const auto after = traffic_of(graph_, *found);
  ASSERT_TRUE(after.ok()) << after.error().message;
  const auto lost = [&](const Traffic& traffic) {
    const Scores scores = score(traffic, sensitivities);
    const auto choice = allocate(traffic, scores, budget).value();
    double total = 0.0;
    for (std::size_t v = 0; v < traffic.values.size(); ++v) {
      for (std::size_t rank = 0; rank < scores[v].size(); ++rank) {
        for (std::size_t c = 0; c < traffic.values[v].owner.size(); ++c) {
          if (traffic.values[v].owner[c] != static_cast<std::int32_t>(rank) && !choice.kept[v][rank][c])
            total += scores[v][rank][c];
        }
      }
    }
    return total;
  };
  EXPECT_LT(lost(*after), 0.99 * lost(traffic_)) << GetParam();
  EXPECT_EQ(after->dense_bytes, traffic_.dense_bytes) << GetParam();
  for (const auto& [name, owners] : partition_.owners) {
    std::vector<std::int64_t> before_count(static_cast<std::size_t>(GetParam().nodes), 0);
    std::vector<std::int64_t> after_count = before_count;
    for (const std::int32_t owner : owners) ++before_count[static_cast<std::size_t>(owner)];
    for (const std::int32_t owner : found->owners.at(name)) ++after_count[static_cast<std::size_t>(owner)];
    EXPECT_EQ(after_count, before_count) << GetParam() << " value " << name;
  }
}

TEST_P(Sparsify, MethodsSpendFromTheFrontOrTheBack) {
  for (const Method method : {Method::DenseThenSplit, Method::SplitThenAggregate}) {
    const auto choice = keep_by_layer(traffic_, method, {0.4});
    ASSERT_TRUE(choice.ok()) << choice.error().message;
    EXPECT_LE(choice->bytes, static_cast<std::int64_t>(0.4 * static_cast<double>(traffic_.dense_bytes)));
    std::vector<double> share;  // kept of each layer's optional channels
    for (std::size_t v = 0; v < traffic_.values.size(); ++v) {
      double kept = 0.0;
      double all = 0.0;
      for (std::size_t rank = 0; rank < choice->kept[v].size(); ++rank) {
        for (std::size_t c = 0; c < choice->kept[v][rank].size(); ++c) {
          if (traffic_.values[v].owner[c] == static_cast<std::int32_t>(rank)) continue;
          all += 1.0;
          kept += choice->kept[v][rank][c] ? 1.0 : 0.0;
        }
      }
      share.push_back(kept / all);
    }
    if (method == Method::SplitThenAggregate) std::reverse(share.begin(), share.end());
    EXPECT_DOUBLE_EQ(share.front(), 1.0) << GetParam() << ' ' << to_string(method);
    EXPECT_DOUBLE_EQ(share.back(), 0.0) << GetParam() << ' ' << to_string(method);
    const auto first = keep_by_layer(traffic_, method, {0.4}, 2);
    ASSERT_TRUE(first.ok());
    EXPECT_FALSE(keep_by_layer(traffic_, method, {0.4}, 99).ok());
  }
  EXPECT_EQ(keep_by_layer(traffic_, Method::Dense, {})->bytes, traffic_.dense_bytes);
  EXPECT_EQ(keep_by_layer(traffic_, Method::Independent, {})->bytes, traffic_.fixed_bytes);
}

TEST_P(Sparsify, ABudgetThatCannotBeMetSaysWhatCan) {
  const auto choice = allocate(traffic_, score(traffic_, random_sensitivities(graph_, traffic_, 7)), {1e-7});
  ASSERT_FALSE(choice.ok());
  EXPECT_EQ(choice.error().code, ErrorCode::InvalidArgument);
  EXPECT_NE(choice.error().message.find("smallest budget"), std::string::npos) << choice.error().message;
  for (const double bad : {0.0, -1.0, 1.5, std::nan("")}) {
    EXPECT_FALSE(allocate(traffic_, score(traffic_, random_sensitivities(graph_, traffic_, 7)), {bad}).ok())
        << bad;
  }
}

INSTANTIATE_TEST_SUITE_P(Splits, Sparsify,
                         ::testing::Values(Case{2, {}}, Case{3, {}}, Case{4, {}}, Case{2, {3, 1}}));

/// Features that several maps read joined, padded or enlarged are sent once: bytes are counted as they
/// travel.
TEST(Derived, BudgetsAreWhatShardsSend) {
  const std::pair<const char*, ZooOptions> cases[] = {
      {"esrgan", {.size = ImageSize{8, 9}, .width = 0.25, .blocks = 1}},
      {"deeplabv3plus-mobilenetv2", {.size = ImageSize{48, 64}, .width = 0.25, .classes = 4}},
  };
  for (const auto& [name, options] : cases) {
    const Graph graph = specialise(zoo(name, options).value(), {}).value();
    for (const int nodes : {2, 3}) {
      const Partition partition = partition_channels(graph, {nodes, {}}).value();
      const Traffic traffic = traffic_of(graph, partition).value();
      EXPECT_EQ(traffic.dense_bytes, sent(graph, partition)) << name << " over " << nodes;
      const Scores scores = score(traffic, random_sensitivities(graph, traffic, 3));
      for (const double share : {0.2, 0.5}) {
        const auto choice = allocate(traffic, scores, {share});
        ASSERT_TRUE(choice.ok()) << name << ": " << choice.error().message;
        Partition sparse = partition;
        set_keep(graph, traffic, choice->kept, sparse);
        EXPECT_EQ(sent(graph, sparse), choice->bytes) << name << " over " << nodes << ", share " << share;
        EXPECT_EQ(traffic.bytes(kept_of(graph, traffic, sparse)), choice->bytes)
            << name << " over " << nodes << ", share " << share;
      }
      const Budget budget{0.3};
      const auto found = search_owners(graph, partition, random_sensitivities(graph, traffic, 4), budget, {});
      ASSERT_TRUE(found.ok()) << name << ": " << found.error().message;
      EXPECT_EQ(traffic_of(graph, *found).value().dense_bytes, traffic.dense_bytes)
          << name << " over " << nodes;
    }
  }
}

TEST(Importance, ScoresAreMeanSquaresOfSumsOverARanksOutputs) {
  Sensitivity one;
  one.outputs = 2;
  one.samples = 2;
  one.inputs = 2;
  one.values = {1, 2, 3, 4, 5, 6, -3, 8};  // [output][sample][input]
  Traffic traffic;
  traffic.nodes = 2;
  Exchangeable value;
  value.channels = 2;
  value.owner = {0, 1};
  traffic.values = {value};
  traffic.maps = {{0, {{0, 0}, {0, 1}}, {1, 1}}};
  const Scores scores = score(traffic, {one});
  // Both outputs are rank 1's: sums (6, 8) and (0, 12).
  EXPECT_DOUBLE_EQ(scores[0][1][0], (36.0 + 0.0) / 2.0);
  EXPECT_DOUBLE_EQ(scores[0][1][1], (64.0 + 144.0) / 2.0);
  EXPECT_DOUBLE_EQ(scores[0][0][0], 0.0);
}

}  // namespace
}  // namespace disco
