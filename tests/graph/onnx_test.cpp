// Models read, written and read again; external data; inference of the shared models.

#include "graph/onnx.h"

#include <fmt/format.h>
#include <onnx/checker.h>
#include <unistd.h>

#include <fstream>

#include "base/file.h"
#include "graph/onnx_proto.h"
#include "onnx_models.h"

namespace disco {
namespace {

using test::ModelBuilder;
using test::set;

constexpr const char* kBackendData = "/usr/lib/python3/dist-packages/onnx/backend/test/data";

/// A folder of the test's own that goes with it.
class Folder {
 public:
  Folder() {
    path_ =
        std::filesystem::temp_directory_path() / fmt::format("disco_onnx_test_{}_{}", ::getpid(), counter_++);
    std::filesystem::create_directories(path_);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      result.push_back(entry.path().filename());
    std::ranges::sort(result);
    return result;
  }

 private:
  static inline int counter_ = 0;
  std::filesystem::path path_;
};

void expect_round_trip(const Graph& graph, const std::string& label) {
  const Result<std::string> bytes = serialise_onnx(graph);
  ASSERT_TRUE(bytes) << label << ": " << bytes.error().message;
  onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(*bytes)) << label;
  EXPECT_NO_THROW(onnx::checker::check_model(model)) << label;
  const Result<Graph> again = parse_onnx(test::as_span(*bytes));
  ASSERT_TRUE(again) << label << ": " << again.error().message;
  EXPECT_EQ(test::difference(graph, *again), "") << label;
}

TEST(Onnx, SharedModelsSurviveTheRoundTrip) {
  const auto folder = test::shared_folder();
  if (folder.empty()) GTEST_SKIP() << "no shared data: set DISCO_SHARED to the folder that holds data/models";
  const auto models = test::models_below(folder / "data" / "models");
  ASSERT_FALSE(models.empty());
  for (const auto& path : models) {
    const Result<Graph> graph = load_onnx(path);
    ASSERT_TRUE(graph) << graph.error().message;
    expect_round_trip(*graph, path.string());
  }
}

TEST(Onnx, BackendModelsAreReadOrRefusedInOneLineAndSurviveTheRoundTrip) {
  if (!std::filesystem::is_directory(kBackendData))
    GTEST_SKIP() << "no ONNX backend data: install libonnx-testdata";
  int read = 0;
  for (const auto& path : test::models_below(kBackendData)) {
    const Result<Graph> graph = load_onnx(path);
    if (graph) {
      ++read;
      expect_round_trip(*graph, path.string());
      continue;
    }
    EXPECT_EQ(graph.error().message.find('\n'), std::string::npos) << graph.error().message;
    // All of these are valid: what cannot be read is out of reach, never "invalid" (the preview domain
    // imports no ONNX; of the expanded AffineGrid, only a branch that is not taken contradicts its shapes;
    // and opset 18 lets OptionalHasElement do without its input).
    const bool invalid = graph.error().message.find("no opset of ONNX") != std::string::npos ||
                         path.string().find("test_affine_grid_") != std::string::npos ||
                         path.string().find("test_optional_has_element_empty") != std::string::npos;
    if (!invalid) {
      EXPECT_EQ(graph.error().code, ErrorCode::Unsupported) << graph.error().message;
    }
  }
  EXPECT_GT(read, 850);
}

TEST(Onnx, SharedModelsInferEveryShapeOnceTheBatchIsKnown) {
  const auto folder = test::shared_folder();
  if (folder.empty()) GTEST_SKIP() << "no shared data: set DISCO_SHARED to the folder that holds data/models";
  for (const auto& path : test::models_below(folder / "data" / "models")) {
    Result<Graph> graph = load_onnx(path);
    ASSERT_TRUE(graph) << graph.error().message;
    for (const ValueId id : graph->inputs) {
      for (Dimension& dim : *graph->value(id).dims) {
        if (!dim.known()) dim.extent = 32;
      }
    }
    for (const Node& node : graph->nodes) {
      const Status status = infer_node(*graph, node);
      ASSERT_TRUE(status) << path << ": " << status.error().message;
      // All shared models have fixed shapes but for the Reshapes and Expands of computed constants.
      for (const ValueId id : node.outputs) {
        EXPECT_TRUE(graph->value(id).has_shape()) << path << ": " << describe(*graph, node);
      }
    }
  }
}

TEST(Onnx, KeepsSymbolsMetadataAndDefaults) {
  const Result<Graph> graph = test::parse(test::small_network().model());
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(graph->metadata.at("author"), "a test");
  ASSERT_EQ(graph->inputs.size(), 1U);
  const Value& x = graph->value(graph->inputs[0]);
  ASSERT_TRUE(x.dims);
  EXPECT_EQ((*x.dims)[0].symbol, "N");
  EXPECT_FALSE((*x.dims)[0].known());
  EXPECT_EQ((*x.dims)[1].extent, 3);
  EXPECT_EQ(graph->nodes.size(), 5U);
  expect_round_trip(*graph, "small network");
}

TEST(Onnx, InitialisersListedAsInputsAreConstants) {
  auto builder = test::small_network();
  builder.model().set_ir_version(3);
  builder.input("w", {4, 3, 3, 3}).input("b", {4});
  const Result<Graph> graph = test::parse(builder.model());
  ASSERT_TRUE(graph) << graph.error().message;
  ASSERT_EQ(graph->inputs.size(), 1U);
  EXPECT_EQ(graph->value(graph->inputs[0]).name, "x");
  EXPECT_TRUE(graph->value(graph->find_value("w")).is_constant());
}

/// Every element type, in its typed field and in raw_data.
TEST(Onnx, ReadsEveryElementTypeRawAndTyped) {
  struct Case {
    int type;
    std::size_t bytes;
  };
  for (const auto& [type, bytes] : std::vector<Case>{{onnx::TensorProto::FLOAT, 4},
                                                     {onnx::TensorProto::DOUBLE, 8},
                                                     {onnx::TensorProto::INT8, 1},
                                                     {onnx::TensorProto::UINT8, 1},
                                                     {onnx::TensorProto::INT16, 2},
                                                     {onnx::TensorProto::UINT16, 2},
                                                     {onnx::TensorProto::INT32, 4},
                                                     {onnx::TensorProto::UINT32, 4},
                                                     {onnx::TensorProto::INT64, 8},
                                                     {onnx::TensorProto::UINT64, 8},
                                                     {onnx::TensorProto::BOOL, 1}}) {
    std::vector<std::byte> elements[2];
    for (const bool raw : {false, true}) {
      ModelBuilder builder;
      builder.output("y", {3}, type);
      auto& tensor = *builder.graph().add_initializer();
      tensor.set_name("c");
      tensor.set_data_type(type);
      tensor.add_dims(3);
      std::string little_endian;
      for (const int value : {0, 1, 1}) {
        switch (type) {
          case onnx::TensorProto::FLOAT: {
            const auto real = static_cast<float>(value);
            little_endian.append(reinterpret_cast<const char*>(&real), 4);
            if (!raw) tensor.add_float_data(real);
            break;
          }
          case onnx::TensorProto::DOUBLE: {
            const double real = value;
            little_endian.append(reinterpret_cast<const char*>(&real), 8);
            if (!raw) tensor.add_double_data(real);
            break;
          }
          default: {
            const std::int64_t integer = value;
            little_endian.append(reinterpret_cast<const char*>(&integer), bytes);
            if (raw) break;
            if (type == onnx::TensorProto::INT64) {
              tensor.add_int64_data(value);
            } else if (type == onnx::TensorProto::UINT64 || type == onnx::TensorProto::UINT32) {
              tensor.add_uint64_data(static_cast<std::uint64_t>(value));
            } else {
              tensor.add_int32_data(value);
            }
          }
        }
      }
      if (raw) tensor.set_raw_data(little_endian);
      builder.node("Identity", {"c"}, {"y"});
      const Result<Graph> graph = test::parse(builder.model());
      ASSERT_TRUE(graph) << "type " << type << (raw ? " raw: " : " typed: ") << graph.error().message;
      const Tensor& constant = *graph->value(graph->find_value("c")).constant;
      EXPECT_EQ(static_cast<int>(constant.type()), type);
      elements[raw ? 1 : 0].assign(constant.raw(), constant.raw() + constant.bytes());
      expect_round_trip(*graph, fmt::format("type {}", type));
    }
    EXPECT_EQ(elements[0], elements[1]) << "type " << type;
    EXPECT_EQ(elements[0].size(), 3 * bytes) << "type " << type;
  }
}

TEST(Onnx, WritesLargeModelsWithExternalDataAndReadsThemBack) {
  const Folder folder;
  Graph graph;
  const ValueId x = graph.add_value("x", DataType::Float32);
  graph.value(x).set_shape({1, 1000});
  graph.inputs = {x};
  std::vector<float> elements(1000 * 1000);
  for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<float>(i % 1013);
  const ValueId w = graph.add_constant("w", Tensor::of<float>({1000, 1000}, elements));
  const ValueId y = graph.add_value("y", DataType::Float32);
  graph.value(y).set_shape({1, 1000});
  graph.nodes.push_back({.op = "MatMul", .inputs = {x, w}, .outputs = {y}});
  graph.outputs = {y};

  ASSERT_TRUE(save_onnx(graph, folder / "m.onnx", /*external_above=*/1'000'000));
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"m.onnx", "m.onnx.data"}));
  EXPECT_LT(std::filesystem::file_size(folder / "m.onnx"), 2000U);
  const Result<Graph> again = load_onnx(folder / "m.onnx");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(test::difference(graph, *again), "");

  // From memory the data can only be refused.
  const auto bytes = read_file(folder / "m.onnx");
  ASSERT_TRUE(bytes);
  const Result<Graph> alone = parse_onnx(*bytes);
  ASSERT_FALSE(alone);
  EXPECT_EQ(alone.error().code, ErrorCode::NotFound);

  // A data file cut short is found out before anything is computed.
  std::filesystem::resize_file(folder / "m.onnx.data", 3'999'999);
  const Result<Graph> cut = load_onnx(folder / "m.onnx");
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, ErrorCode::InvalidModel) << cut.error().message;
}

TEST(Onnx, ExternalDataStaysInsideTheFolder) {
  const Folder folder;
  std::filesystem::create_directories(folder / "model");
  std::ofstream(folder / "secret") << std::string(16, 's');
  std::ofstream(folder / "model/data") << std::string(16, 'd');
  std::filesystem::create_symlink(folder / "secret", folder / "model/link");
  struct Case {
    std::string location, offset, length;
    std::optional<ErrorCode> code;
  };
  const std::vector<Case> cases = {
      {"data", "0", "16", {}},
      {"./data", "", "", {}},
      {"data", "4", "16", ErrorCode::InvalidModel},
      {"data", "0", "12", ErrorCode::InvalidModel},
      {"data", "17", "0", ErrorCode::InvalidModel},
      {"data", "-1", "16", ErrorCode::InvalidModel},
      {"data", "0", "18446744073709551615", ErrorCode::InvalidModel},
      {"data", "18446744073709551615", "16", ErrorCode::InvalidModel},
      {"data", "18446744073709551616", "16", ErrorCode::InvalidModel},
      {"data", "0x0", "16", ErrorCode::InvalidModel},
      {"../secret", "0", "16", ErrorCode::InvalidModel},
      {"sub/../../secret", "0", "16", ErrorCode::InvalidModel},
      {(folder / "secret").string(), "0", "16", ErrorCode::InvalidModel},
      {"link", "0", "16", ErrorCode::InvalidModel},
      {"", "0", "16", ErrorCode::InvalidModel},
      {"missing", "0", "16", ErrorCode::NotFound},
      {".", "0", "16", ErrorCode::InvalidModel},
  };
  for (const Case& one : cases) {
    ModelBuilder builder;
    builder.output("y", {4});
    auto& tensor = *builder.graph().add_initializer();
    tensor.set_name("c");
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    tensor.add_dims(4);
    tensor.set_data_location(onnx::TensorProto::EXTERNAL);
    const auto entry = [&tensor](const std::string& key, const std::string& text) {
      if (text.empty() && key != "location") return;
      auto& added = *tensor.add_external_data();
      added.set_key(key);
      added.set_value(text);
    };
    entry("location", one.location);
    entry("offset", one.offset);
    entry("length", one.length);
    builder.node("Identity", {"c"}, {"y"});
    const std::string label =
        fmt::format("location='{}' offset={} length={}", one.location, one.offset, one.length);
    const Result<Graph> graph =
        parse_onnx(test::as_span(builder.model().SerializeAsString()), folder / "model");
    EXPECT_EQ(graph.ok(), !one.code) << label << (graph ? "" : ": " + graph.error().message);
    if (!graph && one.code) {
      EXPECT_TRUE(graph.error().code == *one.code || graph.error().code == ErrorCode::Io)
          << label << ": " << graph.error().message;
      EXPECT_NE(graph.error().message.find("'c'"), std::string::npos) << graph.error().message;
    }
  }
}

TEST(Onnx, AFailedSaveLeavesTheOldFileAndNothingElse) {
  const Folder folder;
  std::ofstream(folder / "m.onnx") << "old";
  {
    Result<FileWriter> writer = FileWriter::create(folder / "m.onnx");
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->append(test::as_span("half of the new")));
  }
  EXPECT_EQ(folder.names(), std::vector<std::string>{"m.onnx"});
  EXPECT_EQ(std::filesystem::file_size(folder / "m.onnx"), 3U);
  const Result<Graph> graph = test::parse(test::small_network().model());
  ASSERT_TRUE(graph);
  const Status status = save_onnx(*graph, folder / "no/such/folder/m.onnx");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::NotFound);
  ASSERT_TRUE(save_onnx(*graph, folder / "m.onnx"));
  EXPECT_EQ(folder.names(), std::vector<std::string>{"m.onnx"});
  EXPECT_TRUE(load_onnx(folder / "m.onnx"));
}

TEST(Onnx, FilesThatCannotBeRead) {
  const Folder folder;
  const Result<Graph> missing = load_onnx(folder / "missing.onnx");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::NotFound);
  const Result<Graph> directory = load_onnx(folder / "");
  ASSERT_FALSE(directory);
  EXPECT_EQ(directory.error().code, ErrorCode::Io);
}

TEST(Onnx, ShardsSurviveTheRoundTrip) {
  Graph graph;
  graph.name = "shard";
  const ValueId x = graph.add_value("x", DataType::Float32);
  graph.value(x).set_shape({1, 4, 6});
  graph.inputs = {x};
  const ValueId scale = graph.add_constant("scale", Tensor::of<float>({6}, std::vector<float>(6, 1.0F)));
  const ValueId own = graph.add_value("own");
  const ValueId other = graph.add_value("other");
  const ValueId y = graph.add_value("y");
  graph.nodes.push_back({.op = "LayerNormStatistics",
                         .domain = "disco",
                         .inputs = {x},
                         .outputs = {own},
                         .attributes = {{"axis", std::int64_t{2}}}});
  graph.nodes.push_back({.op = "Send",
                         .domain = "disco",
                         .inputs = {own},
                         .attributes = {{"peer", std::int64_t{1}}, {"tag", std::int64_t{7}}}});
  graph.nodes.push_back({.op = "Recv",
                         .domain = "disco",
                         .outputs = {other},
                         .attributes = {{"peer", std::int64_t{1}},
                                        {"tag", std::int64_t{8}},
                                        {"dtype", std::int64_t{1}},
                                        {"shape", std::vector<std::int64_t>{1, 4, 2}}}});
  graph.nodes.push_back(
      {.op = "LayerNormApply",
       .domain = "disco",
       .inputs = {x, scale, kNoValue, own, other},
       .outputs = {y},
       .attributes = {{"axis", std::int64_t{2}}, {"counts", std::vector<std::int64_t>{6, 6}}}});
  graph.outputs = {y};
  for (const Node& node : graph.nodes) {
    const Status status = infer_node(graph, node);
    ASSERT_TRUE(status) << status.error().message;
  }
  EXPECT_EQ(graph.value(own).shape(), (Shape{1, 4, 2}));
  EXPECT_EQ(graph.value(y).shape(), (Shape{1, 4, 6}));
  expect_round_trip(graph, "shard");
}

}  // namespace
}  // namespace disco
