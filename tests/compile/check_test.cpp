// Graphs that say what is not so, as a file or a coordinator may: each is one line, before anything is
// lowered.

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "compile/program.h"
#include "graph/graph.h"

namespace disco {
namespace {

using Ints = std::vector<std::int64_t>;

/// x [1, 4, 3, 3] → Relu → sent; received, added, is the output.
Graph sound() {
  Graph graph;
  const auto value = [&](const char* name) {
    const ValueId id = graph.add_value(name, DataType::Float32);
    graph.value(id).set_shape({1, 4, 3, 3});
    return id;
  };
  const ValueId x = value("x");
  const ValueId h = value("h");
  const ValueId r = value("r");
  const ValueId y = value("y");
  graph.inputs = {x};
  graph.outputs = {y};
  graph.nodes.push_back({.op = "Relu", .inputs = {x}, .outputs = {h}});
  Node send{.op = "Send", .domain = std::string(kDiscoDomain), .inputs = {h}};
  send.attributes["peer"] = std::int64_t{1};
  send.attributes["tag"] = std::int64_t{0};
  send.attributes["axis"] = std::int64_t{1};
  send.attributes["channels"] = Ints{0, 2};
  send.attributes["value"] = std::string("h");
  graph.nodes.push_back(send);
  Node receive{.op = "Recv", .domain = std::string(kDiscoDomain), .outputs = {r}};
  receive.attributes["peer"] = std::int64_t{1};
  receive.attributes["tag"] = std::int64_t{1};
  receive.attributes["shape"] = Ints{1, 4, 3, 3};
  receive.attributes["value"] = std::string("r");
  graph.nodes.push_back(receive);
  graph.nodes.push_back({.op = "Add", .inputs = {h, r}, .outputs = {y}});
  return graph;
}

TEST(CheckedGraph, DefectsAreNamed) {
  ASSERT_TRUE(compile(sound())) << compile(sound()).error().message;
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const auto attribute = [](std::size_t node, const char* key, Attribute value) {
    return [=](Graph& graph) { graph.nodes[node].attributes[key] = value; };
  };
  const std::pair<const char*, std::function<void(Graph&)>> cases[] = {
      {"an output is declared larger than it is",
       [](Graph& g) {
         g.value(g.outputs[0]).set_shape({1, 4, 3, 300});
       }},
      {"an inner value is declared smaller",
       [](Graph& g) {
         g.value(g.find_value("h")).set_shape({1, 4, 3, 2});
       }},
      {"a value of another type", [](Graph& g) { g.value(g.find_value("h")).type = DataType::Int64; }},
      {"an open input",
       [](Graph& g) {
         (*g.value(g.inputs[0]).dims)[0] = {-1, "N"};
       }},
      {"an unknown operator", [](Graph& g) { g.nodes[0].op = "Frob"; }},
      {"an unknown operator of ours", [](Graph& g) { g.nodes[1].op = "Broadcast"; }},
      {"axis beyond the rank", attribute(1, "axis", std::int64_t{4})},
      {"negative axis", attribute(1, "axis", std::int64_t{-1})},
      {"least axis", attribute(1, "axis", kLeast)},
      {"a channel that is not there", attribute(1, "channels", Ints{0, 4})},
      {"a negative channel", attribute(1, "channels", Ints{-1})},
      {"a huge channel", attribute(1, "channels", Ints{kMost})},
      {"a channel twice", attribute(1, "channels", Ints{1, 1})},
      {"channels out of order", attribute(1, "channels", Ints{2, 0})},
      {"bands beyond the rows", attribute(1, "bands", Ints{3})},
      {"an empty band", attribute(1, "bands", Ints{1, 1})},
      {"bands out of order", attribute(1, "bands", Ints{2, 1})},
      {"a huge band", attribute(1, "bands", Ints{kMost})},
      {"a negative band", attribute(1, "bands", Ints{kLeast})},
      {"bands of another axis", attribute(2, "bands", Ints{1})},
      {"bands under a tag without room for them",
       [](Graph& g) {
         g.nodes[1].attributes["bands"] = Ints{1};
         g.nodes[1].attributes["tag"] = std::int64_t{1} << 24;
       }},
      {"no peer", attribute(1, "peer", std::int64_t{-1})},
      {"a huge peer", attribute(1, "peer", kMost)},
      {"a huge tag", attribute(1, "tag", kMost)},
      {"a negative tag", attribute(2, "tag", std::int64_t{-1})},
      {"an unknown wire format", attribute(1, "wire", std::int64_t{7})},
      {"a wire format without a scale",
       [](Graph& g) {
         g.nodes[2].attributes["wire"] = static_cast<std::int64_t>(DataType::UInt8);
         g.nodes[2].attributes["wire_scale"] = 0.0F;
       }},
      {"received is another shape", attribute(2, "shape", Ints{1, 4, 3, 2})},
      {"received is of no type", attribute(2, "dtype", std::int64_t{99})},
      {"received is too large", attribute(2, "shape", Ints{1LL << 30, 1LL << 30, 1LL << 30})},
      {"received is negative", attribute(2, "shape", Ints{-1, 4, 3, 3})},
      {"received from nobody", [](Graph& g) { g.nodes[2].attributes.erase("peer"); }},
      {"a send with a result", [](Graph& g) { g.nodes[1].outputs = {g.add_value("s", DataType::Float32)}; }},
      {"a send of nothing", [](Graph& g) { g.nodes[1].inputs.clear(); }},
      {"a send of two", [](Graph& g) { g.nodes[1].inputs.push_back(g.inputs[0]); }},
      {"a receive of something", [](Graph& g) { g.nodes[2].inputs = {g.inputs[0]}; }},
      {"a receive of two",
       [](Graph& g) { g.nodes[2].outputs.push_back(g.add_value("s", DataType::Float32)); }},
  };
  for (const auto& [name, break_it] : cases) {
    Graph graph = sound();
    break_it(graph);
    for (const bool optimise : {true, false}) {
      const auto program = compile(graph, {optimise});
      ASSERT_FALSE(program) << name;
      EXPECT_NE(program.error().code, ErrorCode::Internal) << name << ": " << program.error().message;
      EXPECT_EQ(program.error().message.find('\n'), std::string::npos) << program.error().message;
    }
  }
}

}  // namespace
}  // namespace disco
