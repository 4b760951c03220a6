// The public headers, used as a program would: any split of a model answers as the unsplit one, and what
// cannot be is an Error.

#include <disco/disco.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "../relative_error.h"
#include "api/executable.h"
#include "graph/onnx.h"
#include "reference/evaluate.h"
#include "zoo/builder.h"

namespace disco {
namespace {

namespace fs = std::filesystem;

/// A folder that ends with the test.
class Scratch {
 public:
  Scratch() {
    std::string name = (fs::temp_directory_path() / "disco-api-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path = name;
  }
  ~Scratch() { fs::remove_all(path); }
  fs::path path;
};

/// An environment variable, for as long as this lives.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    setenv(name, value.c_str(), 1);
  }
  ~Environment() { old_ ? setenv(name_, old_->c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

/// Two inputs of open batch, two outputs: 'features' [N, 20] and 'scores' [N, 10] = classifier + 'prior' [N,
/// 10].
Graph two_headed() {
  GraphBuilder b("two_headed", 3);
  ValueId x = b.input("image", {{-1, "N"}, {3, {}}, {-1, "height"}, {16, {}}});
  const ValueId prior = b.input("prior", {{-1, "N"}, {10, {}}});
  x = b.relu("relu1", b.batch_norm("bn1", b.conv("conv1", x, 3, 12, {.kernel = 3, .padding = 1}), 12));
  x = b.relu("relu2", b.conv("conv2", x, 12, 20, {.kernel = 3, .stride = 2, .padding = 1, .bias = true}));
  const ValueId features =
      b.op("flatten", "Flatten", {b.op("pool", "GlobalAveragePool", {x})}, {{"axis", std::int64_t{1}}});
  const ValueId scores = b.add("sum", b.gemm("fc", features, 20, 10, 0.3), prior);
  Graph graph = b.finish(scores, "scores", {{-1, "N"}, {10, {}}});
  Value& value = graph.value(features);
  value.name = "features";
  value.type = DataType::Float32;
  value.dims = {{-1, "N"}, {20, {}}};
  graph.outputs.push_back(features);
  return graph;
}

Model model_of(const Graph& graph) {
  const auto bytes = serialise_onnx(graph);
  EXPECT_TRUE(bytes.ok());
  auto model = Model::parse(std::as_bytes(std::span(*bytes)));
  EXPECT_TRUE(model.ok()) << (model ? "" : model.error().message);
  return *model;
}

const std::map<std::string, Shape> kShapes = {{"image", {2, 3, 10, 16}}};

NamedTensors some_inputs(std::int64_t batch = 2) {
  Random random(5);
  NamedTensors inputs = {{"image", Tensor(DataType::Float32, {batch, 3, 10, 16})},
                         {"prior", Tensor(DataType::Float32, {batch, 10})}};
  for (auto& [name, tensor] : inputs) {
    for (std::int64_t i = 0; i < tensor.elements(); ++i)
      tensor.data<float>()[i] = static_cast<float>(random.normal());
  }
  return inputs;
}

TEST(ApiModel, SaysWhatItTakesAndGives) {
  const Model model = model_of(two_headed());
  ASSERT_EQ(model.inputs().size(), 2U);
  const TensorInfo& image = model.inputs()[0];
  EXPECT_EQ(image.name, "image");
  EXPECT_EQ(image.type, DataType::Float32);
  EXPECT_TRUE(image.has_rank);
  EXPECT_EQ(image.shape, (Shape{kOpenExtent, 3, kOpenExtent, 16}));
  EXPECT_EQ(image.symbols, (std::vector<std::string>{"N", "", "height", ""}));
  EXPECT_EQ(model.inputs()[1].name, "prior");
  ASSERT_EQ(model.outputs().size(), 2U);
  EXPECT_EQ(model.outputs()[0].name, "scores");
  EXPECT_EQ(model.outputs()[1].shape, (Shape{kOpenExtent, 20}));
  EXPECT_EQ(model.partition_nodes(), 0);

  const auto split = Split::make(model, {.nodes = 3, .shapes = kShapes, .batch = 2});
  ASSERT_TRUE(split.ok()) << split.error().message;
  EXPECT_EQ(split->inputs()[0].shape, (Shape{2, 3, 10, 16}));
  EXPECT_EQ(split->inputs()[1].shape, (Shape{2, 10}));
  EXPECT_EQ(split->outputs()[1].shape, (Shape{2, 20}));
}

TEST(ApiVersion, IsThatOfTheHeaders) {
  EXPECT_EQ(version(), std::to_string(DISCO_VERSION_MAJOR) + "." + std::to_string(DISCO_VERSION_MINOR) + "." +
                           std::to_string(DISCO_VERSION_PATCH));
}

struct Way {
  int nodes;
  std::vector<double> shares;
  Transport transport;
};

void PrintTo(const Way& way, std::ostream* out) {
  *out << "nodes=" << way.nodes << " shares=";
  for (const double share : way.shares) *out << share << ",";
  *out << (way.transport == Transport::Threads ? " threads" : " processes");
}

class ApiSession : public ::testing::TestWithParam<Way> {};

TEST_P(ApiSession, AnswersAsTheUnsplitModel) {
  const Way& way = GetParam();
  const Graph graph = two_headed();
  const NamedTensors inputs = some_inputs();
  const auto want = reference::run(graph, inputs);
  ASSERT_TRUE(want.ok()) << want.error().message;

  CostTable costs;
  std::size_t nodes = 0;
  const auto start = [&]() -> Result<Session> {  // neither model nor split outlives this
    const auto split = Split::make(model_of(graph), {way.nodes, way.shares, kShapes, 2});
    if (!split) return split.error();
    nodes = static_cast<std::size_t>(split->nodes());
    costs = *split->costs();
    return Session::start(*split, {.transport = way.transport, .threads = 1, .executable = DISCO_PROGRAM});
  };
  auto started = start();
  ASSERT_TRUE(started.ok()) << started.error().message;
  Session session = std::move(*started);
  ASSERT_EQ(session.nodes().size(), nodes);
  ASSERT_EQ(costs.nodes.size(), nodes);
  for (int run = 0; run < 2; ++run) {
    const bool trace = run == 1;
    const auto got = session.run(inputs, {.trace = trace});
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_LE(testing::relative_error(*want, got->outputs), 1e-5);
    EXPECT_GT(got->total_ms, 0);
    ASSERT_EQ(got->statistics.size(), nodes);
    EXPECT_EQ(got->traces.size(), trace ? nodes : 0);
    for (std::size_t rank = 0; rank < nodes; ++rank) {
      EXPECT_EQ(got->statistics[rank].bytes_sent, static_cast<std::uint64_t>(costs.nodes[rank].bytes_sent))
          << rank;
      EXPECT_EQ(got->statistics[rank].messages_sent,
                static_cast<std::uint64_t>(costs.nodes[rank].messages_sent))
          << rank;
    }
    if (trace) {
      const Scratch scratch;
      ASSERT_TRUE(write_trace(scratch.path / "trace.json", got->traces).ok());
      EXPECT_GT(fs::file_size(scratch.path / "trace.json"), 100U);
    }
  }
  std::set<std::uint64_t> asked;
  for (int request = 0; request < 3; ++request) {
    const auto number = session.submit(inputs);
    ASSERT_TRUE(number.ok()) << number.error().message;
    asked.insert(*number);
  }
  EXPECT_EQ(session.in_flight(), 3U);
  while (session.in_flight() > 0) {
    const auto completed = session.next();
    ASSERT_TRUE(completed.ok()) << completed.error().message;
    ASSERT_TRUE(completed->result.ok()) << completed->result.error().message;
    EXPECT_EQ(asked.erase(completed->request), 1U) << completed->request;
    EXPECT_LE(testing::relative_error(completed->result->outputs, *want), 1e-5);
  }
  EXPECT_TRUE(asked.empty());
  EXPECT_FALSE(session.next().ok());
}

INSTANTIATE_TEST_SUITE_P(Sweep, ApiSession,
                         ::testing::Values(Way{0, {}, Transport::Threads}, Way{1, {}, Transport::Processes},
                                           Way{2, {}, Transport::Threads}, Way{2, {}, Transport::Processes},
                                           Way{0, {3, 1}, Transport::Threads},
                                           Way{3, {1, 2, 1}, Transport::Processes},
                                           Way{5, {}, Transport::Threads}));

TEST(ApiSplit, WritesArtifactAndShards) {
  const Scratch scratch;
  const Graph graph = two_headed();
  const auto split = Split::make(model_of(graph), {.shares = {2, 1, 1}, .shapes = kShapes, .batch = 2});
  ASSERT_TRUE(split.ok()) << split.error().message;
  ASSERT_TRUE(split->save_artifact(scratch.path / "artifact.onnx").ok());
  const auto shards = split->save_shards(scratch.path / "made" / "here");
  ASSERT_TRUE(shards.ok()) << shards.error().message;
  ASSERT_EQ(shards->size(), 3U);
  std::uint64_t bytes = 0;
  for (std::size_t rank = 0; rank < 3; ++rank) {
    EXPECT_EQ((*shards)[rank], scratch.path / "made" / "here" / ("node" + std::to_string(rank) + ".onnx"));
    EXPECT_TRUE(load_onnx((*shards)[rank]).ok()) << rank;
    bytes += fs::file_size((*shards)[rank]);
  }
  EXPECT_LT(fs::file_size((*shards)[1]), fs::file_size(scratch.path / "artifact.onnx"));

  // The artifact says over how many nodes; the batch is still open; flags still win.
  const auto artifact = Model::load(scratch.path / "artifact.onnx");
  ASSERT_TRUE(artifact.ok()) << artifact.error().message;
  EXPECT_EQ(artifact->partition_nodes(), 3);
  EXPECT_EQ(artifact->inputs()[0].shape[0], kOpenExtent);
  const auto again = Split::make(*artifact, {.shapes = {{"image", {5, 3, 10, 16}}}, .batch = 5});
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->nodes(), 3);
  auto session = Session::start(*again);
  ASSERT_TRUE(session.ok()) << session.error().message;
  const NamedTensors inputs = some_inputs(5);
  const auto got = session->run(inputs);
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_LE(testing::relative_error(got->outputs, *reference::run(graph, inputs)), 1e-5);
  EXPECT_EQ(Split::make(*artifact, {.nodes = 2, .shapes = kShapes, .batch = 2})->nodes(), 2);
}

TEST(ApiSession, TakesAnInputThatNothingReads) {
  GraphBuilder b("unread", 1);
  const ValueId x = b.input("x", {{1, {}}, {4, {}}});
  b.input("unread", {{1, {}}, {7, {}}});
  const Model model = model_of(b.finish(b.gemm("fc", x, 4, 6, 0.5), "y", {{1, {}}, {6, {}}}));
  ASSERT_EQ(model.inputs().size(), 2U);
  for (const int nodes : {1, 2}) {
    const auto split = Split::make(model, {.nodes = nodes});
    ASSERT_TRUE(split.ok()) << split.error().message;
    auto session = Session::start(*split);
    ASSERT_TRUE(session.ok()) << session.error().message;
    const auto got = session->run({{"x", Tensor::zeros(DataType::Float32, {1, 4})},
                                   {"unread", Tensor::zeros(DataType::Float32, {1, 7})}});
    EXPECT_TRUE(got.ok()) << "nodes=" << nodes << ": " << got.error().message;
  }
}

TEST(ApiSession, NodesReportTheirOwnMemoryAndNotTheirStarters) {
  constexpr std::size_t kBytes = std::size_t{512} << 20;
  const std::vector<char> mine(kBytes, 1);
  const auto split = Split::make(model_of(two_headed()), {.nodes = 2, .shapes = kShapes, .batch = 2});
  ASSERT_TRUE(split.ok()) << split.error().message;
  auto session = Session::start(*split, {.transport = Transport::Processes, .executable = DISCO_PROGRAM});
  ASSERT_TRUE(session.ok()) << session.error().message;
  const auto got = session->run(some_inputs());
  ASSERT_TRUE(got.ok()) << got.error().message;
  for (const RunStatistics& spent : got->statistics) {
    EXPECT_GT(spent.peak_rss_bytes, std::uint64_t{1} << 20);
    EXPECT_LT(spent.peak_rss_bytes, mine.size());
  }
}

TEST(ApiErrors, OfModels) {
  const Scratch scratch;
  std::ofstream(scratch.path / "text.onnx") << "no model at all";
  EXPECT_EQ(Model::load(scratch.path / "absent.onnx").error().code, ErrorCode::NotFound);
  EXPECT_EQ(Model::load(scratch.path).error().code, ErrorCode::Io);
  EXPECT_EQ(Model::load(scratch.path / "text.onnx").error().code, ErrorCode::InvalidModel);
  EXPECT_EQ(Model::parse({}).error().code, ErrorCode::InvalidModel);
}

TEST(ApiErrors, OfSplits) {
  const Model model = model_of(two_headed());
  const struct {
    SplitOptions options;
    ErrorCode code;
  } cases[] = {
      {{.nodes = -1, .shapes = kShapes, .batch = 2}, ErrorCode::InvalidArgument},
      {{.nodes = 65, .shapes = kShapes, .batch = 2}, ErrorCode::InvalidArgument},
      {{.nodes = 64, .shapes = kShapes, .batch = 2},
       ErrorCode::InvalidArgument},  // the layers have 42 channels together
      {{.nodes = 3, .shares = {1, 1}, .shapes = kShapes, .batch = 2}, ErrorCode::InvalidArgument},
      {{.shares = {1, 0}, .shapes = kShapes, .batch = 2}, ErrorCode::InvalidArgument},
      {{.shapes = {{"picture", {1, 3, 10, 16}}}}, ErrorCode::InvalidArgument},
      {{.nodes = 2}, ErrorCode::ShapeMismatch},  // the height is open
      {{.shapes = {{"image", {1, 4, 10, 16}}}}, ErrorCode::ShapeMismatch},
      {{.shapes = {{"image", {1, 3, 16}}}}, ErrorCode::ShapeMismatch},
      {{.shapes = kShapes, .batch = 0}, ErrorCode::InvalidArgument},
  };
  for (const auto& one : cases) {
    const auto split = Split::make(model, one.options);
    const auto number = &one - cases;
    ASSERT_FALSE(split.ok()) << "case " << number;
    EXPECT_EQ(split.error().code, one.code) << "case " << number << ": " << split.error().message;
    EXPECT_EQ(split.error().message.find('\n'), std::string::npos) << split.error().message;
  }
  const auto split = Split::make(model, {.nodes = 2, .shapes = kShapes, .batch = 2});
  ASSERT_TRUE(split.ok());
  EXPECT_FALSE(split->save_artifact("/proc/no/such/folder/model.onnx").ok());
  EXPECT_FALSE(split->save_shards("/proc/no/such/folder").ok());
}

TEST(ApiErrors, OfSessions) {
  const auto split = Split::make(model_of(two_headed()), {.nodes = 2, .shapes = kShapes, .batch = 2});
  ASSERT_TRUE(split.ok()) << split.error().message;
  EXPECT_EQ(Session::start(*split, {.cluster = {{"127.0.0.1:1"}}}).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(Session::start(*split, {.cluster = {{"127.0.0.1:1"}, {"127.0.0.1:1"}},
                                    .start_timeout = std::chrono::milliseconds(200)})
                .error()
                .code,
            ErrorCode::Timeout);
  EXPECT_EQ(Session::start(*split, {.transport = Transport::Processes, .executable = "/no/such/program"})
                .error()
                .code,
            ErrorCode::NotFound);
  EXPECT_EQ(
      Session::start(*split, {.transport = Transport::Processes, .executable = "/bin/false"}).error().code,
      ErrorCode::Io);

  auto session = Session::start(*split);
  ASSERT_TRUE(session.ok());
  const NamedTensors right = some_inputs();
  const auto code_of = [&](const std::string& change, const Tensor& tensor, const RunOptions& options = {}) {
    NamedTensors inputs = right;
    if (!change.empty()) inputs[change] = tensor;
    if (tensor.empty()) inputs.erase(change);
    const auto result = session->run(inputs, options);
    return result ? ErrorCode::Internal : result.error().code;
  };
  EXPECT_EQ(code_of("prior", {}), ErrorCode::NotFound);
  EXPECT_EQ(code_of("prior", Tensor::zeros(DataType::Float32, {2, 11})), ErrorCode::ShapeMismatch);
  EXPECT_EQ(code_of("prior", Tensor::zeros(DataType::Float64, {2, 10})), ErrorCode::ShapeMismatch);
  EXPECT_EQ(code_of("other", Tensor::zeros(DataType::Float32, {1})), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of("", Tensor::scalar(0.0F), {.deadline = std::chrono::milliseconds(0)}),
            ErrorCode::InvalidArgument);
  EXPECT_TRUE(session->run(right).ok()) << "a failed run leaves the session usable";
}

TEST(ApiExecutable, IsTheChosenElseTheNamedElseInPath) {
  const Scratch scratch;
  const fs::path program = scratch.path / "disco";
  std::ofstream(program) << "#!/bin/sh\n";
  {
    const Environment named("DISCO_EXECUTABLE", "");
    const Environment path("PATH", "/no/such/folder:" + scratch.path.string());
    EXPECT_EQ(find_executable({}).error().code, ErrorCode::NotFound) << "it may not be run";
    fs::permissions(program, fs::perms::owner_all);
    EXPECT_EQ(*find_executable({}), program);
    EXPECT_EQ(*find_executable("/bin/sh"), "/bin/sh");
    EXPECT_NE(find_executable("/no/such/program").error().message.find("/no/such/program"),
              std::string::npos);
  }
  {
    const Environment named("DISCO_EXECUTABLE", program);
    EXPECT_EQ(*find_executable({}), program);
    EXPECT_EQ(*find_executable("/bin/sh"), "/bin/sh");
  }
  {
    const Environment named("DISCO_EXECUTABLE", scratch.path);  // a folder
    EXPECT_NE(find_executable({}).error().message.find("DISCO_EXECUTABLE"), std::string::npos);
  }
}

}  // namespace
}  // namespace disco
