// disco eval and disco report: accuracy over real exchanges, bytes that are counted, and pages.

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "../data/shared.h"
#include "child.h"
#include "graph/onnx.h"
#include "models.h"
#include "partition/split.h"
#include "reference/specialise.h"

namespace disco::test {
namespace {

using nlohmann::json;

class Eval : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    put("m.onnx", bytes_of(classifier()));
  }

  /// Three convolutions, x [N, 3, 32, 32] to scores of ten classes.
  static ModelBuilder classifier(const std::string& first = "h0") {
    ModelBuilder builder;
    builder.input("x", {-1, 3, 32, 32}).output("y", {-1, 10});
    std::string last = "x";
    for (int layer = 0; layer < 3; ++layer) {
      const std::string n = std::to_string(layer);
      builder.weight("w" + n, {8, layer == 0 ? 3 : 8, 3, 3}).weight("b" + n, {8});
      auto& convolution = builder.node("Conv", {last, "w" + n, "b" + n}, {"c" + n});
      set(convolution, "pads", std::vector<std::int64_t>{1, 1, 1, 1});
      set(convolution, "strides", std::vector<std::int64_t>{2, 2});
      last = layer == 0 ? first : "h" + n;
      builder.node("Relu", {"c" + n}, {last});
    }
    builder.node("GlobalAveragePool", {last}, {"g"});
    builder.node("Flatten", {"g"}, {"f"});
    builder.weight("w", {8, 10});
    builder.node("MatMul", {"f", "w"}, {"y"});
    return builder;
  }

  /// An artifact for two nodes in which only channel 0 of a value travels, from node 0.
  void put_artifact(const std::string& name, const std::string& model, const std::string& value) const {
    const Graph graph = load_onnx(folder_ / model).value();
    const Graph fixed = specialise(graph, {}).value();
    Partition partition = partition_channels(fixed, {2}).value();
    partition.method = "disco";
    partition.keep[value][{0, 1}] = {0};
    ASSERT_TRUE(save_artifact(graph, partition, folder_ / name).ok());
  }

  [[nodiscard]] json eval(std::vector<std::string> words, const std::string& transport = "threads") const {
    words.insert(words.begin(), "eval");
    words.insert(words.end(), {"--transport", transport, "--json"});
    const Ended ended = disco(words);
    EXPECT_EQ(ended.status, 0) << ended.err;
    EXPECT_EQ(ended.err, "");
    return json::parse(ended.out, nullptr, false);
  }

  [[nodiscard]] double bytes_sent(const std::string& file, const std::vector<std::string>& flags) const {
    std::vector<std::string> words = {"inspect", file, "--json", "--shape", "x:1,3,32,32"};
    words.insert(words.end(), flags.begin(), flags.end());
    const json table = json::parse(disco(words).out, nullptr, false);
    double sum = 0;
    for (const json& node : table["totals"]) sum += node["bytes_sent"].get<double>();
    return sum;
  }
};

TEST_F(Eval, SplitModelAnswersAsTheDenseOne) {
  for (const auto& [nodes, batch, transport] :
       {std::tuple{"1", "7", "threads"}, std::tuple{"2", "16", "processes"},
        std::tuple{"3", "64", "threads"}}) {
    const std::string what = std::string(nodes) + " nodes, batch " + batch + ", " + transport;
    const json figures = eval(
        {"m.onnx", "-n", nodes, "--data", "shapes", "--limit", "50", "--batch", batch, "--dense", "m.onnx"},
        transport);
    EXPECT_EQ(figures["metric"], "top1") << what;
    EXPECT_EQ(figures["samples"], 50) << what;
    EXPECT_EQ(figures["agreement"], 1.0) << what;
    EXPECT_EQ(figures["value"], figures["dense_value"]) << what;
    EXPECT_GE(figures["top5"], figures["value"]) << what;
    EXPECT_EQ(figures["preset"], "cifar10") << what;
    EXPECT_EQ(figures["node_bytes_per_inference"].size(), std::stoul(nodes)) << what;
    // The last batch is filled up, and bytes are still a sample's.
    EXPECT_DOUBLE_EQ(figures["bytes_per_inference"].get<double>(), bytes_sent("m.onnx", {"-n", nodes}))
        << what;
    EXPECT_EQ(figures["bytes_per_inference"], figures["dense_bytes_per_inference"]) << what;
  }
}

TEST_F(Eval, AccuracyIsThatOfTheAnswers) {
  Tensor x(DataType::Float32, {8, 3, 32, 32});
  for (std::int64_t i = 0; i < x.elements(); ++i)
    x.data<float>()[i] = std::sin(static_cast<float>(i) * .01F * static_cast<float>(1 + i / 3072));
  ASSERT_TRUE(write_npz(folder_ / "x.npz", {{"x", x}}).ok());
  ASSERT_EQ(disco({"run", "m.onnx", "-i", "x.npz", "-o", "y.npz", "--transport", "threads"}).status, 0);
  const Tensor y = read_npz(folder_ / "y.npz").value().at("y");
  Tensor labels(DataType::Int64, {8});
  for (std::int64_t i = 0; i < 8; ++i) {
    const float* row = y.data<float>() + i * 10;
    labels.data<std::int64_t>()[i] = std::max_element(row, row + 10) - row;
  }
  ASSERT_TRUE(write_npz(folder_ / "right.npz", {{"x", x}, {"labels", labels}}).ok());
  labels.data<std::int64_t>()[3] = (labels.data<std::int64_t>()[3] + 1) % 10;
  ASSERT_TRUE(write_npz(folder_ / "wrong.npz", {{"x", x}, {"y", labels}}).ok());
  EXPECT_EQ(eval({"m.onnx", "-n", "2", "--data", "right.npz"})["value"], 1.0);
  EXPECT_EQ(eval({"m.onnx", "-n", "2", "--data", "wrong.npz", "--batch", "3"})["value"], .875);
  const json unlabelled = eval({"m.onnx", "-n", "2", "--data", "x.npz", "--dense", "m.onnx"});
  EXPECT_EQ(unlabelled["metric"], "agreement");
  EXPECT_EQ(unlabelled["value"], 1.0);
  expect_complaint(disco({"eval", "m.onnx", "--data", "x.npz"}), 2,
                   {"x.npz: no sample has a class", "--dense"}, "no labels");
  labels.data<std::int64_t>()[5] = 10;
  ASSERT_TRUE(write_npz(folder_ / "beyond.npz", {{"x", x}, {"y", labels}}).ok());
  expect_complaint(disco({"eval", "m.onnx", "--data", "beyond.npz"}), 2,
                   {"beyond.npz: sample 5: it has class 10", "classes 0 to 9"}, "labels");
}

TEST_F(Eval, ArtifactsSendWhatTheyKeep) {
  put_artifact("a.onnx", "m.onnx", "h0");
  const json figures = eval({"a.onnx", "-n", "2", "--data", "shapes", "--limit", "20", "--dense", "m.onnx"});
  const double dense = bytes_sent("m.onnx", {"-n", "2"});
  EXPECT_EQ(figures["method"], "disco");
  EXPECT_EQ(figures["wire"], "fp32");
  EXPECT_DOUBLE_EQ(figures["dense_bytes_per_inference"].get<double>(), dense);
  // Of h0's eight channels of 16 x 16, one travels.
  EXPECT_DOUBLE_EQ(figures["bytes_per_inference"].get<double>(), dense - 7 * 16 * 16 * 4);
  const Ended text = disco({"eval", "a.onnx", "--data", "shapes", "--limit", "20", "--transport", "threads"});
  EXPECT_EQ(text.status, 0) << text.err;
  for (const char* part :
       {"disco exchange over 2 nodes", "20 samples of shapes of 32 pixels, test part", "top1"})
    EXPECT_NE(text.out.find(part), std::string::npos) << text.out;
  expect_complaint(disco({"eval", "a.onnx", "-n", "3", "--data", "shapes"}), 2,
                   {"was made for 2 nodes", "--nodes"}, "other nodes");
}

TEST_F(Eval, BadInputGetsOneLine) {
  {
    ModelBuilder two;
    two.input("a", {1, 3, 32, 32}).input("b", {1, 3, 32, 32}).output("y", {1, 3, 32, 32});
    two.node("Add", {"a", "b"}, {"y"});
    put("two.onnx", bytes_of(two));
    ModelBuilder image;
    image.input("x", {-1, 3, 32, 32}).output("y", {-1, 3, 32, 32});
    image.node("Relu", {"x"}, {"y"});
    put("image.onnx", bytes_of(image));
  }
  put("cut.bin", std::string(3073 + 5, '\1'));
  struct Case {
    std::vector<std::string> words;
    int status;
    std::vector<std::string> says;
  };
  for (const Case& item :
       {Case{{"m.onnx", "--data", "nowhere"}, 1, {"nowhere: there is no such data set", "shapes"}},
        Case{{"m.onnx", "--data", "cut.bin"}, 2, {"cut.bin: is cut off: 1 records", "5 bytes more"}},
        Case{{"m.onnx", "--data", "shapes:7"}, 2, {"shapes:7", "32 to 224"}},
        Case{{"two.onnx", "--data", "shapes"}, 2, {"a model of one input", "'a'", "'b'"}},
        Case{{"image.onnx", "--data", "shapes", "--limit", "3"},
             2,
             {"nothing says what the model's answers mean", "'y' [1, 3, 32, 32]"}},
        Case{{"m.onnx"}, 2, {"--data"}}}) {
    std::vector<std::string> words = {"eval"};
    words.insert(words.end(), item.words.begin(), item.words.end());
    expect_complaint(disco(words), item.status, item.says, item.words.back());
  }
}

/// Kernels are made for as many threads as there will be, or parts of their results would be left out.
TEST_F(Eval, AThreadLimitChangesNoAnswer) {
  ASSERT_EQ(disco({"zoo", "cifar-resnet8", "-o", "net.onnx"}).status, 0);
  ASSERT_EQ(disco({"partition", "net.onnx", "-n", "3", "-o", "dense.onnx"}).status, 0);
  setenv("OMP_THREAD_LIMIT", "1", 1);
  const json limited = eval({"dense.onnx", "--data", "shapes:32", "--limit", "30", "--dense", "net.onnx"});
  unsetenv("OMP_THREAD_LIMIT");
  EXPECT_EQ(limited["agreement"], 1.0);
}

TEST_F(Eval, ReportShowsArtifacts) {
  put("m <&> it.onnx", bytes_of(classifier("h<0>&")));
  put_artifact("sparse<1>.onnx", "m <&> it.onnx", "h<0>&");
  ASSERT_EQ(disco({"partition", "m <&> it.onnx", "-n", "3", "-o", "dense.onnx"}).status, 0);
  const Ended ended = disco({"report", "m <&> it.onnx", "sparse<1>.onnx", "dense.onnx", "--data", "shapes",
                             "--limit", "30", "--transport", "threads", "-o", "r.html", "--json", "r.json"});
  ASSERT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(ended.out, "wrote r.html and r.json\n");
  const json document = json::parse(content("r.json"), nullptr, false);
  ASSERT_EQ(document["artifacts"].size(), 2U);
  const json& sparse = document["artifacts"][0];
  json alone = eval({"sparse<1>.onnx", "--data", "shapes", "--limit", "30", "--dense", "m <&> it.onnx"});
  for (const char* key :
       {"value", "agreement", "bytes_per_inference", "dense_bytes_per_inference", "dense_value"})
    EXPECT_EQ(sparse[key], alone[key]) << key;
  EXPECT_EQ(document["artifacts"][1]["agreement"], 1.0);
  EXPECT_EQ(document["artifacts"][1]["nodes"], 3);
  double bytes = 0;
  bool found = false;
  for (const json& exchange : sparse["exchanges"]) {
    bytes += exchange["bytes"].get<double>();
    if (exchange["value"] != "h<0>&") continue;
    found = true;
    EXPECT_EQ(exchange["kept"], .125);
    EXPECT_EQ(exchange["owner"], json({0, 0, 0, 0, 1, 1, 1, 1}));
    EXPECT_EQ(exchange["sent"], json({1, 0, 0, 0, 0, 0, 0, 0}));
  }
  EXPECT_TRUE(found) << sparse["exchanges"].dump();
  // Rows of features; the classifier's ten answers are added up.
  EXPECT_DOUBLE_EQ(bytes + 10 * sizeof(float), sparse["bytes_per_inference"].get<double>());
  const std::string page = content("r.html");
  EXPECT_NE(page.find("m &lt;&amp;&gt; it.onnx"), std::string::npos);
  EXPECT_NE(page.find("h&lt;0&gt;&amp;"), std::string::npos);
  EXPECT_EQ(page.find("h<0>&"), std::string::npos);
  EXPECT_EQ(page.find("sparse<1>"), std::string::npos);
  expect_complaint(disco({"report", "m <&> it.onnx", "m <&> it.onnx", "--data", "shapes", "-o", "x.html"}), 2,
                   {"is no artifact"}, "no artifact");
  expect_complaint(disco({"report", "m <&> it.onnx", "dense.onnx", "--data", "shapes", "-o", "no/x.html"}), 1,
                   {"no/x.html"}, "no folder");
}

TEST_F(Eval, SparsifyDrawsItsSamplesFromDataSets) {
  if (!has_trainer()) GTEST_SKIP() << "disco-train was not built: LibTorch is not installed";
  const auto sparsify = [&](const std::string& seed, const std::string& output) {
    const Ended ended = disco({"sparsify", "m.onnx", "-n", "2", "-c", "0.5", "--calibrate", "shapes",
                               "--samples", "24", "--seed", seed, "-o", output});
    EXPECT_EQ(ended.status, 0) << ended.err;
    return content(output);
  };
  const std::string first = sparsify("1", "a.onnx");
  EXPECT_EQ(sparsify("1", "b.onnx"), first);
  EXPECT_NE(sparsify("2", "c.onnx"), first);
  const json figures = eval({"a.onnx", "--data", "shapes", "--limit", "20"});
  EXPECT_LE(figures["bytes_per_inference"].get<double>(),
            .5 * figures["dense_bytes_per_inference"].get<double>());
  expect_complaint(disco({"sparsify", "m.onnx", "-n", "2", "--calibrate", "shapes:5", "-o", "d.onnx"}), 2,
                   {"shapes:5", "32 to 224"}, "no such shapes");
}

TEST_F(Eval, TrainedExample) {
  const std::string example = std::string(DISCO_SOURCE_DIR) + "/examples/cifar10/";
  const json rendered = eval({example + "sparse.onnx", "--dense", example + "dense.onnx", "--data", "shapes",
                              "--limit", "100", "--no-labels"});
  EXPECT_EQ(rendered["metric"], "agreement");
  EXPECT_GT(rendered["value"].get<double>(), 0.3) << "pictures that neither has seen the like of";
  EXPECT_LE(rendered["bytes_per_inference"].get<double>(),
            0.2 * rendered["dense_bytes_per_inference"].get<double>());
  const auto shared = shared_data();
  if (!shared) GTEST_SKIP() << "no shared data: set DISCO_SHARED to evaluate the trained example on CIFAR-10";
  const json real = eval({example + "sparse.onnx", "--dense", example + "dense.onnx", "--data",
                          (*shared / "cifar10").string(), "--limit", "1000"});
  EXPECT_GT(real["value"].get<double>(), 0.79);
  EXPECT_GT(real["dense_value"].get<double>(), 0.82);
}

TEST_F(Eval, PretrainedModelOnRealImages) {
  const auto shared = shared_data();
  if (!shared)
    GTEST_SKIP() << "no shared data: set DISCO_SHARED to evaluate a pretrained ResNet-20 on CIFAR-10";
  const std::string model = (*shared / "models" / "cifar10_resnet20_bn.onnx").string();
  const Ended ended = Child(DISCO_PROGRAM,
                            {"eval", model, "-n", "2", "--data", (*shared / "cifar10").string(), "--limit",
                             "1000", "--transport", "threads", "--json"},
                            folder_)
                          .wait(120s);
  ASSERT_EQ(ended.status, 0) << ended.err;
  // 91.73 % of all 10,000 images; three standard errors of a thousand.
  EXPECT_NEAR(json::parse(ended.out)["value"].get<double>(), .9173, .026);
}

}  // namespace
}  // namespace disco::test
