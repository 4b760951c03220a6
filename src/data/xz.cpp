#include "data/xz.h"

#include <lzma.h>

#include <cstring>
#include <memory>

#include "base/file.h"

namespace disco {

namespace {

constexpr unsigned char kMagic[] = {0xFD, '7', 'z', 'X', 'Z', 0};
constexpr std::uint64_t kMostMemory = std::uint64_t{1} << 30;  // of the decoder: more than xz -9 asks for
constexpr std::size_t kStep = std::size_t{4} << 20;

struct End {
  void operator()(lzma_stream* stream) const { lzma_end(stream); }
};

}  // namespace

Result<std::vector<std::byte>> read_maybe_xz(const std::filesystem::path& path, std::uint64_t most) {
  DISCO_TRY(std::vector<std::byte> file, read_file(path));
  const auto bad = [&](std::string_view fault) {
    return error(ErrorCode::InvalidArgument, "{}: {}", path.string(), fault);
  };
  const std::string too_much = fmt::format("holds over {} bytes", most);
  if (file.size() < sizeof kMagic || std::memcmp(file.data(), kMagic, sizeof kMagic) != 0) {
    if (file.size() > most) return bad(too_much);
    return file;
  }
  lzma_stream stream = LZMA_STREAM_INIT;
  const std::unique_ptr<lzma_stream, End> owner(&stream);
  if (lzma_stream_decoder(&stream, kMostMemory, LZMA_CONCATENATED) != LZMA_OK)
    return error(ErrorCode::Io, "{}: cannot be decompressed: no memory", path.string());
  stream.next_in = reinterpret_cast<const std::uint8_t*>(file.data());
  stream.avail_in = file.size();
  std::vector<std::byte> bytes;
  lzma_ret state = LZMA_OK;
  while (state == LZMA_OK) {
    bytes.resize(bytes.size() + kStep);
    stream.next_out = reinterpret_cast<std::uint8_t*>(bytes.data() + bytes.size() - kStep);
    stream.avail_out = kStep;
    state = lzma_code(&stream, LZMA_FINISH);
    bytes.resize(bytes.size() - stream.avail_out);
    if (bytes.size() > most) return bad(too_much);
  }
  if (state == LZMA_STREAM_END) return bytes;
  if (state == LZMA_BUF_ERROR)
    return bad(fmt::format("is cut off: its .xz ends after {} decompressed bytes", bytes.size()));
  return bad(fmt::format("its .xz is damaged after {} decompressed bytes", bytes.size()));
}

}  // namespace disco
