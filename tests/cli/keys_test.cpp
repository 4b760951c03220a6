// The five commands that make a cluster an encrypted one, and what goes wrong on the way.

#include "fabric/keys.h"

#include <nlohmann/json.hpp>

#include "child.h"
#include "models.h"
#include "node.h"

namespace disco::test {
namespace {

class KeysCommand : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    if (const Status can = check_encryption(); !can) GTEST_SKIP() << can.error().message;
    put("m.onnx", bytes_of(convolutions()));
  }
  /// `disco keys new -o NAME`; the public key.
  [[nodiscard]] std::string make(const std::string& name) const {
    const Ended ended = disco({"keys", "new", "-o", name});
    EXPECT_EQ(ended.status, 0) << ended.err;
    EXPECT_EQ(ended.err, "");
    return ended.out.substr(0, ended.out.find('\n'));
  }
  void name_nodes(const std::vector<std::pair<std::string, std::string>>& nodes) const {
    std::string text;
    for (const auto& [address, key] : nodes) {
      text += "[[node]]\naddress = \"" + address + "\"\n";
      if (!key.empty()) text += "public_key = \"" + key + "\"\n";
    }
    put("cluster.toml", text);
  }
};

TEST_F(KeysCommand, NewWritesAPairAndNeverOverOne) {
  const Ended first = disco({"keys", "new"});
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(files(), (std::set<std::string>{"m.onnx", "disco.key", "disco.key.pub"}));
  EXPECT_TRUE(first.out.starts_with("disco-public-") && first.out.size() == 78) << first.out;
  EXPECT_EQ(fs::status(folder_ / "disco.key").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_TRUE(content("disco.key.pub").starts_with(first.out.substr(0, 77) + " "));
  EXPECT_EQ(disco({"keys", "show", "disco.key"}).out, first.out);
  const std::string secret = content("disco.key");
  expect_complaint(disco({"keys", "new"}), 1, {"disco.key: is there already", "--force"}, "twice");
  EXPECT_EQ(content("disco.key"), secret);
  const Ended forced = disco({"keys", "new", "--force"});
  EXPECT_EQ(forced.status, 0) << forced.err;
  EXPECT_NE(forced.out, first.out);
  EXPECT_EQ(fs::status(folder_ / "disco.key").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  fs::create_directory(folder_ / "folder");
  const std::string in_folder = make("folder");
  EXPECT_EQ(content("folder/disco.key.pub").substr(0, 77), in_folder);
  expect_complaint(disco({"keys", "new", "-o", "none/a.key"}), 1, {"none", "does not exist"}, "no folder");
  expect_complaint(disco({"keys", "show", "m.onnx"}), 1, {"m.onnx", "chmod 600"}, "readable to others");
  expect_complaint(disco({"keys", "show", "none"}), 1, {"none", "No such file"}, "no file");
  expect_complaint(disco({"keys"}), 2, {"disco keys --help"}, "no subcommand");
}

TEST_F(KeysCommand, HelpTeaches) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"keys", "--help"}, {"keys", "new", "--help"}, {"keys", "show", "--help"}}) {
    const Ended help = disco(words);
    EXPECT_EQ(help.status, 0) << help.err;
    EXPECT_NE(help.out.find("Usage: disco keys"), std::string::npos) << help.out;
    std::istringstream lines(help.out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100U) << line;
  }
}

TEST_F(KeysCommand, AClusterWithKeysAnswersAsOneWithout) {
  const std::string me = make("me.key");
  put("authorised.txt", "# who may use these nodes\n" + me + " my laptop\n");
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<std::pair<std::string, std::string>> names;
  for (const std::string name : {"a.key", "b.key", "c.key"}) {
    const std::string key = make(name);
    nodes.push_back(std::make_unique<Node>(
        folder_, std::vector<std::string>{"--key", name, "--authorised", "authorised.txt"}));
    names.emplace_back(nodes.back()->address(), key);
  }
  name_nodes(names);
  ASSERT_TRUE(write_npy(folder_ / "x.npy", ramp({2, 3, 16, 16})).ok());
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"run", "m.onnx", "--input", "x.npy", "--batch", "1", "--verify"});
    return disco(more);
  };
  for (int turn = 0; turn < 2; ++turn) {
    const Ended encrypted = run({"--cluster", "cluster.toml", "--key", "me.key", "--output", "a.npz"});
    ASSERT_EQ(encrypted.status, 0) << encrypted.err;
  }
  const Ended local = run({"-n", "3", "--output", "b.npz"});
  ASSERT_EQ(local.status, 0) << local.err;
  EXPECT_EQ(content("a.npz"), content("b.npz"));
  for (const auto& node : nodes) EXPECT_EQ(node->child().err(), "");

  // A stranger: one line here, and one there with what to add to which file.
  const std::string stranger = make("stranger.key");
  expect_complaint(run({"--cluster", "cluster.toml", "--key", "stranger.key"}), 1,
                   {"node ", "refused the key of this end", stranger, "--authorised"}, "a stranger");
  EXPECT_TRUE(eventually([&] {
    return nodes[0]->child().err().find(stranger + " is not in authorised.txt") != std::string::npos;
  })) << nodes[0]->child().err();
  // In the clear: where the file gives keys, not even a try; where it gives none, refused.
  expect_complaint(run({"--cluster", "cluster.toml"}), 2, {"has a public_key", "say --key"}, "without --key");
  for (auto& [address, key] : names) key.clear();
  name_nodes(names);
  expect_complaint(run({"--cluster", "cluster.toml"}), 1, {"speaks encrypted only; give --key"}, "no keys");
  expect_complaint(run({"--cluster", "cluster.toml", "--key", "me.key"}), 2,
                   {"no public_key", "nothing is sent in the clear"}, "no public keys");
  for (const std::string name : {"a.key", "b.key", "c.key", "me.key", "stranger.key"}) {
    std::istringstream lines(content(name));
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with("disco-secret-")) continue;
      for (const auto& node : nodes)
        EXPECT_EQ(node->child().err().find(line.substr(20, 20)), std::string::npos) << "a secret was told";
    }
  }
}

TEST_F(KeysCommand, BadFilesAreOneLine) {
  const std::string me = make("me.key");
  put("authorised.txt", me + "\n");
  const auto node = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = {"node", "--listen", "127.0.0.1:0"};
    words.insert(words.end(), more.begin(), more.end());
    return disco(words);
  };
  expect_complaint(node({"--key", "me.key"}), 2, {"--authorised"}, "whom to serve");
  expect_complaint(node({"--authorised", "authorised.txt"}), 2, {"--key"}, "no key");
  expect_complaint(node({"--key", "none", "--authorised", "authorised.txt"}), 1, {"none", "No such file"},
                   "none");
  expect_complaint(node({"--key", "me.key.pub", "--authorised", "authorised.txt"}), 1, {"chmod 600"},
                   "public");
  expect_complaint(node({"--key", "me.key", "--authorised", "none"}), 1, {"none", "No such file"}, "no list");
  put("authorised.txt", "# nobody\n");
  expect_complaint(node({"--key", "me.key", "--authorised", "authorised.txt"}), 2,
                   {"authorised.txt:1", "nobody could come in"}, "empty");
  fs::permissions(folder_ / "me.key", fs::perms::group_read, fs::perm_options::add);
  expect_complaint(disco({"bench", "m.onnx", "-n", "2", "--key", "me.key"}), 1,
                   {"me.key", "0640", "chmod 600 me.key"}, "readable");
  put("short.key", "disco-secret-0123\n");
  fs::permissions(folder_ / "short.key", fs::perms::owner_read);
  expect_complaint(disco({"bench", "m.onnx", "-n", "2", "--key", "short.key"}), 2,
                   {"short.key:1", "4 digits instead of 64", "cut off"}, "cut off");
  name_nodes({{"127.0.0.1:7001", me.substr(0, 40)}});
  expect_complaint(disco({"bench", "m.onnx", "--cluster", "cluster.toml"}), 2,
                   {"cluster.toml:3", "digits instead of 64"}, "a public key that is cut off");
  name_nodes({{"127.0.0.1:7001", me}, {"127.0.0.1:7002", me}});
  expect_complaint(disco({"bench", "m.onnx", "--cluster", "cluster.toml"}), 2,
                   {"cluster.toml:4", "there twice"}, "the same node twice");
}

TEST_F(KeysCommand, BenchShowsEncryptedBesideInTheClear) {
  std::ignore = make("me.key");
  const Ended figures = disco({"bench", "m.onnx", "-n", "2", "--runs", "3", "--key", "me.key", "--json"});
  ASSERT_EQ(figures.status, 0) << figures.err;
  const auto document = nlohmann::json::parse(figures.out, nullptr, false);
  EXPECT_EQ(document["encrypted"], true);
  EXPECT_EQ(document["in_the_clear"]["nodes"].size(), 2U) << figures.out;
  EXPECT_EQ(document["in_the_clear"]["nodes"][0]["bytes_sent"], document["nodes"][0]["bytes_sent"]);
  const Ended table = disco({"bench", "m.onnx", "-n", "2", "--runs", "3", "--key", "me.key"});
  EXPECT_NE(table.out.find("split, encrypted"), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("split, in the clear"), std::string::npos) << table.out;
  expect_complaint(disco({"bench", "m.onnx", "-n", "2", "--key", "me.key", "--transport", "threads"}), 2,
                   {"no wire to encrypt"}, "threads");
}

}  // namespace
}  // namespace disco::test
