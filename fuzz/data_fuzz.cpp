// Any bytes as every kind of data file that `disco run` is given: an array, an archive of arrays, an image
// (also read as a map of labels), labels, a preset. The first byte says which.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "data/classification.h"
#include "data/image.h"
#include "data/label_png.h"
#include "data/npz.h"
#include "data/preset.h"

namespace {

template <typename T>
void expect_line(const disco::Result<T>& result) {
  if (!result && (result.error().message.empty() || result.error().message.find('\n') != std::string::npos))
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace disco;
  if (size == 0) return 0;
  const int kind = data[0] % 5;
  const auto bytes = std::as_bytes(std::span(data, size)).subspan(1);
  if (kind == 2) {
    expect_line(decode_image(bytes, "fuzzed"));
    expect_line(decode_label_png(bytes, "fuzzed"));
    return 0;
  }
  // The others read files, whole; this one is in memory.
  static const int file = memfd_create("fuzzed", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (ftruncate(file, 0) != 0 ||
      pwrite(file, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    std::abort();
  switch (kind) {
    case 0: expect_line(read_npy(path)); break;
    case 1: expect_line(read_npz(path)); break;
    case 3: expect_line(load_labels(path)); break;
    default: expect_line(load_preset(path));
  }
  return 0;
}
