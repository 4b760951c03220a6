// Wrong command lines, help, and files that cannot be written.

#include <sys/resource.h>

#include <nlohmann/json.hpp>

#include "child.h"
#include "models.h"

namespace disco::test {
namespace {

const std::vector<std::string> kCommands = {"run", "partition", "shard", "inspect", "bench", "zoo", "node"};

class Usage : public CommandLine {};

TEST_F(Usage, WrongCommandLinesAreOneLineAndStatus2) {
  put("m.onnx", bytes_of(convolutions()));
  struct Case {
    std::vector<std::string> words;
    std::vector<std::string> says;
  };
  const Case cases[] = {
      {{}, {"which command", "disco --help"}},
      {{"insepct", "m.onnx"}, {"'insepct'", "did you mean 'inspect'?"}},
      {{"rnu"}, {"did you mean 'run'?"}},
      {{"frobnicate"}, {"'frobnicate'", "The commands are run, partition"}},
      {{"a\nb\x1b[31m"}, {"'a?b?[31m'"}},
      {{"--vresion"}, {"'--vresion'"}},
      {{"inspect"}, {"inspect: model is required", "disco inspect --help"}},
      {{"inspect", "m.onnx", "--nods", "2"}, {"'--nods'", "did you mean '--nodes'?"}},
      {{"inspect", "m.onnx", "--frobnicate"}, {"'--frobnicate'", "disco inspect --help"}},
      {{"inspect", "m.onnx", "another"}, {"'another'"}},
      {{"inspect", "m.onnx", "--nodes", "0"}, {"--nodes", "64"}},
      {{"inspect", "m.onnx", "--nodes", "65"}, {"--nodes", "64"}},
      {{"inspect", "m.onnx", "--nodes", "two"}, {"--nodes", "two"}},
      {{"inspect", "m.onnx", "--nodes", "99999999999999999999"}, {"--nodes"}},
      {{"inspect", "m.onnx", "--nodes", "2", "--node", "2"}, {"--node 2", "0 to 1"}},
      {{"inspect", "m.onnx", "--shares", "3,x"}, {"--shares 3,x", "such as 3,1"}},
      {{"inspect", "m.onnx", "--shares", "3,"}, {"--shares 3,"}},
      {{"inspect", "m.onnx", "--shares", "3,-1"}, {"positive"}},
      {{"inspect", "m.onnx", "--shares", "3,0"}, {"positive"}},
      {{"inspect", "m.onnx", "--shares", "3,nan"}, {"positive"}},
      {{"inspect", "m.onnx", "--shares", "3,inf"}, {"positive"}},
      {{"inspect", "m.onnx", "--nodes", "3", "--shares", "3,1"}, {"2 shares", "3 nodes"}},
      {{"inspect", "m.onnx", "--shape", "x"}, {"--shape x", "NAME:EXTENT"}},
      {{"inspect", "m.onnx", "--shape", "x:0,3,16,16"}, {"--shape x:0,3,16,16"}},
      {{"inspect", "m.onnx", "--shape", "z:1,3,16,16"}, {"no input 'z'", "'x'"}},
      {{"partition", "m.onnx", "--nodes", "2"}, {"--output is required"}},
      {{"partition", "m.onnx", "-o", "a.onnx"}, {"--nodes N"}},
      {{"shard", "m.onnx", "-o", "s"}, {"no partition", "--nodes N"}},
      {{"zoo", "resnet19", "-o", "z.onnx"}, {"'resnet19'", "resnet18"}},
      {{"zoo", "resnet18", "-o", "z.onnx", "--seed", "-1"}, {"--seed"}},
      {{"bench", "m.onnx", "--runs", "0"}, {"--runs"}},
      {{"bench", "m.onnx", "--transport", "pigeons"}, {"--transport", "pigeons"}},
      {{"bench", "m.onnx", "--deadline", "0"}, {"--deadline"}},
      {{"bench", "m.onnx", "--deadline", "1e300"}, {"--deadline"}},
      {{"bench", "m.onnx", "--threads", "0"}, {"--threads"}},
      {{"node", "--listen", "nowhere"}, {"'nowhere'", "HOST:PORT"}},
      {{"node", "--listen", "127.0.0.1:70000"}, {"127.0.0.1:70000"}},
      {{"node", "--fabric-port", "70000"}, {"--fabric-port"}},
      {{"run", "m.onnx"}, {"--input"}},
  };
  for (const Case& one : cases) {
    std::string what;
    for (const std::string& word : one.words) what += word + " ";
    expect_complaint(disco(one.words), 2, one.says, what);
  }
  EXPECT_EQ(files(), std::set<std::string>{"m.onnx"});
}

TEST_F(Usage, TooManyNodesForTheChannels) {
  ModelBuilder builder;
  builder.input("x", {1, 3, 4, 4}).weight("w", {2, 3, 1, 1}).output("y", {1, 2, 4, 4});
  builder.node("Conv", {"x", "w"}, {"y"});
  put("two.onnx", bytes_of(builder));
  for (const char* nodes : {"3", "64"}) {
    expect_complaint(disco({"partition", "two.onnx", "-n", nodes, "-o", "out.onnx"}), 2,
                     {"two.onnx", std::string(nodes) + " nodes", "fewer nodes"}, nodes);
  }
  expect_complaint(disco({"partition", "two.onnx", "--shares", "1000000,1", "-o", "out.onnx"}), 2,
                   {"two.onnx"}, "a share too small for a channel");
  EXPECT_EQ(files(), std::set<std::string>{"two.onnx"});
}

TEST_F(Usage, NothingToSplit) {
  ModelBuilder builder;
  builder.input("x", {1, 4}).output("y", {1, 4});
  builder.node("Relu", {"x"}, {"y"});
  put("relu.onnx", bytes_of(builder));
  expect_complaint(disco({"partition", "relu.onnx", "-n", "2", "-o", "out.onnx"}), 1, {"relu.onnx", "Relu"},
                   "relu");
  EXPECT_EQ(files(), std::set<std::string>{"relu.onnx"});
}

TEST_F(Usage, HelpTeachesWithinAHundredColumns) {
  const Ended general = disco({"--help"});
  EXPECT_EQ(general.status, 0);
  EXPECT_EQ(general.err, "");
  for (const std::string& command : kCommands) {
    EXPECT_NE(general.out.find("\n  " + command + " "), std::string::npos) << command;
    const Ended help = disco({command, "--help"});
    EXPECT_EQ(help.status, 0) << command << ": " << help.err;
    EXPECT_EQ(help.err, "") << command;
    EXPECT_NE(help.out.find("Usage: disco " + command), std::string::npos) << help.out;
    EXPECT_NE(help.out.find("Examples:\n  disco " + command), std::string::npos) << help.out;
    EXPECT_EQ(help.out, disco({"help", command}).out) << command;
    for (const std::string& text : {help.out, general.out}) {
      std::istringstream lines(text);
      for (std::string line; std::getline(lines, line);) {
        const auto columns =
            std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; });
        EXPECT_LE(columns, 100) << command << ": " << line;
      }
    }
  }
  const Ended version = disco({"--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_TRUE(version.out.starts_with("disco ")) << version.out;
}

/// Every flag that help names is one that the command takes, and the examples' flags are among them.
TEST_F(Usage, ExamplesUseFlagsThatExist) {
  for (const std::string& command : kCommands) {
    const std::string help = disco({command, "--help"}).out;
    const std::size_t examples = help.find("Examples:");
    ASSERT_NE(examples, std::string::npos) << command;
    const std::string options = help.substr(0, examples);
    std::istringstream words(help.substr(examples));
    std::string line;
    while (std::getline(words, line)) {
      if (!line.starts_with("  disco " + command + " ")) continue;
      std::istringstream flags(line.substr(0, line.find("   ", 4)));
      for (std::string word; flags >> word;) {
        if (!word.starts_with("-")) continue;
        EXPECT_NE(options.find(" " + word + " "), std::string::npos)
            << command << ": " << word << " in: " << line;
      }
    }
  }
}

TEST_F(Usage, WhatCannotBeWrittenLeavesWhatWasThere) {
  put("m.onnx", bytes_of(convolutions()));
  put("old", "precious");
  fs::create_directory(folder_ / "folder");
  const std::vector<std::vector<std::string>> writers = {{"partition", "m.onnx", "-n", "2", "-o"},
                                                         {"zoo", "resnet18", "-o"},
                                                         {"bench", "m.onnx", "--runs", "1", "--trace"}};
  for (const auto& writer : writers) {
    const auto to = [&](const std::string& path) {
      std::vector<std::string> words = writer;
      words.push_back(path);
      return disco(words);
    };
    expect_complaint(to("missing/out"), 1, {"missing/out", "does not exist", "make it first"}, writer[0]);
    expect_complaint(to("folder"), 1, {"folder", "cannot write"}, writer[0]);
    expect_complaint(to("old/out"), 1, {"old/out", "cannot write"}, writer[0]);
    if (writer[0] != "bench") {  // which has a whole table to say before its last line
      expect_complaint(to("/dev/full"), 1, {"/dev/full", "No space left"}, writer[0]);
    }
    EXPECT_TRUE(fs::is_character_file("/dev/full"));
  }
  expect_complaint(disco({"shard", "m.onnx", "-n", "2", "-o", "old"}), 1, {"old"}, "shard into a file");
  EXPECT_EQ(content("old"), "precious");
  EXPECT_EQ(files(), (std::set<std::string>{"m.onnx", "old", "folder"}));
}

TEST_F(Usage, AFullDiskLeavesWhatWasThere) {
  put("m.onnx", bytes_of(convolutions()));
  put("out.onnx", "precious");
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit little{4096, before.rlim_max};  // children inherit it
  const auto old_action = signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &little);
  const Ended ended = disco({"partition", "m.onnx", "-n", "2", "-o", "out.onnx"});
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, old_action);
  expect_complaint(ended, 1, {"out.onnx", "cannot write"}, "a full disk");
  EXPECT_EQ(content("out.onnx"), "precious");
  EXPECT_EQ(files(), (std::set<std::string>{"m.onnx", "out.onnx"}));
}

TEST_F(Usage, ResultsThatCannotBePrintedAreAFailure) {
  put("m.onnx", bytes_of(convolutions()));
  for (const std::vector<std::string>& words : {std::vector<std::string>{"inspect", "m.onnx", "-n", "2"},
                                                {"inspect", "m.onnx", "-n", "2", "--json"},
                                                {"partition", "m.onnx", "-n", "2", "-o", "out.onnx"},
                                                {"--help"}}) {
    Child child(DISCO_PROGRAM, words, folder_, "/dev/full");
    const Ended ended = child.wait();
    expect_complaint(ended, 1, {"standard output", "No space left"}, words[0]);
  }
}

TEST_F(Usage, JsonIsNothingButJson) {
  put("m.onnx", bytes_of(convolutions()));
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"inspect", "m.onnx", "-n", "3", "--json"},
        {"bench", "m.onnx", "-n", "2", "--runs", "2", "--transport", "threads", "--json"},
        {"bench", "m.onnx", "-n", "2", "--runs", "2", "--json"}}) {
    const Ended ended = disco(words);
    EXPECT_EQ(ended.status, 0) << ended.err;
    EXPECT_EQ(ended.err, "") << words[0] << ": standard error is silent in a pipe";
    EXPECT_TRUE(nlohmann::json::parse(ended.out, nullptr, false).is_object()) << ended.out;
  }
}

TEST_F(Usage, BenchReportsWhatItPromises) {
  put("m.onnx", bytes_of(convolutions()));
  const Ended ended = disco({"bench", "m.onnx", "-n", "3", "--runs", "4", "--json"});
  const auto document = nlohmann::json::parse(ended.out, nullptr, false);
  ASSERT_TRUE(document.is_object()) << ended.err;
  ASSERT_EQ(document["nodes"].size(), 3U);
  ASSERT_EQ(document["one_node"]["nodes"].size(), 1U);
  for (const auto& part : {document, document["one_node"]}) {
    EXPECT_LE(part["latency_ms"]["min"], part["latency_ms"]["median"]);
    EXPECT_LE(part["latency_ms"]["median"], part["latency_ms"]["p95"]);
    for (const auto& node : part["nodes"]) {
      EXPECT_GT(node["compute_ms"], 0);
      EXPECT_GT(node["peak_rss_bytes"], 1 << 20);
      EXPECT_EQ(node["bytes_sent"] > 0, part["nodes"].size() > 1);
      EXPECT_EQ(node["messages"] > 0, part["nodes"].size() > 1);
    }
  }
  // What was sent is what inspect said.
  const auto table =
      nlohmann::json::parse(disco({"inspect", "m.onnx", "-n", "3", "--json"}).out, nullptr, false);
  for (std::size_t r = 0; r < 3; ++r) {
    EXPECT_EQ(document["nodes"][r]["bytes_sent"], table["totals"][r]["bytes_sent"]) << r;
    EXPECT_EQ(document["nodes"][r]["messages"], table["totals"][r]["messages_sent"]) << r;
  }
}

}  // namespace
}  // namespace disco::test
