// NumPy's files: what is written is read back, NumPy's own bytes are understood, and damage is refused.

#include "data/npz.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zip.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/file.h"

namespace disco {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

class NumPy : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("disco-npz-{}", getpid());
    fs::create_directories(folder_);
    path_ = folder_ / "x.npz";
  }
  void TearDown() override { fs::remove_all(folder_); }

  void put(std::span<const std::byte> bytes) const {
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  void put(std::string_view text) const { put(std::as_bytes(std::span(text))); }
  [[nodiscard]] Bytes bytes() const { return read_file(path_).value(); }

  /// One line that begins with the file's name.
  template <typename T>
  void expect_refused(const Result<T>& result, std::string_view says, const std::string& what) const {
    ASSERT_FALSE(result.ok()) << what;
    const std::string& line = result.error().message;
    EXPECT_EQ(result.error().code, ErrorCode::InvalidArgument) << what << ": " << line;
    EXPECT_TRUE(line.starts_with(path_.string() + ": ")) << what << ": " << line;
    EXPECT_NE(line.find(says), std::string::npos) << what << ": " << line;
  }

  fs::path folder_;
  fs::path path_;
};

/// A .npy file of a header's dictionary and its elements.
std::string npy(const std::string& dictionary, const std::string& elements, char version = 1) {
  std::string text = std::string("\x93NUMPY") + version + '\0';
  const std::string header = dictionary + '\n';
  text += static_cast<char>(header.size() & 0xFF);
  text += static_cast<char>(header.size() >> 8);
  if (version > 1) text += std::string(2, '\0');
  return text + header + elements;
}

bool equal(const Tensor& a, const Tensor& b) {
  return a.type() == b.type() && a.shape() == b.shape() &&
         (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0);
}

TEST_F(NumPy, WhatIsWrittenIsReadBack) {
  for (const DataType type : {DataType::Float32, DataType::Float64, DataType::Float16, DataType::Int8,
                              DataType::UInt8, DataType::Int16, DataType::UInt16, DataType::Int32,
                              DataType::UInt32, DataType::Int64, DataType::UInt64, DataType::Bool}) {
    NamedTensors all;
    for (const Shape& shape :
         {Shape{}, Shape{1}, Shape{7}, Shape{2, 3}, Shape{0}, Shape{3, 0, 2}, Shape{1, 2, 3, 4, 5}}) {
      Tensor tensor(type, shape);
      for (std::size_t i = 0; i < tensor.bytes(); ++i)
        tensor.raw()[i] = static_cast<std::byte>(type == DataType::Bool ? i % 2 : i * 37 % 251);
      const std::string where = fmt::format("{} {}", to_string(type), to_string(shape));
      ASSERT_TRUE(write_npy(path_, tensor).ok()) << where;
      const auto read = read_npy(path_);
      ASSERT_TRUE(read.ok()) << where << ": " << read.error().message;
      EXPECT_TRUE(equal(*read, tensor)) << where;
      all[to_string(shape)] = tensor;
    }
    ASSERT_TRUE(write_npz(path_, all).ok());
    const auto read = read_npz(path_);
    ASSERT_TRUE(read.ok()) << read.error().message;
    ASSERT_EQ(read->size(), all.size());
    for (const auto& [name, tensor] : all) EXPECT_TRUE(equal(read->at(name), tensor)) << name;
  }
}

TEST_F(NumPy, EqualArraysMakeEqualFiles) {
  const NamedTensors tensors = {{"x", Tensor::of<float>({2}, {1, 2})}, {"/y/z:0", Tensor::scalar(3.0)}};
  ASSERT_TRUE(write_npz(path_, tensors).ok());
  const Bytes first = bytes();
  ASSERT_TRUE(write_npz(path_, tensors).ok());
  EXPECT_EQ(bytes(), first);
  EXPECT_TRUE(read_npz(path_)->contains("/y/z:0"));
}

// np.save of NumPy 1.24 writes these headers, padded with spaces.
TEST_F(NumPy, ForeignOrders) {
  const Tensor want = Tensor::of<std::int32_t>({2, 3}, {1, 2, 3, 4, 5, 6});
  const std::string little("\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5\0\0\0\6\0\0\0", 24);
  const std::string big("\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5\0\0\0\6", 24);
  const std::string columns("\1\0\0\0\4\0\0\0\2\0\0\0\5\0\0\0\3\0\0\0\6\0\0\0", 24);
  const std::string both("\0\0\0\1\0\0\0\4\0\0\0\2\0\0\0\5\0\0\0\3\0\0\0\6", 24);
  const std::pair<std::string, std::string> files[] = {
      {"{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }     ", little},
      {"{'descr': '>i4', 'fortran_order': False, 'shape': (2, 3), }", big},
      {"{'descr': '<i4', 'fortran_order': True, 'shape': (2, 3), }", columns},
      {"{'descr': '>i4', 'fortran_order': True, 'shape': (2, 3), }", both},
      {"{'shape': (2L, 3L), 'fortran_order': False, 'descr': '<i4'}", little}};
  for (const auto& [dictionary, elements] : files) {
    for (const char version : {'\1', '\2', '\3'}) {
      put(npy(dictionary, elements, version));
      const auto read = read_npy(path_);
      ASSERT_TRUE(read.ok()) << dictionary << ": " << read.error().message;
      EXPECT_TRUE(equal(*read, want)) << dictionary;
    }
  }
}

TEST_F(NumPy, BoolsAreZeroOrOne) {
  put(npy("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", std::string("\0\x02\xFF", 3)));
  const auto read = read_npy(path_);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(std::memcmp(read->raw(), "\0\1\1", 3), 0);
}

TEST_F(NumPy, HeadersThatCannotBe) {
  const std::string four(4, '\0');
  struct Case {
    std::string dictionary;
    std::string says;
  };
  const Case cases[] = {
      {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", "type <c8"},
      {"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "type |O"},
      {"{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}", "type <f16"},
      {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "not supported"},
      {"{'fortran_order': False, 'shape': (1,)}", "no 'descr'"},
      {"{'descr': '<f4', 'shape': (1,)}", "no 'fortran_order'"},
      {"{'descr': '<f4', 'fortran_order': False}", "no 'shape'"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': 1}", "shape cannot be"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1", "shape cannot be"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "shape cannot be"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (x,)}", "shape cannot be"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}", "shape cannot be"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "shape cannot be"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4294967296)}",
       "shape cannot be"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "need 8"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (0,)}", "need 0"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': ()}", "need 8"}};
  for (const Case& item : cases) {
    put(npy(item.dictionary, four));
    expect_refused(read_npy(path_), item.says, item.dictionary);
  }
  put(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", four, '\4'));
  expect_refused(read_npy(path_), "version 4", "version 4");
}

TEST_F(NumPy, CutOffAnywhereIsRefused) {
  const NamedTensors tensors = {{"x", Tensor::of<float>({3}, {1, 2, 3})},
                                {"y", Tensor::of<std::int64_t>({1}, {7})}};
  ASSERT_TRUE(write_npy(path_, tensors.at("x")).ok());
  Bytes whole = bytes();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    put(std::span(whole).first(length));
    expect_refused(read_npy(path_), "", fmt::format("{} bytes of .npy", length));
  }
  ASSERT_TRUE(write_npz(path_, tensors).ok());
  whole = bytes();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    put(std::span(whole).first(length));
    expect_refused(read_npz(path_), "", fmt::format("{} bytes of .npz", length));
  }
}

TEST_F(NumPy, FlippedBitsNeverChangeAnArray) {
  const NamedTensors tensors = {{"x", Tensor::of<float>({5}, {1, 2, 3, 4, 5})}};
  ASSERT_TRUE(write_npz(path_, tensors).ok());
  const Bytes whole = bytes();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int bit : {0, 4, 7}) {
      Bytes damaged = whole;
      damaged[at] ^= std::byte{static_cast<unsigned char>(1 << bit)};
      put(damaged);
      const auto read = read_npz(path_);
      if (!read) continue;
      for (const auto& [name, tensor] : *read)
        EXPECT_TRUE(equal(tensor, tensors.at("x"))) << "bit " << bit << " of byte " << at;
    }
  }
}

/// An archive of these entries, deflated.
void zip(const fs::path& path, const std::vector<std::pair<std::string, std::string>>& entries) {
  int code = 0;
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  ASSERT_NE(archive, nullptr);
  for (const auto& [name, text] : entries) {
    zip_source_t* source = zip_source_buffer(archive, text.data(), text.size(), 0);
    ASSERT_GE(zip_file_add(archive, name.c_str(), source, 0), 0) << name;
  }
  ASSERT_EQ(zip_close(archive), 0);
}

TEST_F(NumPy, DeflatedArchivesAreRead) {
  const std::string one =
      npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4000,), }", std::string(16000, '\0'));
  zip(path_, {{"a.npy", one}, {"b", one}});
  const auto read = read_npz(path_);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->at("a").shape(), (Shape{4000}));
  EXPECT_EQ(read->at("b").shape(), (Shape{4000}));
}

TEST_F(NumPy, HostileArchives) {
  const std::string one =
      npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", std::string(4, '\0'));
  zip(path_, {{"x.npy", one}, {"x", one}});
  expect_refused(read_npz(path_), "there twice", "two of one name");
  zip(path_, {{"x.npy", one}, {"README", "hello"}});
  expect_refused(read_npz(path_), "'README': the magic bytes are missing", "a text in it");

  // A size that would be asked of the memory: in the directory at the end, where the entry's size is.
  zip(path_, {{"x.npy", one}});
  Bytes lying = bytes();
  for (std::size_t i = 0; i + 28 < lying.size(); ++i) {
    if (std::memcmp(lying.data() + i, "PK\1\2", 4) == 0) std::memset(lying.data() + i + 24, 0x7F, 4);
  }
  put(lying);
  expect_refused(read_npz(path_), "size cannot be", "a size of 2 GB");

  put(std::string_view("not an archive"));
  expect_refused(read_npz(path_), "not a readable zip archive", "a text");
  EXPECT_EQ(read_npz(folder_ / "missing.npz").error().code, ErrorCode::NotFound);
  EXPECT_EQ(read_npy(folder_ / "missing.npy").error().code, ErrorCode::NotFound);
}

TEST_F(NumPy, WhatCannotBeWrittenLeavesWhatWasThere) {
  put(std::string_view("before"));
  EXPECT_EQ(write_npz(path_, {}).error().code, ErrorCode::InvalidArgument);
  const Tensor half = Tensor::zeros(DataType::BFloat16, {2});
  EXPECT_EQ(write_npz(path_, {{"x", Tensor::scalar(1.0F)}, {"y", half}}).error().code,
            ErrorCode::Unsupported);
  EXPECT_EQ(write_npy(path_, half).error().code, ErrorCode::Unsupported);
  EXPECT_FALSE(write_npz(folder_ / "missing" / "x.npz", {{"x", Tensor::scalar(1.0F)}}).ok());
  EXPECT_EQ(bytes().size(), 6U);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

}  // namespace
}  // namespace disco
