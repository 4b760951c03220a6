// Prior boxes, matching, and boxes read from outputs.

#include "task/detection.h"

#include <gmock/gmock.h>

#include <cmath>

#include "base/random.h"
#include "task/boxes.h"

namespace disco {
namespace {

using ::testing::HasSubstr;

DetectorHead small_head() {
  return {
      .priors = {{.rows = 4, .columns = 6, .step_y = .25, .step_x = 1. / 6, .boxes = {{.2, .1}, {.3, .3}}},
                 {.rows = 2, .columns = 3, .step_y = .5, .step_x = 1. / 3, .boxes = {{.6, .5}}}}};
}

Box any_box(Random& random) {
  const double width = random.between(.02, .5), height = random.between(.02, .5);
  const double x = random.between(0, 1 - width), y = random.between(0, 1 - height);
  return {x, y, x + width, y + height};
}

TEST(Boxes, PriorsFollowTheMaps) {
  const auto priors = priors_of(small_head());
  ASSERT_EQ(priors.size(), 4U * 6 * 2 + 2 * 3);
  EXPECT_DOUBLE_EQ(priors[0].x, .5 / 6);
  EXPECT_DOUBLE_EQ(priors[0].y, .125);
  EXPECT_DOUBLE_EQ(priors[1].width, .3);
  EXPECT_DOUBLE_EQ(priors[2].x, 1.5 / 6);  // columns before rows
  EXPECT_DOUBLE_EQ(priors[48].x, .5 / 3);
  EXPECT_DOUBLE_EQ(priors[48].height, .6);
}

TEST(Boxes, OffsetsGiveTheBoxBack) {
  const DetectorHead head = small_head();
  const auto priors = priors_of(head);
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    const Box box = any_box(random);
    const CentredBox& prior = priors[static_cast<std::size_t>(random.below(priors.size()))];
    const Offsets offsets = offsets_of(box, prior, head);
    const Box again = box_from(offsets, prior, head);
    for (const auto side : {&Box::left, &Box::top, &Box::right, &Box::bottom})
      EXPECT_NEAR(again.*side, box.*side, 1e-5) << "draw " << i;
  }
  // By hand: the centre is off by half of the prior's width, its height is e times the prior's.
  const CentredBox prior{.5, .5, .2, .1};
  const Offsets offsets = offsets_of(corners_of({.6, .5, .2, .1 * std::exp(1.0)}), prior, head);
  EXPECT_NEAR(offsets[0], .5 / .1, 1e-5);
  EXPECT_NEAR(offsets[1], 0, 1e-5);
  EXPECT_NEAR(offsets[2], 0, 1e-5);
  EXPECT_NEAR(offsets[3], 1 / .2, 1e-5);
}

/// The same, written for reading.
std::vector<std::int64_t> matched_slowly(const std::vector<Box>& objects,
                                         const std::vector<CentredBox>& priors) {
  std::vector<std::int64_t> matched(priors.size(), -1);
  std::vector<bool> prior_taken(priors.size()), object_done(objects.size());
  for (std::size_t p = 0; p < priors.size(); ++p) {
    double most = .5;
    for (std::size_t o = 0; o < objects.size(); ++o) {
      if (overlap(objects[o], corners_of(priors[p])) <= most) continue;
      most = overlap(objects[o], corners_of(priors[p]));
      matched[p] = static_cast<std::int64_t>(o);
    }
  }
  for (std::size_t round = 0; round < objects.size(); ++round) {
    double most = 0;
    std::size_t object = 0, prior = 0;
    for (std::size_t o = 0; o < objects.size(); ++o) {
      for (std::size_t p = 0; p < priors.size(); ++p) {
        const double shared = overlap(objects[o], corners_of(priors[p]));
        if (object_done[o] || prior_taken[p] || shared <= most) continue;
        most = shared;
        object = o;
        prior = p;
      }
    }
    if (most == 0) break;
    matched[prior] = static_cast<std::int64_t>(object);
    prior_taken[prior] = object_done[object] = true;
  }
  return matched;
}

TEST(Boxes, MatchingIsThatOfTheDefinition) {
  const auto priors = priors_of(small_head());
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Random random(seed);
    std::vector<Box> objects(random.below(9));
    for (Box& box : objects) box = any_box(random);
    if (objects.size() > 2) objects[1] = objects[0];  // two that want the same priors
    const auto matched = match_priors(objects, priors);
    EXPECT_EQ(matched, matched_slowly(objects, priors)) << "seed " << seed;
    for (std::size_t o = 0; o < objects.size(); ++o)
      EXPECT_THAT(matched, testing::Contains(static_cast<std::int64_t>(o))) << "seed " << seed;
  }
}

TEST(Boxes, TargetsNameColumns) {
  DetectorHead head = small_head();
  const auto priors = priors_of(head);
  const Objects objects = {{.box = {100, 20, 160, 80}, .label = 1},
                           {.box = {0, 0, 110, 100}, .label = 0, .crowd = true}};
  for (const std::int64_t background : {0, 2, 1, -1}) {
    head.background = background;
    const PriorTargets targets = targets_for(objects, 100, 200, head, priors);
    ASSERT_EQ(targets.columns.size(), priors.size());
    std::size_t found = 0, ignored = 0;
    for (std::size_t p = 0; p < priors.size(); ++p) {
      const std::int64_t column = targets.columns[p];
      if (column == PriorTargets::kIgnored) {
        ++ignored;
        EXPECT_LT(priors[p].x, .6);
      } else if (column != background) {
        ++found;
        EXPECT_EQ(column, background == 2 || background == -1 ? 1 : 2);
        const Box box = box_from(std::span(targets.offsets).subspan(p * 4).first<4>(), priors[p], head);
        EXPECT_NEAR(box.left, .5, 1e-5);
        EXPECT_NEAR(box.bottom, .8, 1e-5);
      }
    }
    EXPECT_GE(found, 1U);
    EXPECT_GE(ignored, 10U);
  }
}

/// Outputs of a batch of two whose second sample finds given boxes.
struct Outputs {
  explicit Outputs(const DetectorHead& head, std::int64_t columns)
      : priors(priors_of(head)),
        scores(DataType::Float32, {2, static_cast<std::int64_t>(priors.size()), columns}),
        boxes(DataType::Float32, {2, static_cast<std::int64_t>(priors.size()), 4}) {
    std::fill_n(scores.data<float>(), scores.elements(), -8.0F);
    std::fill_n(boxes.data<float>(), boxes.elements(), 0.0F);
  }
  float& score(std::size_t prior, std::size_t column) {
    const auto columns = static_cast<std::size_t>(scores.shape()[2]);
    return scores.data<float>()[(priors.size() + prior) * columns + column];
  }
  void place(std::size_t prior, const Box& box, const DetectorHead& head) {
    const Offsets offsets = offsets_of(box, priors[prior], head);
    std::copy(offsets.begin(), offsets.end(), boxes.data<float>() + (priors.size() + prior) * 4);
  }
  NamedTensors tensors() const { return {{"s", scores}, {"b", boxes}}; }

  std::vector<CentredBox> priors;
  Tensor scores, boxes;
};

Task task_with(const DetectorHead& head) {
  return {.kind = TaskKind::Detection, .output = "s", .boxes = "b", .head = head};
}

TEST(Detection, BestBoxesOfEachClassStay) {
  for (const std::int64_t background : {0, 3, -1}) {
    DetectorHead head = small_head();
    head.background = background;
    head.activation = ScoreActivation::Sigmoid;
    head.least_score = .1;
    Outputs outputs(head, 4);
    const auto column = [&](std::int64_t label) { return static_cast<std::size_t>(head.column_of(label)); };
    const Box here{.2, .2, .5, .6}, near{.22, .2, .5, .6}, there{.6, .1, 1.2, .4};
    outputs.place(3, here, head);
    outputs.score(3, column(1)) = 2;
    outputs.place(5, near, head);
    outputs.score(5, column(1)) = 1;  // hidden by the first
    outputs.score(5, column(2)) = 0;  // but not in another class
    outputs.place(9, there, head);
    outputs.score(9, column(1)) = 3;
    if (background >= 0) outputs.score(20, static_cast<std::size_t>(background)) = 5;
    const auto found = read_detections(task_with(head), outputs.tensors(), 1, 2, 100, 200);
    ASSERT_TRUE(found.ok()) << found.error().message;
    ASSERT_EQ(found->size(), 3U) << "background " << background;
    EXPECT_EQ((*found)[0].label, 1);
    EXPECT_NEAR((*found)[0].score, 1 / (1 + std::exp(-3.0)), 1e-6);
    EXPECT_NEAR((*found)[0].box.left, 120, 1e-3);
    EXPECT_NEAR((*found)[0].box.right, 200, 1e-3);  // cut at the border
    EXPECT_NEAR((*found)[1].box.top, 20, 1e-3);
    EXPECT_EQ((*found)[2].label, 2);
    EXPECT_NEAR((*found)[2].score, .5, 1e-6);
    head.most = 1;
    EXPECT_EQ(read_detections(task_with(head), outputs.tensors(), 1, 2, 100, 200)->size(), 1U);
    head.least_score = .9999;
    EXPECT_TRUE(read_detections(task_with(head), outputs.tensors(), 1, 2, 100, 200)->empty());
    head.least_score = .1;
    EXPECT_TRUE(read_detections(task_with(head), outputs.tensors(), 0, 2, 100, 200)->empty());
  }
}

TEST(Detection, SoftmaxIsOverAllColumns) {
  DetectorHead head = small_head();
  head.least_score = .2;
  Outputs outputs(head, 3);
  outputs.score(7, 0) = 1;
  outputs.score(7, 2) = 2;
  const auto found = read_detections(task_with(head), outputs.tensors(), 1, 2, 100, 200).value();
  // Elsewhere all three columns are alike: a third each.
  const auto sure =
      std::count_if(found.begin(), found.end(), [](const Found& one) { return one.score > .5; });
  EXPECT_EQ(sure, 1);
  EXPECT_NEAR(found[0].score, std::exp(2) / (std::exp(1) + std::exp(2) + std::exp(-8)), 1e-6);
  EXPECT_EQ(found[0].label, 1);
}

TEST(Detection, BoxesThatAreDecodedAlready) {
  for (const BoxCode code : {BoxCode::Corners, BoxCode::Centres}) {
    DetectorHead head;
    head.code = code;
    head.background = 2;  // the last, as transformers have it
    const auto scores = Tensor::of<float>({1, 2, 3}, {5, 0, 0, 0, 0, 5});
    const bool corners = code == BoxCode::Corners;
    const auto boxes =
        Tensor::of<float>({1, 2, 4}, {.1F, .2F, corners ? .3F : .2F, corners ? .6F : .4F, 0, 0, 1, 1});
    const auto found =
        read_detections(task_with(head), {{"s", scores}, {"b", boxes}}, 0, 1, 100, 200).value();
    ASSERT_GE(found.size(), 1U);
    EXPECT_EQ(found[0].label, 0);
    EXPECT_GT(found[0].score, .9);
    const Box want = corners ? Box{20, 20, 60, 60} : Box{0, 0, 40, 40};
    EXPECT_NEAR(found[0].box.left, want.left, 1e-4);
    EXPECT_NEAR(found[0].box.top, want.top, 1e-4);
    EXPECT_NEAR(found[0].box.right, want.right, 1e-4);
    EXPECT_NEAR(found[0].box.bottom, want.bottom, 1e-4);
    for (const Found& one : found) EXPECT_NE(one.label, 2);
  }
}

TEST(Detection, NonsenseIsNotFound) {
  const DetectorHead head = small_head();
  Outputs outputs(head, 3);
  for (const float value : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    std::fill_n(outputs.boxes.data<float>(), outputs.boxes.elements(), value);
    const auto found = read_detections(task_with(head), outputs.tensors(), 0, 2, 10, 10);
    ASSERT_TRUE(found.ok());
    for (const Found& one : *found) EXPECT_TRUE(area_of(one.box) > 0 && area_of(one.box) <= 100) << value;
    std::fill_n(outputs.scores.data<float>(), outputs.scores.elements(), value);
    EXPECT_TRUE(read_detections(task_with(head), outputs.tensors(), 1, 2, 10, 10)->empty()) << value;
    std::fill_n(outputs.scores.data<float>(), outputs.scores.elements(), 0.0F);
  }
}

TEST(Detection, ShapesThatDoNotSuitAreNamed) {
  const DetectorHead head = small_head();
  const Outputs outputs(head, 3);
  const auto message = [&](const NamedTensors& tensors, std::int64_t batch) {
    const auto found = read_detections(task_with(head), tensors, 0, batch, 10, 10);
    return found.ok() ? "" : found.error().message;
  };
  EXPECT_THAT(message({{"b", outputs.boxes}}, 2), HasSubstr("no output 's'"));
  EXPECT_THAT(message(outputs.tensors(), 1), HasSubstr("output 's' is [2, 54, 3], not [1"));
  EXPECT_THAT(message({{"s", outputs.scores}, {"b", outputs.scores}}, 2), HasSubstr("54 rows of 3 numbers"));
  const Tensor few(DataType::Float32, {2, 5, 3}), boxes(DataType::Float32, {2, 5, 4});
  EXPECT_THAT(message({{"s", few}, {"b", boxes}}, 2), HasSubstr("this one 54 boxes"));
  EXPECT_THAT(message({{"s", Tensor(DataType::Float64, {2, 54, 3})}, {"b", outputs.boxes}}, 2),
              HasSubstr("not float32"));
}

TEST(Detection, Agreement) {
  const Detections a = {{{0, 0, 10, 10}, 0, .9}, {{20, 0, 30, 10}, 1, .8}, {{50, 50, 60, 60}, 1, .1}};
  Detections b = {{{1, 0, 10, 10}, 0, .7}, {{20, 0, 30, 10}, 0, .6}};
  EXPECT_DOUBLE_EQ(agreement(a, a), 1);
  EXPECT_DOUBLE_EQ(agreement(a, b), .5);
  EXPECT_DOUBLE_EQ(agreement(b, a), .5);
  EXPECT_DOUBLE_EQ(agreement({}, {}), 1);
  EXPECT_DOUBLE_EQ(agreement(a, {}), 0);
}

}  // namespace
}  // namespace disco
