// Resizing equals Pillow's to the bit, and a filter written down directly to rounding.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>

#include "data/image.h"

namespace disco {
namespace {

/// Values that repeat nowhere near each other, by whole numbers, so that other programs can make them too.
Image pattern(int width, int height) {
  Image image{
      width, height,
      std::vector<std::uint8_t>(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3)};
  for (std::size_t i = 0; i < image.rgb.size(); ++i)
    image.rgb[i] = static_cast<std::uint8_t>(i * 37 + 11 * (i / 7) + i * i / 13);
  return image;
}

struct Known {
  int width, height, new_width, new_height;
  Interpolation interpolation;
  std::vector<std::uint8_t> rgb;
};

// From Pillow 9.4: Image.fromarray(pattern).resize((new_width, new_height), Image.Resampling.…)
const Known kPillow[] = {
    {7, 5, 4, 3, Interpolation::Bilinear, {88,  120, 112, 149, 118, 105, 143, 184, 101, 143, 183, 95,
                                           149, 109, 99,  155, 101, 119, 177, 118, 143, 98,  135, 157,
                                           143, 180, 95,  170, 92,  101, 144, 108, 124, 132, 115, 166}},
    {5, 4, 6, 7, Interpolation::Bilinear, {0,   37,  74,  83,  121, 158, 177, 72,  110, 170, 65,  103, 123,
                                           161, 139, 210, 249, 43,  29,  67,  105, 114, 153, 122, 159, 106,
                                           107, 154, 101, 102, 138, 178, 110, 158, 201, 84,  76,  115, 155,
                                           165, 204, 65,  131, 161, 102, 129, 160, 101, 161, 205, 63,  74,
                                           125, 149, 141, 181, 94,  136, 177, 94,  138, 180, 95,  140, 182,
                                           96,  139, 151, 97,  142, 62,  104, 192, 233, 37,  108, 137, 128,
                                           149, 185, 93,  154, 190, 95,  122, 92,  136, 214, 20,  63,  132,
                                           174, 126, 161, 86,  110, 157, 136, 128, 165, 141, 136, 185, 83,
                                           133, 170, 123, 168, 94,  138, 182, 194, 54,  99,  162, 105, 150,
                                           172, 111, 161, 224, 77,  131, 142, 188, 234}},
    {7, 5, 9, 4, Interpolation::Bicubic, {5,   52,  93,  88,  144, 135, 167, 117, 118, 176, 51,  85,
                                          118, 156, 134, 167, 221, 78,  135, 181, 104, 127, 166, 107,
                                          184, 224, 50,  134, 57,  122, 156, 168, 90,  145, 155, 101,
                                          130, 103, 124, 171, 214, 92,  139, 95,  134, 170, 166, 123,
                                          146, 197, 119, 47,  91,  151, 206, 132, 13,  98,  126, 133,
                                          130, 57,  123, 206, 25,  75,  100, 147, 217, 242, 44,  105,
                                          210, 127, 189, 94,  169, 227, 21,  70,  117, 196, 255, 28,
                                          109, 179, 144, 147, 78,  158, 230, 63,  74,  142, 193, 37,
                                          87,  114, 136, 158, 55,  123, 181, 81,  133, 100, 163, 216}},
    {16, 9, 3, 7, Interpolation::Bicubic, {137, 117, 115, 140, 165, 99,  145, 141, 108, 137, 118, 138, 122,
                                           133, 131, 135, 134, 135, 122, 120, 118, 100, 124, 112, 111, 123,
                                           145, 135, 114, 130, 126, 142, 123, 146, 140, 113, 70,  129, 197,
                                           136, 145, 137, 102, 199, 46,  131, 116, 167, 86,  135, 179, 116,
                                           159, 81,  142, 144, 106, 128, 121, 123, 136, 122, 121}},
    {7,
     5,
     3,
     2,
     Interpolation::Lanczos,
     {119, 105, 106, 160, 143, 116, 132, 172, 116, 152, 132, 97, 167, 96, 120, 127, 113, 167}},
    {16, 9, 2, 11, Interpolation::Lanczos, {131, 149, 100, 139, 160, 100, 145, 114, 122, 150, 140,
                                            112, 127, 126, 140, 125, 135, 140, 108, 133, 120, 98,
                                            131, 139, 123, 108, 105, 112, 119, 125, 132, 128, 135,
                                            137, 143, 128, 133, 116, 133, 147, 181, 67,  67,  140,
                                            223, 97,  181, 86,  100, 123, 203, 89,  156, 120, 160,
                                            110, 108, 128, 130, 119, 118, 151, 121, 133, 116, 123}},
    {7, 5, 5, 3, Interpolation::Nearest, {0,   37,  74, 224, 17,  55,  94,  132, 171, 210, 249, 43,
                                          200, 240, 24, 219, 7,   50,  227, 26,  71,  116, 161, 206,
                                          251, 40,  97, 24,  71,  117, 198, 248, 42,  245, 51,  102,
                                          153, 204, 0,  51,  103, 166, 120, 173, 226}},
    {5, 4, 7, 6, Interpolation::Nearest, {0,   37,  74,  111, 149, 186, 111, 149, 186, 224, 17,  55,  94,
                                          132, 171, 94,  132, 171, 210, 249, 43,  82,  121, 161, 200, 240,
                                          24,  200, 240, 24,  75,  116, 156, 197, 238, 23,  197, 238, 23,
                                          64,  116, 157, 82,  121, 161, 200, 240, 24,  200, 240, 24,  75,
                                          116, 156, 197, 238, 23,  197, 238, 23,  64,  116, 157, 199, 240,
                                          26,  68,  110, 164, 68,  110, 164, 206, 249, 36,  79,  122, 165,
                                          79,  122, 165, 219, 7,   50,  199, 240, 26,  68,  110, 164, 68,
                                          110, 164, 206, 249, 36,  79,  122, 165, 79,  122, 165, 219, 7,
                                          50,  94,  138, 182, 227, 26,  71,  227, 26,  71,  116, 161, 206,
                                          251, 40,  97,  251, 40,  97,  142, 188, 234}},
};

TEST(Resize, EqualsPillow) {
  for (const Known& known : kPillow) {
    const Image got =
        resize(pattern(known.width, known.height), known.new_width, known.new_height, known.interpolation);
    ASSERT_EQ(got.width, known.new_width);
    ASSERT_EQ(got.height, known.new_height);
    EXPECT_EQ(got.rgb, known.rgb) << known.width << "x" << known.height << " to " << known.new_width << "x"
                                  << known.new_height << " by " << static_cast<int>(known.interpolation);
  }
}

double sinc(double x) { return x == 0 ? 1.0 : std::sin(std::numbers::pi * x) / (std::numbers::pi * x); }

double weight(Interpolation interpolation, double x) {
  const double a = std::abs(x);
  switch (interpolation) {
    case Interpolation::Bilinear: return std::max(0.0, 1.0 - a);
    case Interpolation::Bicubic:  // Keys, a = -1/2
      return a < 1   ? 1.5 * a * a * a - 2.5 * a * a + 1
             : a < 2 ? -0.5 * a * a * a + 2.5 * a * a - 4 * a + 2
                     : 0.0;
    default: return a < 3 ? sinc(a) * sinc(a / 3) : 0.0;
  }
}

/// Both axes at once, in doubles: sum of w(x) w(y) p over all pixels, divided by the sum of the weights.
double direct(const Image& image, double scale_x, double scale_y, double stretch_x, double stretch_y, int x,
              int y, int c, Interpolation interpolation) {
  double sum = 0;
  double weights = 0;
  for (int sy = 0; sy < image.height; ++sy) {
    const double wy = weight(interpolation, (sy + 0.5 - (y + 0.5) * scale_y) / stretch_y);
    for (int sx = 0; sx < image.width; ++sx) {
      const double w = wy * weight(interpolation, (sx + 0.5 - (x + 0.5) * scale_x) / stretch_x);
      sum += w * image.rgb[static_cast<std::size_t>((sy * image.width + sx) * 3 + c)];
      weights += w;
    }
  }
  return sum / weights;
}

TEST(Resize, EqualsTheFilterWrittenDown) {
  for (const Interpolation interpolation :
       {Interpolation::Bilinear, Interpolation::Bicubic, Interpolation::Lanczos}) {
    for (const auto& [width, height] : {std::pair{1, 1}, {2, 9}, {13, 8}, {40, 31}}) {
      for (const auto& [to_width, to_height] : {std::pair{1, 1}, {3, 17}, {13, 5}, {29, 31}}) {
        for (const bool antialias : {true, false}) {
          // Smooth, because the 8 bits between the two passes cut off what overshoots.
          Image image = pattern(width, height);
          for (std::size_t i = 0; i < image.rgb.size(); ++i)
            image.rgb[i] = static_cast<std::uint8_t>(96 + 4 * (i % 3) + (i * 7 / 3) % 48);
          const Image got = resize(image, to_width, to_height, interpolation, antialias);
          const double sx = static_cast<double>(width) / to_width;
          const double sy = static_cast<double>(height) / to_height;
          double worst = 0;
          for (int y = 0; y < to_height; ++y) {
            for (int x = 0; x < to_width; ++x) {
              for (int c = 0; c < 3; ++c) {
                const double want = direct(image, sx, sy, antialias ? std::max(1.0, sx) : 1.0,
                                           antialias ? std::max(1.0, sy) : 1.0, x, y, c, interpolation);
                worst = std::max(
                    worst, std::abs(want - got.rgb[static_cast<std::size_t>((y * to_width + x) * 3 + c)]));
              }
            }
          }
          // Half a unit of rounding in the end, and half a unit before it, spread by the weights' sum of
          // moduli.
          EXPECT_LE(worst, 1.4) << width << "x" << height << " to " << to_width << "x" << to_height << " by "
                                << static_cast<int>(interpolation) << " antialias=" << antialias;
        }
      }
    }
  }
}

TEST(Resize, TheSameSizeIsTheSameImage) {
  const Image image = pattern(11, 6);
  for (const Interpolation interpolation :
       {Interpolation::Nearest, Interpolation::Bilinear, Interpolation::Bicubic, Interpolation::Lanczos})
    EXPECT_EQ(resize(image, 11, 6, interpolation).rgb, image.rgb);
}

TEST(Resize, WhiteStaysWhite) {
  Image image = pattern(23, 17);
  std::fill(image.rgb.begin(), image.rgb.end(), std::uint8_t{255});
  for (const Interpolation interpolation :
       {Interpolation::Nearest, Interpolation::Bilinear, Interpolation::Bicubic, Interpolation::Lanczos}) {
    for (const int side : {1, 5, 22, 23, 61}) {
      const Image got = resize(image, side, side + 3, interpolation);
      EXPECT_TRUE(std::all_of(got.rgb.begin(), got.rgb.end(), [](std::uint8_t x) { return x == 255; }))
          << side << " by " << static_cast<int>(interpolation);
    }
  }
}

}  // namespace
}  // namespace disco
