// Partitions that name wire formats: fewer bytes on the wire, and answers off by no more than the codes are
// coarse.

#include <gtest/gtest.h>

#include <cmath>

#include "cluster/cluster.h"
#include "partition/partition.h"
#include "partition/plan.h"
#include "reference/evaluate.h"
#include "reference/specialise.h"
#include "zoo/builder.h"

namespace disco {
namespace {

Graph network() {
  GraphBuilder b("net", 9);
  ValueId x = b.input("x", {{1, ""}, {3, ""}, {12, ""}, {12, ""}});
  x = b.relu("hidden", b.conv("c0", x, 3, 32, {.kernel = 3, .padding = 1, .bias = true}));
  x = b.conv("c1", x, 32, 16, {.kernel = 3, .padding = 1, .bias = true});
  return specialise(b.finish(x, "y", {{1, ""}, {16, ""}, {12, ""}, {12, ""}}), {}).value();
}

double largest_difference(const Tensor& a, const Tensor& b) {
  double worst = 0.0;
  for (std::int64_t i = 0; i < a.elements(); ++i)
    worst = std::max(worst, std::abs(double{a.data<float>()[i]} - double{b.data<float>()[i]}));
  return worst;
}

class OnTheWire : public ::testing::TestWithParam<std::tuple<int, DataType>> {};

TEST_P(OnTheWire, BytesShrinkAndAnswersStayClose) {
  const auto [nodes, type] = GetParam();
  const Graph graph = network();
  Partition partition = partition_channels(graph, {nodes, {}}).value();
  const auto run = [&](const Partition& p) {
    auto cluster = Cluster::start_inproc(make_shards(graph, p).value());
    EXPECT_TRUE(cluster.ok()) << (cluster ? "" : cluster.error().message);
    Tensor input(DataType::Float32, {1, 3, 12, 12});
    for (std::int64_t i = 0; i < input.elements(); ++i)
      input.data<float>()[i] = std::sin(static_cast<float>(i));
    auto result = (*cluster)->run({{"x", input}});
    EXPECT_TRUE(result.ok()) << (result ? "" : result.error().message);
    std::uint64_t bytes = 0;
    for (const RunStatistics& node : result->statistics) bytes += node.bytes_sent;
    return std::pair{result->outputs.at("y"), bytes};
  };
  const auto [exact, all_bytes] = run(partition);

  // The hidden value, whose range the reference evaluator tells.
  const std::string hidden = graph.value(graph.nodes[1].outputs[0]).name;
  WireFormat format{type};
  if (type == DataType::UInt8) format.scale = 24.0F / 255.0F;
  partition.wire[hidden] = format;
  const auto parsed = partition_from_json(to_json(partition));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->wire, partition.wire);
  const auto [coarse, bytes] = run(*parsed);

  // `y` is gathered on rank 0 as fp32; the hidden features are all else that travels.
  const std::uint64_t gathered = [&] {
    Partition quiet = partition;
    quiet.keep[hidden] = {};
    return run(quiet).second;
  }();
  EXPECT_EQ((all_bytes - gathered) % 4, 0U);
  EXPECT_EQ(bytes - gathered, (all_bytes - gathered) / 4 * size_of(type))
      << nodes << " nodes, " << to_string(type);
  // Half a code (or half a half's last place, below 24) for each of 32 channels and 9 taps, at the largest
  // weight.
  const Tensor& weight = *graph.constant(graph.nodes[2].inputs[1]);
  double worst_row = 0.0;
  for (std::int64_t o = 0; o < 16; ++o) {
    double row = 0.0;
    for (std::int64_t i = 0; i < 32 * 9; ++i) row += std::abs(double{weight.data<float>()[o * 288 + i]});
    worst_row = std::max(worst_row, row);
  }
  const double step = type == DataType::UInt8 ? format.scale * 0.5 : 0x1.0p-7;
  EXPECT_LE(largest_difference(exact, coarse), worst_row * step) << nodes << " nodes, " << to_string(type);
  EXPECT_GT(largest_difference(exact, coarse), 0.0) << "nothing was rounded";
}

INSTANTIATE_TEST_SUITE_P(Formats, OnTheWire,
                         ::testing::Combine(::testing::Values(2, 3, 4),
                                            ::testing::Values(DataType::Float16, DataType::UInt8)));

TEST(WireFormats, ThatCannotBeAreRefused) {
  Partition partition = partition_channels(network(), {2, {}}).value();
  partition.wire["x"] = {DataType::UInt8, 0.1F, 3};
  const std::string good = to_json(partition);
  ASSERT_TRUE(partition_from_json(good).ok());
  for (const auto& [from, to] :
       std::map<std::string, std::string>{{"\"u8\"", "\"u4\""}, {"\"zero_point\":3", "\"zero_point\":300"}}) {
    std::string bad = good;
    const std::size_t at = bad.find(from);
    ASSERT_NE(at, std::string::npos) << from << " in " << good;
    bad.replace(at, from.size(), to);
    const auto parsed = partition_from_json(bad);
    ASSERT_FALSE(parsed.ok()) << to;
    EXPECT_EQ(parsed.error().code, ErrorCode::InvalidModel) << parsed.error().message;
  }
}

}  // namespace
}  // namespace disco
