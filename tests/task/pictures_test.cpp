// Tiles that join without seams, legends, and colours brought back.

#include "task/pictures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "task/tiles.h"

namespace disco {
namespace {

Image noise(int width, int height, std::uint64_t seed = 1) {
  Random random(seed);
  Image image{width, height};
  image.rgb.resize(static_cast<std::size_t>(width * height) * 3);
  for (auto& pixel : image.rgb) pixel = static_cast<std::uint8_t>(random.below(256));
  return image;
}

/// Twice as large, after a box filter of `reach` pixels in every direction: what lies further away has no
/// say.
Image blurred_twice(const Image& image, int reach) {
  Image result{2 * image.width, 2 * image.height};
  for (int y = 0; y < result.height; ++y) {
    for (int x = 0; x < result.width; ++x) {
      for (int c = 0; c < 3; ++c) {
        int sum = 0;
        for (int dy = -reach; dy <= reach; ++dy) {
          for (int dx = -reach; dx <= reach; ++dx) {
            const int sy = std::clamp(y / 2 + dy, 0, image.height - 1);
            const int sx = std::clamp(x / 2 + dx, 0, image.width - 1);
            sum += image.rgb[static_cast<std::size_t>((sy * image.width + sx) * 3 + c)];
          }
        }
        result.rgb.push_back(static_cast<std::uint8_t>(sum / ((2 * reach + 1) * (2 * reach + 1))));
      }
    }
  }
  return result;
}

TEST(Tiles, JoinWithoutSeams) {
  struct Case {
    int width, height, tile_width, tile_height, overlap;
  };
  for (const Case& c : {Case{40, 30, 16, 16, 3}, Case{16, 16, 16, 16, 7}, Case{17, 50, 17, 20, 4},
                        Case{33, 9, 12, 9, 5}, Case{100, 20, 11, 11, 4}}) {
    const std::string what =
        fmt::format("{} x {} in {} x {}, {}", c.width, c.height, c.tile_width, c.tile_height, c.overlap);
    const auto tiles = tiles_of(c.width, c.height, c.tile_width, c.tile_height, c.overlap);
    std::vector<int> covered(static_cast<std::size_t>(c.width * c.height));
    for (const Tile& tile : tiles) {
      EXPECT_GE(tile.left, 0) << what;
      EXPECT_LE(tile.left + c.tile_width, c.width) << what;
      for (int y = tile.from_y; y < tile.to_y; ++y) {
        for (int x = tile.from_x; x < tile.to_x; ++x) ++covered[static_cast<std::size_t>(y * c.width + x)];
      }
    }
    EXPECT_EQ(std::count(covered.begin(), covered.end(), 1), c.width * c.height) << what;
    const Image image = noise(c.width, c.height);
    const int reach = std::min(c.overlap, 3);
    const auto joined =
        enlarge_by_tiles(image, tiles, c.tile_width, c.tile_height, 2,
                         [&](const Image& part) { return Result<Image>(blurred_twice(part, reach)); });
    ASSERT_TRUE(joined.ok()) << what;
    EXPECT_EQ(joined->rgb, blurred_twice(image, reach).rgb) << what;
  }
}

TEST(Tiles, OfAnotherSizeThanAskedAreRefused) {
  const Image image = noise(8, 8);
  const auto joined = enlarge_by_tiles(image, tiles_of(8, 8, 8, 8, 0), 8, 8, 4, [&](const Image& part) {
    return Result<Image>(blurred_twice(part, 0));
  });
  ASSERT_FALSE(joined.ok());
  EXPECT_EQ(joined.error().code, ErrorCode::Internal);
}

TEST(Tiles, OfALargerModelSeeTheBorderAgain) {
  const Image image = noise(3, 2);
  const Image whole = extended(image, 6, 5);
  EXPECT_EQ(whole.width, 6);
  EXPECT_EQ(whole.rgb.size(), 6U * 5 * 3);
  EXPECT_EQ(whole.rgb[0], image.rgb[0]);
  EXPECT_TRUE(std::equal(whole.rgb.end() - 3, whole.rgb.end(), image.rgb.end() - 3));
}

TEST(Pictures, LegendsNameWhatOccurs) {
  LabelMap map{4, 2, {0, 0, 0, 2, 2, 2, 2, LabelMap::kIgnored}};
  const auto shares = label_shares(map);
  ASSERT_EQ(shares.size(), 2U);
  EXPECT_EQ(shares[0].label, 2);
  EXPECT_DOUBLE_EQ(shares[0].share, 4.0 / 7);
  const Image image = noise(4, 2);
  const Image drawn = draw_labels(image, map, {"sky", "road", "tree"});
  EXPECT_EQ(drawn.width % 4, 0);
  EXPECT_GE(drawn.width, 320);
  EXPECT_GT(drawn.height, drawn.width / 2) << "a legend below";
  // The legend's first box has the colour of the class of most pixels.
  const Rgb colour = class_colour(2);
  int found = 0;
  const auto start = static_cast<std::size_t>(drawn.width) * static_cast<std::size_t>(drawn.width / 2) * 3;
  for (std::size_t i = start; i + 2 < drawn.rgb.size(); i += 3)
    found +=
        std::equal(colour.begin(), colour.end(), drawn.rgb.begin() + static_cast<std::ptrdiff_t>(i)) ? 1 : 0;
  EXPECT_GT(found, 20);
  // What is ignored keeps the image's colours.
  const auto last = static_cast<std::size_t>(drawn.width / 2) * static_cast<std::size_t>(drawn.width) * 3 - 3;
  EXPECT_EQ(drawn.rgb[last], image.rgb[image.rgb.size() - 3]);
}

TEST(Pictures, ColoursComeBack) {
  const Image image = noise(6, 5);
  const Image large = resize(image, 12, 10, Interpolation::Bicubic);
  Image luma{12, 10};
  for (std::size_t i = 0; i + 2 < large.rgb.size(); i += 3) {
    const double grey = 0.299 * large.rgb[i] + 0.587 * large.rgb[i + 1] + 0.114 * large.rgb[i + 2];
    luma.rgb.insert(luma.rgb.end(), 3, static_cast<std::uint8_t>(std::lround(grey)));
  }
  const Image back = with_colours_of(luma, image);
  for (std::size_t i = 0; i < back.rgb.size(); ++i) EXPECT_NEAR(back.rgb[i], large.rgb[i], 1) << i;
}

}  // namespace
}  // namespace disco
