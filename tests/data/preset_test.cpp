// Presets: every step against its formula, the files they come from, and what cannot be.

#include "data/preset.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>

namespace disco {
namespace {

namespace fs = std::filesystem;

Image pattern(int width, int height) {
  Image image{
      width, height,
      std::vector<std::uint8_t>(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3)};
  for (std::size_t i = 0; i < image.rgb.size(); ++i)
    image.rgb[i] = static_cast<std::uint8_t>(i * 37 + i / 251);
  return image;
}

int pixel(const Image& image, int x, int y, int c) {
  return image.rgb[static_cast<std::size_t>((y * image.width + x) * 3 + c)];
}

Preset builtin(const char* name) { return load_preset(name).value(); }

Tensor convert(const Image& image, const Preset& preset, const Shape& shape,
               DataType type = DataType::Float32) {
  const auto form = image_form(preset, "x", type, shape);
  EXPECT_TRUE(form.ok()) << form.error().message;
  auto tensor = to_tensor(image, preset, form.value());
  EXPECT_TRUE(tensor.ok()) << tensor.error().message;
  return tensor.value();
}

TEST(Presets, ImagenetIsTorchvisions) {
  // Resize(256), CenterCrop(224), ToTensor, Normalize.
  const double mean[] = {0.485, 0.456, 0.406};
  const double std[] = {0.229, 0.224, 0.225};
  // The long side is cut off, and half a pixel goes to the even offset: (341 - 224) / 2 = 58.5 is 58, and
  // (387 - 224) / 2 = 81.5 is 82.
  struct Case {
    int width, height, new_width, new_height, left, top;
  };
  for (const Case& item : {Case{400, 300, 341, 256, 58, 16}, Case{300, 454, 256, 387, 16, 82},
                           Case{256, 256, 256, 256, 16, 16}, Case{100, 100, 256, 256, 16, 16}}) {
    const Image image = pattern(item.width, item.height);
    const Image resized = resize(image, item.new_width, item.new_height, Interpolation::Bilinear);
    for (const Shape& shape : {Shape{-1, 3, 224, 224}, Shape{1, 3, -1, -1}, Shape{-1, -1, -1, -1}}) {
      const Tensor tensor = convert(image, builtin("imagenet"), shape);
      ASSERT_EQ(tensor.shape(), (Shape{3, 224, 224}));
      double worst = 0;
      for (int c = 0; c < 3; ++c) {
        for (int y = 0; y < 224; ++y) {
          for (int x = 0; x < 224; ++x) {
            const double want = (pixel(resized, x + item.left, y + item.top, c) / 255.0 - mean[c]) / std[c];
            worst = std::max(worst, std::abs(want - tensor.data<float>()[(c * 224 + y) * 224 + x]));
          }
        }
      }
      EXPECT_LT(worst, 1e-6) << item.width << "x" << item.height;
    }
  }
}

TEST(Presets, TheCropFollowsTheModel) {
  const Image image = pattern(500, 400);
  for (const int side : {160, 224, 299, 384}) {
    const Tensor tensor = convert(image, builtin("imagenet-inception"), {1, 3, side, side});
    const int shorter = static_cast<int>(side / 0.875 + 1e-9);
    const Image resized = resize(image, 500 * shorter / 400, shorter, Interpolation::Bilinear);
    const int left = static_cast<int>(std::nearbyint((resized.width - side) / 2.0));
    const int top = static_cast<int>(std::nearbyint((shorter - side) / 2.0));
    ASSERT_EQ(tensor.shape(), (Shape{3, side, side}));
    EXPECT_NEAR(tensor.data<float>()[0], pixel(resized, left, top, 0) / 127.5 - 1, 1e-6) << side;
    EXPECT_NEAR(tensor.data<float>()[3 * side * side - 1],
                pixel(resized, left + side - 1, top + side - 1, 2) / 127.5 - 1, 1e-6)
        << side;
  }
}

TEST(Presets, LettersAreBoxed) {
  const Image image = pattern(100, 50);
  Preset preset = builtin("letterbox");
  preset.pad = {10, 20, 30};
  const Tensor centred = convert(image, preset, {1, 3, 80, 80});
  const Image resized = resize(image, 80, 40, Interpolation::Bilinear);
  preset.anchor = Anchor::Corner;
  const Tensor cornered = convert(image, preset, {1, 3, 80, 80});
  for (int c = 0; c < 3; ++c) {
    for (int y = 0; y < 80; ++y) {
      for (int x = 0; x < 80; ++x) {
        const int at = (c * 80 + y) * 80 + x;
        const auto want = [&](int row) {
          return static_cast<float>((row < 0 || row >= 40 ? 10 * (c + 1) : pixel(resized, x, row, c)) /
                                    255.0);
        };
        ASSERT_FLOAT_EQ(centred.data<float>()[at], want(y - 20)) << c << " " << y << " " << x;
        ASSERT_FLOAT_EQ(cornered.data<float>()[at], want(y)) << c << " " << y << " " << x;
      }
    }
  }
  EXPECT_EQ(convert(image, builtin("letterbox"), {1, 3, -1, -1}).shape(), (Shape{3, 640, 640}));
  // The box, where the tensor's size is open: 33 of 100 makes 16.5 rows, which is 17.
  preset.resize = PixelSize{40, 33};
  EXPECT_EQ(convert(image, preset, {1, 3, -1, -1}).shape(), (Shape{3, 40, 33}));
}

TEST(Presets, ChannelsAndLayouts) {
  const Image image = pattern(5, 4);
  Preset preset = builtin("raw");
  const auto at = [&](const Tensor& tensor, int i) { return tensor.data<float>()[i]; };
  const Tensor rgb = convert(image, preset, {1, 3, 4, 5});
  const Tensor last = convert(image, preset, {1, 4, 5, 3});
  preset.channels = ChannelOrder::Bgr;
  const Tensor bgr = convert(image, preset, {3, 4, 5});
  preset.channels.reset();
  const Tensor grey = convert(image, preset, {-1, 1, -1, -1});
  const Tensor grey_last = convert(image, preset, {-1, -1, -1, 1});
  ASSERT_EQ(last.shape(), (Shape{4, 5, 3}));
  ASSERT_EQ(bgr.shape(), (Shape{3, 4, 5}));
  ASSERT_EQ(grey.shape(), (Shape{1, 4, 5}));
  ASSERT_EQ(grey_last.shape(), (Shape{4, 5, 1}));
  for (int y = 0; y < 4; ++y) {
    for (int x = 0; x < 5; ++x) {
      double luma = 0;
      for (int c = 0; c < 3; ++c) {
        const auto want = static_cast<float>(pixel(image, x, y, c));
        luma += want * std::array{0.299, 0.587, 0.114}[static_cast<std::size_t>(c)];
        EXPECT_EQ(at(rgb, (c * 4 + y) * 5 + x), want);
        EXPECT_EQ(at(last, (y * 5 + x) * 3 + c), want);
        EXPECT_EQ(at(bgr, ((2 - c) * 4 + y) * 5 + x), want);
      }
      EXPECT_NEAR(at(grey, y * 5 + x), luma, 0.51);
      EXPECT_EQ(at(grey, y * 5 + x), at(grey_last, y * 5 + x));
    }
  }
}

TEST(Presets, MeansAreInTheOrderOfTheChannels) {
  const Image image = pattern(6, 6);
  Preset preset = builtin("imagenet-caffe");
  preset.fit = Fit::None;
  const Tensor tensor = convert(image, preset, {1, 3, 6, 6});
  EXPECT_NEAR(tensor.data<float>()[0], pixel(image, 0, 0, 2) - 103.939, 1e-4);  // blue
  EXPECT_NEAR(tensor.data<float>()[72], pixel(image, 0, 0, 0) - 123.68, 1e-4);  // red
}

TEST(Presets, BytesAreFedAsTheyAre) {
  const Image image = pattern(6, 4);
  Preset preset = builtin("imagenet");
  preset.fit = Fit::None;
  preset.pad = {127.5};
  const Tensor tensor = convert(image, preset, {1, 8, 6, 3}, DataType::UInt8);
  ASSERT_EQ(tensor.type(), DataType::UInt8);
  ASSERT_EQ(tensor.shape(), (Shape{8, 6, 3}));
  for (int y = 0; y < 8; ++y) {
    for (int i = 0; i < 18; ++i) {
      EXPECT_EQ(tensor.data<std::uint8_t>()[y * 18 + i],
                y < 2 || y >= 6 ? 128 : image.rgb[static_cast<std::size_t>((y - 2) * 18 + i)]);
    }
  }
}

TEST(Presets, OpenSizesKeepTheImages) {
  EXPECT_EQ(convert(pattern(31, 17), builtin("unit"), {1, 3, -1, -1}).shape(), (Shape{3, 17, 31}));
  EXPECT_EQ(convert(pattern(31, 17), builtin("unit"), {1, 3, 20, -1}).shape(), (Shape{3, 20, 31}));
  Preset preset = builtin("unit");
  preset.fit = Fit::Shorter;
  EXPECT_EQ(convert(pattern(30, 20), preset, {1, 3, 40, -1}).shape(), (Shape{3, 40, 60}));
  preset.resize = PixelSize{10, 10};
  EXPECT_EQ(convert(pattern(30, 20), preset, {1, 3, -1, -1}).shape(), (Shape{3, 10, 15}));
}

TEST(Presets, InputsThatTakeNoImage) {
  struct Case {
    const char* preset;
    DataType type;
    std::optional<Shape> shape;
    const char* says;
  };
  const Case cases[] = {{"unit", DataType::Int64, Shape{1, 3, 8, 8}, "give the array"},
                        {"unit", DataType::Float32, Shape{1, 10}, "3 or 4 axes"},
                        {"unit", DataType::Float32, Shape{1, 3, 4, 8, 8}, "3 or 4 axes"},
                        {"unit", DataType::Float32, Shape{1, 64, 8, 8}, "64 channels"},
                        {"imagenet", DataType::Float32, Shape{1, 1, 8, 8}, "one with --mean"},
                        {"imagenet-caffe", DataType::Float32, Shape{1, 1, 8, 8}, "try --channels grey"},
                        {"unit", DataType::Float32, Shape{1, 3, 100000, 100000}, "no image is that large"}};
  for (const Case& item : cases) {
    const auto form = image_form(builtin(item.preset), "x", item.type, item.shape);
    ASSERT_FALSE(form.ok()) << item.says;
    EXPECT_TRUE(form.error().message.starts_with("input 'x'")) << form.error().message;
    EXPECT_NE(form.error().message.find(item.says), std::string::npos) << form.error().message;
  }
  Preset preset = builtin("unit");
  preset.crop = PixelSize{9, 8};
  EXPECT_NE(image_form(preset, "x", DataType::Float32, Shape{-1, 3, 8, 8})
                .error()
                .message.find("--shape x:1,3,9,8"),
            std::string::npos);
  preset.layout = ImageLayout::Nhwc;
  EXPECT_NE(
      image_form(preset, "x", DataType::Float32, Shape{-1, 3, 9, 8}).error().message.find("--layout nchw"),
      std::string::npos);
}

TEST(Presets, SizesOutOfReach) {
  const ImageForm form{};
  Preset preset = builtin("unit");
  preset.fit = Fit::Letterbox;
  EXPECT_FALSE(to_tensor(pattern(4, 4), preset, form).ok()) << "no box";
  preset.fit = Fit::Shorter;
  EXPECT_FALSE(to_tensor(pattern(4, 4), preset, form).ok()) << "no length";
  preset.resize = PixelSize{32768, 32768};
  EXPECT_FALSE(to_tensor(pattern(4, 4), preset, form).ok()) << "a gigapixel";
  preset.resize = PixelSize{20000, 20000};
  EXPECT_FALSE(to_tensor(pattern(2, 1), preset, form).ok()) << "the long side";
  EXPECT_FALSE(to_tensor(Image{}, builtin("unit"), form).ok()) << "no pixels";
}

class PresetFile : public ::testing::Test {
 protected:
  void SetUp() override { path_ = fs::temp_directory_path() / fmt::format("disco-preset-{}.toml", getpid()); }
  void TearDown() override { fs::remove(path_); }
  Result<Preset> load(const std::string& text) {
    std::ofstream(path_) << text;
    return load_preset(path_.string());
  }
  fs::path path_;
};

TEST_F(PresetFile, WhatIsWrittenIsReadBack) {
  std::vector<Preset> presets;
  for (const PresetInfo& info : builtin_presets()) presets.push_back(builtin(std::string(info.name).c_str()));
  Preset all;
  all.fit = Fit::Letterbox;
  all.resize = PixelSize{480, 640};
  all.crop = PixelSize{470, 630};
  all.default_size = PixelSize{1, 32768};
  all.interpolation = Interpolation::Lanczos;
  all.antialias = false;
  all.anchor = Anchor::Corner;
  all.channels = ChannelOrder::Bgr;
  all.pad = {1, 2.5, 255};
  all.scale = 1.0 / 3.0;
  all.mean = {-1e-30, 0.1, 1e20};
  all.std = {1e-9, 2, 3};
  all.layout = ImageLayout::Nhwc;
  presets.push_back(all);
  for (Preset& preset : presets) {
    const auto read = load(to_toml(preset));
    ASSERT_TRUE(read.ok()) << read.error().message << "\n" << to_toml(preset);
    preset.name = path_.string();
    EXPECT_EQ(*read, preset) << to_toml(preset);
  }
}

TEST_F(PresetFile, MistakesAreOneLineWithTheirPlace) {
  struct Case {
    const char* text;
    int line;
    const char* says;
  };
  const Case cases[] = {{"fit = \n", 1, ""},
                        {"scale = 1\n\nsize = 224\n", 3, "'size' is not known"},
                        {"[images]\nfit = \"exact\"\n", 1, "'images' is not known"},
                        {"fit = \"stretch\"\n", 1, "exact, shorter, letterbox, none"},
                        {"\nfit = 3\n", 2, "takes one of"},
                        {"resize = 0\n", 1, "from 1 to 32768"},
                        {"resize = 2.5\n", 1, "from 1 to 32768"},
                        {"crop = [1, 2, 3]\n", 1, "height and width"},
                        {"crop = [\"a\", 2]\n", 1, "height and width"},
                        {"mean = [1, 2]\n", 1, "three channels"},
                        {"mean = [1, 2, \"x\"]\n", 1, "'mean' takes"},
                        {"mean = nan\n", 1, "'mean' takes"},
                        {"std = 0\n", 1, "positive"},
                        {"std = [1, 1, -1]\n", 1, "positive"},
                        {"scale = \"1/0\"\n", 1, "fraction"},
                        {"scale = \"1/x\"\n", 1, "fraction"},
                        {"scale = 0\n", 1, "fraction"},
                        {"crop_ratio = 2\n", 1, "0.01 to 1"},
                        {"antialias = 1\n", 1, "true or false"},
                        {"layout = \"hwc\"\n", 1, "nchw, nhwc"},
                        {"resize = 256\ncrop_ratio = 0.5\n", 2, "give one of them"}};
  for (const Case& item : cases) {
    const auto preset = load(item.text);
    ASSERT_FALSE(preset.ok()) << item.text;
    const std::string& line = preset.error().message;
    EXPECT_EQ(preset.error().code, ErrorCode::InvalidArgument) << item.text;
    EXPECT_TRUE(line.starts_with(fmt::format("{}:{}: ", path_.string(), item.line))) << item.text << line;
    EXPECT_NE(line.find(item.says), std::string::npos) << item.text << line;
    EXPECT_EQ(line.find('\n'), std::string::npos) << item.text << line;
  }
}

TEST_F(PresetFile, ContradictionsAreRefused) {
  for (const char* text : {"fit = \"shorter\"\nresize = [256, 300]\n", "fit = \"none\"\nresize = 256\n",
                           "channels = \"grey\"\nmean = [1, 2, 3]\n"}) {
    const auto preset = load(text);
    ASSERT_FALSE(preset.ok()) << text;
    EXPECT_EQ(preset.error().code, ErrorCode::InvalidArgument);
    EXPECT_NE(preset.error().message.find(path_.string()), std::string::npos) << preset.error().message;
  }
}

TEST(Presets, UnknownNamesListTheKnown) {
  const auto preset = load_preset("imagnet");
  ASSERT_FALSE(preset.ok());
  EXPECT_EQ(preset.error().code, ErrorCode::NotFound);
  EXPECT_NE(preset.error().message.find("imagenet-inception"), std::string::npos) << preset.error().message;
}

TEST(Presets, KeysAsOnACommandLine) {
  Preset preset = builtin("imagenet");
  const std::pair<const char*, const char*> good[] = {
      {"fit", "letterbox"}, {"resize", "480,640"}, {"crop", "224"},      {"mean", ".5,-0.5,1e-3"},
      {"std", "2"},         {"scale", "1/127.5"},  {"pad", "127.5"},     {"antialias", "false"},
      {"channels", "bgr"},  {"layout", "nhwc"},    {"anchor", "corner"}, {"interpolation", "nearest"}};
  for (const auto& [key, value] : good) {
    const Status status = set_preset_key(preset, key, value);
    EXPECT_TRUE(status.ok()) << key << ": " << status.error().message;
  }
  EXPECT_EQ(preset.resize, (PixelSize{480, 640}));
  EXPECT_FALSE(preset.crop_ratio);  // resize replaces it
  EXPECT_EQ(preset.crop, (PixelSize{224, 224}));
  EXPECT_EQ(preset.mean, (std::vector<double>{0.5, -0.5, 1e-3}));
  EXPECT_EQ(preset.scale, 1 / 127.5);
  EXPECT_EQ(preset.pad, std::vector<double>{127.5});
  EXPECT_EQ(preset.channels, ChannelOrder::Bgr);
  const Preset before = preset;
  const std::pair<const char*, const char*> wrong[] = {
      {"fit", "5"},     {"resize", "big"}, {"resize", "1,2,3"}, {"crop", "-4"},       {"mean", "1,2"},
      {"mean", "1,,2"}, {"std", "0"},      {"scale", "1/"},     {"antialias", "yes"}, {"colour", "rgb"},
      {"crop", "1e9"},  {"mean", "inf"},   {"pad", ""}};
  for (const auto& [key, value] : wrong) {
    const Status status = set_preset_key(preset, key, value);
    ASSERT_FALSE(status.ok()) << key << " " << value;
    EXPECT_NE(status.error().message.find(fmt::format("not '{}'", value)), std::string::npos)
        << status.error().message;
  }
  EXPECT_EQ(preset, before);
}

}  // namespace
}  // namespace disco
