// Data sets of objects: VOC's and COCO's layouts, scenes, and what augmentation does to boxes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <set>

#include "base/random.h"
#include "data/dataset.h"
#include "data/scenes.h"
#include "data/vary.h"
#include "shared.h"

namespace disco {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ObjectSets : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("disco-objects-" + std::to_string(getpid()) + "-" +
                                           ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) const {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  /// A grey picture.
  void draw(const std::string& name, int width, int height) const {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = static_cast<png_uint_32>(width);
    image.height = static_cast<png_uint_32>(height);
    image.format = PNG_FORMAT_RGB;
    const std::vector<std::uint8_t> pixels(static_cast<std::size_t>(width * height * 3), 99);
    ASSERT_NE(png_image_write_to_file(&image, path.c_str(), 0, pixels.data(), 0, nullptr), 0);
  }
  void annotate(const std::string& name, const std::string& objects) const {
    write("Annotations/" + name + ".xml",
          "<annotation><filename>else.png</filename>" + objects + "</annotation>");
    draw("JPEGImages/" + name + ".png", 40, 20);
  }
  Result<std::unique_ptr<DataSet>> open(const std::string& part, std::vector<std::string> classes = {},
                                        const InputSlot* input = nullptr) const {
    DataSetOptions options;
    options.source = folder_.string();
    options.part = part;
    options.classes = std::move(classes);
    return open_data_set(options, input);
  }
  std::string error_of(const std::string& part, std::vector<std::string> classes = {}) const {
    const auto set = open(part, std::move(classes));
    EXPECT_FALSE(set.ok()) << part;
    return set.ok() ? "" : set.error().message;
  }

  fs::path folder_;
};

std::string object(const std::string& name, int xmin, int ymin, int xmax, int ymax, bool difficult = false) {
  const auto tag = [](const std::string& key, const std::string& value) {
    return "<" + key + ">" + value + "</" + key + ">";
  };
  return tag("object",
             tag("name", name) + tag("difficult", difficult ? "1" : "0") +
                 tag("bndbox", tag("xmin", std::to_string(xmin)) + tag("ymin", std::to_string(ymin)) +
                                   tag("xmax", std::to_string(xmax)) + tag("ymax", std::to_string(ymax))));
}

const Objects& objects_of(const Sample& sample) { return std::get<Objects>(sample.truth); }

TEST_F(ObjectSets, Voc) {
  annotate("a", object("dog", 1, 1, 10, 20) + object("cat", 11, 6, 40, 20, true));
  annotate("b", object("cat", 5, 5, 8, 8));
  annotate("c", object("bird", 2, 2, 3, 3));
  write("ImageSets/Main/trainval.txt", "a\r\nb  1\n\n");
  write("ImageSets/Main/test.txt", "c\n");
  const InputSlot model{"x", DataType::Float32, Shape{-1, 3, 40, 20}};  // twice as high, half as wide
  const auto train = open("train", {}, &model).value();
  EXPECT_EQ(train->size(), 2);
  EXPECT_EQ(train->truth_kind(), TruthKind::Objects);
  EXPECT_THAT(train->class_names(), ElementsAre("bird", "cat", "dog"));  // of both parts
  const Sample sample = train->sample(0).value();
  ASSERT_EQ(objects_of(sample).size(), 2U);
  EXPECT_EQ(objects_of(sample)[0].label, 2);
  EXPECT_EQ(objects_of(sample)[0].box, (Box{0, 0, 5, 40}));  // from pixel 1 to 10: ten pixels
  EXPECT_EQ(objects_of(sample)[0].area, 200);
  EXPECT_FALSE(objects_of(sample)[0].difficult);
  EXPECT_EQ(objects_of(sample)[1].box, (Box{5, 10, 20, 40}));
  EXPECT_TRUE(objects_of(sample)[1].difficult);
  const auto test = open("test").value();
  EXPECT_EQ(test->size(), 1);
  EXPECT_THAT(test->about(), HasSubstr("test"));
  // By the model's names.
  const auto mapped = open("train", {"Cat", "horse"}).value();
  EXPECT_THAT(mapped->class_names(), ElementsAre("Cat", "horse"));
  EXPECT_EQ(objects_of(mapped->sample(0).value()).size(), 1U);
  EXPECT_EQ(objects_of(mapped->sample(0).value())[0].label, 0);
  EXPECT_THAT(mapped->about(), HasSubstr("without 1 objects"));
  EXPECT_THAT(error_of("train", {"horse"}), HasSubstr("the model's classes are 'horse'"));
}

TEST_F(ObjectSets, VocsParts) {
  for (const char* name : {"a", "b", "c"}) annotate(name, object("cat", 1, 1, 9, 9));
  const auto size = [&](const std::string& part) {
    const auto set = open(part);
    return set.ok() ? (*set)->size() : -1;
  };
  EXPECT_EQ(size("train"), 3);  // no lists
  EXPECT_EQ(size("test"), 3);
  write("ImageSets/Main/train.txt", "a\nb\n");
  EXPECT_EQ(size("train"), 2);
  EXPECT_THAT(error_of("test"), HasSubstr("has no test.txt"));
  write("ImageSets/Main/val.txt", "c\n");
  write("ImageSets/Main/trainval.txt", "a\nb\nc\n");
  EXPECT_EQ(size("train"), 2);  // val is the test part
  EXPECT_EQ(size("test"), 1);
  write("ImageSets/Main/test.txt", "b\n");
  EXPECT_EQ(size("train"), 3);
  EXPECT_EQ(size("test"), 1);
}

TEST_F(ObjectSets, VocsFaults) {
  annotate("a", object("cat", 1, 1, 9, 9));
  write("ImageSets/Main/train.txt", "a\n");
  struct Case {
    std::string xml, message;
  };
  for (const Case& item :
       {Case{"<annotation><object></annotation>", "a.xml: is no XML"}, Case{"", "a.xml: is no XML"},
        Case{"<other/>", "a.xml: has no <annotation>"},
        Case{"<annotation><object><bndbox/></object></annotation>", "object 1: has no <name>"},
        Case{"<annotation><object><name>cat</name></object></annotation>", "object 1: has no <bndbox>"},
        Case{"<annotation>" + object("cat", 1, 1, 9, 9) +
                 "<object><name>x</name><bndbox><xmin>1</xmin></bndbox></object></annotation>",
             "object 2: has no number in <ymin>"},
        Case{"<annotation>" + object("cat", 9, 1, 1, 9) + "</annotation>", "ends before it begins"}}) {
    write("Annotations/a.xml", item.xml);
    EXPECT_THAT(error_of("train"), HasSubstr(item.message));
  }
  write("ImageSets/Main/train.txt", "z\n");
  EXPECT_THAT(error_of("train"), HasSubstr("z.xml"));
  write("ImageSets/Main/train.txt", "\n");
  EXPECT_THAT(error_of("train"), HasSubstr("names no pictures"));
  annotate("y", object("cat", 1, 1, 9, 9));
  fs::remove(folder_ / "JPEGImages/y.png");
  write("ImageSets/Main/train.txt", "y\n");
  EXPECT_THAT(error_of("train"), HasSubstr("no picture for y.xml"));
}

constexpr const char* kCoco =
    R"({"info": {"a": [1, {"id": 3}]},
        "images": [{"id": 7, "file_name": "b.png"}, {"id": 3, "file_name": "a.png", "width": 40}],
        "annotations": [
          {"id": 1, "image_id": 7, "category_id": 18, "bbox": [4, 2, 10, 8], "area": 55.5, "iscrowd": 0,
           "segmentation": [[1, 2, 3, 4, 5, 6]]},
          {"id": 2, "image_id": 7, "category_id": 2, "bbox": [0, 0, 40, 20], "iscrowd": 1,
           "segmentation": {"counts": [1, 2], "size": [20, 40]}}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 2, "name": "bicycle"}]})";

TEST_F(ObjectSets, Coco) {
  for (const auto& [file, images] :
       std::vector<std::pair<std::string, std::string>>{{"annotations/instances_val2017.json", "val2017/"},
                                                        {"annotations/instances_test.json", "images/test/"},
                                                        {"annotations/instances_val.json", "images/"},
                                                        {"valid/_annotations.coco.json", "valid/"},
                                                        {"_annotations.coco.json", ""}}) {
    fs::remove_all(folder_);
    write(file, kCoco);
    draw(images + "a.png", 40, 20);
    draw(images + "b.png", 40, 20);
    const auto opened = open("test");
    ASSERT_TRUE(opened.ok()) << file << ": " << opened.error().message;
    const DataSet& set = **opened;
    EXPECT_EQ(set.size(), 2);
    EXPECT_THAT(set.class_names(), ElementsAre("bicycle", "dog"));
    EXPECT_TRUE(objects_of(set.sample(0).value()).empty());  // by id: a.png
    const Objects objects = objects_of(set.sample(1).value());
    ASSERT_EQ(objects.size(), 2U);
    EXPECT_EQ(objects[0].box, (Box{4, 2, 14, 10}));
    EXPECT_EQ(objects[0].label, 1);
    EXPECT_EQ(objects[0].area, 55.5);
    EXPECT_TRUE(objects[1].crowd && !objects[0].crowd);
    EXPECT_EQ(objects[1].area, 800);
    DataSetOptions options;
    options.source = (folder_ / file).string();
    EXPECT_TRUE(open_data_set(options, nullptr).ok()) << file;
  }
  EXPECT_EQ(objects_of((*open("test", {"person", "dog"}))->sample(1).value()).size(), 1U);
}

TEST_F(ObjectSets, CocosFaults) {
  draw("images/a.png", 40, 20);
  const std::string good = kCoco;
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{", "is no JSON object"},
      {"[]", "is no JSON object"},
      {R"({"images": []})", "has no 'annotations'"},
      {with("\"file_name\": \"b.png\"", "\"file\": 1"), "entry 1 of 'images' has no 'id' and 'file_name'"},
      {with("\"bbox\": [4, 2, 10, 8]", "\"bbox\": [4, 2, 10]"), "entry 1 of 'annotations' has no 'bbox'"},
      {with("[4, 2, 10, 8]", "[4, 2, -10, 8]"), "negative size"},
      {with("\"category_id\": 2", "\"category_id\": 3"), "is of category 3, which it does not list"},
      {with("\"image_id\": 7", "\"image_id\": 8"), "is of image 8"},
      {with("\"name\": \"dog\"", "\"name\": 5"), "entry 1 of 'categories'"},
      {with("\"file_name\": \"a.png\"", "\"file_name\": \"none.png\""),
       "its image none.png lies neither in"}};
  for (const auto& [text, message] : cases) {
    write("annotations/instances_train.json", text);
    EXPECT_THAT(error_of("train"), HasSubstr(message));
  }
  EXPECT_THAT(error_of("test"), HasSubstr("has no annotations/instances_test*.json"));
  write("annotations/instances_train2014.json", good);
  EXPECT_THAT(error_of("train"), HasSubstr("give one of the files"));
}

TEST(Bccd, IsRead) {
  const auto shared = shared_data();
  if (!shared) GTEST_SKIP() << "no ../shared with data";
  DataSetOptions options;
  options.source = (*shared / "detection" / "BCCD").string();
  options.part = "train";
  EXPECT_EQ(open_data_set(options, nullptr).value()->size(), 87);
  options.part = "test";
  const auto set = open_data_set(options, nullptr).value();
  EXPECT_EQ(set->size(), 72);
  EXPECT_THAT(set->class_names(), ElementsAre("Platelets", "RBC", "WBC"));
  std::size_t objects = 0;
  for (std::int64_t i = 0; i < set->size(); ++i) objects += objects_of(set->sample(i).value()).size();
  EXPECT_GT(objects, 72U * 8);
}

TEST(SceneSet, SaysWhatIsAskedFor) {
  DataSetOptions options;
  options.source = "scenes:60x80";
  const auto objects = open_data_set(options, nullptr).value();
  EXPECT_EQ(objects->sample_shape(), (Shape{3, 60, 80}));
  EXPECT_EQ(objects->truth_kind(), TruthKind::Objects);
  EXPECT_EQ(objects->class_names(), scene_object_names());
  const Sample sample = objects->sample(3).value();
  ASSERT_FALSE(objects_of(sample).empty());
  options.truth = TruthKind::LabelMap;
  const auto maps = open_data_set(options, nullptr).value();
  EXPECT_EQ(maps->class_names(), scene_label_names());
  const LabelMap map = std::get<LabelMap>(maps->sample(3).value().truth);
  for (const Object& object : objects_of(sample)) {
    EXPECT_THAT(map.labels, testing::Contains(static_cast<std::uint8_t>(object.label + 1)));
  }
  options.classes = {"star", "background"};
  const LabelMap renamed =
      std::get<LabelMap>(open_data_set(options, nullptr).value()->sample(3).value().truth);
  for (std::size_t i = 0; i < map.labels.size(); ++i) {
    const std::string& name = scene_label_names()[map.labels[i]];
    EXPECT_EQ(renamed.labels[i], name == "star" ? 0 : name == "background" ? 1 : LabelMap::kIgnored);
  }
  const InputSlot model{"x", DataType::Float32, Shape{-1, 3, 96, 160}};
  EXPECT_EQ(open_data_set({"scenes"}, &model).value()->sample_shape(), (Shape{3, 96, 160}));
  EXPECT_EQ(open_data_set({"scenes"}, nullptr).value()->sample_shape(), (Shape{3, 128, 128}));
  for (const char* bad :
       {"scenes:", "scenes:47", "scenes:64x", "scenes:64x2000", "scenes:64x64x", "scenes:x9"}) {
    const auto set = open_data_set({bad}, nullptr);
    ASSERT_FALSE(set.ok()) << bad;
    EXPECT_THAT(set.error().message, HasSubstr("from 48 to 1024 pixels"));
  }
}

constexpr std::array<std::array<std::uint8_t, 3>, 3> kInks = {{{255, 0, 0}, {0, 255, 0}, {0, 0, 255}}};

/// A black picture with filled boxes of three pure colours, one an object.
Picture boxes_of_ink(std::uint64_t seed) {
  Random random(seed);
  const int width = 90, height = 70;
  Picture picture{{width, height, std::vector<std::uint8_t>(width * height * 3, 0)}};
  Objects objects;
  for (std::size_t k = 0; k < kInks.size(); ++k) {
    const int left = static_cast<int>(30 * k + random.below(6)), top = static_cast<int>(random.below(30));
    const int right = left + 12 + static_cast<int>(random.below(10)),
              bottom = top + 12 + static_cast<int>(random.below(25));
    for (int y = top; y < bottom; ++y) {
      for (int x = left; x < right; ++x)
        std::copy(kInks[k].begin(), kInks[k].end(), picture.image.rgb.begin() + (y * width + x) * 3);
    }
    objects.push_back(
        {.box = {left + 0., top + 0., right + 0., bottom + 0.}, .label = static_cast<std::int64_t>(k)});
  }
  picture.truth = std::move(objects);
  return picture;
}

TEST(Vary, BoxesStayWithTheirPixels) {
  int shrunk = 0, cropped = 0, mirrored = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Picture picture = boxes_of_ink(seed);
    const Objects before = std::get<Objects>(picture.truth);
    vary(picture, seed);
    const Image& image = picture.image;
    const Objects& objects = std::get<Objects>(picture.truth);
    ASSERT_EQ(image.rgb.size(), static_cast<std::size_t>(image.width * image.height * 3));
    ASSERT_FALSE(objects.empty()) << "seed " << seed;
    cropped += image.width < 90 || image.height < 70;
    shrunk += objects[0].box.right - objects[0].box.left < 10;
    if (objects.size() == 3) mirrored += objects[0].box.left > objects[2].box.left;
    for (const Object& object : objects) {
      const Box& box = object.box;
      ASSERT_TRUE(box.left >= 0 && box.top >= 0 && box.right <= image.width && box.bottom <= image.height &&
                  area_of(box) > 0)
          << "seed " << seed;
      // In its middle the object's own channel is the strongest, as well as colours were changed.
      const int x = static_cast<int>((box.left + box.right) / 2),
                y = static_cast<int>((box.top + box.bottom) / 2);
      const std::uint8_t* rgb = &image.rgb[static_cast<std::size_t>(y * image.width + x) * 3];
      EXPECT_EQ(std::max_element(rgb, rgb + 3) - rgb, object.label) << "seed " << seed;
    }
    Picture again = boxes_of_ink(seed);
    vary(again, seed);
    EXPECT_EQ(again.image.rgb, image.rgb) << "seed " << seed;
  }
  EXPECT_GT(shrunk, 30);
  EXPECT_GT(cropped, 60);
  EXPECT_GT(mirrored, 30);
}

TEST(Vary, NothingInsteadOfObjects) {
  Picture picture = boxes_of_ink(1);
  picture.truth = Objects{};
  for (std::uint64_t seed = 0; seed < 30; ++seed) vary(picture, seed);
  EXPECT_EQ(picture.image.width, 90);
  const Picture plain = boxes_of_ink(1);
  Picture classified{plain.image, std::int64_t{4}};
  vary(classified, 3);
  EXPECT_EQ(classified.image.rgb, plain.image.rgb);
}

TEST(Vary, ColoursKeepGreyAndRange) {
  int changed = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Image image{2, 1, {128, 128, 128, 250, 10, 30}};
    vary_colours(image, seed);
    EXPECT_LE(std::abs(image.rgb[0] - image.rgb[1]), 1) << "seed " << seed;  // grey stays grey
    EXPECT_LE(std::abs(image.rgb[1] - image.rgb[2]), 1) << "seed " << seed;
    EXPECT_GT(image.rgb[3], image.rgb[4]) << "seed " << seed;
    changed += image.rgb[0] != 128;
  }
  EXPECT_GT(changed, 30);
}

}  // namespace
}  // namespace disco
