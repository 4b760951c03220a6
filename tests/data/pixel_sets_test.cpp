// Data sets whose truths are label maps or larger images: every layout, what is wrong with folders, and how
// training varies them.

#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <set>

#include "base/file.h"
#include "data/dataset.h"
#include "data/imresize.h"
#include "data/vary.h"
#include "png_rows.h"
#include "shared.h"

namespace disco {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// A folder of its own that goes away.
class PixelSets : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("disco_pixel_sets_{}", getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void text(const fs::path& path, const std::string& content) const {
    fs::create_directories((folder_ / path).parent_path());
    std::ofstream(folder_ / path) << content;
  }
  /// A photograph of one colour.
  void photo(const fs::path& path, int width, int height, std::uint8_t grey) const {
    fs::create_directories((folder_ / path).parent_path());
    const Image image{width, height,
                      std::vector<std::uint8_t>(static_cast<std::size_t>(width * height) * 3, grey)};
    ASSERT_TRUE(write_png(folder_ / path, image).ok());
  }
  /// A map, as palette PNG or grey.
  void labels(const fs::path& path, const std::vector<std::vector<png_byte>>& rows,
              bool palette = false) const {
    fs::create_directories((folder_ / path).parent_path());
    PngOptions options;
    options.type = palette ? PNG_COLOR_TYPE_PALETTE : PNG_COLOR_TYPE_GRAY;
    if (palette) options.palette.assign(256, {128, 0, 0});
    ASSERT_TRUE(
        write_file(folder_ / path, encode_rows(rows, static_cast<int>(rows[0].size()), options)).ok());
  }
  Result<std::unique_ptr<DataSet>> open(const std::string& part, TruthKind truth,
                                        std::vector<std::string> classes = {}, int scale = 1,
                                        std::optional<Preset> preset = {}) const {
    DataSetOptions options{folder_.string(), part};
    options.truth = truth;
    options.classes = std::move(classes);
    options.scale = scale;
    options.preset = std::move(preset);
    return open_data_set(options, nullptr);
  }
  std::string fault(const std::string& part, TruthKind truth, int scale = 1) const {
    const auto set = open(part, truth, {}, scale);
    if (!set.ok()) return set.error().message;
    const auto sample = (*set)->sample(0);
    return sample.ok() ? "" : sample.error().message;
  }

  fs::path folder_;
};

std::vector<std::uint8_t> map_of(const DataSet& set, std::int64_t index) {
  const auto sample = set.sample(index);
  EXPECT_TRUE(sample.ok()) << sample.error().message;
  return sample.ok() ? std::get<LabelMap>(sample->truth).labels : std::vector<std::uint8_t>();
}

TEST_F(PixelSets, LabelFoldersOfEveryLayout) {
  struct Case {
    const char *image, *labels, *test_image, *test_labels;
  };
  for (const Case& c :
       {Case{"train/a.png", "trainannot/a.png", "test/b.png", "testannot/b.png"},
        Case{"images/train/a.png", "labels/train/a.png", "images/val/b.png", "labels/val/b.png"},
        Case{"images/training/a.png", "annotations/training/a.png", "images/validation/b.png",
             "annotations/validation/b.png"},
        Case{"train/images/a.png", "train/masks/a_mask.png", "valid/images/b.png", "valid/masks/b_mask.png"},
        Case{"leftImg8bit/train/x/a_leftImg8bit.png", "gtFine/train/x/a_gtFine_labelTrainIds.png",
             "leftImg8bit/val/y/b_leftImg8bit.png", "gtFine/val/y/b_gtFine_labelTrainIds.png"}}) {
    fs::remove_all(folder_);
    photo(c.image, 3, 2, 10);
    labels(c.labels, {{0, 1, 2}, {255, 1, 0}});
    photo(c.test_image, 3, 2, 20);
    labels(c.test_labels, {{2, 2, 2}, {2, 2, 255}});
    for (const std::string part : {"train", "test"}) {
      // Told by content, and also where label maps are asked for.
      for (const bool asked : {true, false}) {
        DataSetOptions options{folder_.string(), part};
        if (asked) options.truth = TruthKind::LabelMap;
        const auto set = open_data_set(options, nullptr);
        ASSERT_TRUE(set.ok()) << c.labels << ": " << set.error().message;
        EXPECT_EQ((*set)->truth_kind(), TruthKind::LabelMap);
        ASSERT_EQ((*set)->size(), 1) << c.labels;
        EXPECT_EQ((*set)->sample_shape(), (Shape{3, 2, 3}));
        const std::vector<std::uint8_t> expected = part == "train"
                                                       ? std::vector<std::uint8_t>{0, 1, 2, 255, 1, 0}
                                                       : std::vector<std::uint8_t>{2, 2, 2, 2, 2, 255};
        EXPECT_EQ(map_of(**set, 0), expected) << c.labels;
      }
    }
  }
}

TEST_F(PixelSets, VocTakesIndicesAndLists) {
  for (const char* name : {"p", "q", "r"}) {
    photo(fmt::format("JPEGImages/{}.png", name), 2, 1, 9);
    text(fmt::format("Annotations/{}.xml", name), "<annotation/>");
  }
  labels("SegmentationClass/p.png", {{0, 15}}, true);
  labels("SegmentationClass/q.png", {{20, 255}}, true);
  text("ImageSets/Segmentation/train.txt", "p\n");
  text("ImageSets/Segmentation/val.txt", "q\n");
  const auto train = open("train", TruthKind::LabelMap), test = open("test", TruthKind::LabelMap);
  ASSERT_TRUE(train.ok()) << train.error().message;
  ASSERT_TRUE(test.ok()) << test.error().message;
  EXPECT_EQ((*train)->classes(), 21);
  EXPECT_EQ((*train)->class_names()[15], "person");
  EXPECT_EQ(map_of(**train, 0), (std::vector<std::uint8_t>{0, 15}));
  EXPECT_EQ(map_of(**test, 0), (std::vector<std::uint8_t>{20, 255}));
  text("ImageSets/Segmentation/val.txt", "q\nnone\n");
  EXPECT_THAT(fault("test", TruthKind::LabelMap), HasSubstr("'none'"));
  // Objects are asked for: the same folder says other things.
  const auto objects = open("train", TruthKind::Objects);
  ASSERT_TRUE(objects.ok()) << objects.error().message;
  EXPECT_EQ((*objects)->truth_kind(), TruthKind::Objects);
  EXPECT_EQ((*objects)->size(), 3);
}

TEST_F(PixelSets, NamesDecideWhatLabelsBecome) {
  photo("images/a.png", 4, 1, 0);
  labels("labels/a.png", {{0, 1, 2, 3}});
  text("classes.txt", "sky\nroad\ntree\nvoid\n");
  const auto own = open("train", TruthKind::LabelMap);
  ASSERT_TRUE(own.ok()) << own.error().message;
  EXPECT_EQ((*own)->classes(), 3);
  EXPECT_EQ(map_of(**own, 0), (std::vector<std::uint8_t>{0, 1, 2, 255}));
  // A model with other numbers, and without a tree.
  const auto model = open("train", TruthKind::LabelMap, {"other", "Road", "sky", "void"});
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(map_of(**model, 0), (std::vector<std::uint8_t>{2, 1, 255, 255}));
  EXPECT_THAT((*model)->about(), HasSubstr("without tree"));
  const auto stranger = open("train", TruthKind::LabelMap, {"cat", "dog"});
  ASSERT_FALSE(stranger.ok());
  EXPECT_THAT(stranger.error().message, HasSubstr("'cat', 'dog'"));
  // A label that has no name.
  text("classes.txt", "sky\nroad\n");
  EXPECT_THAT(fault("train", TruthKind::LabelMap), HasSubstr("a pixel has class 2; there are 2 names"));
}

TEST_F(PixelSets, FaultsOfLabelFoldersNameTheFile) {
  photo("train/a.png", 4, 1, 0);
  labels("trainannot/a.png", {{0, 1, 2}});
  EXPECT_THAT(fault("train", TruthKind::LabelMap), HasSubstr("4 x 1 pixels, its label map 3 x 1"));
  EXPECT_THAT(fault("test", TruthKind::LabelMap), HasSubstr("none for the test part"));
  labels("trainannot/b.png", {{0, 1, 2}});
  EXPECT_THAT(fault("train", TruthKind::LabelMap), HasSubstr("there is no photograph b.jpg or .png"));
}

TEST_F(PixelSets, LabelMapsFollowTheirImages) {
  // An image whose colours say the class: training must never part them.
  const int width = 40, height = 30;
  Image image{width, height, {}};
  std::vector<std::vector<png_byte>> rows;
  for (int y = 0; y < height; ++y) {
    rows.emplace_back();
    for (int x = 0; x < width; ++x) {
      const auto label = static_cast<png_byte>((x / 10 + y / 10) % 3);
      rows.back().push_back(label);
      image.rgb.insert(image.rgb.end(), 3, static_cast<std::uint8_t>(40 + 80 * label));
    }
  }
  LabelMap map{width, height, {}};
  for (const auto& row : rows) map.labels.insert(map.labels.end(), row.begin(), row.end());
  std::set<std::pair<int, int>> sizes;
  bool mirrored = false, ignored = false;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Picture picture{image, map}, again{image, map};
    vary(picture, seed);
    vary(again, seed);
    EXPECT_EQ(picture.image.rgb, again.image.rgb);
    const auto& varied = std::get<LabelMap>(picture.truth);
    EXPECT_EQ(varied.labels, std::get<LabelMap>(again.truth).labels);
    ASSERT_EQ(varied.width, picture.image.width);
    ASSERT_EQ(varied.height, picture.image.height);
    sizes.insert({varied.width, varied.height});
    // One class, one colour, whatever the colours became.
    std::array<std::set<int>, 256> seen;
    for (std::size_t i = 0; i < varied.labels.size(); ++i)
      seen[varied.labels[i]].insert(picture.image.rgb[i * 3]);
    for (int label = 0; label < 3; ++label)
      EXPECT_LE(seen[static_cast<std::size_t>(label)].size(), 1U) << "seed " << seed;
    ignored = ignored || !seen[255].empty();
    mirrored = mirrored || (varied.labels.front() != map.labels.front());
  }
  EXPECT_GT(sizes.size(), 10U);
  EXPECT_TRUE(ignored);
  EXPECT_TRUE(mirrored);
}

TEST_F(PixelSets, PairsOfEveryLayout) {
  struct Case {
    const char *part, *large, *small;
  };
  for (const Case& c :
       {Case{"test", "img_1_HR.png", "img_1_LR.png"}, Case{"test", "x4/img_1_HR.png", "x4/img_1_LR.png"},
        Case{"test", "HR/1.png", "LR/1.png"}, Case{"test", "HR/1.png", "LR/X4/1x4.png"},
        Case{"train", "train/HR/1.png", "train/LR_bicubic/X4/1x4.png"},
        Case{"train", "DIV2K_train_HR/1.png", "DIV2K_train_LR_bicubic/X4/1x4.png"},
        Case{"test", "DIV2K_valid_HR/1.png", "DIV2K_valid_LR_bicubic/X4/1x4.png"}}) {
    fs::remove_all(folder_);
    // Two pixels more than a multiple: they are cut off.
    photo(c.large, 42, 32, 200);
    photo(c.small, 10, 8, 77);
    const auto set = open(c.part, TruthKind::Image, {}, 4);
    ASSERT_TRUE(set.ok()) << c.large << ": " << set.error().message;
    const auto sample = (*set)->sample(0);
    ASSERT_TRUE(sample.ok()) << sample.error().message;
    // In training a part, here one continued beyond its borders.
    const bool whole = std::string(c.part) == "test";
    EXPECT_EQ(sample->tensor.shape(), whole ? (Shape{3, 8, 10}) : (Shape{3, 32, 32})) << c.large;
    EXPECT_FLOAT_EQ(sample->tensor.data<float>()[0], 77.0F / 255);
    const auto& truth = std::get<Image>(sample->truth);
    EXPECT_EQ(truth.width, whole ? 40 : 128);
    EXPECT_EQ(truth.height, whole ? 32 : 128);
    EXPECT_EQ(truth.rgb.front(), 200);
  }
}

TEST_F(PixelSets, FaultsOfPairsNameTheFile) {
  photo("a_HR.png", 40, 32, 200);
  photo("a_LR.png", 10, 8, 77);
  EXPECT_EQ(fault("train", TruthKind::Image, 4), "");
  EXPECT_THAT(fault("train", TruthKind::Image, 3), HasSubstr("3 times larger is 30 x 24"));
  photo("b_HR.png", 40, 32, 200);
  EXPECT_THAT(fault("train", TruthKind::Image, 4), HasSubstr("b_HR.png: there is no small image"));
  fs::remove_all(folder_);
  photo("train/HR/a.png", 8, 8, 1);
  EXPECT_THAT(fault("test", TruthKind::Image, 4), HasSubstr("none for the test part"));
}

/// Something to recognise: no two places alike.
Image pattern(int width, int height) {
  Image image{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x)
      for (const int value : {x * 3, y * 5, 255 - x - y})
        image.rgb.push_back(static_cast<std::uint8_t>(value));
  }
  return image;
}

TEST_F(PixelSets, LargeImagesAloneAreDegraded) {
  ASSERT_TRUE(write_png(folder_ / "a.png", pattern(50, 41)).ok());
  ASSERT_TRUE(write_png(folder_ / "b.png", pattern(36, 24)).ok());
  const auto set = open("test", TruthKind::Image, {}, 3);
  ASSERT_TRUE(set.ok()) << set.error().message;
  EXPECT_EQ((*set)->size(), 2);
  EXPECT_FALSE((*set)->has_one_shape());
  EXPECT_EQ((*set)->sample_shape(), (Shape{3, 32, 32}));
  const auto first = (*set)->sample(0), second = (*set)->sample(1);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->tensor.shape(), (Shape{3, 13, 16}));
  EXPECT_EQ(second->tensor.shape(), (Shape{3, 8, 12}));
  EXPECT_EQ(std::get<Image>(first->truth).width, 48);
  EXPECT_EQ(std::get<Image>(first->truth).height, 39);
  EXPECT_THAT(fault("test", TruthKind::Image, 64), HasSubstr("too few for 1 / 64"));
  // Without being asked for images it is a folder of photographs.
  EXPECT_EQ(fault("train", TruthKind::None).empty(), true);
}

TEST_F(PixelSets, PartsOfPairsBelongTogether) {
  ASSERT_TRUE(write_png(folder_ / "a.png", pattern(80, 60)).ok());
  ASSERT_TRUE(write_png(folder_ / "b.png", pattern(20, 18)).ok());  // smaller than a part: continued
  Preset preset;
  preset.crop = PixelSize{12, 12};
  const auto set = open("train", TruthKind::Image, {}, 2, preset);
  ASSERT_TRUE(set.ok()) << set.error().message;
  EXPECT_EQ((*set)->sample_shape(), (Shape{3, 12, 12}));
  // 40 x 30 and 10 x 9 pixels: three by two parts, and one.
  EXPECT_EQ((*set)->size(), 7);
  EXPECT_TRUE((*set)->has_one_shape());
  std::set<std::vector<float>> seen;
  for (std::int64_t index : {0, 6}) {
    for (std::uint64_t seed = 0; seed < 24; ++seed) {
      const auto part = (*set)->varied(index, seed), again = (*set)->varied(index, seed);
      ASSERT_TRUE(part.ok()) << part.error().message;
      ASSERT_EQ(part->tensor.shape(), (Shape{3, 12, 12}));
      const auto& large = std::get<Image>(part->truth);
      ASSERT_EQ(large.width, 24);
      ASSERT_EQ(large.height, 24);
      EXPECT_EQ(large.rgb, std::get<Image>(again->truth).rgb);
      const std::vector<float> pixels(part->tensor.data<float>(), part->tensor.data<float>() + 432);
      seen.insert(pixels);
      // Away from borders a part shrinks to what the model sees of it.
      const Image small = imresize(large, 12, 12);
      for (int y = 3; y < 9; ++y) {
        for (int x = 3; x < 9; ++x) {
          for (int c = 0; c < 3; ++c) {
            const float got = pixels[static_cast<std::size_t>((c * 12 + y) * 12 + x)] * 255;
            EXPECT_NEAR(got, small.rgb[static_cast<std::size_t>((y * 12 + x) * 3 + c)],
                        index == 0 ? 1.01 : 12.0)
                << "image " << index << " seed " << seed << " at " << x << ", " << y;
          }
        }
      }
    }
  }
  EXPECT_GT(seen.size(), 30U);
  // What calibration reads are parts, too: the corners and what lies between.
  std::set<std::vector<float>> grid;
  for (std::int64_t index = 0; index < 7; ++index) {
    std::vector<float> part(432), once(432);
    ASSERT_TRUE((*set)->read(index, part.data()).ok());
    ASSERT_TRUE((*set)->read(index, once.data()).ok());
    EXPECT_EQ(part, once);
    grid.insert(part);
  }
  EXPECT_EQ(grid.size(), 7U);
}

TEST(ScenesToEnlarge, AreSmallAndLarge) {
  DataSetOptions options{"scenes:24x32", "test"};
  options.truth = TruthKind::Image;
  options.scale = 4;
  const auto set = open_data_set(options, nullptr);
  ASSERT_TRUE(set.ok()) << set.error().message;
  EXPECT_EQ((*set)->sample_shape(), (Shape{3, 24, 32}));
  const auto sample = (*set)->sample(3);
  ASSERT_TRUE(sample.ok());
  EXPECT_EQ(std::get<Image>(sample->truth).width, 128);
  const auto varied = (*set)->varied(3, 5);
  ASSERT_TRUE(varied.ok());
  EXPECT_EQ(varied->tensor.shape(), (Shape{3, 24, 32}));
  options.source = "scenes:300";
  EXPECT_FALSE(open_data_set(options, nullptr).ok());
}

// The small images that papers use were made by MATLAB.
TEST(Imresize, MakesTheSmallImagesOfSet5) {
  const auto shared = shared_data();
  if (!shared) GTEST_SKIP() << "no shared data: MATLAB's own images are missing";
  for (int i = 1; i <= 5; ++i) {
    const auto name = [&](const char* end) {
      return *shared / "superres/Set5/x4" / fmt::format("img_00{}_SRF_4_{}.png", i, end);
    };
    const auto large = read_image(name("HR")), small = read_image(name("LR"));
    ASSERT_TRUE(large.ok() && small.ok());
    const Image made = degraded(*large, 4).small;
    ASSERT_EQ(made.width, small->width);
    ASSERT_EQ(made.height, small->height);
    // Borders differ where the large image was cut after it was shrunk.
    int unequal = 0, worst = 0, count = 0;
    for (int y = 3; y < made.height - 3; ++y) {
      for (int x = 9; x < made.width * 3 - 9; ++x, ++count) {
        const std::size_t at = static_cast<std::size_t>(y * made.width * 3 + x);
        const int difference = std::abs(made.rgb[at] - small->rgb[at]);
        unequal += difference > 0 ? 1 : 0;
        worst = std::max(worst, difference);
      }
    }
    EXPECT_LE(worst, 1) << "image " << i;
    EXPECT_LE(unequal, count / 50) << "image " << i;
  }
}

}  // namespace
}  // namespace disco
