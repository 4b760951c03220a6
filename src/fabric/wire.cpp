#include "fabric/wire.h"

#include <algorithm>

namespace disco::wire {
namespace {

template <typename T>
void put(std::byte* to, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    to[i] = static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i));
  }
}

template <typename T>
T get(std::span<const std::byte> bytes, std::size_t offset) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<std::uint64_t>(bytes[offset + i]) << (8 * i);
  }
  return static_cast<T>(value);
}

}  // namespace

std::array<std::byte, kHeaderBytes> encode(const Header& header) {
  std::array<std::byte, kHeaderBytes> bytes{};
  put(bytes.data(), kMagic);
  put(bytes.data() + 4, header.version);
  put(bytes.data() + 6, static_cast<std::uint16_t>(header.kind));
  put(bytes.data() + 8, header.epoch);
  put(bytes.data() + 12, header.tag);
  put(bytes.data() + 16, header.request);
  put(bytes.data() + 24, header.bytes);
  return bytes;
}

std::array<std::byte, kHelloBytes> encode(const Hello& hello) {
  std::array<std::byte, kHelloBytes> bytes{};
  put(bytes.data(), hello.cluster);
  put(bytes.data() + 8, hello.rank);
  put(bytes.data() + 12, hello.size);
  put(bytes.data() + 16, hello.epoch);
  return bytes;
}

Status check_start(std::span<const std::byte> bytes) {
  // Magic and version come first and are read first: a later version may change everything behind them.
  if (bytes.size() < 8) return {};
  if (get<std::uint32_t>(bytes, 0) != kMagic) {
    return error(ErrorCode::ProtocolMismatch, "not a disco message ({} bytes without its magic)",
                 bytes.size());
  }
  if (const auto version = get<std::uint16_t>(bytes, 4); version != kVersion) {
    return error(
        ErrorCode::ProtocolMismatch,
        "protocol version {}, but this node speaks version {}; install the same release on every node",
        version, kVersion);
  }
  return {};
}

Result<Header> decode_header(std::span<const std::byte> bytes) {
  if (bytes.size() < 8) {
    return error(ErrorCode::ProtocolMismatch, "not a disco message ({} bytes without its magic)",
                 bytes.size());
  }
  DISCO_CHECK(check_start(bytes));
  Header header;
  if (bytes.size() != kHeaderBytes) {
    return error(ErrorCode::ProtocolMismatch, "a message header of {} bytes, expected {}", bytes.size(),
                 kHeaderBytes);
  }
  const auto kind = get<std::uint16_t>(bytes, 6);
  if (kind < static_cast<std::uint16_t>(Kind::Hello) || kind > static_cast<std::uint16_t>(Kind::Beat)) {
    return error(ErrorCode::ProtocolMismatch, "a message of unknown kind {}", kind);
  }
  header.kind = static_cast<Kind>(kind);
  header.epoch = get<std::uint32_t>(bytes, 8);
  header.tag = get<std::uint32_t>(bytes, 12);
  header.request = get<std::uint64_t>(bytes, 16);
  header.bytes = get<std::uint64_t>(bytes, 24);
  return header;
}

Result<Hello> decode_hello(std::span<const std::byte> bytes) {
  if (bytes.size() != kHelloBytes) {
    return error(ErrorCode::ProtocolMismatch, "a hello of {} bytes, expected {}", bytes.size(), kHelloBytes);
  }
  Hello hello;
  hello.cluster = get<std::uint64_t>(bytes, 0);
  hello.rank = get<std::uint32_t>(bytes, 8);
  hello.size = get<std::uint32_t>(bytes, 12);
  hello.epoch = get<std::uint32_t>(bytes, 16);
  if (hello.rank >= hello.size) {
    return error(ErrorCode::ProtocolMismatch, "a hello of rank {} in a cluster of {}", hello.rank,
                 hello.size);
  }
  return hello;
}

std::string printable(std::span<const std::byte> text) {
  std::string line;
  for (const std::byte byte : text.first(std::min<std::size_t>(text.size(), 400))) {
    const auto character = static_cast<char>(byte);
    line += character >= ' ' && character <= '~' ? character : '?';
  }
  return line;
}

}  // namespace disco::wire
