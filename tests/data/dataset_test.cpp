// Data sets: what is read is what was written, subsets are reproducible, and bad files get one clear line
// each.

#include "data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lzma.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <limits>
#include <numeric>
#include <set>
#include <thread>

#include "data/npz.h"
#include "data/shapes.h"
#include "shared.h"

namespace disco {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class DataSets : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("disco-dataset-" + std::to_string(getpid()) + "-" +
                                           ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, const std::string& bytes) const {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  std::string error_of(const DataSetOptions& options, const InputSlot* input = nullptr) const {
    const auto set = open_data_set(options, input);
    EXPECT_FALSE(set.ok()) << options.source;
    return set.ok() ? "" : set.error().message;
  }

  fs::path folder_;
};

const std::vector<std::int64_t> kOrder = {426, 57, 118, 82};  // the beginning of shuffled(1000, 7)
constexpr std::uint64_t kHash = 875162134940873865ULL;

Preset raw() { return load_preset("raw").value(); }

/// `count` records of CIFAR; pixel p of record r, plane c is r + 7 c + p, modulo 256.
std::string records(int count, int label_bytes, int first_label) {
  std::string bytes;
  for (int r = 0; r < count; ++r) {
    for (int l = 0; l < label_bytes; ++l)
      bytes += static_cast<char>(l + 1 == label_bytes ? first_label + r : 19);
    for (int i = 0; i < 3 * 1024; ++i) bytes += static_cast<char>(r + 7 * (i / 1024) + i % 1024);
  }
  return bytes;
}

std::string compressed(const std::string& bytes) {
  std::string out(lzma_stream_buffer_bound(bytes.size()), '\0');
  std::size_t used = 0;
  EXPECT_EQ(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, nullptr,
                                    reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(),
                                    reinterpret_cast<std::uint8_t*>(out.data()), &used, out.size()),
            LZMA_OK);
  out.resize(used);
  return out;
}

std::vector<float> sample(const DataSet& set, std::int64_t index) {
  std::vector<float> values(static_cast<std::size_t>(element_count(set.sample_shape())));
  const Status status = set.read(index, values.data());
  EXPECT_TRUE(status.ok()) << status.error().message;
  return values;
}

TEST_F(DataSets, CifarIsReadPlainAndCompressed) {
  write("ten/data_batch_1.bin", records(3, 1, 0));
  write("ten/data_batch_2.bin.xz", compressed(records(4, 1, 3)));
  write("ten/test_batch.bin", records(2, 1, 8));
  write("ten/batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
  write("hundred/train.bin.xz", compressed(records(5, 2, 90)));
  write("hundred/test.bin", records(1, 2, 99));
  struct Case {
    std::string source, part;
    std::int64_t size, classes, first_label, split;  // records count anew from `split` on
  };
  for (const Case& item :
       {Case{"ten", "train", 7, 10, 0, 3}, Case{"ten", "test", 2, 10, 8, 9},
        Case{"ten/data_batch_2.bin.xz", "test", 4, 10, 3, 9}, Case{"hundred", "train", 5, 100, 90, 9},
        Case{"hundred", "test", 1, 100, 99, 9}, Case{"hundred/train.bin.xz", "train", 5, 100, 90, 9}}) {
    const auto opened = open_data_set({(folder_ / item.source).string(), item.part, raw()}, nullptr);
    ASSERT_TRUE(opened.ok()) << item.source << ": " << opened.error().message;
    const DataSet& set = **opened;
    EXPECT_EQ(set.size(), item.size) << item.source;
    EXPECT_EQ(set.classes(), item.classes) << item.source;
    EXPECT_EQ(set.sample_shape(), (Shape{3, 32, 32}));
    EXPECT_EQ(set.class_names().size(), item.classes == 10 ? 10U : 0U);
    for (std::int64_t i = 0; i < set.size(); ++i) {
      const std::int64_t r = i < item.split ? i : i - item.split;
      EXPECT_EQ(set.label(i), item.first_label + i) << item.source << " " << i;
      const std::vector<float> values = sample(set, i);
      for (std::size_t at = 0; at < values.size(); at += 97) {
        const auto want =
            (r + 7 * static_cast<std::int64_t>(at / 1024) + static_cast<std::int64_t>(at % 1024)) % 256;
        ASSERT_EQ(values[at], static_cast<float>(want)) << item.source << " sample " << i << " at " << at;
      }
    }
  }
}

TEST_F(DataSets, CifarObeysPresetAndModel) {
  write("data_batch_1.bin", records(2, 1, 0));
  const InputSlot nhwc{"x", DataType::Float32, Shape{-1, 32, 32, 3}};
  const InputSlot bytes{"x", DataType::UInt8, Shape{1, 3, 32, 32}};
  const InputSlot large{"x", DataType::Float32, Shape{-1, 3, 64, 64}};
  const DataSetOptions options{folder_.string()};
  const auto planes = open_data_set(options, nullptr).value();
  const auto pixels = open_data_set(options, &nhwc).value();
  ASSERT_EQ(planes->preset()->name, "cifar10");
  ASSERT_EQ(pixels->sample_shape(), (Shape{32, 32, 3}));
  const std::vector<float> a = sample(*planes, 1), b = sample(*pixels, 1);
  for (std::size_t p = 0; p < 1024; ++p) {
    for (std::size_t c = 0; c < 3; ++c) ASSERT_EQ(a[c * 1024 + p], b[p * 3 + c]) << p << " " << c;
  }
  EXPECT_NEAR(a[0], (1 / 255.0 - .485) / .229, 1e-6);
  EXPECT_EQ(sample(*open_data_set(options, &bytes).value(), 1)[5], 6.0F);
  EXPECT_EQ(open_data_set(options, &large).value()->sample_shape(), (Shape{3, 64, 64}));
  const InputSlot tokens{"ids", DataType::Int64, Shape{-1, 128}};
  EXPECT_THAT(error_of(options, &tokens), HasSubstr("'ids'"));
}

TEST_F(DataSets, BadCifarIsRefused) {
  const std::string good = records(3, 1, 0);
  const std::string packed = compressed(good);
  struct Case {
    std::string name, bytes, message;
  };
  for (const Case& item :
       {Case{"a.bin", good.substr(0, 2 * 3073 + 100), "2 records of 3073 bytes and 100 bytes more"},
        Case{"b.bin", "", "holds no records"}, Case{"c.bin", records(3, 1, 8), "record 2: its label is 10"},
        Case{"d.bin.xz", packed.substr(0, packed.size() / 2), "is cut off"},
        Case{"e.bin.xz", packed.substr(0, 40) + "damage" + packed.substr(46), "is damaged"},
        Case{"test.bin", records(2, 2, 99), "record 1: its label is 100"}}) {
    const fs::path path = write(item.name, item.bytes);
    const std::string message = error_of({path.string()});
    EXPECT_THAT(message, HasSubstr(item.message));
    EXPECT_THAT(message, HasSubstr(path.string()));
  }
  write("half/test_batch.bin", good);
  EXPECT_THAT(error_of({(folder_ / "half").string(), "train"}),
              HasSubstr("no CIFAR-10 batches of the train part"));
  write("named/data_batch_1.bin", good);
  write("named/batches.meta.txt", "cat\ndog\n");
  EXPECT_THAT(error_of({(folder_ / "named").string()}), HasSubstr("2 names for 10 classes"));
}

TEST_F(DataSets, KnownStatisticsOfCifar10) {
  const auto shared = shared_data();
  if (!shared) GTEST_SKIP() << "no shared data: set DISCO_SHARED to look at the real CIFAR-10";
  Preset unit = load_preset("unit").value();
  const auto set = open_data_set({(*shared / "cifar10").string(), "train", unit}, nullptr).value();
  ASSERT_EQ(set->size(), 50'000);
  ASSERT_EQ(set->class_names().at(3), "cat");
  std::array<double, 3> sum{}, squares{};
  std::array<std::int64_t, 10> labels{};
  std::vector<float> values(3072);
  for (std::int64_t i = 0; i < set->size(); ++i) {
    ASSERT_TRUE(set->read(i, values.data()).ok());
    ++labels[static_cast<std::size_t>(set->label(i))];
    for (std::size_t at = 0; at < values.size(); ++at) {
      sum[at / 1024] += values[at];
      squares[at / 1024] += static_cast<double>(values[at]) * values[at];
    }
  }
  const double mean[] = {.49139968, .48215841, .44653091}, std[] = {.24703223, .24348513, .26158784};
  for (std::size_t c = 0; c < 3; ++c) {
    const double m = sum[c] / (1024 * 50'000.0);
    EXPECT_NEAR(m, mean[c], 1e-6) << c;
    EXPECT_NEAR(std::sqrt(squares[c] / (1024 * 50'000.0) - m * m), std[c], 1e-6) << c;
  }
  EXPECT_THAT(labels, ::testing::Each(5'000));
}

TEST_F(DataSets, SubsetsAreReproducibleAndDoNotOverlap) {
  const auto indices_of = [](std::int64_t limit, std::int64_t skip, std::uint64_t seed) {
    DataSetOptions options{"shapes"};
    options.limit = limit;
    options.skip = skip;
    options.seed = seed;
    const auto set = open_data_set(options, nullptr).value();
    std::vector<std::vector<float>> samples;
    for (std::int64_t i = 0; i < set->size(); ++i) samples.push_back(sample(*set, i));
    return samples;
  };
  const auto first = indices_of(8, 0, 1), again = indices_of(8, 0, 1), next = indices_of(8, 8, 1),
             both = indices_of(16, 0, 1), other = indices_of(8, 0, 2);
  EXPECT_EQ(first, again);
  EXPECT_NE(first, other);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(both[i], first[i]);
    EXPECT_EQ(both[i + 8], next[i]);
  }
  const std::vector<std::int64_t> order = shuffled(1000, 7);
  EXPECT_EQ(std::set<std::int64_t>(order.begin(), order.end()).size(), 1000U);
  EXPECT_EQ((std::vector<std::int64_t>(order.begin(), order.begin() + 4)), kOrder);
  DataSetOptions options{"shapes", "test"};
  options.skip = 4'000;
  EXPECT_THAT(error_of(options), HasSubstr("none is left behind the first 4000"));
  EXPECT_THAT(error_of({"shapes", "val"}), HasSubstr("not 'val'"));
}

class ImageFolders : public DataSets {
 protected:
  /// Copies of a tiny picture.
  void add(const std::string& name) const {
    // 2 x 1 pixels, red and blue.
    static const unsigned char png[] = {
        0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0x00, 0x00, 0x00, 0x0D, 0x49, 0x48,
        0x44, 0x52, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x02, 0x00, 0x00,
        0x00, 0x7B, 0x40, 0xE8, 0xDD, 0x00, 0x00, 0x00, 0x0D, 0x49, 0x44, 0x41, 0x54, 0x78,
        0x9C, 0x63, 0xF8, 0xCF, 0x00, 0x04, 0xFF, 0x01, 0x07, 0x00, 0x01, 0xFF, 0xE2, 0x23,
        0x9E, 0x59, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82};
    write(name, std::string(reinterpret_cast<const char*>(png), sizeof png));
  }
};

TEST_F(ImageFolders, ClassesAreFolders) {
  for (const char* name :
       {"train/dog/1.png", "train/dog/2.png", "train/cat/9.png", "val/cat/3.png", "val/dog/4.png"})
    add(name);
  const auto train = open_data_set({folder_.string(), "train", raw()}, nullptr);
  ASSERT_TRUE(train.ok()) << train.error().message;
  EXPECT_EQ((*train)->size(), 3);
  EXPECT_EQ((*train)->class_names(), (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ((*train)->label(0), 0);
  EXPECT_EQ((*train)->label(2), 1);
  EXPECT_EQ((*train)->sample_shape(), (Shape{3, 1, 2}));
  EXPECT_EQ(sample(**train, 0), (std::vector<float>{255, 0, 0, 0, 0, 255}));
  EXPECT_EQ(open_data_set({folder_.string(), "test"}, nullptr).value()->size(), 2);
  // Without parts, both are all of it.
  EXPECT_EQ(open_data_set({(folder_ / "train").string(), "test"}, nullptr).value()->size(), 3);
  fs::remove_all(folder_ / "val");
  EXPECT_THAT(error_of({folder_.string(), "test"}),
              HasSubstr("has a folder 'train', but none for the test part"));
}

TEST_F(ImageFolders, TablesGiveClasses) {
  for (const char* name : {"a.png", "b.png", "c.png"}) add(name);
  EXPECT_EQ(open_data_set({folder_.string()}, nullptr).value()->classes(), 0);
  EXPECT_EQ(open_data_set({folder_.string()}, nullptr).value()->label(1), -1);
  write("labels.txt", "a.png\t2\tfish\nc.png\t0\tbird\n");
  const auto set = open_data_set({folder_.string()}, nullptr).value();
  EXPECT_EQ(set->classes(), 3);
  EXPECT_EQ(set->label(0), 2);
  EXPECT_EQ(set->label(1), -1);
  EXPECT_EQ(set->class_names(), (std::vector<std::string>{"bird", "", "fish"}));
  write("labels.txt", "fish\nbird\n");
  EXPECT_THAT(error_of({folder_.string()}), HasSubstr("does not say which image has which class"));
}

TEST_F(ImageFolders, BadFoldersAreRefused) {
  EXPECT_THAT(error_of({folder_.string()}), HasSubstr("without .jpg, .jpeg or .png files"));
  fs::create_directories(folder_ / "dog");
  EXPECT_THAT(error_of({folder_.string()}), HasSubstr("neither it nor the folders in it"));
  write("dog/broken.png", "\x89PNG\r\n\x1A\nno more");
  EXPECT_THAT(error_of({folder_.string()}), HasSubstr("broken.png"));
  EXPECT_THAT(error_of({(folder_ / "missing").string()}),
              HasSubstr("there is no such data set; give a folder"));
  EXPECT_THAT(error_of({write("x.txt", "hello").string()}), HasSubstr("is no data set; give a folder"));
}

TEST_F(DataSets, ArraysAreSamples) {
  const Tensor x = Tensor::of<float>({3, 2, 2}, std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  const auto save = [&](const NamedTensors& arrays) {
    const fs::path path = folder_ / "x.npz";
    EXPECT_TRUE(write_npz(path, arrays).ok());
    return path.string();
  };
  const InputSlot input{"features", DataType::Float32, Shape{-1, 2, 2}};
  for (const char* name : {"labels", "y"}) {
    const auto set = open_data_set(
        {save({{"x", x}, {name, Tensor::of<std::int32_t>({3}, std::vector<std::int32_t>{1, 0, 4})}})},
        &input);
    ASSERT_TRUE(set.ok()) << set.error().message;
    EXPECT_EQ((*set)->size(), 3);
    EXPECT_EQ((*set)->classes(), 5);
    EXPECT_EQ((*set)->label(2), 4);
    EXPECT_EQ((*set)->preset(), nullptr);
    EXPECT_EQ(sample(**set, 1), (std::vector<float>{4, 5, 6, 7}));
    const std::array<std::int64_t, 2> some = {2, 0};
    EXPECT_EQ(read_samples(**set, some)->shape(), (Shape{2, 2, 2}));
  }
  EXPECT_EQ(open_data_set({save({{"features", x}, {"other", x}})}, &input).value()->classes(), 0);

  Tensor broken = x.clone();
  broken.data<float>()[9] = std::numeric_limits<float>::quiet_NaN();
  const auto labels = [](std::vector<std::int64_t> values) {
    return Tensor::of<std::int64_t>({static_cast<std::int64_t>(values.size())}, values);
  };
  struct Case {
    NamedTensors arrays;
    std::string message;
  };
  for (const Case& item :
       {Case{{{"x", broken}}, "sample 2 holds nan"},
        Case{{{"x", x}, {"z", x}}, "holds 'x', 'z'; which holds the samples?"},
        Case{{{"y", labels({1, 2, 3})}}, "holds no array of samples"},
        Case{{{"x", x}, {"y", labels({1, 2})}}, "labels are [2], but there are 3 samples"},
        Case{{{"x", x}, {"y", labels({1, -1, 0})}}, "label -1 of sample 1"},
        Case{{{"x", x}, {"y", x}}, "labels are [3, 2, 2]"},
        Case{{{"x", x.reshaped({3, 4})}}, "but the model's input is 'features' float32 [?, 2, 2]"},
        Case{{{"x", x.reshaped({12})}}, "the first axis should be the samples"},
        Case{{{"x", Tensor(DataType::Float64, {3, 2, 2})}}, "x.astype('float32')"},
        Case{{{"x", Tensor(DataType::Float32, {0, 2, 2})}}, "no samples"}}) {
    EXPECT_THAT(error_of({save(item.arrays)}, &input), HasSubstr(item.message));
  }
}

// Shapes.

std::uint64_t hash_of(const Image& image) {  // FNV-1a
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const std::uint8_t byte : image.rgb) hash = (hash ^ byte) * 0x100000001B3ULL;
  return hash;
}

TEST(Shapes, AreTheSameOnEveryMachine) {
  std::uint64_t all = 0;
  for (std::int64_t kind = 0; kind < 10; ++kind) all = all * 31 + hash_of(render_shape(kind, 48, 5));
  EXPECT_EQ(all, kHash) << "a change of the pictures makes networks trained on them obsolete";
}

TEST(Shapes, SizesFollowSourceAndModel) {
  const InputSlot model{"x", DataType::Float32, Shape{-1, 3, 64, 64}};
  EXPECT_EQ(open_data_set({"shapes"}, nullptr).value()->sample_shape(), (Shape{3, 32, 32}));
  EXPECT_EQ(open_data_set({"shapes"}, &model).value()->sample_shape(), (Shape{3, 64, 64}));
  EXPECT_EQ(open_data_set({"shapes:224"}, nullptr).value()->sample_shape(), (Shape{3, 224, 224}));
  for (const char* bad : {"shapes:", "shapes:31", "shapes:225", "shapes:64x", "shapes:-3"}) {
    const auto set = open_data_set({bad}, nullptr);
    ASSERT_FALSE(set.ok()) << bad;
    EXPECT_THAT(set.error().message, HasSubstr("from 32 to 224 pixels"));
  }
}

TEST(Shapes, ThreadsReadTheSame) {
  const auto set = open_data_set({"shapes"}, nullptr).value();
  std::vector<std::vector<float>> alone, together(64);
  for (std::int64_t i = 0; i < 64; ++i) alone.push_back(sample(*set, i));
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = t; i < 64; i += 4) together[i] = sample(*set, static_cast<std::int64_t>(i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(alone, together);
}

/// The share of test samples that lie nearest to the mean training sample of their own class.
double nearest_centroid(const DataSet& train, const DataSet& test, std::int64_t count) {
  const auto row = static_cast<std::size_t>(element_count(train.sample_shape()));
  std::vector<std::vector<double>> centroids(10, std::vector<double>(row));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::vector<float> values = sample(train, i);
    for (std::size_t at = 0; at < row; ++at)
      centroids[static_cast<std::size_t>(train.label(i))][at] += values[at];
  }
  std::int64_t right = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::vector<float> values = sample(test, i);
    std::vector<double> distance(10);
    for (std::size_t k = 0; k < 10; ++k) {
      for (std::size_t at = 0; at < row; ++at) {
        const double off = values[at] - centroids[k][at] * 10 / static_cast<double>(count);
        distance[k] += off * off;
      }
    }
    right += std::min_element(distance.begin(), distance.end()) - distance.begin() == test.label(i) ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(count);
}

TEST(Shapes, ColoursAndPlacesDoNotGiveTheClassAway) {
  const auto train = open_data_set({"shapes", "train"}, nullptr).value();
  const auto test = open_data_set({"shapes", "test"}, nullptr).value();
  EXPECT_LT(nearest_centroid(*train, *test, 2'000), 0.25);
  EXPECT_NE(sample(*train, 0), sample(*test, 0));
}

TEST(Shapes, KindsDiffer) {
  // With one seed all but the shape is the same: what differs between two kinds is their border.
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    for (std::int64_t a = 0; a < 10; ++a) {
      for (std::int64_t b = 0; b < a; ++b) {
        const Image x = render_shape(a, 64, seed), y = render_shape(b, 64, seed);
        std::size_t differ = 0;
        for (std::size_t i = 0; i < x.rgb.size(); i += 3)
          differ += std::abs(x.rgb[i] - y.rgb[i]) + std::abs(x.rgb[i + 1] - y.rgb[i + 1]) +
                                std::abs(x.rgb[i + 2] - y.rgb[i + 2]) >
                            40
                        ? 1
                        : 0;
        EXPECT_GT(differ, 40U) << "kinds " << a << " and " << b << ", seed " << seed;
      }
    }
  }
}

TEST_F(DataSets, WithoutClasses) {
  DataSetOptions options;
  options.source = "shapes:32";
  options.limit = 5;
  const auto labelled = open_data_set(options, nullptr).value();
  options.labels = false;
  const auto bare = open_data_set(options, nullptr).value();
  EXPECT_EQ(bare->size(), 5);
  EXPECT_EQ(bare->classes(), 0);
  EXPECT_EQ(bare->label(0), -1);
  std::vector<float> one(static_cast<std::size_t>(element_count(bare->sample_shape())));
  std::vector<float> other(one.size());
  ASSERT_TRUE(bare->read(3, one.data()).ok());
  ASSERT_TRUE(labelled->read(3, other.data()).ok());
  EXPECT_EQ(one, other);
}

}  // namespace
}  // namespace disco
