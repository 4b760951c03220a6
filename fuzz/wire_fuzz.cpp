// Bytes of a peer through every decoder of the wire, and through a link: no crash, and what is accepted says
// again what it was.

#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "fabric/tcp_link.h"
#include "fabric/wire.h"

namespace {

/// The messages that a link makes of the bytes lie in them one behind the other, whole.
void read_as_stream(std::span<const std::byte> bytes) {
  using namespace disco;
  int ends[2] = {};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0) return;
  const FileDescriptor peer(ends[0]);
  TcpLink link{FileDescriptor(ends[1])};
  std::size_t sent = 0, taken = 0;
  const auto admit = [](const wire::Header& header) {
    return header.bytes <= (1U << 20) ? Status() : error(ErrorCode::ProtocolMismatch, "too large");
  };
  const auto take = [&](const wire::Header& header, const Payload& payload) {
    const auto head = wire::encode(header);
    if (taken + head.size() + payload.size > sent ||
        std::memcmp(bytes.data() + taken, head.data(), head.size()) != 0 ||
        (payload.size > 0 &&
         std::memcmp(bytes.data() + taken + head.size(), payload.data.get(), payload.size) != 0)) {
      std::abort();
    }
    taken += head.size() + payload.size;
    return Status();
  };
  while (sent < bytes.size()) {
    const std::size_t piece = std::min<std::size_t>(bytes.size() - sent, 1 + sent % 61);
    if (::send(peer.get(), bytes.data() + sent, piece, MSG_DONTWAIT | MSG_NOSIGNAL) !=
        static_cast<ssize_t>(piece))
      return;
    sent += piece;
    if (!link.read(admit, take)) return;
  }
}

}  // namespace

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
  read_as_stream(bytes);
  for (const char character : printable(bytes)) {
    if (character < ' ' || character > '~') {
      std::abort();
    }
  }
  return 0;
}
