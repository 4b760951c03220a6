#pragma once
// The bytes that travel: a fixed, little-endian header before every message. Pure functions, so that they can
// be fuzzed.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace disco::wire {

inline constexpr std::uint32_t kMagic = 0x4F435344;  // "DSCO" as it lies in memory
/// Raised with every change of the bytes below; two nodes of different versions refuse each other in the
/// handshake.
inline constexpr std::uint16_t kVersion = 2;
inline constexpr std::size_t kHeaderBytes = 32;
inline constexpr std::size_t kHelloBytes = 24;

enum class Kind : std::uint16_t {
  Hello = 1,    ///< the first message of a link, and its answer; the payload is a Hello
  Refusal = 2,  ///< the other answer; the payload is a line of text that says why
  Data = 3,     ///< one exchange
  Beat = 4,     ///< nothing but a sign of life, where the transport has none of its own; no payload
};

/// Offsets: magic 0, version 4, kind 6, epoch 8, tag 12, request 16, bytes 24.
struct Header {
  std::uint16_t version = kVersion;
  Kind kind = Kind::Data;
  std::uint32_t epoch = 0;
  std::uint32_t tag = 0;
  std::uint64_t request = 0;
  std::uint64_t bytes = 0;  ///< of the payload that follows
  friend bool operator==(const Header&, const Header&) = default;
};

/// Who speaks. Offsets: cluster 0, rank 8, size 12, epoch 16, zeros 20.
struct Hello {
  std::uint64_t cluster = 0;  ///< drawn by the coordinator, so that two clusters on one network never mix
  std::uint32_t rank = 0;
  std::uint32_t size = 0;
  std::uint32_t epoch = 0;
  friend bool operator==(const Hello&, const Hello&) = default;
};

[[nodiscard]] std::array<std::byte, kHeaderBytes> encode(const Header& header);
[[nodiscard]] std::array<std::byte, kHelloBytes> encode(const Hello& hello);

/// Whether these first bytes can be those of a message, or of its beginning: ProtocolMismatch for another
/// magic or version. Fewer than 8 bytes say nothing.
[[nodiscard]] Status check_start(std::span<const std::byte> bytes);

/// Reads a header.
///
/// @return the header, or ProtocolMismatch: not 32 bytes, another magic, another version, an unknown kind
[[nodiscard]] Result<Header> decode_header(std::span<const std::byte> bytes);

/// Reads the payload of a Hello; ProtocolMismatch where its size is wrong or rank >= size.
[[nodiscard]] Result<Hello> decode_hello(std::span<const std::byte> bytes);

/// At most 400 printable ASCII characters of a peer's text on one line; whatever else it holds becomes '?'.
[[nodiscard]] std::string printable(std::span<const std::byte> text);

}  // namespace disco::wire
