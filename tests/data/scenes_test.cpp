#include "data/scenes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace disco {
namespace {

/// FNV-1a.
std::uint64_t hash_of(const std::vector<std::uint8_t>& bytes) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 1099511628211ULL;
  return hash;
}

constexpr std::uint64_t kImages = 7422263130343465260ULL, kLabels = 10453861629377146012ULL;

TEST(Scenes, AreTheSameOnEveryMachine) {
  std::uint64_t images = 0, labels = 0;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const Scene scene = render_scene(64, 96, seed);
    images = images * 31 + hash_of(scene.image.rgb);
    labels = labels * 31 + hash_of(scene.labels.labels);
  }
  EXPECT_EQ(images, kImages) << "a change of the pictures makes networks trained on them obsolete";
  EXPECT_EQ(labels, kLabels);
}

class SceneSizes : public testing::TestWithParam<std::pair<int, int>> {};

TEST_P(SceneSizes, BoxesHoldTheirPixelsTightly) {
  const auto [height, width] = GetParam();
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const std::string where =
        std::to_string(height) + "x" + std::to_string(width) + " seed " + std::to_string(seed);
    const Scene scene = render_scene(height, width, seed);
    ASSERT_EQ(scene.image.rgb.size(), static_cast<std::size_t>(height * width * 3)) << where;
    ASSERT_EQ(scene.labels.labels.size(), static_cast<std::size_t>(height * width)) << where;
    EXPECT_EQ(scene.labels.width, width);
    EXPECT_EQ(scene.labels.height, height);
    EXPECT_GE(scene.objects.size(), 1U) << where;
    double area = 0;
    for (const Object& object : scene.objects) {
      ASSERT_GE(object.label, 0) << where;
      ASSERT_LT(object.label, static_cast<std::int64_t>(scene_object_names().size())) << where;
      const Box& box = object.box;
      ASSERT_TRUE(box.left >= 0 && box.top >= 0 && box.right <= width && box.bottom <= height) << where;
      EXPECT_LE(object.area, area_of(box)) << where;
      area += object.area;
      // The outermost rows and columns hold at least a pixel of the class: of this object.
      const auto holds = [&, width = width](int left, int top, int right, int bottom) {
        for (int y = top; y < bottom; ++y) {
          for (int x = left; x < right; ++x) {
            if (scene.labels.labels[static_cast<std::size_t>(y * width + x)] == object.label + 1) return true;
          }
        }
        return false;
      };
      const int left = static_cast<int>(box.left), top = static_cast<int>(box.top);
      const int right = static_cast<int>(box.right), bottom = static_cast<int>(box.bottom);
      EXPECT_TRUE(holds(left, top, left + 1, bottom) && holds(right - 1, top, right, bottom) &&
                  holds(left, top, right, top + 1) && holds(left, bottom - 1, right, bottom))
          << where;
    }
    // Every labelled pixel is an object's, but for crumbs.
    const auto labelled = std::count_if(scene.labels.labels.begin(), scene.labels.labels.end(),
                                        [](std::uint8_t label) { return label != 0; });
    EXPECT_GE(static_cast<double>(labelled), area) << where;
    EXPECT_LE(static_cast<double>(labelled), area + 8 * 12) << where;
  }
}
INSTANTIATE_TEST_SUITE_P(Sizes, SceneSizes,
                         testing::Values(std::pair(48, 48), std::pair(96, 160), std::pair(200, 120)));

TEST(Scenes, HoldAllKindsAndHideParts) {
  std::map<std::int64_t, int> kinds;
  int difficult = 0, whole = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    for (const Object& object : render_scene(64, 64, seed).objects) {
      ++kinds[object.label];
      ++(object.difficult ? difficult : whole);
    }
  }
  EXPECT_EQ(kinds.size(), scene_object_names().size());
  for (const auto& [kind, count] : kinds)
    EXPECT_GT(count, 300) << scene_object_names()[static_cast<std::size_t>(kind)];
  EXPECT_GT(difficult, 0);
  EXPECT_LT(difficult * 20, whole) << "hidden ones are to be the exception";
}

}  // namespace
}  // namespace disco
