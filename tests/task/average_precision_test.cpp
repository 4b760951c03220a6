// Average precision beside the figures of other implementations.

#include "task/average_precision.h"

#include <gmock/gmock.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

namespace disco {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

std::map<std::string, double> named(const std::vector<Figure>& figures) {
  std::map<std::string, double> values;
  for (const Figure& figure : figures) values[figure.name] = figure.value;
  return values;
}

Box box_of(const json& corners) {
  return {corners[0].get<double>(), corners[1].get<double>(), corners[2].get<double>(),
          corners[3].get<double>()};
}

std::vector<std::pair<Detections, Objects>> images_of(const json& set) {
  std::vector<std::pair<Detections, Objects>> images;
  for (const json& image : set["images"]) {
    auto& [found, objects] = images.emplace_back();
    for (const json& d : image["found"])
      found.push_back({box_of(d["box"]), d["label"].get<std::int64_t>(), d["score"].get<double>()});
    for (const json& g : image["objects"]) {
      objects.push_back({box_of(g["box"]), g["label"].get<std::int64_t>(), g["difficult"].get<bool>(),
                         g["crowd"].get<bool>(), g["area"].get<double>()});
    }
  }
  return images;
}

/// The figures of pixels that are `scale` of the original's as large.
std::map<std::string, double> measured(const std::vector<std::pair<Detections, Objects>>& images,
                                       std::int64_t classes, double scale) {
  const auto metric = make_detection_metric({}, {.classes = classes});
  for (auto [found, objects] : images) {
    const auto shrink = [&](Box& box) {
      box = {box.left * scale, box.top * scale, box.right * scale, box.bottom * scale};
    };
    for (Found& one : found) shrink(one.box);
    for (Object& object : objects) shrink(object.box);
    EXPECT_TRUE(metric->add_resized(found, objects, 1 / (scale * scale)).ok());
  }
  return named(metric->figures());
}

// average_precision_cases.py says where the figures come from.
TEST(AveragePrecision, IsThatOfThePublishedEvaluations) {
  std::ifstream file(DISCO_SOURCE_DIR "/tests/task/average_precision_cases.json");
  const json cases = json::parse(file);
  ASSERT_GE(cases.size(), 4U);
  for (std::size_t c = 0; c < cases.size(); ++c) {
    const auto classes = cases[c]["classes"].get<std::int64_t>();
    auto images = images_of(cases[c]);
    for (const double scale : {1.0, 0.5}) {
      const auto figures = measured(images, classes, scale);
      for (const auto& [name, value] : cases[c]["voc"].items())
        EXPECT_NEAR(figures.at(name), value.get<double>(), 1e-9) << "case " << c << ": " << name;
    }
    for (auto& [found, objects] : images)
      std::erase_if(objects, [](const Object& object) { return object.difficult; });
    for (const double scale : {1.0, 0.5}) {
      const auto figures = measured(images, classes, scale);
      for (const auto& [name, value] : cases[c]["coco"].items())
        EXPECT_NEAR(figures.at(name), value.get<double>(), 1e-9) << "case " << c << ": " << name;
    }
  }
}

// Four images of COCO's own example results (instances_val2014_fakebbox100_results.json), and pycocotools'
// figures for them as torchmetrics' tests state them. Its areas are those of masks, which boxes do not tell,
// so sizes are left out.
TEST(AveragePrecision, IsThatOfPycocotoolsOnItsExample) {
  const auto metric = make_detection_metric({}, {.classes = 6, .protocol = "coco"});
  const auto add = [&](const Detections& found, Objects objects) {
    for (Object& object : objects) object.area = area_of(object.box);
    ASSERT_TRUE(metric->add(found, objects).ok());
  };
  add({{{258.15, 41.29, 606.41, 285.07}, 4, .236}}, {{{214.15, 41.29, 562.41, 285.07}, 4}});
  add({{{12.66, 3.32, 281.26, 275.23}, 2, .726}, {{61.00, 22.75, 565.00, 632.42}, 3, .318}},
      {{{13.00, 22.75, 548.98, 632.42}, 2}, {{1.66, 3.32, 270.26, 275.23}, 2}});
  add({{{276.11, 103.84, 291.44, 150.72}, 0, .953},
       {{464.08, 105.09, 495.74, 146.99}, 0, .805},
       {{328.94, 97.05, 342.49, 122.98}, 0, .611},
       {{87.87, 276.25, 384.29, 379.43}, 4, .546},
       {{296.55, 93.96, 314.97, 152.79}, 0, .407},
       {{356.62, 95.47, 372.33, 147.55}, 0, .335},
       {{0.00, 3.66, 142.15, 316.06}, 1, .3}},
      {{{61.87, 276.25, 358.29, 379.43}, 4},
       {{2.75, 3.66, 162.15, 316.06}, 1},
       {{295.55, 93.96, 313.97, 152.79}, 0},
       {{326.94, 97.05, 340.49, 122.98}, 0},
       {{356.62, 95.47, 372.33, 147.55}, 0},
       {{462.08, 105.09, 493.74, 146.99}, 0},
       {{277.11, 103.84, 292.44, 150.72}, 0}});
  add({{{0.00, 2.87, 601.00, 421.52}, 5, .699}}, {{{13.99, 2.87, 640.00, 421.52}, 5}});
  const std::vector<Figure> figures = metric->figures();
  EXPECT_EQ(figures.front().name, "mAP_coco");
  const auto values = named(figures);
  const std::map<std::string, double> want = {
      {"mAP_coco", .706},  {"AP50_coco", .901},  {"AP75_coco", .846},     {"AR1_coco", .592},
      {"AR10_coco", .716}, {"AR100_coco", .716}, {"AP_large_coco", .701}, {"AR_large_coco", .700}};
  for (const auto& [name, value] : want) EXPECT_NEAR(values.at(name), value, 6e-4) << name;
  EXPECT_NEAR(values.at("AP class 0"), .725, 6e-4);
  EXPECT_NEAR(values.at("AP class 2"), .454, 6e-4);
  EXPECT_EQ(values.count("AP class 3"), 0U);  // it has no object
}

TEST(AveragePrecision, ByHand) {
  using enum Verdict;
  // Recall 1/4, 2/4, 2/4, 3/4; the best precision from there on 1, 2/3, 3/4 … but the ignored one is none.
  const std::vector<Verdict> verdicts = {Right, Wrong, Ignored, Right, Right, Wrong};
  EXPECT_DOUBLE_EQ(average_precision(verdicts, 4, CurveSum::Area), .25 * 1 + .25 * .75 + .25 * .75);
  EXPECT_DOUBLE_EQ(average_precision(verdicts, 4, CurveSum::ElevenPoints), (3 * 1 + 5 * .75) / 11);
  EXPECT_DOUBLE_EQ(average_precision({}, 4, CurveSum::Area), 0);
  EXPECT_DOUBLE_EQ(average_precision({}, 4, CurveSum::Points101), 0);
}

TEST(DetectionMetric, MainFigureFollowsTheProtocol) {
  for (const auto& [protocol, main] : std::map<std::string, std::string>{
           {"", "mAP_voc"}, {"voc", "mAP_voc"}, {"voc07", "mAP_voc07"}, {"coco", "mAP_coco"}}) {
    const auto metric = make_detection_metric({}, {.classes = 1, .protocol = protocol});
    EXPECT_TRUE(metric->figures().empty());
    const Box box{10, 10, 60, 60};
    ASSERT_TRUE(metric->add(Detections{{box, 0, .9}}, Objects{{.box = box, .label = 0, .area = 2500}}).ok());
    ASSERT_FALSE(metric->figures().empty());
    EXPECT_EQ(metric->figures().front().name, main);
    EXPECT_DOUBLE_EQ(metric->figures().front().value, 1.0);
  }
}

TEST(DetectionMetric, WhatDoesNotSuit) {
  const auto metric = make_detection_metric({}, {.classes = 2});
  const Status other = metric->add(Detections{}, std::int64_t{1});
  ASSERT_FALSE(other.ok());
  EXPECT_THAT(other.error().message, HasSubstr("no objects"));
  const Status beyond = metric->add(Detections{}, Objects{{.box = {0, 0, 1, 1}, .label = 2}});
  ASSERT_FALSE(beyond.ok());
  EXPECT_THAT(beyond.error().message, HasSubstr("class 2"));
  EXPECT_TRUE(metric->add(Detections{}, std::monostate{}).ok());
  EXPECT_EQ(metric->samples(), 0);
  EXPECT_TRUE(metric->add(Detections{}, Objects{}).ok());  // an image without objects counts
  EXPECT_EQ(metric->samples(), 1);
}

}  // namespace
}  // namespace disco
