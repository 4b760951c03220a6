// Pictures of answers.

#include "task/canvas.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "task/font.h"

namespace disco {
namespace {

Image grey(int width, int height) {
  return {width, height, std::vector<std::uint8_t>(static_cast<std::size_t>(width * height * 3), 100)};
}
Rgb at(const Image& image, int x, int y) {
  const std::uint8_t* rgb = &image.rgb[static_cast<std::size_t>(y * image.width + x) * 3];
  return {rgb[0], rgb[1], rgb[2]};
}
int count(const Image& image, Rgb colour) {
  int found = 0;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) found += at(image, x, y) == colour ? 1 : 0;
  }
  return found;
}

constexpr Rgb kRed = {255, 0, 0};

TEST(Canvas, FillsAndBlends) {
  Canvas canvas(grey(10, 8));
  canvas.fill(2, 3, 4, 2, kRed);
  EXPECT_EQ(count(canvas.image(), kRed), 8);
  EXPECT_EQ(at(canvas.image(), 2, 3), kRed);
  EXPECT_EQ(at(canvas.image(), 6, 3), (Rgb{100, 100, 100}));
  canvas.fill(0, 0, 1, 1, {200, 0, 100}, .5);
  EXPECT_EQ(at(canvas.image(), 0, 0), (Rgb{150, 50, 100}));
}

TEST(Canvas, NothingLeavesTheImage) {
  for (const Box& box : {Box{-50, -50, 500, 500}, Box{-9, 2, -1, 4}, Box{3, 3, 3, 3}, Box{4, 4, 5, 5},
                         Box{8, 6, 60, 60}, Box{2, 2, 1, 1}}) {
    Canvas canvas(grey(10, 8));
    canvas.frame(box, kRed, 2);
    canvas.text(static_cast<int>(box.left), static_cast<int>(box.top), "words", kRed, 3);
    canvas.tag(static_cast<int>(box.left), static_cast<int>(box.top), "words", kRed);
    canvas.fill(static_cast<int>(box.left), static_cast<int>(box.top), 1000, 1000, kRed);
    EXPECT_EQ(canvas.image().rgb.size(), 240U);
  }
}

TEST(Canvas, FramesGoInwards) {
  Canvas canvas(grey(20, 20));
  canvas.frame({5, 5, 15, 13}, kRed, 2);
  EXPECT_EQ(count(canvas.image(), kRed), 10 * 8 - 6 * 4);
  EXPECT_EQ(at(canvas.image(), 5, 5), kRed);
  EXPECT_EQ(at(canvas.image(), 14, 12), kRed);
  EXPECT_EQ(at(canvas.image(), 10, 9), (Rgb{100, 100, 100}));
  EXPECT_LT(at(canvas.image(), 4, 9)[0], 60);  // a dark line around it
}

TEST(Canvas, LettersAreThoseOfTheFont) {
  Canvas canvas(grey(40, 20));
  canvas.text(3, 2, "A", kRed);
  const Glyph& glyph = glyph_of('A');
  for (int y = 0; y < kGlyphHeight; ++y) {
    for (int x = 0; x < kGlyphWidth; ++x) {
      const bool ink = ((glyph[static_cast<std::size_t>(y)] >> (7 - x)) & 1) != 0;
      EXPECT_EQ(at(canvas.image(), 3 + x, 2 + y) == kRed, ink) << x << ", " << y;
    }
  }
  const int ink = count(canvas.image(), kRed);
  Canvas large(grey(40, 40));
  large.text(0, 0, "A", kRed, 2);
  EXPECT_EQ(count(large.image(), kRed), 4 * ink);
  std::set<Glyph> all;
  for (char c = ' '; c <= '~'; ++c) all.insert(glyph_of(c));
  EXPECT_EQ(all.size(), 95U);
  EXPECT_EQ(Canvas::width_of("caf\xC3\xA9"), 4 * kGlyphWidth);  // of UTF-8, characters count
  EXPECT_EQ(glyph_of('\xC3'), glyph_of('?'));
}

TEST(Canvas, ColoursOfClassesDiffer) {
  const auto distance = [](Rgb a, Rgb b) {
    int sum = 0;
    for (std::size_t c = 0; c < 3; ++c) sum += std::abs(a[c] - b[c]);
    return sum;
  };
  for (std::int64_t a = 0; a < 21; ++a) {
    for (std::int64_t b = 0; b < a; ++b)
      EXPECT_GT(distance(class_colour(a), class_colour(b)), 30) << a << " and " << b;
    EXPECT_GT(distance(class_colour(a), class_colour(a + 1)), 150) << a;
    EXPECT_GT(distance(class_colour(a), ink_on(class_colour(a))), 200) << a;
  }
}

TEST(DrawDetections, ShowsWhatIsSureOnAnImageLargeEnough) {
  const Detections found = {{{20, 20, 60, 60}, 1, .9}, {{10, 10, 15, 15}, 2, .2}};
  const Image drawn = draw_detections(grey(100, 80), found, {"a", "b"});
  EXPECT_EQ(drawn.width, 400);  // by four, since 80 is a quarter of 320
  EXPECT_EQ(drawn.height, 320);
  EXPECT_EQ(at(drawn, 80, 150), class_colour(1));
  EXPECT_EQ(at(drawn, 239, 150), class_colour(1));
  EXPECT_EQ(count(drawn, class_colour(2)), 0);
  EXPECT_GT(count(draw_detections(grey(100, 80), found, {}, .1), class_colour(2)), 0);
  EXPECT_EQ(draw_detections(grey(400, 500), {}, {}).rgb, grey(400, 500).rgb);
}

}  // namespace
}  // namespace disco
