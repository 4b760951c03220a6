// profile, simulate and plan: what one writes the others take, and `disco run` takes what is planned.

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "child.h"
#include "models.h"

namespace disco::test {
namespace {

using nlohmann::json;

class Planning : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    put("m.onnx", bytes_of(convolutions()));
    put("c.toml",
        "[[node]]\nname = \"fast\"\nspeed = 2.0\n[[node]]\nname = \"slow\"\ncount = 2\n"
        "[link]\nbandwidth = \"1Gbit/s\"\nlatency = \"10us\"\n");
  }
  [[nodiscard]] json said(const std::vector<std::string>& words) const {
    const Ended ended = disco(words);
    EXPECT_EQ(ended.status, 0) << ended.err;
    return json::parse(ended.out, nullptr, false);
  }
};

TEST_F(Planning, ProfilesAreWhatSimulateTakes) {
  const json profile = said({"profile", "-n", "2", "-t", "1", "-o", "p.json", "--json"});
  ASSERT_EQ(profile["nodes"].size(), 2U) << profile;
  EXPECT_EQ(profile["links"].size(), 2U);
  for (const json& node : profile["nodes"]) {
    for (const char* work : {"convolution", "depthwise", "matmul", "memory", "pack"})
      EXPECT_GE(node["speeds"][work].size(), 2U) << work;
    // The nodes are processes of this machine, which says how much memory it has.
    EXPECT_GT(node["memory_total"].get<std::uint64_t>(), std::uint64_t{1} << 26);
    EXPECT_LE(node["memory_free"].get<std::uint64_t>(), node["memory_total"].get<std::uint64_t>());
  }
  for (const json& link : profile["links"]) EXPECT_GT(link["bytes_per_s"].get<double>(), 1e5) << link;
  for (const bool estimate : {false, true}) {
    std::vector<std::string> words = {"simulate", "m.onnx", "--profile", "p.json", "--json"};
    if (estimate) words.emplace_back("--estimate");
    const json simulation = said(words);
    EXPECT_EQ(simulation["nodes"].size(), 2U) << simulation;
    EXPECT_GT(simulation["latency_ms"].get<double>(), 0.0);
    EXPECT_GT(simulation["one_node"]["latency_ms"].get<double>(), 0.0);
  }
}

TEST_F(Planning, ASimulationSendsWhatTheNodesWouldSend) {
  const json simulation = said(
      {"simulate", "m.onnx", "--cluster", "c.toml", "--trace", "t.json", "--timeline", "t.html", "--json"});
  ASSERT_EQ(simulation["nodes"].size(), 3U) << simulation;
  const json table = said({"inspect", "m.onnx", "-n", "3", "--json"});
  for (std::size_t n = 0; n < 3; ++n) {
    EXPECT_EQ(simulation["nodes"][n]["bytes_sent"], table["totals"][n]["bytes_sent"]) << n;
    EXPECT_EQ(simulation["nodes"][n]["messages"], table["totals"][n]["messages_sent"]) << n;
  }
  EXPECT_FALSE(json::parse(content("t.json"))["traceEvents"].empty());
  EXPECT_THAT(content("t.html"), ::testing::AllOf(::testing::HasSubstr("<svg"), ::testing::HasSubstr("slow1"),
                                                  ::testing::HasSubstr("class=\"wire\"")));
  const json sparse =
      said({"simulate", "m.onnx", "--cluster", "c.toml", "--keep", "0.5", "--wire", "fp16", "--json"});
  for (std::size_t n = 0; n < 3; ++n) {
    EXPECT_LT(sparse["nodes"][n]["bytes_sent"].get<double>(),
              0.5 * simulation["nodes"][n]["bytes_sent"].get<double>());
  }
}

TEST_F(Planning, RunsWhatWasPlanned) {
  ASSERT_TRUE(write_npz(folder_ / "x.npz", {{"x", ramp({2, 3, 16, 16})}}).ok());
  Ended ended = disco(
      {"plan", "m.onnx", "--cluster", "c.toml", "--over", "2", "-c", "1", "--wire", "fp32", "-o", "a.onnx"});
  ASSERT_EQ(ended.status, 0) << ended.err;
  EXPECT_THAT(ended.out, ::testing::HasSubstr("wrote a.onnx"));
  ended = disco({"run", "a.onnx", "--input", "x.npz", "-o", "y.npz", "--verify", "--json"});
  ASSERT_EQ(ended.status, 0) << ended.err;
  const json plan = said({"plan", "m.onnx", "--cluster", "c.toml", "--max-bytes", "1kB", "--json"});
  EXPECT_TRUE(plan.contains("candidates")) << plan;
  EXPECT_TRUE(plan.contains("one_node_is_better")) << plan;
}

TEST_F(Planning, ATunedArtifactSendsAndAnswersTheSame) {
  ASSERT_TRUE(write_npz(folder_ / "x.npz", {{"x", ramp({2, 3, 16, 16})}}).ok());
  Ended ended = disco({"partition", "m.onnx", "-n", "2", "-o", "a.onnx"});
  ASSERT_EQ(ended.status, 0) << ended.err;
  const json tuned = said({"tune", "a.onnx", "--cluster", "c.toml", "-o", "b.onnx", "--json"});
  EXPECT_LE(tuned["tuned"]["latency_ms"].get<double>(), tuned["as_it_is"]["latency_ms"].get<double>());
  EXPECT_GT(tuned["layers"].get<int>(), 0) << tuned;
  const json before = said({"inspect", "a.onnx", "--json"});
  const json after = said({"inspect", "b.onnx", "--json"});
  for (std::size_t n = 0; n < 2; ++n)
    EXPECT_EQ(before["totals"][n]["bytes_sent"], after["totals"][n]["bytes_sent"]) << n;
  ended = disco({"run", "b.onnx", "--input", "x.npz", "--verify", "--json"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  ended = disco({"tune", "a.onnx", "-t", "1"});
  ASSERT_EQ(ended.status, 0) << ended.err;
  EXPECT_THAT(ended.out, ::testing::AllOf(::testing::HasSubstr("as it is"), ::testing::HasSubstr("two parts"),
                                          ::testing::Not(::testing::HasSubstr("wrote"))));
}

TEST_F(Planning, SaysWhatCannotBe) {
  const struct {
    std::vector<std::string> words;
    const char* complaint;
  } cases[] = {
      {{"simulate", "m.onnx", "-n", "2", "--link", "fast"}, "'fast' is no bandwidth"},
      {{"simulate", "m.onnx", "-n", "2", "--latency", "5"}, "'5' is no duration"},
      {{"simulate", "m.onnx", "--cluster", "none.toml"}, "none.toml"},
      {{"simulate", "m.onnx", "-n", "4", "--cluster", "c.toml"}, "has 3 nodes"},
      {{"tune", "m.onnx"}, "is not split"},
      {{"tune", "m.onnx", "-n", "4", "--cluster", "c.toml"}, "has 3 nodes"},
      {{"plan", "m.onnx", "--max-memory", "lots"}, "'lots' is no number of bytes"},
      {{"profile", "--coordinator", "nobody"}, "no node of this name"},
  };
  for (const auto& [words, complaint] : cases) {
    const Ended ended = disco(words);
    EXPECT_NE(ended.status, 0) << words[0];
    EXPECT_THAT(ended.err, ::testing::HasSubstr(complaint)) << words[0];
  }
}

}  // namespace
}  // namespace disco::test
