// disco run: right answers for arrays, images and folders, and how they are told.

#include <png.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "child.h"
#include "models.h"

namespace disco::test {
namespace {

using nlohmann::json;

class Answers : public CommandLine {
 protected:
  using Colour = std::array<int, 3>;

  /// A PNG of a size, each pixel by its place.
  template <typename Pixel>
  void picture(const std::string& name, int width, int height, Pixel&& pixel) const {
    std::vector<png_byte> rgb;
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        for (const int level : pixel(x, y)) rgb.push_back(static_cast<png_byte>(level));
      }
    }
    fs::create_directories((folder_ / name).parent_path());
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = static_cast<png_uint_32>(width);
    image.height = static_cast<png_uint_32>(height);
    image.format = PNG_FORMAT_RGB;
    ASSERT_NE(png_image_write_to_file(&image, (folder_ / name).c_str(), 0, rgb.data(), 0, nullptr), 0)
        << name;
  }
  void solid(const std::string& name, Colour colour, int width = 16, int height = 16) const {
    picture(name, width, height, [&](int, int) { return colour; });
  }
  /// Different for every seed.
  static Colour speckle(int seed, int x, int y) {
    return {(x * 16 + seed * 3) % 256, (y * 15 + x + seed) % 256, (x * y + seed * 40) % 256};
  }
  [[nodiscard]] Ended run(std::vector<std::string> words) const {
    words.insert(words.begin(), "run");
    words.insert(words.end(), {"--transport", "threads"});
    Ended ended = disco(words);
    EXPECT_EQ(ended.status, 0) << ended.err;
    EXPECT_EQ(ended.err, "");
    return ended;
  }
  [[nodiscard]] json run_json(std::vector<std::string> words) const {
    words.emplace_back("--json");
    return json::parse(run(words).out, nullptr, false);
  }
  [[nodiscard]] Tensor array(const std::string& file, const std::string& name) const {
    const auto arrays = read_npz(folder_ / file);
    EXPECT_TRUE(arrays) << arrays.error().message;
    return arrays ? arrays->at(name) : Tensor();
  }
  /// Two convolutions and the mean, x [N, 3, 16, 16] to y [N, 5]: linear, so that every image has its own
  /// answer.
  static ModelBuilder linear() {
    ModelBuilder builder;
    builder.input("x", {-1, 3, 16, 16}).output("y", {-1, 5});
    builder.weight("w0", {8, 3, 3, 3}).weight("w1", {5, 8, 1, 1});
    builder.node("Conv", {"x", "w0"}, {"h"});
    builder.node("Conv", {"h", "w1"}, {"c"});
    builder.node("GlobalAveragePool", {"c"}, {"g"});
    builder.node("Flatten", {"g"}, {"y"});
    return builder;
  }
  /// Scores of three classes: how red, green and blue an image is, from 0 to 1.
  void put_colours() const {
    ModelBuilder builder;
    builder.input("image", {-1, 3, 16, 16}).output("scores", {-1, 3});
    builder.node("GlobalAveragePool", {"image"}, {"mean"});
    builder.node("Flatten", {"mean"}, {"scores"});
    put("colours.onnx", bytes_of(builder));
  }
};

TEST_F(Answers, AFolderIsRunInTheOrderOfItsNamesInBatchesOfAnySize) {
  put("m.onnx", bytes_of(linear()));
  const std::vector<std::string> names = {"B.PNG", "a.png", "b2.png", "b10.png",
                                          "c.jpeg"};  // c.jpeg holds a PNG
  std::map<std::string, int> seeds;
  for (const std::string& name : names) {
    const int seed = static_cast<int>(seeds.size());
    seeds[name] = seed;
    picture("photos/" + name, 16, 16, [&](int x, int y) { return speckle(seed, x, y); });
  }
  put("photos/notes.txt", "no image");
  // What the images are by the preset's formula, x / 255, in the order of a map, which is that of bytes.
  Tensor x(DataType::Float32, {5, 3, 16, 16});
  float* to = x.data<float>();
  for (const auto& [name, seed] : seeds) {
    for (std::size_t c = 0; c < 3; ++c) {
      for (int y = 0; y < 16; ++y) {
        for (int column = 0; column < 16; ++column)
          *to++ = static_cast<float>(speckle(seed, column, y)[c]) / 255.0F;
      }
    }
  }
  ASSERT_TRUE(write_npy(folder_ / "x.npy", x).ok());
  std::ignore = run({"m.onnx", "--input", "x.npy", "-o", "want.npz"});
  const Tensor want = array("want.npz", "y");
  ASSERT_EQ(want.shape(), (Shape{5, 5}));
  for (int i = 1; i < 5; ++i)
    ASSERT_GT(std::abs(want.data<float>()[i * 5] - want.data<float>()[0]), 1e-3) << i;
  for (const char* nodes : {"1", "3"}) {
    for (const char* batch : {"1", "2", "3", "5", "8"}) {
      const std::string where = std::string(nodes) + " nodes, batch " + batch;
      const json report = run_json(
          {"m.onnx", "-n", nodes, "--input", "photos", "--batch", batch, "-o", "got.npz", "--verify"});
      const Tensor got = array("got.npz", "y");
      ASSERT_EQ(got.shape(), want.shape()) << where;
      for (std::int64_t i = 0; i < want.elements(); ++i)
        EXPECT_NEAR(got.data<float>()[i], want.data<float>()[i], 1e-4) << where << " at " << i;
      ASSERT_EQ(report["results"].size(), 5U) << where;
      std::size_t at = 0;
      for (const auto& [name, seed] : seeds) {
        const json& result = report["results"][at];
        EXPECT_EQ(result["file"], name) << where;
        ASSERT_EQ(result["outputs"]["y"]["values"].size(), 5U) << where;
        EXPECT_NEAR(result["outputs"]["y"]["values"][4].get<double>(), want.data<float>()[at * 5 + 4], 1e-4);
        ++at;
      }
      EXPECT_EQ(report["runs"], (5 + std::atoi(batch) - 1) / std::atoi(batch)) << where;
      EXPECT_EQ(report["nodes"].size(), static_cast<std::size_t>(std::atoi(nodes))) << where;
      EXPECT_TRUE(report["verify"]["ok"].get<bool>()) << where;
      EXPECT_LE(report["verify"]["max_rel_difference"].get<double>(), 1e-4) << where;
      for (const char* key : {"median", "p95", "min"}) EXPECT_GT(report["latency_ms"][key].get<double>(), 0);
      for (const json& node : report["nodes"]) {
        for (const char* key : {"compute_ms", "wait_ms", "bytes_sent", "messages", "peak_rss_bytes"})
          EXPECT_TRUE(node[key].is_number()) << where << ": " << key;
      }
    }
  }
}

TEST_F(Answers, ArraysOfSeveralFixedBatchesTakeSeveralRuns) {
  ModelBuilder builder;
  builder.input("a", {2, 3}).input("b", {2, 3}).output("sum", {2, 3}).output("total", {});
  builder.node("Add", {"a", "b"}, {"sum"});
  auto& total = builder.node("ReduceSum", {"sum"}, {"total"});
  set(total, "keepdims", std::int64_t{0});
  put("add.onnx", bytes_of(builder));
  Tensor a(DataType::Float32, {6, 3});
  Tensor b(DataType::Float32, {6, 3});
  for (int i = 0; i < 18; ++i) {
    a.data<float>()[i] = static_cast<float>(i);
    b.data<float>()[i] = static_cast<float>(100 * i);
  }
  ASSERT_TRUE(write_npz(folder_ / "ab.npz", {{"a", a}, {"b", b}}).ok());
  EXPECT_EQ(run_json({"add.onnx", "--input", "ab.npz", "-o", "y.npz"})["runs"], 3);
  const Tensor sum = array("y.npz", "sum");
  ASSERT_EQ(sum.shape(), (Shape{6, 3}));
  for (int i = 0; i < 18; ++i) EXPECT_EQ(sum.data<float>()[i], static_cast<float>(101 * i));
  // What has no batch: one a run, along a new axis.
  const Tensor totals = array("y.npz", "total");
  ASSERT_EQ(totals.shape(), (Shape{3}));
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(totals.data<float>()[i], static_cast<float>(101 * (6 * (6 * i) + 15)));
}

TEST_F(Answers, ClassesAreNamed) {
  put_colours();
  solid("photos/1.png", {200, 100, 50});
  solid("photos/2.png", {10, 20, 255});
  solid("photos/3.png", {0, 51, 1});
  put("names.txt", "red\ngreen\nblue\n");
  put("table.txt", "1.png\t0\tred\n2.png\t2\tblue\n3.png\t0\tred\n9.png\t1\tgreen\n");
  const json list = run_json({"colours.onnx", "--input", "photos", "--top", "2", "--labels", "names.txt"});
  ASSERT_EQ(list["results"].size(), 3U);
  EXPECT_FALSE(list.contains("accuracy"));
  const json& first = list["results"][0]["top"];
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(first[0]["name"], "red");
  EXPECT_EQ(first[1]["name"], "green");
  EXPECT_NEAR(first[0]["score"].get<double>(), 200 / 255.0, 1e-6);
  EXPECT_EQ(list["results"][1]["top"][0]["class"], 2);
  EXPECT_EQ(list["results"][2]["top"][0]["name"], "green");

  const json table = run_json({"colours.onnx", "--input", "photos", "--labels", "table.txt"});
  EXPECT_NEAR(table["accuracy"]["top1"].get<double>(), 2 / 3.0, 1e-9);
  EXPECT_EQ(table["accuracy"]["top5"], 1.0);
  EXPECT_EQ(table["accuracy"]["samples"], 3);
  EXPECT_EQ(table["results"][2]["class"], 0);
  EXPECT_EQ(table["results"][2]["top"][0]["name"], "green");

  const std::string report = run({"colours.onnx", "--input", "photos", "--labels", "table.txt"}).out;
  EXPECT_NE(report.find("\ntop-1 66.7 %, top-5 100.0 % of 3 images"), std::string::npos) << report;
  EXPECT_NE(report.find("\n2.png: blue 1.00, green 0.08, red 0.04\n"), std::string::npos) << report;
}

TEST_F(Answers, LabelsThatDoNotSuitAreRefused) {
  put_colours();
  put("m.onnx", bytes_of(small_network()));
  solid("1.png", {1, 2, 3});
  put("two.txt", "red\ngreen\n");
  put("high.txt", "1.png\t3\tblue\n");
  put("bad.txt", "1.png\t0\tred\n2.png blue\n");
  const auto before = files();
  const auto complain = [&](std::vector<std::string> words, const std::vector<std::string>& says) {
    words.insert(words.begin(), {"run", "colours.onnx", "--input", "1.png", "-o", "y.npz"});
    expect_complaint(disco(words), 2, says, says.front());
  };
  complain({"--labels", "two.txt"}, {"two.txt", "2 names for 3 classes"});
  complain({"--labels", "high.txt"}, {"high.txt", "class 3", "0 to 2"});
  complain({"--labels", "bad.txt"}, {"bad.txt:2"});
  EXPECT_EQ(files(), before);
}

TEST_F(Answers, FlagsWinOverPresetsAndCanBeSaved) {
  put_colours();
  solid("1.png", {200, 100, 50});
  const auto scores = [&](const std::vector<std::string>& words) {
    std::vector<std::string> all = {"colours.onnx", "--input", "1.png"};
    all.insert(all.end(), words.begin(), words.end());
    return run_json(all)["results"][0]["outputs"]["scores"]["values"].get<std::vector<double>>();
  };
  const auto near = [](const std::vector<double>& got, const std::vector<double>& want) {
    ASSERT_EQ(got.size(), want.size());
    for (std::size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-5) << i;
  };
  near(scores({}), {200 / 255.0, 100 / 255.0, 50 / 255.0});
  near(scores({"--preset", "imagenet"}),
       {(200 / 255.0 - 0.485) / 0.229, (100 / 255.0 - 0.456) / 0.224, (50 / 255.0 - 0.406) / 0.225});
  near(scores({"--preset", "raw", "--channels", "bgr", "--mean", "10,20,30", "--std", "2", "--save-preset",
               "mine.toml"}),
       {20, 40, 85});
  near(scores({"--preset", "mine.toml"}), {20, 40, 85});
  near(scores({"--preset", "mine.toml", "--mean=-10"}), {30, 55, 105});
  const auto complain = [&](std::vector<std::string> words, int status,
                            const std::vector<std::string>& says) {
    words.insert(words.begin(), {"run", "colours.onnx", "--input", "1.png"});
    expect_complaint(disco(words), status, says, says.front());
  };
  complain({"--preset", "imagnet"}, 1, {"imagnet", "imagenet-inception"});
  complain({"--mean", "1,2"}, 2, {"--mean", "three"});
  complain({"--fit", "wide"}, 2, {"--fit", "letterbox", "'wide'"});
  complain({"--crop", "20"}, 2, {"crops to 20 x 20", "--shape image:1,3,20,20"});
  complain({"--batch", "0"}, 2, {"--batch"});
  complain({"--channels", "grey"}, 2, {"3 channels", "--channels rgb"});
}

TEST_F(Answers, BytesAndPixelsLast) {
  ModelBuilder builder;
  builder.input("image", {1, 2, 2, 3}, onnx::TensorProto::UINT8).output("y", {1, 2, 2, 3});
  auto& cast = builder.node("Cast", {"image"}, {"y"});
  set(cast, "to", std::int64_t{onnx::TensorProto::FLOAT});
  put("bytes.onnx", bytes_of(builder));
  picture("1.png", 2, 2, [](int x, int y) { return Colour{x, y, 250}; });
  std::ignore =
      run({"bytes.onnx", "--input", "1.png", "--preset", "imagenet", "--fit", "exact", "-o", "y.npz"});
  const Tensor y = array("y.npz", "y");
  const std::vector<float> want = {0, 0, 250, 1, 0, 250, 0, 1, 250, 1, 1, 250};
  for (std::size_t i = 0; i < want.size(); ++i) EXPECT_EQ(y.data<float>()[i], want[i]) << i;
  expect_complaint(disco({"run", "bytes.onnx", "--input", "1.png", "--scale", "2"}), 2, {"--scale", "uint8"},
                   "scaled bytes");
}

TEST_F(Answers, ImagesOfSeveralSizes) {
  ModelBuilder builder;
  builder.input("image", {-1, 3, -1, -1}).weight("w", {6, 3, 3, 3}).output("y", {-1, 6, -1, -1});
  auto& convolution = builder.node("Conv", {"image", "w"}, {"y"});
  set(convolution, "pads", std::vector<std::int64_t>{1, 1, 1, 1});
  for (auto* info : {builder.graph().mutable_input(0), builder.graph().mutable_output(0)}) {
    for (int axis = 2; axis < 4; ++axis)
      info->mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim(axis)->set_dim_param(
          axis == 2 ? "height" : "width");
  }
  put("open.onnx", bytes_of(builder));
  solid("photos/1.png", {9, 8, 7}, 12, 10);
  solid("photos/2.png", {9, 8, 7}, 8, 20);
  solid("photos/3.png", {9, 8, 7}, 8, 20);
  const json report = run_json({"open.onnx", "-n", "2", "--input", "photos", "--verify"});
  EXPECT_EQ(report["results"][0]["outputs"]["y"]["shape"], json({6, 10, 12}));
  EXPECT_EQ(report["results"][1]["outputs"]["y"]["shape"], json({6, 20, 8}));
  const auto before = files();
  expect_complaint(disco({"run", "open.onnx", "--input", "photos", "-o", "y.npz"}), 1,
                   {"'y'", "[1, 6, 20, 8]", "[1, 6, 10, 12]", "--output"}, "several shapes in one array");
  expect_complaint(disco({"run", "open.onnx", "--input", "photos", "--batch", "2"}), 1,
                   {"2.png", "--batch 1"}, "several sizes in one batch");
  EXPECT_EQ(files(), before);
  std::ignore = run({"open.onnx", "--input", "photos", "--batch", "2", "--crop", "8,9", "-o", "y.npz"});
  EXPECT_EQ(array("y.npz", "y").shape(), (Shape{3, 6, 8, 9}));
}

TEST_F(Answers, ShapesWinOverThoseOfTheExporter) {
  ModelBuilder builder;
  builder.input("image", {1, 3, 16, 16}).weight("w", {4, 3, 3, 3}).output("y", {1, 4, 14, 14});
  builder.node("Conv", {"image", "w"}, {"y"});
  put("fixed.onnx", bytes_of(builder));
  solid("1.png", {9, 8, 7});
  const json report = run_json({"fixed.onnx", "-n", "2", "--input", "1.png", "--shape", "image:1,3,32,24"});
  EXPECT_EQ(report["results"][0]["outputs"]["y"]["shape"], json({4, 30, 22}));
  ASSERT_TRUE(write_npy(folder_ / "x.npy", ramp({1, 3, 20, 20})).ok());
  expect_complaint(disco({"run", "fixed.onnx", "--input", "x.npy"}), 1, {"x.npy", "--shape image:1,3,20,20"},
                   "another size");
  std::ignore = run({"fixed.onnx", "--input", "x.npy", "--shape", "image:1,3,20,20"});
}

TEST_F(Answers, ASplitThatChangesTheAnswerFailsVerification) {
  put("m.onnx", bytes_of(linear()));
  ASSERT_TRUE(write_npy(folder_ / "x.npy", ramp({1, 3, 16, 16})).ok());
  ASSERT_EQ(disco({"partition", "m.onnx", "-n", "2", "-o", "a.onnx"}).status, 0);
  // An exchange that keeps nothing of what node 1 needs from node 0 is a valid partition of another function.
  onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(content("a.onnx")));
  for (auto& entry : *model.mutable_metadata_props()) {
    if (entry.key() != "disco.partition") continue;
    json partition = json::parse(entry.value());
    partition["keep"]["h"] = {{{"from", 0}, {"to", 1}, {"channels", ""}}};
    entry.set_value(partition.dump());
  }
  put("pruned.onnx", model.SerializeAsString());
  const auto before = files();
  const Ended plain =
      disco({"run", "pruned.onnx", "--input", "x.npy", "--verify", "-o", "y.npz", "--transport", "threads"});
  EXPECT_EQ(plain.status, 1);
  EXPECT_NE(plain.err.find("disco: the split answer is wrong: max |difference|"), std::string::npos)
      << plain.err;
  EXPECT_NE(plain.err.find("y.npz was not written"), std::string::npos) << plain.err;
  EXPECT_EQ(files(), before);
  const Ended machine = disco({"run", "pruned.onnx", "--input", "x.npy", "--verify", "--json"});
  EXPECT_EQ(machine.status, 1);
  const json report = json::parse(machine.out, nullptr, false);
  EXPECT_FALSE(report["verify"]["ok"].get<bool>()) << machine.out;
  EXPECT_GT(report["verify"]["max_rel_difference"].get<double>(), 1e-4);
}

TEST_F(Answers, TheFiveBestOfPhotographsAreTheSameForEveryNumberOfNodes) {
  const fs::path data = shared_folder() / "data";
  if (!fs::exists(data / "imagenet-sample"))
    GTEST_SKIP() << "no shared data: set DISCO_SHARED to the folder that holds data/imagenet-sample";
  // One photograph in a hundred; bench/imagenet_sample.sh takes all.
  fs::create_directory(folder_ / "photos");
  std::vector<fs::path> all;
  for (const auto& entry : fs::directory_iterator(data / "imagenet-sample")) {
    if (entry.path().extension() == ".jpg") all.push_back(entry.path());
  }
  std::sort(all.begin(), all.end());
  for (std::size_t i = 0; i < all.size(); i += 100)
    fs::create_symlink(fs::absolute(all[i]), folder_ / "photos" / all[i].filename());
  struct Case {
    std::string model, preset;
    std::vector<std::string> more;
  };
  for (const Case& item : {Case{"imagenet_squeezenet1_1", "imagenet", {"--shape", "data:1,3,224,224"}},
                           Case{"imagenet_mobilenetv2", "imagenet-inception", {"--batch", "5"}}}) {
    json one;
    for (const char* nodes : {"1", "2", "3", "4", "5"}) {
      std::vector<std::string> words = {fs::absolute(data / "models" / (item.model + ".onnx")).string(),
                                        "-n",
                                        nodes,
                                        "--input",
                                        "photos",
                                        "--preset",
                                        item.preset,
                                        "--labels",
                                        fs::absolute(data / "imagenet-sample" / "labels.txt").string()};
      words.insert(words.end(), item.more.begin(), item.more.end());
      const json report = run_json(words);
      EXPECT_GE(report["accuracy"]["top1"].get<double>(), 0.5) << item.model;
      json classes;
      for (const json& result : report["results"]) {
        ASSERT_EQ(result["top"].size(), 5U);
        for (const json& best : result["top"]) classes.push_back(best["class"]);
      }
      if (one.is_null()) one = classes;
      EXPECT_EQ(classes, one) << item.model << " on " << nodes << " nodes";
    }
  }
}

}  // namespace
}  // namespace disco::test
