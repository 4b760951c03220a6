// Feature maps in bands of rows: the same answers, an order of messages that cannot deadlock, and a band that
// is on its way before the next is computed.

#include "graph/bands.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <set>

#include "../relative_error.h"
#include "cluster/cluster.h"
#include "compile/program.h"
#include "partition/plan.h"
#include "reference/evaluate.h"
#include "reference/specialise.h"
#include "zoo/zoo.h"

namespace disco {
namespace {

struct Case {
  std::string model;
  ZooOptions options{};
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.model; }

// Strided and depthwise windows, pooling, joined, dilated and enlarged maps, dense blocks.
const Case kCases[] = {
    {"resnet18", {.seed = 3, .size = ImageSize{61, 70}, .width = 0.25}},
    {"mobilenetv2", {.seed = 3, .size = ImageSize{64, 64}, .width = 0.5}},
    {"ssd300-mobilenetv2", {.seed = 3, .size = ImageSize{96, 96}, .width = 0.5, .classes = 3, .stride = 8}},
    {"deeplabv3plus-resnet50", {.seed = 3, .size = ImageSize{65, 81}, .width = 0.25}},
    {"esrgan-small", {.seed = 3, .size = ImageSize{17, 12}}},
};

class Banded : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    auto model = zoo(GetParam().model, GetParam().options);
    ASSERT_TRUE(model) << model.error().message;
    auto graph = specialise(*model, {});
    ASSERT_TRUE(graph) << graph.error().message;
    graph_ = std::move(*graph);
    std::mt19937 generator(5);
    std::normal_distribution<float> normal;
    for (const ValueId id : graph_.inputs) {
      Tensor tensor(DataType::Float32, graph_.value(id).shape());
      for (std::int64_t i = 0; i < tensor.elements(); ++i) tensor.data<float>()[i] = normal(generator);
      inputs_[graph_.value(id).name] = tensor;
    }
  }

  std::vector<Graph> shards(int nodes, int bands) {
    auto partition = partition_channels(graph_, {nodes, {}});
    EXPECT_TRUE(partition) << (partition ? "" : partition.error().message);
    partition->bands = bands;
    partition->band_bytes = 1;
    auto result = make_shards(graph_, *partition);
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    return std::move(*result);
  }

  NamedTensors answer(const std::vector<Graph>& shards) {
    auto cluster = Cluster::start_inproc(shards, {.threads = 1});
    EXPECT_TRUE(cluster) << (cluster ? "" : cluster.error().message);
    auto run = (*cluster)->run(inputs_);
    EXPECT_TRUE(run) << (run ? "" : run.error().message);
    // What the first run left in memory must not matter.
    auto again = (*cluster)->run(inputs_);
    EXPECT_TRUE(again) << (again ? "" : again.error().message);
    EXPECT_EQ(testing::relative_error(run->outputs, again->outputs), 0.0);
    return run->outputs;
  }

  Graph graph_;
  NamedTensors inputs_;
};
INSTANTIATE_TEST_SUITE_P(, Banded, ::testing::ValuesIn(kCases), [](const auto& info) {
  std::string name = info.param.model;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

constexpr std::uint32_t kTagOnly = (1U << kBandShift) - 1;

/// By (peer, tag) of a Receive: the messages, whole values to a peer, that are all sent before its first
/// band.
std::map<std::pair<int, std::uint32_t>, std::set<std::pair<int, std::uint32_t>>> sent_before(
    const Program& program) {
  std::map<std::pair<int, std::uint32_t>, std::size_t> open;  // bands to be sent
  for (const Step& step : program.steps()) {
    if (step.kind == StepKind::Send) ++open[{step.peer, step.tag & kTagOnly}];
  }
  std::map<std::pair<int, std::uint32_t>, std::set<std::pair<int, std::uint32_t>>> result;
  std::set<std::pair<int, std::uint32_t>> sent;
  for (const Step& step : program.steps()) {
    const std::pair<int, std::uint32_t> message{step.peer, step.tag & kTagOnly};
    if (step.kind == StepKind::Send && --open[message] == 0) sent.insert(message);
    if (step.kind == StepKind::Receive) result.try_emplace(message, sent);
  }
  return result;
}

TEST_P(Banded, AnswersAsWholeMapsDo) {
  for (const int nodes : {2, 3}) {
    const NamedTensors want = answer(shards(nodes, 1));
    for (const int bands : {2, 3, 5}) {
      EXPECT_LE(testing::relative_error(want, answer(shards(nodes, bands))), 1e-5)
          << nodes << " nodes, " << bands << " bands";
    }
  }
}

TEST_P(Banded, NoReceiveMovesBeforeASend) {
  for (const int nodes : {2, 4}) {
    const std::vector<Graph> whole = shards(nodes, 1), cut = shards(nodes, 3);
    for (std::size_t rank = 0; rank < whole.size(); ++rank) {
      const auto before = compile(whole[rank]), after = compile(cut[rank]);
      ASSERT_TRUE(before) << before.error().message;
      ASSERT_TRUE(after) << after.error().message;
      std::size_t bytes_before = 0, bytes_after = 0;
      for (const Step& step : before->steps()) bytes_before += step.wire_bytes;
      for (const Step& step : after->steps()) bytes_after += step.wire_bytes;
      EXPECT_EQ(bytes_before, bytes_after) << "rank " << rank;
      const auto early = sent_before(*before), late = sent_before(*after);
      ASSERT_EQ(early.size(), late.size());
      for (const auto& [message, sends] : early) {
        EXPECT_TRUE(
            std::includes(late.at(message).begin(), late.at(message).end(), sends.begin(), sends.end()))
            << nodes << " nodes, rank " << rank << ": node " << message.first << "'s message "
            << message.second;
      }
    }
  }
}

TEST(BandsOfAModel, TheFirstIsOnItsWayWhileTheNextIsComputed) {
  auto model = zoo("resnet50", {.seed = 3, .size = ImageSize{224, 224}, .width = 0.25});
  ASSERT_TRUE(model) << model.error().message;
  const auto graph = specialise(*model, {});
  ASSERT_TRUE(graph) << graph.error().message;
  auto partition = partition_channels(*graph, {2, {}});
  ASSERT_TRUE(partition) << partition.error().message;
  partition->bands = 2;
  partition->band_bytes = 8192;
  const auto shards = make_shards(*graph, *partition);
  ASSERT_TRUE(shards) << shards.error().message;
  const auto program = compile((*shards)[0]);
  ASSERT_TRUE(program) << program.error().message;
  // MACs between a message's first band and its second; of as many, the second band is half.
  std::map<std::uint32_t, std::int64_t> between;
  std::set<std::uint32_t> whole;
  std::map<std::uint32_t, std::int64_t> open;
  std::int64_t macs = 0;
  for (const Step& step : program->steps()) {
    macs += step.macs;
    if (step.kind != StepKind::Send) continue;
    const std::uint32_t tag = step.tag & kTagOnly;
    if (step.tag >> kBandShift == 0) open[tag] = macs;
    if (step.tag >> kBandShift == 1) between[tag] = macs - open[tag];
  }
  EXPECT_GE(between.size(), 20U);
  EXPECT_LT(between.size(), open.size()) << "small messages travel whole";
  std::size_t busy = 0;
  for (const auto& [tag, count] : between) busy += count > 0 ? 1 : 0;
  EXPECT_GE(busy, between.size() * 3 / 4);
}

/// Rows of the result that stay the same whatever the input's later rows are, by asking the evaluator.
std::int64_t rows_that_follow(const Graph& graph, const Node& node, const Tensor& input, std::int64_t given) {
  reference::Inputs tensors;
  for (const ValueId id : node.inputs)
    tensors.push_back(graph.constant(id) != nullptr ? *graph.constant(id) : input);
  const auto want = reference::evaluate(node, tensors, {});
  EXPECT_TRUE(want) << (want ? "" : want.error().message);
  tensors[0] = input.clone();
  const Shape& in = input.shape();
  for (std::int64_t i = 0; i < input.elements(); ++i) {
    if (i / in[3] % in[2] >= given) tensors[0].data<float>()[i] += 100.0F;
  }
  const auto got = reference::evaluate(node, tensors, {});
  EXPECT_TRUE(got) << (got ? "" : got.error().message);
  const Tensor &a = want->at(0), &b = got->at(0);
  std::int64_t first = a.shape()[2];
  for (std::int64_t i = 0; i < a.elements(); ++i) {
    if (a.data<float>()[i] != b.data<float>()[i]) first = std::min(first, i / a.shape()[3] % a.shape()[2]);
  }
  return first;
}

TEST(BandsOfAModel, FollowFromWhatWindowsRead) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  const auto below = [&](int n) { return static_cast<std::int64_t>(random() % static_cast<unsigned>(n)); };
  int compared = 0;
  for (int trial = 0; trial < 200; ++trial) {
    const std::int64_t taps = 1 + below(4), dilation = 1 + below(2), stride = 1 + below(3),
                       rows = 9 + below(12);
    const std::int64_t reach = (taps - 1) * dilation + 1;
    Graph graph;
    Node node;
    const ValueId input = graph.add_value("x", DataType::Float32);
    graph.value(input).set_shape({1, 2, rows, 5});
    node.inputs = {input};
    node.op = "MaxPool";
    if (below(2) == 0) {
      node.op = "Conv";
      Tensor weight(DataType::Float32, {3, 2, taps, 1});
      for (std::int64_t i = 0; i < weight.elements(); ++i)
        weight.data<float>()[i] = 0.1F + std::abs(normal(random));
      node.inputs.push_back(graph.add_constant("w", weight));
    }
    node.attributes["kernel_shape"] = std::vector<std::int64_t>{taps, 1};
    node.attributes["strides"] = std::vector<std::int64_t>{stride, 1};
    node.attributes["dilations"] = std::vector<std::int64_t>{dilation, 1};
    const std::int64_t top = below(static_cast<int>(std::min<std::int64_t>(taps, reach)));
    const std::int64_t bottom = below(static_cast<int>(std::min<std::int64_t>(taps, reach)));
    node.attributes["pads"] = std::vector<std::int64_t>{top, 0, bottom, 0};
    const ValueId output = graph.add_value("y", DataType::Float32);
    graph.value(output).set_shape(
        {1, node.op == "Conv" ? 3 : 2, (rows + top + bottom - reach) / stride + 1, 5});
    node.outputs = {output};
    Tensor x(DataType::Float32, {1, 2, rows, 5});
    for (std::int64_t i = 0; i < x.elements(); ++i) x.data<float>()[i] = normal(random);
    const std::int64_t given = 1 + below(static_cast<int>(rows) - 1);
    std::vector<Bands> bands(graph.values.size());
    bands[static_cast<std::size_t>(input)] = {given};
    const Bands follow = bands_after(graph, node, bands);
    const std::int64_t want = rows_that_follow(graph, node, x, given);
    if (dilation > 1) {  // between its taps a window does not read
      EXPECT_LE(follow.empty() ? 0 : follow[0], want) << node.op << " trial " << trial;
      continue;
    }
    if (want == 0 || want == graph.value(output).shape()[2]) {
      EXPECT_TRUE(follow.empty()) << node.op << " trial " << trial;
      continue;
    }
    ++compared;
    EXPECT_EQ(follow, Bands{want}) << node.op << " taps " << taps << " stride " << stride << " rows " << rows
                                   << " pads " << top << "," << bottom << " given " << given;
  }
  EXPECT_GE(compared, 50);
}

}  // namespace
}  // namespace disco
