#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

namespace disco {

namespace {

Error system_error(const std::filesystem::path& path, std::string_view doing) {
  const int code = errno;
  return error(code == ENOENT || code == ENOTDIR ? ErrorCode::NotFound : ErrorCode::Io, "{}: cannot {}: {}",
               path.string(), doing, std::strerror(code));
}

/// An open descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  [[nodiscard]] int get() const { return descriptor_; }

 private:
  int descriptor_;
};

/// The size of an open file; refuses what is not a regular file, because a pipe or a device could block or
/// never end.
Result<std::uint64_t> size_of_open(int descriptor, const std::filesystem::path& path) {
  struct stat status = {};
  if (::fstat(descriptor, &status) != 0) return system_error(path, "read");
  if (!S_ISREG(status.st_mode)) return error(ErrorCode::Io, "{}: not a regular file", path.string());
  return static_cast<std::uint64_t>(status.st_size);
}

// O_NONBLOCK: opening a pipe that nobody writes to would otherwise wait for ever.
int open_for_reading(const std::filesystem::path& path) {
  return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

Status read_exactly(int descriptor, const std::filesystem::path& path, std::uint64_t offset,
                    std::span<std::byte> destination) {
  std::size_t done = 0;
  while (done < destination.size()) {
    const ssize_t count = ::pread(descriptor, destination.data() + done, destination.size() - done,
                                  static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error(path, "read");
    if (count == 0) {
      return error(ErrorCode::Io, "{}: ends at byte {}, {} were expected", path.string(), offset + done,
                   offset + destination.size());
    }
    done += static_cast<std::size_t>(count);
  }
  return {};
}

/// By which a file without a name can be linked to.
std::string name_of(int descriptor) { return fmt::format("/proc/self/fd/{}", descriptor); }

/// Two threads may write the same file, and a killed process of the same number may have left its own.
std::filesystem::path temporary_name(const std::filesystem::path& path) {
  static std::atomic<unsigned> counter = 0;
  return path.parent_path() / fmt::format(".disco-{}-{}.tmp", ::getpid(), counter++);
}

}  // namespace

Result<std::uint64_t> size_of_file(const std::filesystem::path& path) {
  const Descriptor file(open_for_reading(path));
  if (file.get() < 0) return system_error(path, "open");
  return size_of_open(file.get(), path);
}

Result<std::vector<std::byte>> read_file(const std::filesystem::path& path) {
  const Descriptor file(open_for_reading(path));
  if (file.get() < 0) return system_error(path, "open");
  DISCO_TRY(const std::uint64_t size, size_of_open(file.get(), path));
  std::vector<std::byte> bytes(size);
  DISCO_CHECK(read_exactly(file.get(), path, 0, bytes));
  return bytes;
}

Status read_file_range(const std::filesystem::path& path, std::uint64_t offset,
                       std::span<std::byte> destination) {
  const Descriptor file(open_for_reading(path));
  if (file.get() < 0) return system_error(path, "open");
  DISCO_TRY(const std::uint64_t size, size_of_open(file.get(), path));
  if (offset > size || destination.size() > size - offset) {
    return error(ErrorCode::Io, "{}: has {} bytes; {} from byte {} on were asked for", path.string(), size,
                 destination.size(), offset);
  }
  return read_exactly(file.get(), path, offset, destination);
}

Result<FileWriter> FileWriter::create(const std::filesystem::path& path, unsigned mode) {
  if (!path.has_filename()) {
    return error(ErrorCode::InvalidArgument, "'{}' is not the name of a file to write", path.string());
  }
  FileWriter writer;
  writer.path_ = path;
  struct stat status = {};
  if (::stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode))
      return error(ErrorCode::Io, "{}: cannot write: it is a folder", path.string());
    // As any program that opens the file would: renaming asks for the folder's permission only.
    if (::access(path.c_str(), W_OK) != 0) return system_error(path, "write");
    if (!S_ISREG(status.st_mode)) {
      // A device or a pipe is written to; a file must never take its name. Opening a pipe that nobody reads
      // would wait for ever.
      writer.descriptor_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK);
      if (writer.descriptor_ < 0) return system_error(path, "write");
      ::fcntl(writer.descriptor_, F_SETFL, 0);
      return writer;
    }
    std::error_code failure;  // of a link, the file that it leads to is replaced
    if (const auto target = std::filesystem::canonical(path, failure); !failure) writer.path_ = target;
  } else if (errno == ENAMETOOLONG) {
    return system_error(path, "write");
  }
  const std::filesystem::path folder = writer.path_.has_parent_path() ? writer.path_.parent_path() : ".";
  if (struct stat parent = {}; ::stat(folder.c_str(), &parent) != 0 || !S_ISDIR(parent.st_mode)) {
    return error(ErrorCode::NotFound, "{}: cannot write: the folder {} does not exist; make it first",
                 path.string(), folder.string());
  }
  // Without a name, where the file system can: then nothing is left even if this process is killed.
  writer.descriptor_ = ::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
  if (writer.descriptor_ >= 0 && ::access(name_of(writer.descriptor_).c_str(), F_OK) == 0) {
    writer.kind_ = Kind::Nameless;
    return writer;
  }
  if (writer.descriptor_ >= 0) ::close(writer.descriptor_);  // no /proc to name it by
  do {
    writer.temporary_ = temporary_name(writer.path_);
    writer.descriptor_ = ::open(writer.temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  } while (writer.descriptor_ < 0 && errno == EEXIST);
  if (writer.descriptor_ < 0) return system_error(path, "write");
  writer.kind_ = Kind::Temporary;
  return writer;
}

FileWriter::FileWriter(FileWriter&& other) noexcept { *this = std::move(other); }

FileWriter& FileWriter::operator=(FileWriter&& other) noexcept {
  if (this == &other) return *this;
  discard();
  kind_ = other.kind_;
  path_ = std::move(other.path_);
  temporary_ = std::move(other.temporary_);
  descriptor_ = std::exchange(other.descriptor_, -1);
  size_ = other.size_;
  return *this;
}

FileWriter::~FileWriter() { discard(); }

void FileWriter::discard() {
  if (descriptor_ < 0) return;
  ::close(std::exchange(descriptor_, -1));
  if (kind_ == Kind::Temporary) ::unlink(temporary_.c_str());
}

Status FileWriter::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error(path_, "write");
    size_ += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Status FileWriter::commit() {
  if (kind_ != Kind::Direct) {
    // Without this the name could reach the disk before the bytes, and a power cut would leave an empty file.
    if (::fsync(descriptor_) != 0) return system_error(path_, "write");
    if (kind_ == Kind::Nameless) {
      // A link cannot replace a file, so it takes another name first.
      const std::string nameless = name_of(descriptor_);
      int linked = -1;
      do {
        temporary_ = temporary_name(path_);
        linked = ::linkat(AT_FDCWD, nameless.c_str(), AT_FDCWD, temporary_.c_str(), AT_SYMLINK_FOLLOW);
      } while (linked != 0 && errno == EEXIST);
      if (linked != 0) return system_error(path_, "write");
      kind_ = Kind::Temporary;
    }
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) return system_error(path_, "write");
  }
  // Some file systems say only here that the disk is full.
  if (::close(std::exchange(descriptor_, -1)) != 0) return system_error(path_, "write");
  return {};
}

Status check_writable(const std::filesystem::path& path) {
  // A pipe is not opened: its reader would take the end of that for the end of the data.
  if (struct stat status = {}; ::stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode))
    return ::access(path.c_str(), W_OK) == 0 ? Status() : system_error(path, "write");
  const auto writer = FileWriter::create(path);
  return writer ? Status() : writer.error();
}

Status write_file(const std::filesystem::path& path, std::span<const std::byte> bytes, unsigned mode) {
  DISCO_TRY(FileWriter writer, FileWriter::create(path, mode));
  DISCO_CHECK(writer.append(bytes));
  return writer.commit();
}

}  // namespace disco
