// Bytes of a peer through every decoder of the wire: no crash, and what is accepted says again what it was.

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "fabric/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace disco::wire;
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  if (const auto header = decode_header(bytes)) {
    const auto again = encode(*header);
    if (again.size() != size || std::memcmp(again.data(), data, size) != 0) {
      std::abort();
    }
  }
  if (const auto hello = decode_hello(bytes)) {
    // The last four bytes are reserved, and ignored by this version.
    const auto again = encode(*hello);
    if (size != again.size() || std::memcmp(again.data(), data, size - 4) != 0 ||
        hello->rank >= hello->size) {
      std::abort();
    }
  }
  for (const char character : printable(bytes)) {
    if (character < ' ' || character > '~') {
      std::abort();
    }
  }
  return 0;
}
