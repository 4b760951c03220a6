#pragma once
// Files read whole, and files written whole or not at all.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/result.h"

namespace disco {

/// Bytes of a regular file, or NotFound, or Io (a folder, a device, no permission).
[[nodiscard]] Result<std::uint64_t> size_of_file(const std::filesystem::path& path);

/// The whole of a regular file, or NotFound, or Io.
[[nodiscard]] Result<std::vector<std::byte>> read_file(const std::filesystem::path& path);

/// Copies `destination.size()` bytes from `offset` on; Io where the file ends before.
[[nodiscard]] Status read_file_range(const std::filesystem::path& path, std::uint64_t offset,
                                     std::span<std::byte> destination);

/// Writes beside the target without a name (or under a temporary one, where the file system knows no other
/// way); only commit() gives the file its name, after its bytes are on disk. Destroyed without a commit, it
/// leaves nothing behind, and a file of that name stays as it was. Devices and pipes are written to directly.
class FileWriter {
 public:
  /// @param mode  who may read and write it, as chmod has it and less the process's umask
  /// @return the writer, or NotFound (no such folder), InvalidArgument (no file name), or Io: not permitted,
  /// a folder
  [[nodiscard]] static Result<FileWriter> create(const std::filesystem::path& path, unsigned mode = 0666);
  FileWriter(FileWriter&& other) noexcept;
  FileWriter& operator=(FileWriter&& other) noexcept;
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;
  ~FileWriter();

  [[nodiscard]] Status append(std::span<const std::byte> bytes);
  /// Bytes appended so far.
  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] Status commit();

 private:
  enum class Kind { Direct, Nameless, Temporary };
  FileWriter() = default;
  void discard();

  Kind kind_ = Kind::Direct;
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

/// Whether a file of this name could be written now; nothing is. Said before long work, an error costs less.
[[nodiscard]] Status check_writable(const std::filesystem::path& path);

/// Replaces or creates a file, whole or not at all.
[[nodiscard]] Status write_file(const std::filesystem::path& path, std::span<const std::byte> bytes,
                                unsigned mode = 0666);

}  // namespace disco
