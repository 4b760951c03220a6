// Decoding: every kind of PNG and JPEG that photographs come in, and damage of every kind.

#include "data/image.h"

#include <gtest/gtest.h>
#include <jpeglib.h>

#include <cstdio>  // jpeglib.h needs it
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <random>

#include "base/file.h"
#include "png_rows.h"

namespace disco {
namespace {

Bytes to_bytes(const void* data, std::size_t size) {
  const auto* begin = static_cast<const std::byte*>(data);
  return {begin, begin + size};
}

struct JpegOptions {
  int components = 3;
  J_COLOR_SPACE space = JCS_RGB;
  bool progressive = false;
  std::span<const jpeg_scan_info> scans{};
  int quality = 95;
  std::function<void(jpeg_compress_struct&)> markers{};  // after the start
};

/// A JPEG of samples (`components` a pixel).
Bytes encode_jpeg(const std::vector<std::uint8_t>& samples, int width, int height,
                  const JpegOptions& options) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &memory, &size);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = options.components;
  info.in_color_space = options.space;
  jpeg_set_defaults(&info);
  info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;  // as much colour as light
  jpeg_set_quality(&info, options.quality, TRUE);
  if (options.progressive) jpeg_simple_progression(&info);
  if (!options.scans.empty()) {
    info.scan_info = options.scans.data();
    info.num_scans = static_cast<int>(options.scans.size());
  }
  jpeg_start_compress(&info, TRUE);
  if (options.markers) options.markers(info);
  const std::size_t pitch = static_cast<std::size_t>(width) * static_cast<std::size_t>(options.components);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = const_cast<std::uint8_t*>(samples.data()) + info.next_scanline * pitch;
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  Bytes bytes = to_bytes(memory, size);
  std::free(memory);
  return bytes;
}

/// Slopes, so that JPEG changes little.
std::vector<std::uint8_t> slopes(int width, int height, int components) {
  std::vector<std::uint8_t> samples;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < components; ++c)
        samples.push_back(static_cast<std::uint8_t>(c == 0   ? 40 + x * 170 / width
                                                    : c == 1 ? 200 - y * 150 / height
                                                             : 60 + (x + y) * 60 / (width + height)));
    }
  }
  return samples;
}

int worst_difference(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
  if (a.size() != b.size()) return 1000;
  int worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

TEST(Jpeg, EqualsWhatWasEncoded) {
  for (const bool progressive : {false, true}) {
    for (const auto& [width, height] : {std::pair{1, 1}, {8, 8}, {37, 21}, {200, 3}}) {
      const auto rgb = slopes(width, height, 3);
      const auto image = decode_image(encode_jpeg(rgb, width, height, {.progressive = progressive}), "x.jpg");
      ASSERT_TRUE(image.ok()) << image.error().message;
      EXPECT_EQ(image->width, width);
      EXPECT_EQ(image->height, height);
      EXPECT_LE(worst_difference(image->rgb, rgb), 12)
          << width << "x" << height << " progressive=" << progressive;
    }
  }
}

TEST(Jpeg, GreyBecomesRgb) {
  const auto grey = slopes(30, 20, 1);
  const auto image =
      decode_image(encode_jpeg(grey, 30, 20, {.components = 1, .space = JCS_GRAYSCALE}), "x.jpg");
  ASSERT_TRUE(image.ok()) << image.error().message;
  std::vector<std::uint8_t> rgb;
  for (const std::uint8_t x : grey) rgb.insert(rgb.end(), 3, x);
  EXPECT_LE(worst_difference(image->rgb, rgb), 4);
}

TEST(Jpeg, InksBecomeRgb) {
  // libjpeg writes Adobe's marker for four inks, and Adobe's inks are stored inverted: what is stored is how
  // much light an ink lets through.
  for (const J_COLOR_SPACE stored : {JCS_CMYK, JCS_YCCK}) {
    auto inks = slopes(24, 16, 4);
    for (std::size_t i = 3; i < inks.size(); i += 4) inks[i] = 204;
    std::vector<std::uint8_t> rgb;
    for (std::size_t i = 0; i < inks.size(); ++i) {
      if (i % 4 != 3) rgb.push_back(static_cast<std::uint8_t>(inks[i] * 204 / 255));
    }
    const auto image = decode_image(encode_jpeg(inks, 24, 16, {.components = 4, .space = JCS_CMYK}), "x.jpg");
    ASSERT_TRUE(image.ok()) << image.error().message;
    EXPECT_LE(worst_difference(image->rgb, rgb), 6) << stored;
  }
}

TEST(Jpeg, OrientationIsApplied) {
  constexpr int kWidth = 48;
  constexpr int kHeight = 32;
  const auto rgb = slopes(kWidth, kHeight, 3);
  const auto upright = [&](int x, int y, int c) {
    return rgb[static_cast<std::size_t>((y * kWidth + x) * 3 + c)];
  };
  for (const bool little : {true, false}) {
    for (int orientation = 1; orientation <= 8; ++orientation) {
      const auto mark = [&](jpeg_compress_struct& info) {
        std::vector<unsigned char> exif = {'E', 'x', 'i', 'f', 0, 0};
        const std::vector<unsigned char> tiff =
            little ? std::vector<unsigned char>{'I',
                                                'I',
                                                42,
                                                0,
                                                8,
                                                0,
                                                0,
                                                0,
                                                1,
                                                0,
                                                0x12,
                                                1,
                                                3,
                                                0,
                                                1,
                                                0,
                                                0,
                                                0,
                                                static_cast<unsigned char>(orientation),
                                                0,
                                                0,
                                                0,
                                                0,
                                                0,
                                                0,
                                                0}
                   : std::vector<unsigned char>{
                         'M', 'M',  0, 42, 0, 0, 0, 8, 0, 1,
                         1,   0x12, 0, 3,  0, 0, 0, 1, 0, static_cast<unsigned char>(orientation),
                         0,   0,    0, 0,  0, 0};
        exif.insert(exif.end(), tiff.begin(), tiff.end());
        jpeg_write_marker(&info, JPEG_APP0 + 1, exif.data(), static_cast<unsigned>(exif.size()));
      };
      const auto image = decode_image(encode_jpeg(rgb, kWidth, kHeight, {.markers = mark}), "x.jpg");
      ASSERT_TRUE(image.ok()) << image.error().message;
      const bool turned = orientation >= 5;
      ASSERT_EQ(image->width, turned ? kHeight : kWidth) << orientation;
      ASSERT_EQ(image->height, turned ? kWidth : kHeight) << orientation;
      // Where the stored pixel (x, y) is to be seen, by the EXIF standard's words for row 0 and column 0.
      int worst = 0;
      for (int y = 0; y < kHeight; ++y) {
        for (int x = 0; x < kWidth; ++x) {
          const int right = kWidth - 1 - x;
          const int below = kHeight - 1 - y;
          const std::pair<int, int> seen[] = {{x, y}, {right, y}, {right, below}, {x, below},
                                              {y, x}, {below, x}, {below, right}, {y, right}};
          const auto [to_x, to_y] = seen[orientation - 1];
          for (int c = 0; c < 3; ++c) {
            const int got = image->rgb[static_cast<std::size_t>((to_y * image->width + to_x) * 3 + c)];
            worst = std::max(worst, std::abs(got - upright(x, y, c)));
          }
        }
      }
      EXPECT_LE(worst, 12) << "orientation " << orientation << " little=" << little;
    }
  }
}

TEST(ReadImageExtent, IsThatOfTheImage) {
  const auto folder = std::filesystem::temp_directory_path() / "disco_image_extent_test";
  std::filesystem::create_directories(folder);
  const auto turned = [](jpeg_compress_struct& info) {
    const unsigned char exif[] = {'E',  'x', 'i', 'f', 0, 0, 'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0,
                                  0x12, 1,   3,   0,   1, 0, 0,   0,   6,  0, 0, 0, 0, 0, 0, 0};
    jpeg_write_marker(&info, JPEG_APP0 + 1, exif, sizeof exif);
  };
  PngOptions palette;
  palette.type = PNG_COLOR_TYPE_PALETTE;
  palette.palette.assign(256, {1, 2, 3});  // a long chunk before the pixels
  const std::pair<const char*, Bytes> files[] = {
      {"a.jpg", encode_jpeg(slopes(30, 20, 3), 30, 20, {})},
      {"turned.jpg", encode_jpeg(slopes(30, 20, 3), 30, 20, {.markers = turned})},
      {"a.png", encode_rows({{1, 2, 3}, {4, 5, 6}}, 3, palette)},
      {"rgb.png", *encode_png(Image{1, 2, {1, 2, 3, 4, 5, 6}})}};
  for (const auto& [name, bytes] : files) {
    ASSERT_TRUE(write_file(folder / name, bytes).ok());
    const auto extent = read_image_extent(folder / name);
    const auto image = read_image(folder / name);
    ASSERT_TRUE(extent.ok() && image.ok()) << name;
    EXPECT_EQ(extent->width, image->width) << name;
    EXPECT_EQ(extent->height, image->height) << name;
  }
  ASSERT_TRUE(write_file(folder / "text.png", to_bytes("hello", 5)).ok());
  EXPECT_EQ(read_image_extent(folder / "text.png").error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(read_image_extent(folder / "none.png").error().code, ErrorCode::NotFound);
  std::filesystem::remove_all(folder);
}

TEST(Jpeg, CutOffAnywhereIsRefused) {
  for (const bool progressive : {false, true}) {
    const Bytes whole = encode_jpeg(slopes(40, 40, 3), 40, 40, {.progressive = progressive});
    ASSERT_TRUE(decode_image(whole, "whole.jpg").ok());
    for (std::size_t length = 0; length < whole.size(); ++length) {
      const auto image = decode_image(std::span(whole).first(length), "cut.jpg");
      ASSERT_FALSE(image.ok()) << length << " of " << whole.size() << " bytes, progressive=" << progressive;
      EXPECT_EQ(image.error().code, ErrorCode::InvalidArgument);
      EXPECT_TRUE(image.error().message.starts_with("cut.jpg: ")) << image.error().message;
    }
  }
}

TEST(Jpeg, BytesThatCostNoPixelsAreNoDamage) {
  Bytes bytes = encode_jpeg(slopes(16, 16, 3), 16, 16, {});
  const Bytes junk(7, std::byte{0x11});
  bytes.insert(bytes.end() - 2, junk.begin(), junk.end());  // before the end marker
  EXPECT_TRUE(decode_image(bytes, "junk.jpg").ok());
  bytes.insert(bytes.end(), junk.begin(), junk.end());
  EXPECT_TRUE(decode_image(bytes, "junk.jpg").ok());
}

TEST(Jpeg, ManyScansAreRefused) {
  // Valid, but each bit of each coefficient is a pass over the image: of a large one that would cost hours.
  std::vector<jpeg_scan_info> scans = {{1, {0}, 0, 0, 0, 0}};
  for (int coefficient = 1; coefficient < 64; ++coefficient) {
    for (int bit = 9; bit >= 0; --bit)
      scans.push_back({1, {0}, coefficient, coefficient, bit == 9 ? 0 : bit + 1, bit});
  }
  const auto grey = slopes(16, 16, 1);
  JpegOptions options{.components = 1, .space = JCS_GRAYSCALE};
  for (const auto& [count, passes] : {std::pair{400UL, true}, {scans.size(), false}}) {
    options.scans = std::span(scans).first(count);
    const auto image = decode_image(encode_jpeg(grey, 16, 16, options), "scans.jpg");
    EXPECT_EQ(image.ok(), passes) << count;
    if (!image) {
      EXPECT_EQ(image.error().message, "scans.jpg: a damaged JPEG: more than 500 scans");
    }
  }
}

TEST(Png, EveryKindOfPixel) {
  struct Case {
    const char* what;
    int type;
    int depth;
    std::vector<png_byte> row;  // of 4 pixels
    std::vector<std::uint8_t> rgb;
  };
  const auto grey = [](std::vector<std::uint8_t> levels) {
    std::vector<std::uint8_t> rgb;
    for (const std::uint8_t level : levels) rgb.insert(rgb.end(), 3, level);
    return rgb;
  };
  const Case cases[] = {{"grey 1", PNG_COLOR_TYPE_GRAY, 1, {0b10110000}, grey({255, 0, 255, 255})},
                        {"grey 2", PNG_COLOR_TYPE_GRAY, 2, {0b00011011}, grey({0, 85, 170, 255})},
                        {"grey 4", PNG_COLOR_TYPE_GRAY, 4, {0x0F, 0x7A}, grey({0, 255, 119, 170})},
                        {"grey 8", PNG_COLOR_TYPE_GRAY, 8, {0, 1, 128, 255}, grey({0, 1, 128, 255})},
                        {"grey 16",
                         PNG_COLOR_TYPE_GRAY,
                         16,
                         {0, 0, 0x40, 0x40, 0x80, 0x00, 0xFF, 0xFF},
                         grey({0, 64, 128, 255})},
                        {"grey alpha",
                         PNG_COLOR_TYPE_GRAY_ALPHA,
                         8,
                         {0, 255, 0, 0, 100, 128, 200, 255},
                         grey({0, 255, 177, 200})},
                        {"rgb 8",
                         PNG_COLOR_TYPE_RGB,
                         8,
                         {1, 2, 3, 4, 5, 6, 7, 8, 9, 250, 251, 252},
                         {1, 2, 3, 4, 5, 6, 7, 8, 9, 250, 251, 252}},
                        {"rgb 16",
                         PNG_COLOR_TYPE_RGB,
                         16,
                         {0x10, 0x10, 0x20, 0x20, 0x30, 0x30, 0,    0,    0x80, 0x80, 0xFF, 0xFF,
                          1,    1,    2,    2,    3,    3,    0xFE, 0xFE, 0xFD, 0xFD, 0xFC, 0xFC},
                         {0x10, 0x20, 0x30, 0, 0x80, 0xFF, 1, 2, 3, 0xFE, 0xFD, 0xFC}},
                        {"rgba",
                         PNG_COLOR_TYPE_RGB_ALPHA,
                         8,
                         {10, 20, 30, 255, 10, 20, 30, 0, 0, 100, 200, 51, 255, 255, 255, 9},
                         {10, 20, 30, 255, 255, 255, 204, 224, 244, 255, 255, 255}},
                        {"palette 2",
                         PNG_COLOR_TYPE_PALETTE,
                         2,
                         {0b00011011},
                         {1, 2, 3, 40, 50, 60, 255, 255, 255, 144, 172, 200}}};
  for (const Case& item : cases) {
    for (const bool interlaced : {false, true}) {
      for (const double gamma : {0.0, 1.0, 0.2}) {  // photographs' gamma is not applied
        PngOptions options{item.depth, item.type, interlaced, gamma, {}, {}};
        if (item.type == PNG_COLOR_TYPE_PALETTE) {
          options.palette = {{1, 2, 3}, {40, 50, 60}, {7, 8, 9}, {33, 89, 144}};
          options.palette_alphas = {255, 255, 0, 128};
        }
        const auto image = decode_image(encode_rows({item.row, item.row, item.row}, 4, options), "x.png");
        ASSERT_TRUE(image.ok()) << item.what << ": " << image.error().message;
        ASSERT_EQ(image->width, 4);
        ASSERT_EQ(image->height, 3);
        std::vector<std::uint8_t> want;
        for (int y = 0; y < 3; ++y) want.insert(want.end(), item.rgb.begin(), item.rgb.end());
        EXPECT_LE(worst_difference(image->rgb, want), item.what == std::string("palette 2") ? 1 : 0)
            << item.what << " interlaced=" << interlaced << " gamma=" << gamma << ": "
            << ::testing::PrintToString(image->rgb);
      }
    }
  }
}

Bytes small_png() {
  const auto rgb = slopes(9, 7, 3);
  std::vector<std::vector<png_byte>> rows;
  for (std::size_t y = 0; y < 7; ++y)
    rows.emplace_back(rgb.begin() + static_cast<std::ptrdiff_t>(y * 27),
                      rgb.begin() + static_cast<std::ptrdiff_t>(y * 27 + 27));
  return encode_rows(rows, 9, {});
}

TEST(Png, CutOffAnywhereIsRefused) {
  const Bytes whole = small_png();
  ASSERT_TRUE(decode_image(whole, "whole.png").ok());
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto image = decode_image(std::span(whole).first(length), "cut.png");
    ASSERT_FALSE(image.ok()) << length << " of " << whole.size() << " bytes";
    EXPECT_TRUE(image.error().message.starts_with("cut.png: ")) << image.error().message;
  }
}

TEST(Png, FlippedBytesAreRefused) {
  const Bytes whole = small_png();
  const auto want = decode_image(whole, "whole.png");
  ASSERT_TRUE(want.ok());
  // Every byte is under a checksum, or makes the file another kind.
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int bit : {0, 3, 7}) {
      Bytes damaged = whole;
      damaged[at] ^= std::byte{static_cast<unsigned char>(1 << bit)};
      const auto image = decode_image(damaged, "damaged.png");
      EXPECT_TRUE(!image.ok() || image->rgb == want->rgb) << "bit " << bit << " of byte " << at;
    }
  }
}

TEST(Images, DamageNeverCrashes) {
  std::mt19937 random(11);
  for (const Bytes& whole :
       {encode_jpeg(slopes(33, 29, 3), 33, 29, {}),
        encode_jpeg(slopes(33, 29, 3), 33, 29, {.progressive = true}),
        encode_jpeg(slopes(20, 20, 4), 20, 20, {.components = 4, .space = JCS_CMYK}), small_png()}) {
    for (int i = 0; i < 1500; ++i) {
      Bytes damaged = whole;
      for (std::uint32_t n = 1 + random() % 4; n > 0; --n)
        damaged[random() % damaged.size()] = std::byte{static_cast<unsigned char>(random())};
      const auto image = decode_image(damaged, "damaged");
      if (image) {
        EXPECT_EQ(image->rgb.size(),
                  static_cast<std::size_t>(image->width) * static_cast<std::size_t>(image->height) * 3);
      } else {
        EXPECT_FALSE(image.error().message.empty());
      }
    }
  }
}

TEST(Images, HugeOnesAreRefusedBeforeTheyAreAllocated) {
  Bytes jpeg = encode_jpeg(slopes(8, 8, 3), 8, 8, {});
  for (std::size_t i = 0; i + 8 < jpeg.size(); ++i) {
    if (jpeg[i] == std::byte{0xFF} && jpeg[i + 1] == std::byte{0xC0}) {
      for (std::size_t side = 5; side < 9; ++side) jpeg[i + side] = std::byte{0xF0};
      break;
    }
  }
  const auto image = decode_image(jpeg, "huge.jpg");
  ASSERT_FALSE(image.ok());
  EXPECT_NE(image.error().message.find("61680 x 61680 pixels"), std::string::npos) << image.error().message;
}

TEST(Images, OtherFiles) {
  for (const std::string_view text : {"", "\xFF", "\x89PN", "GIF89a", "not an image"}) {
    const auto image = decode_image(to_bytes(text.data(), text.size()), "other");
    ASSERT_FALSE(image.ok()) << text;
    EXPECT_EQ(image.error().message, "other: neither JPEG nor PNG; convert it to one of them");
  }
  const auto missing = read_image("/no/such/image.jpg");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::NotFound);
  EXPECT_FALSE(read_image(std::filesystem::temp_directory_path()).ok());
}

}  // namespace
}  // namespace disco
