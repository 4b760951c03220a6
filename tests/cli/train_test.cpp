// disco train from the command line: what it writes, what it refuses, and that a kill costs nothing.

#include <nlohmann/json.hpp>
#include <random>

#include "child.h"

namespace disco::test {
namespace {

using nlohmann::json;

class Train : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    if (!has_trainer()) GTEST_SKIP() << "disco-train was not built: LibTorch is not installed";
    const Ended ended = disco({"zoo", "cifar-resnet8", "-o", "net.onnx"});
    ASSERT_EQ(ended.status, 0) << ended.err;
  }

  /// A short run on rendered shapes.
  static std::vector<std::string> command(const std::string& model, const std::string& output,
                                          const std::vector<std::string>& more) {
    std::vector<std::string> words = {
        "train", model,     "--data", "shapes",    "--limit", "160", "--validate-limit",
        "40",    "--batch", "16",     "--threads", "1",       "-o",  output};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
};

TEST_F(Train, FromScratchToATunedArtifact) {
  Ended ended =
      disco(command("net.onnx", "dense.onnx",
                    {"--from-scratch", "--epochs", "2", "--lr", "0.05", "--log", "run.log", "--json"}));
  ASSERT_EQ(ended.status, 0) << ended.err;
  const json report = json::parse(ended.out);
  ASSERT_EQ(report["epochs"].size(), 2U);
  EXPECT_GT(report["epochs"][0]["loss"].get<double>(), report["epochs"][1]["loss"].get<double>());
  EXPECT_TRUE(report["epochs"][1].contains("validation_top1"));
  std::istringstream log(content("run.log"));
  std::string line;
  std::getline(log, line);
  EXPECT_TRUE(line.starts_with("# disco train net.onnx")) << line;
  std::getline(log, line);
  EXPECT_EQ(json::parse(line)["epoch"], 1);

  ended = disco({"sparsify", "dense.onnx", "-n", "2", "-c", "0.3", "--calibrate", "shapes", "--samples", "32",
                 "-o", "sparse.onnx"});
  ASSERT_EQ(ended.status, 0) << ended.err;
  ended =
      disco(command("sparse.onnx", "tuned.onnx",
                    {"--teacher", "dense.onnx", "--epochs", "1", "--lr", "0.01", "--wire", "u8", "--json"}));
  ASSERT_EQ(ended.status, 0) << ended.err;
  EXPECT_LE(json::parse(ended.out)["epochs"][0]["communication"].get<double>(), 0.3);
  ended = disco({"eval", "tuned.onnx", "--dense", "dense.onnx", "--data", "shapes", "--limit", "40",
                 "--transport", "threads", "--json"});
  ASSERT_EQ(ended.status, 0) << ended.err;
  const json figures = json::parse(ended.out);
  EXPECT_EQ(figures["wire"], "u8");
  EXPECT_LE(figures["bytes_per_inference"].get<double>(),
            0.3 / 4 * figures["dense_bytes_per_inference"].get<double>() + 64);
}

TEST_F(Train, AnArtifactKeepsToItsWeightsAndSaysItsTask) {
  const auto sparsify = [&](std::vector<std::string> more) {
    std::vector<std::string> words = {"sparsify", "net.onnx",    "-n",     "2",         "-c",
                                      "0.5",      "--calibrate", "shapes", "--samples", "16",
                                      "-o",       "sparse.onnx", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return disco(words);
  };
  const auto most = [](const Ended& ended) {
    const json figures = json::parse(ended.out);
    double share = 0;
    for (const json& node : figures["nodes"])
      share = std::max(share, node["weight_bytes"].get<double>() / figures["weight_bytes"].get<double>());
    return share;
  };
  const Ended free = sparsify({});
  ASSERT_EQ(free.status, 0) << free.err;
  EXPECT_GT(most(free), 0.4);
  EXPECT_EQ(content("sparse.onnx").find("disco.task"), std::string::npos);
  put("task.json", R"({"task": "classification", "scores": "logits"})");
  const Ended bound = sparsify({"--weights", "0.4", "--task", "task.json"});
  ASSERT_EQ(bound.status, 0) << bound.err;
  EXPECT_LE(most(bound), 0.4);
  EXPECT_NE(content("sparse.onnx").find("disco.task"), std::string::npos);
  put("task.json", R"({"task": "classification", "scores": "nothing"})");
  const Ended wrong = sparsify({"--task", "task.json"});
  EXPECT_NE(wrong.status, 0);
  EXPECT_NE(wrong.err.find("task.json"), std::string::npos) << wrong.err;
  EXPECT_NE(wrong.err.find("nothing"), std::string::npos) << wrong.err;
}

TEST_F(Train, SmallFeaturesComeFirstAsAsked) {
  const auto weights = [&](const char* power) {
    const Ended ended =
        disco({"sparsify", "net.onnx", "-n", "2", "-c", "0.2", "--calibrate", "shapes", "--samples", "16",
               "--no-refit", "--byte-power", power, "-o", "sparse.onnx", "--json"});
    EXPECT_EQ(ended.status, 0) << ended.err;
    const json figures = json::parse(ended.out);
    double sum = 0;
    for (const json& node : figures["nodes"]) sum += node["weight_bytes"].get<double>();
    return sum;
  };
  EXPECT_GT(weights("3"), weights("0")) << "deep layers have small features, and many weights that read them";
  const Ended wrong = disco(
      {"sparsify", "net.onnx", "-n", "2", "--calibrate", "shapes", "--byte-power", "-1", "-o", "x.onnx"});
  EXPECT_NE(wrong.status, 0);
  EXPECT_NE(wrong.err.find("--byte-power"), std::string::npos) << wrong.err;
}

TEST_F(Train, DevicesAndBackendsThatAreNotThereAreNamed) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--device", "tpu"}, "--device tpu"},
      {{"--device", "cuda:99"}, "--device cuda:99"},
      {{"--processes", "2", "--backend", "nccl"}, "NCCL"},
      {{"--backend", "mpi"}, "--backend"},
  };
  for (const auto& [words, named] : cases) {
    const Ended ended = disco(command("net.onnx", "never.onnx", words));
    EXPECT_NE(ended.status, 0) << named;
    EXPECT_NE(ended.err.find(named), std::string::npos) << ended.err;
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
    EXPECT_FALSE(fs::exists(folder_ / "never.onnx"));
  }
}

TEST_F(Train, AKillAtAnyMomentCostsNothing) {
  const auto run = [&](const std::string& output) {
    return command(
        "net.onnx", output,
        {"--epochs", "2", "--lr", "0.05", "--checkpoint", "run.ckpt", "--checkpoint-steps", "2", "--resume"});
  };
  const auto started = steady_clock::now();
  Ended ended = disco(run("whole.onnx"));
  ASSERT_EQ(ended.status, 0) << ended.err;
  const auto whole = steady_clock::now() - started;
  fs::remove(folder_ / "run.ckpt");
  std::mt19937 generator(5);
  int kills = 0;
  for (int attempt = 0; attempt < 4; ++attempt) {
    Child child(DISCO_PROGRAM, run("resumed.onnx"), folder_);
    std::this_thread::sleep_for(whole * std::uniform_real_distribution<double>(0.3, 0.9)(generator));
    child.signal(SIGKILL);
    kills += child.wait().signal == SIGKILL ? 1 : 0;
  }
  ended = disco(run("resumed.onnx"));
  ASSERT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(content("resumed.onnx"), content("whole.onnx")) << "after " << kills << " kills";
}

TEST_F(Train, TwoProcessesEndAlike) {
  const Ended ended = disco(command("net.onnx", "two.onnx",
                                    {"--epochs", "1", "--processes", "2", "--join",
                                     "127.0.0.1:" + std::to_string(20000 + getpid() % 20000), "--json"}));
  if (ended.err.find("without gloo") != std::string::npos) GTEST_SKIP() << ended.err;
  ASSERT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(json::parse(ended.out)["epochs"].size(), 1U);
  EXPECT_FALSE(content("two.onnx").empty());
}

TEST_F(Train, SaysWhatCannotBe) {
  const auto refused = [&](const std::string& model, const std::vector<std::string>& more, int status,
                           const std::vector<std::string>& says) {
    const Ended ended = disco(command(model, "out.onnx", more));
    expect_complaint(ended, status, says, more.empty() ? model : more.front());
    EXPECT_FALSE(fs::exists(folder_ / "out.onnx"));
  };
  refused("nowhere.onnx", {}, 1, {"nowhere.onnx"});
  refused("net.onnx", {"--teacher", "nowhere.onnx"}, 1, {"nowhere.onnx"});
  refused("net.onnx", {"--resume"}, 2, {"--resume", "--checkpoint"});
  expect_complaint(disco({"train", "net.onnx", "--data", "no-such-folder", "-o", "out.onnx"}), 1,
                   {"no-such-folder: there is no such data set", "shapes"}, "no data");
  expect_complaint(disco({"train", "net.onnx", "--data", "shapes", "--limit", "100", "-o", "out.onnx"}), 2,
                   {"100 samples are fewer than one batch of 128"}, "few samples");
  refused("net.onnx", {"--tighten", "2", "--epochs", "3"}, 2, {"no owners"});
  refused("net.onnx", {"--tighten", "3", "--epochs", "3"}, 2, {"--tighten 3"});
  refused("net.onnx", {"--no-such-flag"}, 2, {"--no-such-flag"});
  refused("net.onnx", {"--device", "abacus"}, 2, {"abacus"});
  refused("net.onnx", {"--processes", "2", "--rank", "2"}, 2, {"--rank 2"});
  refused("net.onnx", {"--labels", "0"}, 2, {"neither a teacher nor are there labels"});
  put("other.ckpt", "no checkpoint");
  refused("net.onnx", {"--resume", "--checkpoint", "other.ckpt"}, 2, {"other.ckpt", "no checkpoint"});
  EXPECT_EQ(content("other.ckpt"), "no checkpoint");
}

}  // namespace
}  // namespace disco::test
