// Broken, hostile and unsupported models: one line that names the file, what is wrong and where, and nothing
// written.

#include "models.h"

#include <functional>
#include <random>

#include "child.h"

namespace disco::test {
namespace {

using Ints = std::vector<std::int64_t>;

class Models : public CommandLine {
 protected:
  /// All commands that read a model refuse this one, with status 1.
  void expect_refused(const std::string& bytes, std::vector<std::string> says,
                      const std::string& what) const {
    put("bad.onnx", bytes);
    says.emplace_back("bad.onnx");
    expect_complaint(disco({"inspect", "bad.onnx", "-n", "2"}), 1, says, what + ", inspect");
    expect_complaint(disco({"partition", "bad.onnx", "-n", "2", "-o", "out.onnx"}), 1, says,
                     what + ", partition");
    expect_complaint(disco({"shard", "bad.onnx", "-n", "2", "-o", "shards"}), 1, says, what + ", shard");
    expect_complaint(disco({"run", "bad.onnx", "-n", "2", "--input", "x.npy", "-o", "out.npz"}), 1, says,
                     what + ", run");
    expect_complaint(disco({"bench", "bad.onnx", "-n", "2", "--trace", "out.json"}), 1, says,
                     what + ", bench");
  }
  void SetUp() override {
    CommandLine::SetUp();
    ASSERT_TRUE(write_npy(folder_ / "x.npy", ramp({1, 3, 16, 16})).ok());
  }
  void TearDown() override {
    EXPECT_EQ(files(), (std::set<std::string>{"bad.onnx", "x.npy"}));
    CommandLine::TearDown();
  }
};

TEST_F(Models, TheSoundOneIsTaken) {
  put("bad.onnx", bytes_of(convolutions()));
  const Ended ended = disco({"inspect", "bad.onnx", "-n", "2"});
  EXPECT_EQ(ended.status, 0) << ended.err;
}

TEST_F(Models, Truncated) {
  const std::string whole = bytes_of(convolutions());
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{7}, whole.size() / 4,
                                   whole.size() / 2, whole.size() - 100, whole.size() - 1}) {
    expect_refused(whole.substr(0, length), {"truncated"}, std::to_string(length) + " bytes");
  }
}

TEST_F(Models, RandomBytes) {
  std::mt19937 random(5);
  for (const std::size_t length : {10UL, 1000UL, 100'000UL}) {
    std::string bytes(length, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    expect_refused(bytes, {}, std::to_string(length) + " random bytes");
  }
  expect_refused("this is a text file\n", {}, "a text");
}

TEST_F(Models, WhatIsNoFile) {
  put("bad.onnx", "");
  expect_complaint(disco({"inspect", "missing.onnx"}), 1, {"missing.onnx", "No such file"}, "missing");
  expect_complaint(disco({"inspect", "."}), 1, {"not a regular file"}, "a folder");
  expect_complaint(disco({"inspect", "/dev/zero"}), 1, {"/dev/zero", "not a regular file"}, "a device");
  expect_complaint(disco({"inspect", ""}), 1, {}, "no name");
}

TEST_F(Models, Hostile) {
  const std::pair<const char*, std::function<void(ModelBuilder&)>> cases[] = {
      {"a weight of an exabyte",
       [](auto& b) {
         auto& w = *b.graph().mutable_initializer(0);
         w.clear_dims();
         for (int i = 0; i < 4; ++i) w.add_dims(1 << 15);
       }},
      {"an element count that overflows to the right one",
       [](auto& b) {
         auto& w = *b.graph().mutable_initializer(0);
         w.set_dims(0, w.dims(0) + (std::int64_t{1} << 62));
       }},
      {"negative extents of a weight",
       [](auto& b) {
         b.graph().mutable_initializer(0)->set_dims(0, -8);
         b.graph().mutable_initializer(0)->set_dims(1, -3);
       }},
      {"an input of an exabyte",
       [](auto& b) {
         auto& shape = *b.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
         for (auto& dim : *shape.mutable_dim()) dim.set_dim_value(1 << 30);
       }},
      {"a cycle", [](auto& b) { b.graph().mutable_node(0)->set_input(0, "h3"); }},
      {"a node that reads itself", [](auto& b) { b.graph().mutable_node(0)->set_input(0, "c0"); }},
      {"a value that nothing computes", [](auto& b) { b.graph().mutable_node(2)->set_input(0, "ghost"); }},
      {"strides of zero",
       [](auto& b) {
         set(*b.graph().mutable_node(0), "strides", Ints{0, 0});
       }},
      {"dilations beyond the input",
       [](auto& b) {
         set(*b.graph().mutable_node(0), "dilations", Ints{1LL << 40, 1LL << 40});
       }},
      {"groups of zero", [](auto& b) { set(*b.graph().mutable_node(0), "group", std::int64_t{0}); }},
      {"pads of a terabyte",
       [](auto& b) { b.graph().mutable_node(0)->mutable_attribute(0)->set_ints(0, 1LL << 40); }},
  };
  for (const auto& [name, break_it] : cases) {
    ModelBuilder builder = convolutions();
    break_it(builder);
    expect_refused(bytes_of(builder), {}, name);
  }
}

TEST_F(Models, DataOutsideOfTheFolder) {
  for (const char* location : {"/etc/passwd", "../secret", "a/../../secret", "", ".", "missing.bin"}) {
    ModelBuilder builder = convolutions();
    auto& w = *builder.graph().mutable_initializer(0);
    w.clear_float_data();
    w.set_data_location(onnx::TensorProto::EXTERNAL);
    auto& entry = *w.add_external_data();
    entry.set_key("location");
    entry.set_value(location);
    expect_refused(bytes_of(builder), {"w0"}, std::string("external data in '") + location + "'");
  }
}

TEST_F(Models, DeepNests) {
  for (const int depth : {50, 5000}) {
    ModelBuilder builder;
    builder.input("x", {2}).input("p", {}, onnx::TensorProto::BOOL).output("y", {2});
    onnx::GraphProto* graph = &builder.graph();
    std::string output = "y";
    for (int level = 0; level < depth; ++level) {
      auto& node = *graph->add_node();
      node.set_op_type("If");
      node.add_input("p");
      node.add_output(output);
      output = "y" + std::to_string(level);
      auto& other = set_graph(node, "else_branch");
      auto& negated = *other.add_node();
      negated.set_op_type("Neg");
      negated.add_input("x");
      negated.add_output("e" + output);
      other.add_output()->set_name("e" + output);
      graph = &set_graph(node, "then_branch");
      graph->add_output()->set_name(output);
    }
    auto& last = *graph->add_node();
    last.set_op_type("Relu");
    last.add_input("x");
    last.add_output(output);
    expect_refused(bytes_of(builder), {}, std::to_string(depth) + " levels");
  }
}

TEST_F(Models, UnsupportedOperatorsAreNamedWithNodeAndOpset) {
  ModelBuilder unknown = convolutions();
  unknown.graph().mutable_node(3)->set_op_type("StringNormalizer");
  unknown.graph().mutable_node(3)->set_name("the_culprit");
  expect_refused(bytes_of(unknown), {"StringNormalizer", "the_culprit", "opset"},
                 "an operator that is not claimed");

  ModelBuilder foreign = convolutions();
  auto& import = *foreign.model().add_opset_import();
  import.set_domain("com.microsoft");
  import.set_version(1);
  foreign.graph().mutable_node(3)->set_op_type("FusedGelu");
  foreign.graph().mutable_node(3)->set_domain("com.microsoft");
  foreign.graph().mutable_node(3)->set_name("the_culprit");
  expect_refused(bytes_of(foreign), {"FusedGelu", "the_culprit", "com.microsoft"}, "a custom domain");

  ModelBuilder hidden;  // in a branch
  hidden.input("x", {2}).input("p", {}, onnx::TensorProto::BOOL).output("y", {2});
  auto& node = hidden.node("If", {"p"}, {"y"});
  for (const char* branch : {"then_branch", "else_branch"}) {
    auto& graph = set_graph(node, branch);
    auto& inner = *graph.add_node();
    inner.set_op_type(branch == std::string("then_branch") ? "Relu" : "Bernoulli");
    inner.set_name("the_culprit");
    inner.add_input("x");
    inner.add_output(branch);
    graph.add_output()->set_name(branch);
  }
  put("bad.onnx", bytes_of(hidden));
  expect_complaint(disco({"inspect", "bad.onnx", "-n", "2"}), 1, {"bad.onnx", "Bernoulli", "the_culprit"},
                   "in a branch");

  expect_refused(bytes_of(convolutions(5)), {"opset 5"}, "an opset that is too old");
  expect_refused(bytes_of(convolutions(1000)), {"opset 1000"}, "an opset from the future");
}

TEST_F(Models, NamesCannotWriteToTheTerminal) {
  ModelBuilder builder = convolutions();
  builder.graph().mutable_node(3)->set_op_type("Frob\n\x1b[2J");
  builder.graph().mutable_node(3)->set_name("two\nlines\r\x1b]0;title\x07");
  expect_refused(bytes_of(builder), {}, "control characters in names");
  ModelBuilder sound = convolutions();
  sound.graph().mutable_node(0)->set_name("two\nlines\r\x1b]0;title\x07");
  put("bad.onnx", bytes_of(sound));
  const Ended ended = disco({"inspect", "bad.onnx", "-n", "2"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(ended.out.find('\x1b'), std::string::npos);
  EXPECT_EQ(ended.out.find('\r'), std::string::npos);
  EXPECT_NE(ended.out.find("two?lines"), std::string::npos) << ended.out;
}

TEST_F(Models, OpenExtentsAreAskedFor) {
  ModelBuilder builder;
  builder.input("x", {-1, 3, -1, 8}).weight("w", {4, 3, 1, 1}).output("y", {-1, 4, -1, 8});
  builder.node("Conv", {"x", "w"}, {"y"});
  for (auto* info : {builder.graph().mutable_input(0), builder.graph().mutable_output(0)})
    info->mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim(2)->set_dim_param("H");
  put("bad.onnx", bytes_of(builder));
  expect_complaint(disco({"inspect", "bad.onnx", "-n", "2"}), 1, {"'x'", "axis 2", "--shape"},
                   "an open axis");
  EXPECT_EQ(disco({"inspect", "bad.onnx", "-n", "2", "--shape", "x:1,3,8,8"}).status, 0);
  expect_complaint(disco({"inspect", "bad.onnx", "-n", "2", "--shape", "x:1,4,8,8"}), 1,
                   {"Conv", "4 channels", "for 3"}, "a wrong extent");
  expect_complaint(disco({"inspect", "bad.onnx", "-n", "2", "--shape", "x:1000000000,3,1000000000,8"}), 1,
                   {"'x'", "too large"}, "an exabyte");
  expect_complaint(disco({"inspect", "bad.onnx", "-n", "2", "--shape", "x:1,3,8"}), 1,
                   {"'x'", "4 axes", "3 were given"}, "a wrong rank");
}

}  // namespace
}  // namespace disco::test
