// Pictures written as PNGs, and PNGs read as numbers of classes.

#include "data/label_png.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "base/file.h"
#include "png_rows.h"

namespace disco {
namespace {

std::vector<std::uint8_t> noise(std::size_t count, int below, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> values(count);
  for (std::uint8_t& value : values)
    value = static_cast<std::uint8_t>(random() % static_cast<unsigned>(below));
  return values;
}

TEST(WritePng, GivesTheSamePixelsBack) {
  for (const auto& [width, height] : {std::pair{1, 1}, {7, 5}, {256, 3}, {301, 97}}) {
    Image image{width, height,
                noise(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3, 256, 5)};
    const auto bytes = encode_png(image);
    ASSERT_TRUE(bytes.ok()) << bytes.error().message;
    const auto back = decode_image(*bytes, "x.png");
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(back->width, width);
    EXPECT_EQ(back->height, height);
    EXPECT_EQ(back->rgb, image.rgb) << width << "x" << height;
  }
}

TEST(WritePng, WritesWholeFilesOrNone) {
  const auto folder = std::filesystem::temp_directory_path() / "disco_write_png_test";
  std::filesystem::create_directories(folder);
  const Image image{2, 1, {1, 2, 3, 4, 5, 6}};
  ASSERT_TRUE(write_png(folder / "a.png", image).ok());
  const auto back = read_image(folder / "a.png");
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->rgb, image.rgb);
  EXPECT_EQ(write_png(folder / "no such folder" / "a.png", image).error().code, ErrorCode::NotFound);
  EXPECT_EQ(write_png(folder / "b.png", Image{2, 2, {1, 2, 3}}).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(write_png(folder / "b.png", Image{}).error().code, ErrorCode::InvalidArgument);
  EXPECT_FALSE(std::filesystem::exists(folder / "b.png"));
  std::filesystem::remove_all(folder);
}

/// Rows of numbers as libpng stores them at a depth.
std::vector<std::vector<png_byte>> packed(const std::vector<std::uint8_t>& labels, int width, int depth) {
  std::vector<std::vector<png_byte>> rows;
  for (std::size_t first = 0; first < labels.size(); first += static_cast<std::size_t>(width)) {
    std::vector<png_byte>& row = rows.emplace_back();
    if (depth == 16) {
      for (int x = 0; x < width; ++x) row.insert(row.end(), {0, labels[first + static_cast<std::size_t>(x)]});
      continue;
    }
    row.resize((static_cast<std::size_t>(width * depth) + 7) / 8);
    for (int x = 0; x < width; ++x) {
      const int bit = x * depth;
      const unsigned value = labels[first + static_cast<std::size_t>(x)];
      row[static_cast<std::size_t>(bit / 8)] =
          static_cast<png_byte>(row[static_cast<std::size_t>(bit / 8)] | value << (8 - depth - bit % 8));
    }
  }
  return rows;
}

TEST(LabelPng, NumbersStayAsTheyAreAtEveryDepth) {
  constexpr int kWidth = 13, kHeight = 6;
  for (const bool palette : {false, true}) {
    for (const int depth : {1, 2, 4, 8, 16}) {
      if (palette && depth == 16) continue;
      for (const bool interlaced : {false, true}) {
        const auto labels = noise(kWidth * kHeight, depth >= 8 ? 256 : 1 << depth, 11);
        PngOptions options;
        options.depth = depth;
        options.type = palette ? PNG_COLOR_TYPE_PALETTE : PNG_COLOR_TYPE_GRAY;
        options.interlaced = interlaced;
        // Colours that say nothing about the numbers: two entries are alike.
        for (int i = 0; palette && i < (depth >= 8 ? 256 : 1 << depth); ++i)
          options.palette.push_back(
              {static_cast<png_byte>(i / 2 * 7), 9, static_cast<png_byte>(255 - i / 2)});
        const auto map =
            decode_label_png(encode_rows(packed(labels, kWidth, depth), kWidth, options), "x.png");
        ASSERT_TRUE(map.ok()) << map.error().message;
        EXPECT_EQ(map->width, kWidth);
        EXPECT_EQ(map->height, kHeight);
        EXPECT_EQ(map->labels, labels)
            << "palette=" << palette << " depth=" << depth << " interlaced=" << interlaced;
      }
    }
  }
}

TEST(LabelPng, GreyAsRgbIsTakenAndColoursAreNot) {
  PngOptions options;
  options.type = PNG_COLOR_TYPE_RGB;
  const auto grey = decode_label_png(encode_rows({{3, 3, 3, 255, 255, 255}}, 2, options), "x.png");
  ASSERT_TRUE(grey.ok()) << grey.error().message;
  EXPECT_EQ(grey->labels, (std::vector<std::uint8_t>{3, 255}));
  const auto colours = decode_label_png(encode_rows({{3, 3, 3, 128, 0, 0}}, 2, options), "x.png");
  ASSERT_FALSE(colours.ok());
  EXPECT_NE(colours.error().message.find("x.png: has colours"), std::string::npos) << colours.error().message;
  options.type = PNG_COLOR_TYPE_GRAY_ALPHA;
  const auto alpha = decode_label_png(encode_rows({{7, 0, 9, 255}}, 2, options), "x.png");
  ASSERT_TRUE(alpha.ok()) << alpha.error().message;
  EXPECT_EQ(alpha->labels, (std::vector<std::uint8_t>{7, 9}));
}

TEST(LabelPng, NumbersAbove255AndDamageAreRefused) {
  PngOptions options;
  options.depth = 16;
  options.type = PNG_COLOR_TYPE_GRAY;
  const auto large = decode_label_png(encode_rows({{0, 4, 1, 0}}, 2, options), "x.png");
  ASSERT_FALSE(large.ok());
  EXPECT_NE(large.error().message.find("class 256"), std::string::npos) << large.error().message;
  options.depth = 8;
  const Bytes whole = encode_rows({{1, 2, 3}, {4, 5, 6}}, 3, options);
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_FALSE(decode_label_png(std::span(whole).first(length), "cut.png").ok()) << length;
}

}  // namespace
}  // namespace disco
