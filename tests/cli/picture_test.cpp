// disco run on images of every task: answers as JSON and as pictures.

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "child.h"
#include "data/npz.h"
#include "data/scenes.h"
#include "models.h"

namespace disco::test {
namespace {

using nlohmann::json;

class Picture : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    fs::create_directory(folder_ / "photos");
    ASSERT_TRUE(write_png(folder_ / "photo.png", render_scene(60, 80, 1).image).ok());
    ASSERT_TRUE(write_png(folder_ / "photos/a.png", render_scene(60, 80, 1).image).ok());
    ASSERT_TRUE(write_png(folder_ / "photos/b.png", render_scene(70, 50, 2).image).ok());
    ASSERT_TRUE(write_npy(folder_ / "x.npy", ramp({1, 3, 48, 64})).ok());
  }
  void zoo(const std::vector<std::string>& words, const std::string& file) {
    std::vector<std::string> all = {"zoo"};
    all.insert(all.end(), words.begin(), words.end());
    all.insert(all.end(), {"-o", file});
    const Ended made = disco(all);
    ASSERT_EQ(made.status, 0) << made.err;
  }
  json run(std::vector<std::string> words) {
    words.insert(words.begin(), "run");
    words.insert(words.end(), {"--nodes", "2", "--transport", "threads", "--json"});
    const Ended ended = disco(words);
    EXPECT_EQ(ended.status, 0) << ended.err;
    return ended.status == 0 ? json::parse(ended.out) : json();
  }
  Image image(const std::string& file) {
    auto read = read_image(folder_ / file);
    EXPECT_TRUE(read.ok()) << file;
    return read.ok() ? *read : Image{};
  }
};

TEST_F(Picture, OfADetectorHasBoxesInThePhotographsPixels) {
  zoo({"ssd300-mobilenetv2", "--size", "64", "--width", "0.25", "--classes", "10"}, "ssd.onnx");
  const json answer = run({"ssd.onnx", "--input", "photo.png", "--fit", "letterbox", "--least", "0.05",
                           "--picture", "boxes.png"});
  EXPECT_EQ(answer["task"], "detection");
  const json& result = answer["results"][0];
  EXPECT_EQ(result["picture"], "boxes.png");
  const json& objects = result["answer"]["objects"];
  ASSERT_FALSE(objects.empty()) << "random weights find something at that score";
  for (const json& object : objects) {
    EXPECT_GE(object["score"], 0.05);
    const auto box = object["box"].get<std::vector<double>>();
    EXPECT_GE(box[0], 0);
    EXPECT_LT(box[0], box[2]);
    EXPECT_LE(box[2], 80);
    EXPECT_LE(box[3], 60);
  }
  EXPECT_EQ(image("boxes.png").width % 80, 0) << "the photograph, enlarged a whole number of times";
  EXPECT_TRUE(
      run({"ssd.onnx", "--input", "photo.png", "--least", "1"})["results"][0]["answer"]["objects"].empty());
}

TEST_F(Picture, OfASegmenterHasALegend) {
  zoo({"deeplabv3plus-mobilenetv2", "--size", "48x64", "--width", "0.25", "--classes", "4"}, "deeplab.onnx");
  const json answer = run({"deeplab.onnx", "--input", "photos", "--picture", "masks/"});
  ASSERT_EQ(answer["results"].size(), 2U);
  for (const json& result : answer["results"]) {
    double sum = 0;
    for (const json& one : result["answer"]["classes"]) sum += one["share"].get<double>();
    EXPECT_NEAR(sum, 1, 1e-9);
  }
  const Image second = image("masks/b.png");
  EXPECT_EQ(second.width % 50, 0);
  EXPECT_GT(second.height, second.width / 50 * 70);
}

TEST_F(Picture, IsEnlargedWholeOrInTiles) {
  zoo({"esrgan-small", "--blocks", "1", "--width", "0.25"}, "sr.onnx");
  const Ended open = disco({"inspect", "sr.onnx"});
  EXPECT_EQ(open.status, 1);
  EXPECT_THAT(open.err, ::testing::HasSubstr("such as --shape input:1,3,224,224"));
  EXPECT_EQ(disco({"inspect", "sr.onnx", "--shape", "input:1,3,24,24"}).status, 0);
  const json whole = run({"sr.onnx", "--input", "photo.png", "--picture", "large.png", "--verify"});
  EXPECT_EQ(whole["results"][0]["answer"], json({{"width", 320}, {"height", 240}, {"tiles", 1}}));
  EXPECT_TRUE(whole["verify"]["ok"]);
  const Image large = image("large.png");
  ASSERT_EQ(large.width, 320);
  const json tiled = run(
      {"sr.onnx", "--input", "photo.png", "--picture", "tiled.png", "--tile", "56", "--tile-overlap", "24"});
  EXPECT_GT(tiled["results"][0]["answer"]["tiles"], 1);
  // The network sees 21 pixels far (a block, four layers around it): seams show nowhere.
  EXPECT_EQ(image("tiled.png").rgb, large.rgb);
}

TEST_F(Picture, OfAClassifierSaysWhatItIs) {
  zoo({"cifar-resnet8"}, "net.onnx");
  const json answer =
      run({"net.onnx", "--input", "photo.png", "--picture", "classes.png", "--preset", "cifar10"});
  EXPECT_EQ(answer["results"][0]["answer"]["top"].size(), 5U);
  EXPECT_EQ(image("classes.png").width, 320);
}

TEST_F(Picture, WhatDoesNotGoGetsOneLine) {
  zoo({"deeplabv3plus-mobilenetv2", "--size", "48x64", "--width", "0.25", "--classes", "4"}, "deeplab.onnx");
  zoo({"esrgan-small", "--blocks", "1", "--width", "0.25"}, "sr.onnx");
  ModelBuilder plain;
  plain.input("x", {1, 3, 48, 64}).output("y", {1, 3, 48, 64});
  plain.node("Relu", {"x"}, {"y"});
  put("plain.onnx", bytes_of(plain));
  put("odd.json", R"({"task": "segmentation", "logits": "z"})");
  put("taken.png", "a file");
  const auto before = files();
  const std::tuple<int, std::vector<std::string>, std::vector<std::string>> cases[] = {
      {2, {"deeplab.onnx", "--input", "x.npy", "--picture", "p.png"}, {"--picture p.png", "an array"}},
      {2, {"plain.onnx", "--input", "photo.png", "--picture", "p.png"}, {"nothing says", "--task"}},
      {2,
       {"deeplab.onnx", "--input", "photos", "--picture", "taken.png"},
       {"taken.png", "2 images need a folder"}},
      {1, {"deeplab.onnx", "--input", "photo.png", "--task", "odd.json"}, {"odd.json", "'z'", "'logits'"}},
      {1, {"deeplab.onnx", "--input", "photo.png", "--picture", "nowhere/p.png"}, {"nowhere"}},
      {2, {"sr.onnx", "--input", "photo.png", "--tile", "16"}, {"--tile-overlap 16", "16 pixels"}},
  };
  for (const auto& [status, words, says] : cases) {
    std::vector<std::string> all = {"run"};
    all.insert(all.end(), words.begin(), words.end());
    all.insert(all.end(), {"--transport", "threads", "--nodes", "2"});
    expect_complaint(disco(all), status, says, words.front() + " " + words.back());
    EXPECT_EQ(files(), before) << words.back();
  }
}

}  // namespace
}  // namespace disco::test
