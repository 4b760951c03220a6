// Files that are broken, by accident or on purpose: every one is an Error of one line, none a crash or a
// hang.

#include <fmt/format.h>

#include <functional>
#include <random>

#include "onnx_models.h"

namespace disco {
namespace {

using test::ModelBuilder;
using test::set;
using Ints = std::vector<std::int64_t>;

/// Reads and, where that succeeds, infers and writes again: all that must survive any bytes.
void digest(std::span<const std::byte> bytes, const std::string& label) {
  Result<Graph> graph = parse_onnx(bytes);
  if (!graph) {
    EXPECT_NE(graph.error().code, ErrorCode::Internal) << label << ": " << graph.error().message;
    EXPECT_EQ(graph.error().message.find('\n'), std::string::npos) << label << ": " << graph.error().message;
    EXPECT_FALSE(graph.error().message.empty()) << label;
    return;
  }
  for (const Node& node : graph->nodes) (void)infer_node(*graph, node);
  const Result<std::string> written = serialise_onnx(*graph);
  ASSERT_TRUE(written) << label << ": " << written.error().message;
}

/// Models that together use every kind of field.
std::vector<std::pair<std::string, std::string>> victims() {
  std::vector<std::pair<std::string, std::string>> result;
  result.emplace_back("small17", test::small_network(17).model().SerializeAsString());
  result.emplace_back("small11", test::small_network(11).model().SerializeAsString());
  result.emplace_back("small22", test::small_network(22).model().SerializeAsString());
  ModelBuilder branches(22);
  branches.input("x", {2, 3})
      .input("p", {}, onnx::TensorProto::BOOL)
      .integers("axes", {1})
      .output("y", {2, 1});
  auto& branch = branches.node("If", {"p"}, {"y"});
  auto& then_graph = test::set_graph(branch, "then_branch");
  auto& reduce = *then_graph.add_node();
  reduce.set_op_type("ReduceMax");
  reduce.add_input("x");
  reduce.add_input("axes");
  reduce.add_output("t");
  then_graph.add_output()->set_name("t");
  auto& else_graph = test::set_graph(branch, "else_branch");
  auto& other = *else_graph.add_node();
  other.set_op_type("ReduceMin");
  other.add_input("x");
  other.add_input("axes");
  other.add_output("e");
  else_graph.add_output()->set_name("e");
  result.emplace_back("branches", branches.model().SerializeAsString());
  ModelBuilder call(17);
  call.input("x", {2, 3}).output("y", {2, 3});
  auto& own = *call.model().add_opset_import();
  own.set_domain("own");
  own.set_version(1);
  auto& function = *call.model().add_functions();
  function.set_name("Twice");
  function.set_domain("own");
  function.add_input("a");
  function.add_output("c");
  auto& import = *function.add_opset_import();
  import.set_domain("");
  import.set_version(17);
  for (const auto& [in, out] : {std::pair("a", "b"), std::pair("b", "c")}) {
    auto& node = *function.add_node();
    node.set_op_type("LeakyRelu");
    node.add_input(in);
    node.add_output(out);
  }
  call.node("Twice", {"x"}, {"y"}, "own");
  result.emplace_back("call", call.model().SerializeAsString());
  return result;
}

TEST(OnnxHostile, VictimsAreSound) {
  for (const auto& [name, bytes] : victims()) {
    const Result<Graph> graph = parse_onnx(test::as_span(bytes));
    EXPECT_TRUE(graph) << name << ": " << graph.error().message;
  }
}

TEST(OnnxHostile, TruncatedAnywhere) {
  for (const auto& [name, bytes] : victims()) {
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      digest(test::as_span(bytes).first(length), fmt::format("{} cut to {} bytes", name, length));
    }
  }
}

TEST(OnnxHostile, EveryBitFlipped) {
  for (const auto& [name, original] : victims()) {
    for (std::size_t bit = 0; bit < 8 * original.size(); ++bit) {
      std::string bytes = original;
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
      digest(test::as_span(bytes), fmt::format("{} with bit {} flipped", name, bit));
    }
  }
}

TEST(OnnxHostile, BytesOverwrittenAtRandom) {
  std::mt19937 random(7);
  for (const auto& [name, original] : victims()) {
    for (int round = 0; round < 2000; ++round) {
      std::string bytes = original;
      const auto count = 1 + random() % 8;
      for (unsigned i = 0; i < count; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
      digest(test::as_span(bytes), fmt::format("{}, round {}", name, round));
    }
  }
}

TEST(OnnxHostile, NotAModelAtAll) {
  for (const std::string& bytes : {std::string(), std::string("not a model"), std::string(1000, '\0'),
                                   std::string(100000, '\x0b'), std::string("\x08\x08")}) {
    const Result<Graph> graph = parse_onnx(test::as_span(bytes));
    ASSERT_FALSE(graph);
    EXPECT_EQ(graph.error().code, ErrorCode::InvalidModel) << graph.error().message;
  }
}

struct Broken {
  std::string name;
  ErrorCode code;
  std::function<void(ModelBuilder&)> break_it;
};

onnx::TensorProto& weight_of(ModelBuilder& builder, const std::string& name) {
  for (auto& tensor : *builder.graph().mutable_initializer()) {
    if (tensor.name() == name) return tensor;
  }
  ADD_FAILURE() << "no " << name;
  return *builder.graph().mutable_initializer(0);
}

/// One defect each in a sound model of two nodes, read as opset 17 (the checker comes first) and as 22 (our
/// reader is alone).
TEST(OnnxHostile, DefectsAreNamed) {
  const auto dims = [](const Ints& extents) {
    return [extents](ModelBuilder& b) {
      auto& tensor = weight_of(b, "w");
      tensor.clear_dims();
      for (const std::int64_t extent : extents) tensor.add_dims(extent);
    };
  };
  const std::vector<Broken> cases = {
      {"extents overflow", ErrorCode::InvalidModel, dims({1LL << 62, 1LL << 62, 4})},
      {"extents overflow to the right size", ErrorCode::InvalidModel, dims({1LL << 33, 1LL << 31, 4})},
      {"a terabyte", ErrorCode::InvalidModel, dims({1 << 20, 1 << 18})},
      {"negative extent", ErrorCode::InvalidModel, dims({-3, -4})},
      {"zero and overflow", ErrorCode::InvalidModel, dims({0, 1LL << 62, 1LL << 62})},
      {"too few elements", ErrorCode::InvalidModel,
       [](auto& b) { weight_of(b, "w").mutable_float_data()->RemoveLast(); }},
      {"no elements", ErrorCode::InvalidModel, [](auto& b) { weight_of(b, "w").clear_float_data(); }},
      {"raw data of the wrong size", ErrorCode::InvalidModel,
       [](auto& b) {
         weight_of(b, "w").clear_float_data();
         weight_of(b, "w").set_raw_data(std::string(13, 'x'));
       }},
      {"elements in the wrong field", ErrorCode::InvalidModel,
       [](auto& b) { weight_of(b, "w").set_data_type(onnx::TensorProto::DOUBLE); }},
      {"unknown element type", ErrorCode::InvalidModel, [](auto& b) { weight_of(b, "w").set_data_type(99); }},
      {"string weights", ErrorCode::Unsupported,
       [](auto& b) {
         auto& tensor = weight_of(b, "w");
         tensor.clear_float_data();
         tensor.set_data_type(onnx::TensorProto::STRING);
         for (int i = 0; i < 12; ++i) tensor.add_string_data("s");
       }},
      {"string input", ErrorCode::Unsupported,
       [](auto& b) {
         b.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(
             onnx::TensorProto::STRING);
       }},
      {"weight given twice", ErrorCode::InvalidModel,
       [](auto& b) {
         b.weight("w", {3, 4});
       }},
      {"value computed twice", ErrorCode::InvalidModel, [](auto& b) { b.node("Relu", {"x"}, {"h"}); }},
      {"value shadows an input", ErrorCode::InvalidModel, [](auto& b) { b.node("Relu", {"h"}, {"x"}); }},
      {"a cycle", ErrorCode::InvalidModel, [](auto& b) { b.graph().mutable_node(0)->set_input(0, "y"); }},
      {"a node reads itself", ErrorCode::InvalidModel,
       [](auto& b) { b.graph().mutable_node(0)->set_input(0, "h"); }},
      {"no producer", ErrorCode::InvalidModel,
       [](auto& b) { b.graph().mutable_node(1)->set_input(0, "ghost"); }},
      {"output without producer", ErrorCode::InvalidModel,
       [](auto& b) { b.graph().mutable_output(0)->set_name("g"); }},
      {"missing required input", ErrorCode::InvalidModel,
       [](auto& b) { b.graph().mutable_node(1)->set_input(0, ""); }},
      {"too few inputs", ErrorCode::InvalidModel,
       [](auto& b) { b.graph().mutable_node(0)->mutable_input()->RemoveLast(); }},
      {"unknown operator", ErrorCode::Unsupported,
       [](auto& b) { b.graph().mutable_node(1)->set_op_type("Reluu"); }},
      {"foreign domain", ErrorCode::Unsupported,
       [](auto& b) {
         auto& import = *b.model().add_opset_import();
         import.set_domain("com.microsoft");
         import.set_version(1);
         b.graph().mutable_node(1)->set_domain("com.microsoft");
       }},
      {"unknown attribute", ErrorCode::InvalidModel,
       [](auto& b) { set(*b.graph().mutable_node(1), "slope", 1.0F); }},
      {"attribute twice", ErrorCode::InvalidModel,
       [](auto& b) {
         b.graph().mutable_node(1)->set_op_type("LeakyRelu");
         set(*b.graph().mutable_node(1), "alpha", 1.0F);
         set(*b.graph().mutable_node(1), "alpha", 2.0F);
       }},
      {"attribute of the wrong type", ErrorCode::InvalidModel,
       [](auto& b) {
         b.graph().mutable_node(1)->set_op_type("LeakyRelu");
         set(*b.graph().mutable_node(1), "alpha", std::string("steep"));
       }},
      {"no graph", ErrorCode::InvalidModel, [](auto& b) { b.model().clear_graph(); }},
      {"no opset", ErrorCode::InvalidModel, [](auto& b) { b.model().clear_opset_import(); }},
      {"opset 5", ErrorCode::Unsupported, [](auto& b) { b.model().mutable_opset_import(0)->set_version(5); }},
      {"opset 1000", ErrorCode::Unsupported,
       [](auto& b) { b.model().mutable_opset_import(0)->set_version(1000); }},
      {"opset -1", ErrorCode::InvalidModel,
       [](auto& b) { b.model().mutable_opset_import(0)->set_version(-1); }},
      {"IR 1000", ErrorCode::Unsupported, [](auto& b) { b.model().set_ir_version(1000); }},
      {"sparse weights", ErrorCode::Unsupported,
       [](auto& b) {
         auto& sparse = *b.graph().add_sparse_initializer();
         auto& values = *sparse.mutable_values();
         values.set_name("s");
         values.set_data_type(onnx::TensorProto::FLOAT);
         values.add_dims(1);
         values.add_float_data(1);
         auto& indices = *sparse.mutable_indices();
         indices.set_data_type(onnx::TensorProto::INT64);
         indices.add_dims(1);
         indices.add_int64_data(0);
         sparse.add_dims(4);
       }},
  };
  for (const int opset : {17, 22}) {
    for (const Broken& one : cases) {
      ModelBuilder builder(opset);
      builder.input("x", {2, 3}).weight("w", {3, 4}).output("y", {2, 4});
      builder.node("MatMul", {"x", "w"}, {"h"});
      builder.node("Relu", {"h"}, {"y"});
      ASSERT_TRUE(test::parse(builder.model())) << "the sound model, opset " << opset;
      one.break_it(builder);
      const Result<Graph> graph = test::parse(builder.model());
      ASSERT_FALSE(graph) << one.name << ", opset " << opset;
      // The checker calls what it does not know invalid; our reader can tell.
      const bool agrees = graph.error().code == one.code || graph.error().code == ErrorCode::InvalidModel ||
                          graph.error().code == ErrorCode::Unsupported;
      EXPECT_TRUE(opset == 17 ? agrees : graph.error().code == one.code || one.name.find("unknown") == 0)
          << one.name << ", opset " << opset << ": " << to_string(graph.error().code) << ": "
          << graph.error().message;
      EXPECT_EQ(graph.error().message.find('\n'), std::string::npos) << graph.error().message;
    }
  }
}

/// Attributes at which onnx's inference functions would divide by zero, or count for ever.
TEST(OnnxHostile, InferenceSurvivesEvilAttributes) {
  const Ints evil = {0, -1, std::numeric_limits<std::int64_t>::min(),
                     std::numeric_limits<std::int64_t>::max()};
  for (const std::string op : {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"}) {
    for (const std::string key :
         {"strides", "dilations", "kernel_shape", "pads", "output_shape", "output_padding"}) {
      for (const std::int64_t number : evil) {
        for (const bool same : {false, true}) {
          ModelBuilder builder;
          builder.input("x", {1, 4, 9, 9}).weight("w", {4, 4, 3, 3}).output("y", {});
          const bool is_convolution = op.find("Conv") == 0;
          auto& node = builder.node(
              op, is_convolution ? std::vector<std::string>{"x", "w"} : std::vector<std::string>{"x"}, {"z"});
          builder.node("Relu", {"z"}, {"y"});
          if (!is_convolution && key != "kernel_shape") set(node, "kernel_shape", Ints{3, 3});
          if (same && key != "pads") set(node, "auto_pad", std::string("SAME_UPPER"));
          set(node, key, key == "pads" ? Ints{number, number, number, number} : Ints{number, number});
          Result<Graph> graph = test::parse(builder.model());
          if (!graph) continue;  // the operator has no such attribute
          graph->value(graph->find_value("y")).dims.reset();
          (void)infer_node(*graph, graph->nodes[0]);
        }
      }
    }
  }
}

TEST(OnnxHostile, FunctionsThatCallEachOtherEndEarly) {
  // f0 calls f1 ten times, f1 calls f2 ten times …: ten to the twelfth nodes; and one that calls itself.
  for (const bool recursive : {false, true}) {
    ModelBuilder builder;
    builder.input("x", {2}).output("y", {2});
    auto& own = *builder.model().add_opset_import();
    own.set_domain("own");
    own.set_version(1);
    for (int level = 0; level < 12; ++level) {
      auto& function = *builder.model().add_functions();
      function.set_name(fmt::format("f{}", level));
      function.set_domain("own");
      function.add_input("v0");
      function.add_output("v10");
      for (int i = 0; i < 10; ++i) {
        auto& node = *function.add_node();
        node.set_op_type(recursive ? "f0" : level == 11 ? "Relu" : fmt::format("f{}", level + 1));
        node.set_domain(recursive || level < 11 ? "own" : "");
        node.add_input(fmt::format("v{}", i));
        node.add_output(fmt::format("v{}", i + 1));
      }
    }
    builder.node("f0", {"x"}, {"y"}, "own");
    const Result<Graph> graph = test::parse(builder.model());
    ASSERT_FALSE(graph);
    EXPECT_EQ(graph.error().code, ErrorCode::Unsupported) << graph.error().message;
  }
}

TEST(OnnxHostile, DeepNestsOfSubgraphsAreRefused) {
  for (const int depth : {3, 20, 200}) {
    ModelBuilder builder;
    builder.input("x", {2}).input("p", {}, onnx::TensorProto::BOOL).output("y", {2});
    onnx::GraphProto* graph = &builder.graph();
    std::string output = "y";
    for (int level = 0; level < depth; ++level) {
      auto& node = *graph->add_node();
      node.set_op_type("If");
      node.add_input("p");
      node.add_output(output);
      output = fmt::format("y{}", level);
      auto& else_graph = test::set_graph(node, "else_branch");
      auto& other = *else_graph.add_node();
      other.set_op_type("Neg");
      other.add_input("x");
      other.add_output("e" + output);
      else_graph.add_output()->set_name("e" + output);
      graph = &test::set_graph(node, "then_branch");
      graph->add_output()->set_name(output);
    }
    auto& last = *graph->add_node();
    last.set_op_type("Relu");
    last.add_input("x");
    last.add_output(output);
    const Result<Graph> read = test::parse(builder.model());
    EXPECT_EQ(read.ok(), depth == 3) << depth << (read ? "" : ": " + read.error().message);
  }
}

}  // namespace
}  // namespace disco
