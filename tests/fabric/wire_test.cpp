#include "fabric/wire.h"

#include <gtest/gtest.h>

#include <random>

namespace disco::wire {
namespace {

TEST(Wire, HeaderSurvivesTheRoundTrip) {
  std::mt19937_64 random(7);
  for (int trial = 0; trial < 1000; ++trial) {
    const Header header{.kind = static_cast<Kind>(1 + random() % 3),
                        .epoch = static_cast<std::uint32_t>(random()),
                        .tag = static_cast<std::uint32_t>(random()),
                        .request = random(),
                        .bytes = random()};
    const auto decoded = decode_header(encode(header));
    ASSERT_TRUE(decoded.ok()) << "trial=" << trial << ": " << decoded.error().message;
    EXPECT_EQ(*decoded, header) << "trial=" << trial;
  }
}

TEST(Wire, LayoutIsLittleEndianAndFixed) {
  const auto bytes =
      encode(Header{.epoch = 0x01020304, .tag = 5, .request = 0x1122334455667788, .bytes = 0xAB});
  const std::array<unsigned char, kHeaderBytes> want = {
      0x44, 0x53, 0x43, 0x4F, 2,    0,    3,    0,    4,    3, 2, 1, 5, 0, 0, 0,
      0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xAB, 0, 0, 0, 0, 0, 0, 0};
  for (std::size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(static_cast<int>(bytes[i]), want[i]) << "byte " << i;
  }
}

TEST(Wire, AnyOtherSizeIsRefused) {
  const auto bytes = encode(Header{});
  for (std::size_t size = 0; size < kHeaderBytes; ++size) {
    const auto decoded = decode_header(std::span(bytes).first(size));
    ASSERT_FALSE(decoded.ok()) << "size=" << size;
    EXPECT_EQ(decoded.error().code, ErrorCode::ProtocolMismatch) << "size=" << size;
  }
}

TEST(Wire, EveryFlippedBitOfMagicVersionAndKindIsRefused) {
  for (std::size_t bit = 0; bit < 64; ++bit) {
    auto bytes = encode(Header{.kind = Kind::Data});
    bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    const auto decoded = decode_header(bytes);
    const bool other_kind = bit == 48 || bit == 49;  // 3 becomes 2 or 1, which are kinds too
    EXPECT_EQ(decoded.ok(), other_kind) << "bit=" << bit;
  }
}

TEST(Wire, AnotherVersionIsNamed) {
  const auto decoded = decode_header(encode(Header{.version = 9}));
  ASSERT_FALSE(decoded.ok());
  EXPECT_NE(decoded.error().message.find("version 9"), std::string::npos) << decoded.error().message;
}

TEST(Wire, HelloSurvivesTheRoundTripAndRefusesRanksOutside) {
  const Hello hello{.cluster = 0x0123456789ABCDEF, .rank = 2, .size = 3, .epoch = 77};
  const auto decoded = decode_hello(encode(hello));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(*decoded, hello);
  EXPECT_FALSE(decode_hello(encode(Hello{.rank = 3, .size = 3})).ok());
  const auto bytes = encode(hello);
  EXPECT_FALSE(decode_hello(std::span(bytes).first(23)).ok());
}

TEST(Wire, PeersTextIsOneBoundedLine) {
  std::string text = "a\nb\x01\x7F\xC3";
  text += std::string(1000, 'x');
  const std::string line = printable(std::as_bytes(std::span(text.data(), text.size())));
  EXPECT_EQ(line.substr(0, 6), "a?b???");
  EXPECT_EQ(line.size(), 400U);
}

}  // namespace
}  // namespace disco::wire
