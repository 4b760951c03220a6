#include "data/classification.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

namespace disco {
namespace {

namespace fs = std::filesystem;

class LabelFile : public ::testing::Test {
 protected:
  void SetUp() override { path_ = fs::temp_directory_path() / fmt::format("disco-labels-{}.txt", getpid()); }
  void TearDown() override { fs::remove(path_); }
  Result<Labels> load(const std::string& text) {
    std::ofstream(path_) << text;
    return load_labels(path_);
  }
  fs::path path_;
};

TEST_F(LabelFile, AListNamesClassesInOrder) {
  for (const char* text : {"tench\ngreat white shark\n\nhen", "tench\r\ngreat white shark\r\n\r\nhen\r\n",
                           "tench\ngreat white shark\n\nhen\n\n\n"}) {
    const auto labels = load(text);
    ASSERT_TRUE(labels.ok()) << labels.error().message;
    EXPECT_EQ(labels->names, (std::vector<std::string>{"tench", "great white shark", "", "hen"}));
    EXPECT_TRUE(labels->files.empty());
    EXPECT_TRUE(check_labels(*labels, 4, path_).ok());
    for (const std::int64_t classes : {3, 5}) {
      const Status status = check_labels(*labels, classes, path_);
      ASSERT_FALSE(status.ok());
      EXPECT_NE(status.error().message.find(fmt::format("4 names for {} classes", classes)),
                std::string::npos);
    }
  }
}

TEST_F(LabelFile, ATableNamesFilesToo) {
  const auto labels = load("a.jpg\t3\thorse, pony\nb.jpg\t0\tcat\nc.jpg\t3\thorse, pony\n");
  ASSERT_TRUE(labels.ok()) << labels.error().message;
  EXPECT_EQ(labels->names, (std::vector<std::string>{"cat", "", "", "horse, pony"}));
  EXPECT_EQ(labels->files, (std::map<std::string, std::int64_t>{{"a.jpg", 3}, {"b.jpg", 0}, {"c.jpg", 3}}));
  EXPECT_TRUE(check_labels(*labels, 4, path_).ok());
  EXPECT_TRUE(check_labels(*labels, 10, path_).ok());
  EXPECT_FALSE(check_labels(*labels, 3, path_).ok());
}

TEST_F(LabelFile, MistakesAreOneLineWithTheirPlace) {
  struct Case {
    const char* text;
    const char* says;
  };
  const Case cases[] = {{"", "no label"},
                        {"\n\n", "no label"},
                        {"a.jpg\t1\tcat\nb.jpg\tdog\n", ":2: not FILE, CLASS and NAME"},
                        {"a.jpg\t1\tcat\nb.jpg\t-1\tdog\n", ":2: not FILE, CLASS and NAME"},
                        {"a.jpg\t1\tcat\nb.jpg\t99999999999999999999\tdog\n", ":2: not FILE, CLASS and NAME"},
                        {"a.jpg\t1\tcat\n\nb.jpg\t1\tcat\n", ":2: not FILE, CLASS and NAME"},
                        {"a.jpg\t1\tcat\nb.jpg\t1\tdog\n", ":2: class 1 has another name further up: cat"},
                        {"a.jpg\t1\tcat\na.jpg\t2\tdog\n", ":2: the file a.jpg is there twice"}};
  for (const Case& item : cases) {
    const auto labels = load(item.text);
    ASSERT_FALSE(labels.ok()) << item.text;
    EXPECT_TRUE(labels.error().message.starts_with(path_.string())) << labels.error().message;
    EXPECT_NE(labels.error().message.find(item.says), std::string::npos) << labels.error().message;
  }
  EXPECT_EQ(load_labels("/no/such/labels.txt").error().code, ErrorCode::NotFound);
}

TEST(TopClasses, HighestFirst) {
  const std::vector<double> scores = {0.5, NAN, -1.0, 2.0, 0.5, INFINITY, -INFINITY, 2.0};
  std::vector<std::int64_t> order;
  for (const ClassScore& best : top_classes(scores, 100)) order.push_back(best.index);
  EXPECT_EQ(order, (std::vector<std::int64_t>{5, 3, 7, 0, 4, 2, 6, 1}));
  const auto two = top_classes(scores, 2);
  ASSERT_EQ(two.size(), 2U);
  EXPECT_EQ(two[1].index, 3);
  EXPECT_EQ(two[1].score, 2.0);
  EXPECT_TRUE(top_classes({}, 5).empty());
}

}  // namespace
}  // namespace disco
