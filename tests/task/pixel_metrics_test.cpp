// Maps of labels and enlarged images: how they are read from outputs, and how good they are beside the
// figures of other implementations.

#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "task/segmentation.h"
#include "task/super_resolution.h"

namespace disco {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// pixel_cases.py has the same generator, and says where the figures come from.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : state_(seed) {}
  int below(int count) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<int>((state_ >> 33U) % static_cast<std::uint64_t>(count));
  }
  std::vector<int> many(std::size_t size, int count) {
    std::vector<int> values(size);
    for (int& value : values) value = below(count);
    return values;
  }

 private:
  std::uint64_t state_;
};

json cases() {
  std::ifstream file(DISCO_SOURCE_DIR "/tests/task/pixel_cases.json");
  return json::parse(file);
}

void expect_figures(const std::vector<Figure>& figures, const json& expected, double tolerance,
                    const std::string& what) {
  EXPECT_EQ(figures.size(), expected.size()) << what;
  for (const Figure& figure : figures) {
    ASSERT_TRUE(expected.contains(figure.name)) << what << ": " << figure.name;
    EXPECT_NEAR(figure.value, expected[figure.name].get<double>(), tolerance) << what << ": " << figure.name;
  }
}

Task segmenter(std::vector<std::string> classes = {}) {
  Task task;
  task.kind = TaskKind::Segmentation;
  task.output = std::string("y");
  task.classes = std::move(classes);
  return task;
}

TEST(Segmentation, FiguresAreThoseOfScikitLearn) {
  for (const json& set : cases()["segmentation"]) {
    const int classes = set["classes"], present = set["present"];
    Draw draw(set["seed"]);
    const auto metric = make_metric(segmenter(), {.classes = classes});
    for (int s = 0; s < set["samples"]; ++s) {
      LabelMap truth{24, 17}, answer{24, 17};
      for (const int label : draw.many(24 * 17, present + 1))
        truth.labels.push_back(static_cast<std::uint8_t>(label == present ? 255 : label));
      const std::vector<int> wrong = draw.many(24 * 17, 3), other = draw.many(24 * 17, classes);
      for (std::size_t i = 0; i < truth.labels.size(); ++i) {
        const bool is_wrong = wrong[i] == 0 || truth.labels[i] == 255;
        answer.labels.push_back(is_wrong ? static_cast<std::uint8_t>(other[i]) : truth.labels[i]);
      }
      ASSERT_TRUE(metric->add(answer, truth).ok());
    }
    EXPECT_EQ(metric->samples(), set["samples"].get<int>());
    expect_figures(metric->figures(), set["figures"], 1e-12, "seed " + set["seed"].dump());
    EXPECT_EQ(metric->figures().front().name, "mIoU");
  }
}

TEST(Segmentation, ClassesThatAreNoneAreNotCounted) {
  const auto metric = make_metric(segmenter({"road", "sky", "Void"}), {.classes = 3});
  // The truth's void is ignored; an answer of void is wrong, but no third class.
  ASSERT_TRUE(metric->add(LabelMap{5, 1, {0, 1, 2, 0, 2}}, LabelMap{5, 1, {0, 1, 1, 2, 255}}).ok());
  const auto figures = metric->figures();
  ASSERT_EQ(figures.size(), 5U);
  EXPECT_DOUBLE_EQ(figures[0].value, (1.0 + 0.5) / 2);
  EXPECT_DOUBLE_EQ(figures[1].value, 2.0 / 3);
  EXPECT_EQ(figures[3].name, "IoU road");
  EXPECT_EQ(figures[4].name, "IoU sky");
}

TEST(Segmentation, TruthsThatDoNotSuitAreErrors) {
  const auto metric = make_metric(segmenter(), {.classes = 3});
  EXPECT_TRUE(metric->figures().empty());
  EXPECT_TRUE(metric->add(LabelMap{1, 1, {0}}, Truth{}).ok());
  EXPECT_EQ(metric->samples(), 0);
  const auto beyond = metric->add(LabelMap{1, 1, {0}}, LabelMap{1, 1, {3}});
  ASSERT_FALSE(beyond.ok());
  EXPECT_THAT(beyond.error().message, HasSubstr("class 3, but the model answers with classes 0 to 2"));
  const auto size = metric->add(LabelMap{1, 2, {0, 0}}, LabelMap{2, 1, {0, 0}});
  ASSERT_FALSE(size.ok());
  EXPECT_THAT(size.error().message, HasSubstr("1 x 2 pixels, the label map 2 x 1"));
  EXPECT_FALSE(metric->add(LabelMap{1, 1, {0}}, Truth{std::int64_t{1}}).ok());
}

TEST(Segmentation, ScoresOfAnotherResolutionAreInterpolatedAsTorchDoes) {
  for (const json& set : cases()["enlarged"]) {
    const int classes = set["classes"], rows = set["from"][0], columns = set["from"][1];
    const int height = set["to"][0], width = set["to"][1];
    const std::size_t count = static_cast<std::size_t>(classes * rows * columns);
    // The second sample of two, so that it has to be found.
    for (const DataType type : {DataType::Float32, DataType::Float64}) {
      Tensor scores(type, {2, classes, rows, columns});
      Draw draw(set["seed"]);
      for (std::size_t i = 0; i < count; ++i) {
        const float score = static_cast<float>(draw.below(1000)) / 100;
        if (type == DataType::Float32) scores.data<float>()[count + i] = score;
        if (type == DataType::Float64) scores.data<double>()[count + i] = score;
      }
      const auto map = read_label_map(segmenter(), {{"y", scores}}, 1, 2, height, width);
      ASSERT_TRUE(map.ok()) << map.error().message;
      EXPECT_EQ(map->width, width);
      EXPECT_EQ(map->height, height);
      int wrong = 0;
      for (std::size_t i = 0; i < map->labels.size(); ++i) {
        const int expected = set["labels"][i];
        wrong += expected != 255 && map->labels[i] != expected ? 1 : 0;
      }
      EXPECT_EQ(wrong, 0) << "seed " << set["seed"];
    }
  }
}

TEST(Segmentation, OutputsThatAreNoScoresAreErrors) {
  const auto message = [](const Tensor& tensor, std::int64_t batch) {
    const auto map = read_label_map(segmenter(), {{"y", tensor}}, 0, batch, 2, 2);
    return map.ok() ? "" : map.error().message;
  };
  EXPECT_THAT(message(Tensor(DataType::Float32, {1, 3, 2}), 1), HasSubstr("output 'y' is [1, 3, 2]"));
  EXPECT_THAT(message(Tensor(DataType::Float32, {1, 1, 2, 2}), 1), HasSubstr("2 to 255 classes"));
  EXPECT_THAT(message(Tensor(DataType::Float32, {1, 3, 2, 2}), 2), HasSubstr("[2, 2 to 255 classes"));
  EXPECT_THAT(message(Tensor(DataType::Int64, {1, 3, 2, 2}), 1), HasSubstr("floating"));
  EXPECT_FALSE(read_label_map(segmenter(), {}, 0, 1, 2, 2).ok());
  Tensor unknown(DataType::Float32, {1, 2, 1, 1});
  std::fill_n(unknown.data<float>(), 2, std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(message(unknown, 1), "");
}

Task enlarger(int scale) {
  Task task;
  task.kind = TaskKind::SuperResolution;
  task.output = std::string("y");
  task.scale = scale;
  return task;
}

TEST(SuperResolution, FiguresAreThoseOfScikitImage) {
  for (const json& set : cases()["images"]) {
    const int height = set["height"], width = set["width"], noise = set["noise"];
    Draw draw(set["seed"]);
    const std::size_t count = static_cast<std::size_t>(height * width) * 3;
    const std::vector<int> texture = draw.many(count, 31), errors = draw.many(count, 2 * noise + 1);
    Image right{width, height}, answer{width, height};
    for (std::size_t i = 0; i < count; ++i) {
      const int pixel = static_cast<int>(i / 3), c = static_cast<int>(i % 3);
      const int slope = pixel / width * 3 + pixel % width * 2 + (c == 0 ? 0 : c == 1 ? 40 : 90);
      const int value = (slope + texture[i]) % 256;
      right.rgb.push_back(static_cast<std::uint8_t>(value));
      answer.rgb.push_back(static_cast<std::uint8_t>(std::clamp(value + errors[i] - noise, 0, 255)));
    }
    const auto metric = make_metric(enlarger(set["scale"]), {});
    ASSERT_TRUE(metric->add(answer, right).ok());
    expect_figures(metric->figures(), set["figures"], 1e-9, "seed " + set["seed"].dump());
    EXPECT_EQ(metric->figures().front().name, "psnr");
    // Two images count alike.
    ASSERT_TRUE(metric->add(right, right).ok());
    EXPECT_NEAR(metric->figures().front().value, (set["figures"]["psnr"].get<double>() + kMostPsnr) / 2,
                1e-9);
  }
}

TEST(SuperResolution, ImagesAreCutOffAndRounded) {
  Tensor answer(DataType::Float32, {2, 3, 1, 2});
  const float values[] = {0.0F, 1.0F, 0.5F, -3.0F, 7.0F, 0.0019F};
  std::copy_n(values, 6, answer.data<float>() + 6);
  const auto image = read_image_answer(enlarger(1), {{"y", answer}}, 1, 2, 1, 2);
  ASSERT_TRUE(image.ok()) << image.error().message;
  EXPECT_EQ(image->rgb, (std::vector<std::uint8_t>{0, 128, 255, 255, 0, 0}));
  Tensor grey(DataType::Float32, {1, 1, 2, 2});
  const float levels[] = {0.2F, 0.4F, 1.0F, std::numeric_limits<float>::quiet_NaN()};
  std::copy_n(levels, 4, grey.data<float>());
  const auto same = read_image_answer(enlarger(2), {{"y", grey}}, 0, 1, 1, 1);
  ASSERT_TRUE(same.ok()) << same.error().message;
  EXPECT_EQ(same->rgb, (std::vector<std::uint8_t>{51, 51, 51, 102, 102, 102, 255, 255, 255, 0, 0, 0}));
  // A grey answer has no figure of colours.
  const auto metric = make_metric(enlarger(0), {});
  ASSERT_TRUE(metric->add(*same, Image{2, 2, {50, 51, 51, 102, 102, 102, 255, 255, 255, 0, 0, 0}}).ok());
  EXPECT_EQ(metric->figures().size(), 1U);
}

TEST(SuperResolution, ImagesAreReadAsTheNetworkWritesThem) {
  const auto task = task_from_json(
      R"({"task": "super-resolution", "output": "y", "scale": 1, "white": 200, "channels": "bgr"})");
  ASSERT_TRUE(task.ok()) << task.error().message;
  Tensor answer(DataType::Float32, {1, 3, 1, 2});
  const float values[] = {0.0F, 200.0F, 100.0F, -3.0F, 300.0F, 40.0F};  // blue, green, red
  std::copy_n(values, 6, answer.data<float>());
  const auto image = read_image_answer(*task, {{"y", answer}}, 0, 1, 1, 2);
  ASSERT_TRUE(image.ok()) << image.error().message;
  EXPECT_EQ(image->rgb, (std::vector<std::uint8_t>{255, 128, 0, 51, 0, 255}));
  Tensor grey(DataType::Float32, {1, 1, 1, 1});
  *grey.data<float>() = 100.0F;
  EXPECT_EQ(read_image_answer(*task, {{"y", grey}}, 0, 1, 1, 1)->rgb, (std::vector<std::uint8_t>(3, 128)));
}

TEST(SuperResolution, WhatDoesNotSuitIsAnError) {
  const auto wrong =
      read_image_answer(enlarger(3), {{"y", Tensor(DataType::Float32, {1, 3, 8, 8})}}, 0, 1, 4, 4);
  ASSERT_FALSE(wrong.ok());
  EXPECT_THAT(wrong.error().message, HasSubstr("[1, 3, 8, 8]; 4 x 4 pixels enlarged 3 times"));
  const auto metric = make_metric(enlarger(2), {});
  const Image small{4, 4, std::vector<std::uint8_t>(48)}, large{8, 8, std::vector<std::uint8_t>(192)};
  EXPECT_FALSE(metric->add(small, large).ok());
  EXPECT_THAT(metric->add(small, small).error().message, HasSubstr("none is left without 2"));
  EXPECT_FALSE(metric->add(large, Truth{std::int64_t{1}}).ok());
  EXPECT_TRUE(metric->add(large, Truth{}).ok());
  EXPECT_EQ(metric->samples(), 0);
}

TEST(Agreement, OfMapsAndImages) {
  EXPECT_DOUBLE_EQ(agreement(Answer(LabelMap{2, 2, {1, 2, 3, 4}}), Answer(LabelMap{2, 2, {1, 2, 0, 4}})),
                   0.75);
  EXPECT_DOUBLE_EQ(agreement(Answer(LabelMap{2, 1, {1, 2}}), Answer(LabelMap{1, 2, {1, 2}})), 0.0);
  EXPECT_DOUBLE_EQ(agreement(Answer(Image{1, 1, {0, 0, 0}}), Answer(Image{1, 1, {51, 51, 51}})), 0.8);
  EXPECT_DOUBLE_EQ(agreement(Answer(Image{1, 1, {0, 0, 0}}), Answer(LabelMap{1, 1, {0}})), 0.0);
}

}  // namespace
}  // namespace disco
