// Inputs that come in bands: the same answers, and one line where they do not come or are not what they say.

#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <numeric>
#include <random>
#include <thread>

#include "../relative_error.h"
#include "cluster/cluster.h"
#include "cluster/input_mail.h"
#include "cluster/node_server.h"
#include "compile/program.h"
#include "fabric/inproc.h"
#include "partition/plan.h"
#include "reference/specialise.h"
#include "zoo/zoo.h"

namespace disco {
namespace {

using namespace std::chrono_literals;

Graph model(const std::string& name, const ZooOptions& options) {
  auto graph = zoo(name, options);
  EXPECT_TRUE(graph) << (graph ? "" : graph.error().message);
  auto fixed = specialise(*graph, {});
  EXPECT_TRUE(fixed) << (fixed ? "" : fixed.error().message);
  return std::move(*fixed);
}

/// Pixels of 8 bits, or noise.
NamedTensors inputs_of(const Graph& graph, bool image, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  NamedTensors inputs;
  for (const ValueId id : graph.inputs) {
    Tensor tensor(DataType::Float32, graph.value(id).shape());
    for (std::int64_t i = 0; i < tensor.elements(); ++i)
      tensor.data<float>()[i] =
          image ? static_cast<float>(generator() % 256) / 57.0F - 2.0F : normal(generator);
    inputs[graph.value(id).name] = tensor;
  }
  return inputs;
}

/// Node servers as threads of this process.
class Servers {
 public:
  explicit Servers(std::size_t count) {
    for (std::size_t n = 0; n < count; ++n) {
      auto& server = servers_.emplace_back(std::make_unique<Server>());
      std::promise<std::string> ready;
      auto where = ready.get_future();
      server->options.listen = "127.0.0.1:0";
      server->options.stop_fd = server->stop.fd();
      server->options.on_ready = [&](const std::string& text) { ready.set_value(text); };
      server->thread =
          std::thread([&options = server->options] { EXPECT_TRUE(run_node_server(options).ok()); });
      nodes.push_back({.address = where.get()});
    }
  }
  ~Servers() {
    for (const auto& server : servers_) server->stop.set();
    for (const auto& server : servers_) server->thread.join();
  }
  std::vector<NodeConfig> nodes;

 private:
  struct Server {
    NodeServerOptions options;
    WakeUp stop;
    std::thread thread;
  };
  std::vector<std::unique_ptr<Server>> servers_;
};

std::size_t bands_taken(const NodeTrace& trace) {
  return static_cast<std::size_t>(std::count_if(
      trace.events.begin(), trace.events.end(),
      [](const TraceEvent& event) { return event.op == "Input" && event.phase == TracePhase::Unpack; }));
}

TEST(InputBands, AnswerAsWholeInputsDo) {
  const std::pair<const char*, ZooOptions> models[] = {
      {"resnet18", {.seed = 3, .size = ImageSize{192, 181}, .width = 0.25}},
      {"mobilenetv2", {.seed = 3, .size = ImageSize{224, 224}, .width = 0.5}},
      {"deit-tiny", {.seed = 3, .size = ImageSize{192, 192}, .blocks = 1}}};
  for (const auto& [name, options] : models) {
    const Graph graph = model(name, options);
    for (const int nodes : {2, 3}) {
      auto partition = partition_channels(graph, {nodes, {}});
      ASSERT_TRUE(partition) << partition.error().message;
      auto shards = make_shards(graph, *partition);
      ASSERT_TRUE(shards) << shards.error().message;
      const Servers whole_servers(shards->size()), banded_servers(shards->size());
      auto whole = Cluster::connect(whole_servers.nodes, *shards, {.threads = 1});
      auto banded = Cluster::connect(banded_servers.nodes, *shards, {.threads = 1, .pretend_far = true});
      ASSERT_TRUE(whole && banded);
      for (const bool image : {true, false}) {
        const std::string what = fmt::format("{} nodes={} image={}", name, nodes, image);
        const NamedTensors inputs = inputs_of(graph, image, 5);
        const auto want = (*whole)->run(inputs, {.trace = true});
        const auto got = (*banded)->run(inputs, {.trace = true});
        ASSERT_TRUE(want && got) << what;
        EXPECT_LE(testing::relative_error(want->outputs, got->outputs), 1e-5) << what;
        for (int rank = 0; rank < nodes; ++rank) {
          EXPECT_EQ(bands_taken(want->traces[static_cast<std::size_t>(rank)]), 0U) << what;
          EXPECT_EQ(bands_taken(got->traces[static_cast<std::size_t>(rank)]) >= 2, rank > 0) << what;
        }
      }
      // Several in flight, each with pixels of its own.
      std::map<std::uint64_t, NamedTensors> asked;
      for (unsigned seed = 0; seed < Cluster::kMostInFlight; ++seed) {
        const NamedTensors inputs = inputs_of(graph, true, 10 + seed);
        const auto request = (*banded)->submit(inputs);
        ASSERT_TRUE(request) << request.error().message;
        asked[*request] = inputs;
      }
      while ((*banded)->in_flight() > 0) {
        const auto done = (*banded)->next();
        ASSERT_TRUE(done && done->result) << name;
        const auto want = (*whole)->run(asked.at(done->request));
        ASSERT_TRUE(want) << name;
        EXPECT_LE(testing::relative_error(want->outputs, done->result->outputs), 1e-5)
            << name << " nodes=" << nodes << " request " << done->request;
      }
      NamedTensors wrong = inputs_of(graph, true, 5);
      wrong.begin()->second = Tensor::zeros(DataType::Float32, {1, 3, 5, 5});
      const auto refused = (*banded)->run(wrong);
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, ErrorCode::ShapeMismatch) << refused.error().message;
      EXPECT_TRUE((*banded)->run(inputs_of(graph, true, 5))) << name << ": after an input that was refused";
    }
  }
}

/// Exchanges of one direction only: who sends nothing at first must take its inputs before it waits for
/// others, which wait for its word that they are there.
TEST(InputBands, ComeBeforeWhatOthersSend) {
  const Graph graph = model("resnet18", {.seed = 3, .size = ImageSize{192, 181}, .width = 0.25});
  const NamedTensors inputs = inputs_of(graph, true, 5);
  for (unsigned seed = 0; seed < 8; ++seed) {
    auto partition = partition_channels(graph, {2, {}});
    ASSERT_TRUE(partition) << partition.error().message;
    std::mt19937 generator(seed);
    for (const Node& node : graph.nodes) {
      if (!node.is("Conv")) continue;
      const Value& value = graph.value(node.inputs[0]);
      auto [sets, is_new] = partition->keep.try_emplace(value.name);
      if (!is_new) continue;
      ChannelSet all(static_cast<std::size_t>(value.shape()[1]));
      std::iota(all.begin(), all.end(), 0);
      // The first two: one way only. The others: any way, or none.
      const unsigned ways = seed < 2 ? seed + 1 : generator() % 4;
      if ((ways & 1U) != 0) sets->second[{0, 1}] = all;
      if ((ways & 2U) != 0) sets->second[{1, 0}] = all;
    }
    const auto shards = make_shards(graph, *partition);
    ASSERT_TRUE(shards) << shards.error().message;
    const Servers whole_servers(2), banded_servers(2);
    auto whole = Cluster::connect(whole_servers.nodes, *shards, {.threads = 1});
    auto banded = Cluster::connect(banded_servers.nodes, *shards, {.threads = 1, .pretend_far = true});
    ASSERT_TRUE(whole && banded);
    const auto want = (*whole)->run(inputs, {.deadline = 20s});
    const auto got = (*banded)->run(inputs, {.deadline = 20s});
    ASSERT_TRUE(want) << want.error().message;
    ASSERT_TRUE(got) << "seed " << seed << ": " << got.error().message;
    EXPECT_LE(testing::relative_error(want->outputs, got->outputs), 1e-5) << "seed " << seed;
  }
}

TEST(InputBands, TheFirstIsComputedWithBeforeTheSecondIsTaken) {
  const Graph graph = model("resnet50", {.seed = 3, .width = 0.25});
  const std::string input = graph.value(graph.inputs[0]).name;
  const auto program = compile(graph, {.threads = 1, .inputs = {.bands = {{input, {90, 160}}}}});
  ASSERT_TRUE(program) << program.error().message;
  ASSERT_EQ(program->banded_inputs().size(), 1U);
  EXPECT_EQ(program->banded_inputs()[0].name, input);
  std::vector<std::int64_t> macs;  // before each band
  std::int64_t sum = 0, first_layers = 0;
  for (const Step& step : program->steps()) {
    if (step.kind == StepKind::Receive) {
      EXPECT_EQ(step.peer, kCaller);
      macs.push_back(sum);
    }
    sum += step.macs;
    if (step.name == program->steps()[1].name) first_layers += step.macs;
  }
  ASSERT_EQ(macs.size(), 3U);
  EXPECT_EQ(macs[0], 0);
  EXPECT_GT(macs[1], 0);
  EXPECT_GT(macs[2], macs[1]);
  EXPECT_LT(macs[2], first_layers) << "the last band is waited for before the first layer is done";
  for (const Bands& bands : {Bands{0}, Bands{224}, Bands{100, 90}, Bands{-3}, Bands{}}) {
    const auto whole = compile(graph, {.threads = 1, .inputs = {.bands = {{input, bands}}}});
    ASSERT_TRUE(whole) << whole.error().message;
    EXPECT_TRUE(whole->banded_inputs().empty());
  }
}

TEST(InputBands, NothingTakesTheirLink) {
  const Graph graph = model("resnet18", {.seed = 3, .width = 0.25});
  auto partition = partition_channels(graph, {3, {}});
  ASSERT_TRUE(partition) << partition.error().message;
  const auto shards = make_shards(graph, *partition);
  ASSERT_TRUE(shards) << shards.error().message;
  const auto routes = input_routes(*shards, {false, true, false});
  EXPECT_EQ(routes[1].await, (std::vector<int>{0, 2}));
  EXPECT_TRUE(routes[1].tell.empty() && routes[1].bands.empty());
  for (const bool optimise : {true, false}) {  // without, inputs come whole
    for (const int rank : {0, 1, 2}) {
      const auto program = compile((*shards)[static_cast<std::size_t>(rank)],
                                   {.optimise = optimise, .inputs = routes[static_cast<std::size_t>(rank)]});
      ASSERT_TRUE(program) << program.error().message;
      std::map<int, int> words, sends;  // by peer
      bool all_here = program->banded_inputs().empty();
      std::size_t bands = 0;
      for (const Step& step : program->steps()) {
        if (step.kind == StepKind::Receive && step.peer == kCaller) all_here = ++bands == 3;
        if (step.kind != StepKind::Compute && step.tag == kInputsAreHere) {
          EXPECT_EQ(step.kind, rank == 1 ? StepKind::Receive : StepKind::Send);
          EXPECT_EQ(step.wire_bytes, 0U);
          EXPECT_TRUE(rank == 1 || (all_here && sends.empty())) << "rank " << rank;
          EXPECT_EQ(sends[step.peer], 0) << "rank " << rank;
          ++words[step.peer];
        } else if (step.kind == StepKind::Send) {
          EXPECT_TRUE(rank != 1 || words[step.peer] == 1) << "rank " << rank << " sends to " << step.peer;
          ++sends[step.peer];
        }
      }
      EXPECT_EQ(words, rank == 1 ? (std::map<int, int>{{0, 1}, {2, 1}}) : (std::map<int, int>{{1, 1}}));
    }
  }
  for (const std::vector<bool>& near : {std::vector<bool>(3, true), std::vector<bool>(3, false)}) {
    for (const InputRoute& route : input_routes(*shards, near)) {
      EXPECT_TRUE(route.tell.empty() && route.await.empty());
      EXPECT_EQ(route.bands.empty(), near[0]);
    }
  }
}

/// What never comes, or is of another size.
class Source final : public InputSource {
 public:
  explicit Source(std::optional<Tensor> tensor) : tensor_(std::move(tensor)) {}
  Result<std::optional<Tensor>> take(const std::string& /*input*/, std::size_t /*band*/) override {
    return tensor_;
  }

 private:
  std::optional<Tensor> tensor_;
};

TEST(InputBands, WhatDoesNotComeIsOneLine) {
  const Graph graph = model("resnet18", {.seed = 3, .size = ImageSize{64, 64}, .width = 0.25});
  const std::string input = graph.value(graph.inputs[0]).name;
  auto program = compile(graph, {.threads = 1, .inputs = {.bands = {{input, {40}}}}});
  ASSERT_TRUE(program) << program.error().message;
  Executor executor(std::make_shared<const Program>(std::move(*program)), {.threads = 1});
  const auto mesh = InprocMesh::create(1);
  const auto late = executor.run(
      {}, {.deadline = Clock::now() + 50ms, .bands = std::make_shared<Source>(std::nullopt)}, mesh[0].get());
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::Timeout);
  EXPECT_EQ(late.error().message, "the rest of the input '" + input + "' did not come in time");
  mesh[0]->cancel("the coordinator went away");
  const auto cancelled = executor.run(
      {}, {.request = 2, .deadline = Clock::now() + 20s, .bands = std::make_shared<Source>(std::nullopt)},
      mesh[0].get());
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::PeerLost);
  EXPECT_EQ(cancelled.error().message, "the coordinator went away");
  const auto small = executor.run(
      {}, {.request = 3, .bands = std::make_shared<Source>(Tensor::zeros(DataType::Float32, {1, 3, 39, 64}))},
      mesh[0].get());
  ASSERT_FALSE(small);
  EXPECT_EQ(small.error().code, ErrorCode::ProtocolMismatch);
  EXPECT_EQ(small.error().message, "a part of the input '" + input + "' has 29,952 bytes, expected 30,720");
  const auto missing = executor.run({}, {.request = 4}, mesh[0].get());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::NotFound) << missing.error().message;
  EXPECT_TRUE(executor.run(inputs_of(graph, true, 1), {.request = 5}, mesh[0].get()));
}

TEST(InputBands, TravelAsImagesOrNumbers) {
  const Bands bands{20, 50};
  for (const auto& shape : {Shape{1, 3, 64, 60}, Shape{1, 60, 64, 3}, Shape{1, 5, 64, 30}}) {
    for (const bool image : {true, false}) {
      std::mt19937 generator(1);
      Tensor tensor(DataType::Float32, shape);
      for (std::int64_t i = 0; i < tensor.elements(); ++i)
        tensor.data<float>()[i] = static_cast<float>(image ? generator() % 250 : generator());
      const NamedTensors tensors = {{"x", tensor}};
      const control::Images images = control::pack_images(tensors);
      EXPECT_EQ(images.size(), image ? 1U : 0U) << to_string(shape);
      InputMail mail;
      for (const std::size_t band : {2U, 0U, 1U}) {
        control::Message message = control::request("input", 1);
        control::put_bands(message, "bands", tensors, {{"x", bands}}, band, images);
        auto read = control::decode(control::encode(std::move(message)));
        ASSERT_TRUE(read) << read.error().message;
        mail.post(std::move(*read));
      }
      for (std::size_t band = 0; band < 3; ++band) {
        const auto got = mail.take("x", band);
        ASSERT_TRUE(got && *got) << to_string(shape) << " band " << band;
        const Tensor want = rows_of_band(tensor, bands, band);
        ASSERT_EQ((*got)->shape(), want.shape());
        EXPECT_EQ(std::memcmp((*got)->raw(), want.raw(), want.bytes()), 0)
            << to_string(shape) << " band " << band << " image " << image;
        EXPECT_FALSE(*mail.take("x", band)) << "taken before";
      }
      control::Message none = control::request("input", 1);
      control::put_bands(none, "bands", tensors, {{"x", bands}}, 3, images);
      EXPECT_TRUE(none.head["bands"].empty());
    }
  }
  InputMail mail;
  control::Message lie = control::request("input", 1);
  lie.head["band"] = 1;
  lie.head["bands"] = 7;
  mail.post(std::move(lie));
  const auto fault = mail.take("x", 1);
  ASSERT_FALSE(fault);
  EXPECT_EQ(fault.error().code, ErrorCode::ProtocolMismatch) << fault.error().message;
}

TEST(InputBands, SmallInputsComeWhole) {
  const std::pair<Shape, std::size_t> cases[] = {{{1, 3, 32, 32}, 0},   {{1, 3, 224, 224}, 2},
                                                 {{2, 3, 224, 224}, 0}, {{1, 1, 1, 90000}, 0},
                                                 {{1, 3, 160, 160}, 1}, {{1, 3, 2000, 2000}, 2}};
  for (const auto& [shape, want] : cases) {
    Graph graph;
    const ValueId id = graph.add_value("x", DataType::Float32);
    graph.value(id).set_shape(shape);
    EXPECT_EQ(bands_of_input(graph.value(id)).size(), want) << to_string(shape);
  }
}

}  // namespace
}  // namespace disco
