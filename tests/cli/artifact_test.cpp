// The artifact and the shards: what partition writes is what run, inspect, bench and shard take.

#include <functional>
#include <nlohmann/json.hpp>

#include "child.h"
#include "models.h"

namespace disco::test {
namespace {

using nlohmann::json;

class Artifact : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    put("m.onnx", bytes_of(convolutions()));
    ASSERT_TRUE(write_npz(folder_ / "x.npz", {{"x", ramp({2, 3, 16, 16})}}).ok());
    const Ended ended = disco({"partition", "m.onnx", "--shares", "3,1,2", "-o", "a.onnx"});
    ASSERT_EQ(ended.status, 0) << ended.err;
  }
  [[nodiscard]] json inspected(std::vector<std::string> words) const {
    words.insert(words.begin(), "inspect");
    words.emplace_back("--json");
    const Ended ended = disco(words);
    EXPECT_EQ(ended.status, 0) << ended.err;
    return json::parse(ended.out, nullptr, false);
  }
};

TEST_F(Artifact, SaysHowItIsSplit) {
  const json table = inspected({"a.onnx"});
  EXPECT_EQ(table["nodes"], 3);
  EXPECT_EQ(table["shares"], json({3.0, 1.0, 2.0}));
  EXPECT_EQ(table["totals"], inspected({"m.onnx", "--shares", "3,1,2"})["totals"]);
  // Flags win over it, where they say anything else.
  EXPECT_EQ(inspected({"a.onnx", "-n", "2"})["nodes"], 2);
  EXPECT_EQ(inspected({"a.onnx", "-n", "3"}), table);
  EXPECT_NE(inspected({"a.onnx", "--shares", "1,1,1"})["totals"], table["totals"]);
  const Ended bench = disco({"bench", "a.onnx", "--runs", "1", "--json"});
  ASSERT_EQ(bench.status, 0) << bench.err;
  EXPECT_EQ(json::parse(bench.out)["nodes"].size(), 3U);
}

TEST_F(Artifact, SaysWhenASplitThatSendsLittleIsNotUsed) {
  const std::string sparse = std::string(DISCO_SOURCE_DIR) + "/examples/cifar10/sparse.onnx";
  const Ended own = disco({"inspect", sparse});
  const Ended same = disco({"inspect", sparse, "-n", "2"});
  EXPECT_EQ(same.out, own.out);
  EXPECT_EQ(same.err, "");
  for (const std::vector<std::string>& other : {std::vector<std::string>{"-n", "3"}, {"--shares", "1,1"}}) {
    std::vector<std::string> words = {"inspect", sparse};
    words.insert(words.end(), other.begin(), other.end());
    const Ended ended = disco(words);
    EXPECT_EQ(ended.status, 0);
    EXPECT_NE(ended.err.find("made for 2 nodes; split otherwise, as here, everything is exchanged"),
              std::string::npos)
        << ended.err;
  }
  EXPECT_EQ(disco({"inspect", sparse, "-n", "1"}).err, "");
}

TEST_F(Artifact, IsTheModelButForItsMetadata) {
  onnx::ModelProto before;
  onnx::ModelProto after;
  ASSERT_TRUE(before.ParseFromString(content("m.onnx")) && after.ParseFromString(content("a.onnx")));
  const auto graph_of = [](const onnx::ModelProto& model) { return test::parse(model).value(); };
  Graph a = graph_of(before);
  Graph b = graph_of(after);
  EXPECT_EQ(b.metadata.count("disco.partition"), 1U);
  b.metadata = a.metadata;
  EXPECT_EQ(difference(a, b), "");
}

TEST_F(Artifact, RunsAsItSays) {
  const Ended ended = disco({"run", "a.onnx", "--input", "x.npz", "-o", "y.npz", "--verify", "--json"});
  ASSERT_EQ(ended.status, 0) << ended.err;
  const json document = json::parse(ended.out, nullptr, false);
  EXPECT_EQ(document["nodes"].size(), 3U) << ended.out;
  EXPECT_TRUE(document["verify"]["ok"].get<bool>());
  const auto got = read_npz(folder_ / "y.npz");
  ASSERT_TRUE(got) << got.error().message;
  ASSERT_EQ(got->size(), 1U);
  EXPECT_EQ(got->at("y").shape(), (Shape{2, 5}));
  ASSERT_EQ(disco({"run", "m.onnx", "--input", "x.npz", "-o", "whole.npz"}).status, 0);
  const auto want = read_npz(folder_ / "whole.npz");
  ASSERT_TRUE(want);
  for (std::int64_t i = 0; i < 10; ++i)
    EXPECT_NEAR(got->at("y").data<float>()[i], want->at("y").data<float>()[i], 1e-4) << i;
}

TEST_F(Artifact, RoundsOnTheWireAlsoWhereItsNumberOfNodesIsRepeated) {
  onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(content("a.onnx")));
  for (auto& entry : *model.mutable_metadata_props()) {
    if (entry.key() != "disco.partition") continue;
    json partition = json::parse(entry.value());
    partition["version"] = 2;
    for (const auto& [name, owners] : partition["owners"].items())
      partition["wire"][name] = {{"type", "u8"}, {"scale", 0.5}, {"zero_point", 128}};
    entry.set_value(partition.dump());
  }
  put("u8.onnx", model.SerializeAsString());
  const Ended own = disco({"run", "u8.onnx", "--input", "x.npz", "--verify"});
  EXPECT_EQ(own.status, 0) << own.err;
  EXPECT_NE((own.out + own.err).find("the artifact rounds features on the wire"), std::string::npos)
      << own.out << own.err;
  const Ended same = disco({"run", "u8.onnx", "-n", "3", "--input", "x.npz", "--verify"});
  EXPECT_EQ(same.status, 0) << same.err;
  EXPECT_NE((same.out + same.err).find("the artifact rounds features on the wire"), std::string::npos)
      << same.out << same.err;
}

TEST_F(Artifact, ShardsAreOnnxFilesThatHoldTheirPartOnly) {
  const Ended ended = disco({"shard", "a.onnx", "-o", "deep/folder"});
  ASSERT_EQ(ended.status, 0) << ended.err;
  std::int64_t weights = 0;
  for (int rank = 0; rank < 3; ++rank) {
    const std::string name = "deep/folder/node" + std::to_string(rank) + ".onnx";
    onnx::ModelProto model;
    ASSERT_TRUE(model.ParseFromString(content(name)));
    EXPECT_TRUE(std::any_of(model.opset_import().begin(), model.opset_import().end(),
                            [](const auto& import) { return import.domain() == "disco"; }));
    const json about = inspected({name});
    EXPECT_EQ(about["rank"], rank);
    EXPECT_EQ(about["nodes"], 3);
    EXPECT_EQ(about["total"], inspected({"a.onnx"})["totals"][static_cast<std::size_t>(rank)]);
    weights += about["total"]["weight_bytes"].get<std::int64_t>();
    const Ended text = disco({"inspect", name});
    EXPECT_EQ(text.status, 0) << text.err;
    EXPECT_NE(text.out.find("node " + std::to_string(rank) + " of 3"), std::string::npos) << text.out;
  }
  EXPECT_EQ(weights, inspected({"m.onnx"})["unsplit"]["weight_bytes"]);
}

TEST_F(Artifact, AShardAloneIsNoModelToRun) {
  ASSERT_EQ(disco({"shard", "a.onnx", "-o", "s"}).status, 0);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"run", "s/node1.onnx", "--input", "x.npz"},
        {"bench", "s/node1.onnx"},
        {"partition", "s/node1.onnx", "-n", "2", "-o", "again.onnx"},
        {"shard", "s/node1.onnx", "-n", "2", "-o", "again"}}) {
    expect_complaint(disco(words), 1, {"s/node1.onnx", "one node's part"}, words[0]);
  }
  EXPECT_FALSE(files().contains("again.onnx") || files().contains("again"));
}

TEST_F(Artifact, DamagedMetadataIsOneLine) {
  onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(content("a.onnx")));
  std::string* stored = nullptr;
  for (auto& entry : *model.mutable_metadata_props()) {
    if (entry.key() == "disco.partition") stored = entry.mutable_value();
  }
  ASSERT_NE(stored, nullptr);
  const json sound = json::parse(*stored);
  const std::pair<const char*, std::function<void(json&)>> cases[] = {
      {"a newer version", [](json& p) { p["version"] = 99; }},
      {"no version", [](json& p) { p.erase("version"); }},
      {"a version that is a text", [](json& p) { p["version"] = "1"; }},
      {"no nodes", [](json& p) { p.erase("nodes"); }},
      {"no node at all", [](json& p) { p["nodes"] = 0; }},
      {"a thousand nodes", [](json& p) { p["nodes"] = 1000; }},
      {"fewer nodes than owners", [](json& p) { p["nodes"] = 2; }},
      {"shares for others",
       [](json& p) {
         p["shares"] = {1, 1};
       }},
      {"no owners", [](json& p) { p["owners"] = json::object(); }},
      {"owners of a list", [](json& p) { p["owners"] = json::array({1}); }},
      {"a channel too many",
       [](json& p) {
         p["owners"].begin()->push_back({0, 1});
       }},
      {"a channel too few", [](json& p) { p["owners"].begin()->erase(0); }},
      {"a huge run", [](json& p) { (*p["owners"].begin())[0][1] = 1LL << 40; }},
      {"a negative run", [](json& p) { (*p["owners"].begin())[0][1] = -1; }},
      {"an owner that is not there", [](json& p) { (*p["owners"].begin())[0][0] = 3; }},
      {"a negative owner", [](json& p) { (*p["owners"].begin())[0][0] = -1; }},
      {"not an object",
       [](json& p) {
         p = json::array({1, 2});
       }},
      {"a null", [](json& p) { p = nullptr; }},
  };
  const auto expect_refused = [&](const std::string& text, const std::string& what) {
    *stored = text;
    put("bad.onnx", model.SerializeAsString());
    expect_complaint(disco({"inspect", "bad.onnx"}), 1, {"bad.onnx", "partition"}, what);
    expect_complaint(disco({"run", "bad.onnx", "--input", "x.npz", "-o", "y.npz"}), 1, {"bad.onnx"},
                     what + ", run");
    EXPECT_FALSE(files().contains("y.npz")) << what;
    // What is not asked for does no harm.
    EXPECT_EQ(disco({"inspect", "bad.onnx", "--shares", "1,1", "--totals"}).status, 0) << what;
  };
  for (const auto& [what, damage] : cases) {
    json damaged = sound;
    damage(damaged);
    expect_refused(damaged.dump(), what);
  }
  const std::string text = sound.dump();
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, text.size() / 2, text.size() - 1})
    expect_refused(text.substr(0, length), "cut to " + std::to_string(length));
  expect_refused(std::string(100'000, '['), "deep");
  expect_refused("\xff\xfe", "not UTF-8");
}

}  // namespace
}  // namespace disco::test
