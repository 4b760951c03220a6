// Files are written whole or not at all, and nothing else is ever touched.

#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <set>

namespace disco {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class FileWriting : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "disco-file-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_)) found.insert(entry.path().filename());
    return found;
  }
  [[nodiscard]] static std::string content(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void put(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

  fs::path folder_;
};

TEST_F(FileWriting, WholeOrNotAtAll) {
  const fs::path path = folder_ / "out";
  for (const bool exists : {false, true}) {
    if (exists) put(path, "old");
    for (const bool commits : {false, true}) {
      {
        auto writer = FileWriter::create(path);
        ASSERT_TRUE(writer) << writer.error().message;
        ASSERT_TRUE(writer->append(bytes_of("new ")).ok());
        ASSERT_TRUE(writer->append(bytes_of("text")).ok());
        EXPECT_EQ(writer->size(), 8U);
        EXPECT_EQ(content(path), exists ? "old" : "");
        if (commits) {
          ASSERT_TRUE(writer->commit().ok());
        }
      }
      EXPECT_EQ(content(path), commits ? "new text" : exists ? "old" : "");
      EXPECT_EQ(names(), (exists || commits ? std::set<std::string>{"out"} : std::set<std::string>{}));
    }
    fs::remove(path);
  }
}

TEST_F(FileWriting, TwoWritersOfOneFileBothSucceed) {
  auto first = FileWriter::create(folder_ / "out");
  auto second = FileWriter::create(folder_ / "out");
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(first->append(bytes_of("first")).ok() && second->append(bytes_of("second")).ok());
  ASSERT_TRUE(first->commit().ok());
  EXPECT_EQ(content(folder_ / "out"), "first");
  ASSERT_TRUE(second->commit().ok());
  EXPECT_EQ(content(folder_ / "out"), "second");
  EXPECT_EQ(names(), std::set<std::string>{"out"});
}

TEST_F(FileWriting, NamesThatAKilledProcessLeftAreNoObstacle) {
  for (int i = 0; i < 200; ++i)
    put(folder_ / (".disco-" + std::to_string(getpid()) + "-" + std::to_string(i) + ".tmp"), "");
  EXPECT_TRUE(write_file(folder_ / "out", bytes_of("text")).ok());
  EXPECT_EQ(content(folder_ / "out"), "text");
}

TEST_F(FileWriting, AKilledProcessLeavesNothing) {
  const pid_t child = fork();
  if (child == 0) {
    auto writer = FileWriter::create(folder_ / "out");
    if (writer && writer->append(bytes_of("half of it")).ok()) kill(getpid(), SIGKILL);
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  if (!names().empty()) GTEST_SKIP() << "the file system of " << folder_ << " knows no files without names";
}

TEST_F(FileWriting, AFullDiskLeavesWhatWasThere) {
  put(folder_ / "out", "old");
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);  // what a full disk is to write(): fewer bytes, then an error
    const rlimit limit{100'000, 100'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    const Status status = write_file(folder_ / "out", bytes_of(std::string(1'000'000, 'x')));
    _exit(!status && status.error().code == ErrorCode::Io &&
                  status.error().message.find("out: cannot write: ") != std::string::npos
              ? 0
              : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(content(folder_ / "out"), "old");
  EXPECT_EQ(names(), std::set<std::string>{"out"});
}

TEST_F(FileWriting, DevicesAndPipesKeepTheirPlace) {
  const Status full = write_file("/dev/full", bytes_of("text"));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().message, "/dev/full: cannot write: No space left on device");
  EXPECT_TRUE(write_file("/dev/null", bytes_of("text")).ok());
  EXPECT_TRUE(fs::is_character_file("/dev/full") && fs::is_character_file("/dev/null"));
  const fs::path pipe = folder_ / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_FALSE(write_file(pipe, bytes_of("text")));  // nobody reads it
  EXPECT_TRUE(fs::is_fifo(pipe));
}

TEST_F(FileWriting, ALinkStaysALink) {
  put(folder_ / "target", "old");
  fs::create_symlink("target", folder_ / "link");
  ASSERT_TRUE(write_file(folder_ / "link", bytes_of("new")).ok());
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(content(folder_ / "target"), "new");
}

TEST_F(FileWriting, WhatCannotBeWrittenIsOneLine) {
  put(folder_ / "file", "old");
  const std::pair<fs::path, std::string> cases[] = {
      {"", "'' is not the name of a file to write"},
      {folder_, "it is a folder"},
      {folder_ / "", "is not the name of a file"},
      {folder_ / "missing" / "out", "missing does not exist; make it first"},
      {folder_ / "file" / "out", "file does not exist; make it first"},
      {folder_ / std::string(300, 'x'), "File name too long"},
  };
  for (const auto& [path, why] : cases) {
    const Status status = write_file(path, bytes_of("text"));
    ASSERT_FALSE(status) << path;
    EXPECT_EQ(check_writable(path).error().message, status.error().message);
    EXPECT_NE(status.error().message.find(why), std::string::npos) << status.error().message;
    EXPECT_EQ(status.error().message.find('\n'), std::string::npos) << status.error().message;
  }
  EXPECT_EQ(names(), std::set<std::string>{"file"});
  if (geteuid() != 0) {  // root may write anything
    fs::permissions(folder_ / "file", fs::perms::owner_read);
    EXPECT_FALSE(write_file(folder_ / "file", bytes_of("new")));
    fs::permissions(folder_, fs::perms::owner_read | fs::perms::owner_exec);
    EXPECT_FALSE(write_file(folder_ / "other", bytes_of("new")));
    fs::permissions(folder_, fs::perms::owner_all);
  }
  EXPECT_EQ(content(folder_ / "file"), "old");
}

TEST_F(FileWriting, CheckingWritesNothing) {
  put(folder_ / "file", "old");
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  for (const char* name : {"file", "pipe", "new"}) EXPECT_TRUE(check_writable(folder_ / name).ok()) << name;
  EXPECT_EQ(names(), (std::set<std::string>{"file", "pipe"}));
  EXPECT_EQ(content(folder_ / "file"), "old");
}

TEST_F(FileWriting, ReadingIsWholeToo) {
  put(folder_ / "file", "0123456789");
  const auto all = read_file(folder_ / "file");
  ASSERT_TRUE(all);
  EXPECT_EQ(all->size(), 10U);
  std::byte some[4] = {};
  EXPECT_TRUE(read_file_range(folder_ / "file", 6, some).ok());
  EXPECT_EQ(static_cast<char>(some[3]), '9');
  EXPECT_FALSE(read_file_range(folder_ / "file", 7, some));
  EXPECT_FALSE(read_file_range(folder_ / "file", ~std::uint64_t{0}, some));
  EXPECT_EQ(read_file(folder_ / "missing").error().code, ErrorCode::NotFound);
  EXPECT_EQ(read_file(folder_).error().code, ErrorCode::Io);
  EXPECT_EQ(read_file("/dev/zero").error().code, ErrorCode::Io);
}

}  // namespace
}  // namespace disco
