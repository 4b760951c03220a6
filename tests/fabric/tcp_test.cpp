// Strangers at a plain TCP port, and what a link makes of bytes that come in pieces.

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>

#include "mesh.h"
#include "stranger.h"

namespace disco::testing {
namespace {

void say(int fd, std::span<const std::byte> bytes) {
  EXPECT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
}

/// What the other end says until it closes.
std::string hear(int fd) {
  std::string text;
  char part[256];
  pollfd item{fd, POLLIN, 0};
  while (poll(&item, 1, 5000) > 0) {
    const ssize_t got = recv(fd, part, sizeof part, 0);
    if (got <= 0) break;
    text.append(part, static_cast<std::size_t>(got));
  }
  return text;
}

TEST(TcpFabric, StrangersDoNoHarm) {
  const auto host = listen_over("tcp", {});
  const auto joiner = listen_over("tcp", {});
  std::mt19937 random(5);
  std::vector<int> open;
  const auto disturb = [&] {
    for (const std::size_t size : {0UL, 1UL, 11UL, 64UL, 5000UL}) {
      open.push_back(connect_raw(host->address()));
      std::vector<std::byte> garbage(size);
      for (std::byte& byte : garbage) byte = static_cast<std::byte>(random());
      std::ignore = ::send(open.back(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
    }
    ::close(open.front());
    open.erase(open.begin());
    // Well-formed messages that no rank would send.
    for (const auto kind : {wire::Kind::Data, wire::Kind::Hello, wire::Kind::Beat, wire::Kind::Refusal}) {
      for (const std::uint64_t bytes : {0ULL, 24ULL, 1ULL << 62}) {
        open.push_back(connect_raw(host->address()));
        say(open.back(), wire::encode(wire::Header{.kind = kind, .bytes = bytes}));
        say(open.back(), wire::encode(wire::Hello{.cluster = 1, .rank = 1, .size = 4000000000U, .epoch = 1}));
      }
    }
  };
  const Membership members{.addresses = {host->address(), joiner->address()}, .cluster = 1, .epoch = 1};
  ASSERT_NO_FATAL_FAILURE(meet_among_strangers(*host, *joiner, members, disturb, open));
  // A second one that says it is rank 1 is refused, and the first goes on.
  const auto twin = listen_over("tcp", {});
  const Status twin_joined = twin->connect(as_rank_1(members), Clock::now() + 10s);
  ASSERT_FALSE(twin_joined.ok());
  EXPECT_NE(twin_joined.error().message.find("is here already"), std::string::npos)
      << twin_joined.error().message;
  ASSERT_TRUE(joiner->send(0, {1, 2, 0}, make_payload(1, 1)).ok());
  EXPECT_TRUE(host->receive(1, {1, 2, 0}, Clock::now() + 10s).ok());
  for (const int fd : open) ::close(fd);
}

TEST(TcpFabric, NamesAndBothFamiliesAreAddresses) {
  for (const char* host : {"127.0.0.1", "localhost", "[::1]"}) {
    auto first = TcpFabric::listen(std::string(host) + ":0");
    if (!first && std::string(host) == "[::1]") continue;  // a machine without IPv6
    ASSERT_TRUE(first.ok()) << first.error().message;
    auto second = TcpFabric::listen(std::string(host) + ":0");
    ASSERT_TRUE(second.ok()) << second.error().message;
    const Membership members{.addresses = {(*first)->address(), (*second)->address()}, .cluster = 1};
    Status joined;
    std::thread thread([&] { joined = (*first)->connect(members, Clock::now() + 10s); });
    Membership other = members;
    other.rank = 1;
    const Status connected = (*second)->connect(other, Clock::now() + 10s);
    thread.join();
    EXPECT_TRUE(joined.ok() && connected.ok())
        << host << ": " << (connected ? "" : connected.error().message);
  }
}

TEST(TcpFabric, AStrangerIsToldWhy) {
  const auto host = listen_over("tcp", {});
  std::thread thread([&] {
    std::ignore = host->connect({.rank = 0, .addresses = {host->address(), "127.0.0.1:1"}, .cluster = 1},
                                Clock::now() + 1s);
  });
  const int fd = connect_raw(host->address());
  const std::string greeting = "GET / HTTP/1.1\r\nHost: example\r\n\r\n";
  say(fd, std::as_bytes(std::span(greeting)));
  EXPECT_NE(hear(fd).find("not a disco message"), std::string::npos);
  ::close(fd);
  thread.join();
}

TEST(TcpFabric, ManyThatSayNothingDoNotKeepAPeerOut) {
  const auto host = listen_over("tcp", {});
  const auto joiner = listen_over("tcp", {});
  std::vector<int> silent;
  for (int i = 0; i < 200; ++i) silent.push_back(connect_raw(host->address()));
  const Membership members{.addresses = {host->address(), joiner->address()}, .cluster = 1};
  Status joined;
  std::thread thread([&] { joined = host->connect(members, Clock::now() + 10s); });
  Membership second = members;
  second.rank = 1;
  const auto start = Clock::now();
  const Status other = joiner->connect(second, Clock::now() + 10s);
  thread.join();
  EXPECT_TRUE(joined.ok() && other.ok());
  EXPECT_LT(seconds_since(start), 4.0);  // before the silent ones are given up
  for (const int fd : silent) ::close(fd);
}

TEST(TcpFabric, WhatAPeerSendsAfterItsHandshakeIsChecked) {
  // A rank that speaks well at first: then another size than is taken, and no message at all.
  struct Case {
    const char* says;
    std::array<std::byte, wire::kHeaderBytes> header;
  };
  auto garbage = wire::encode(wire::Header{});
  garbage.fill(std::byte{7});
  for (const Case& item : {Case{"at most", wire::encode(wire::Header{.epoch = 1, .bytes = 1ULL << 40})},
                           Case{"not a disco message", garbage}}) {
    const auto host = listen_over("tcp", {});
    Status joined;
    std::thread thread([&] {
      joined = host->connect({.rank = 0, .addresses = {host->address(), "127.0.0.1:1"}, .cluster = 1},
                             Clock::now() + 10s);
    });
    const int fd = connect_raw(host->address());
    say(fd, wire::encode(wire::Header{.kind = wire::Kind::Hello, .bytes = wire::kHelloBytes}));
    say(fd, wire::encode(wire::Hello{.cluster = 1, .rank = 1, .size = 2}));
    thread.join();
    ASSERT_TRUE(joined.ok()) << joined.error().message;
    say(fd, item.header);
    const auto got = host->receive(1, {1, 1, 0}, Clock::now() + 10s);
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.error().code, ErrorCode::ProtocolMismatch);
    EXPECT_NE(got.error().message.find(item.says), std::string::npos) << got.error().message;
    ::close(fd);
  }
}

TEST(TcpLink, MessagesInPiecesAndInHeapsAreTheSame) {
  // Sent through a pair of sockets in pieces of every size, several messages at a time.
  std::mt19937 random(3);
  const std::size_t sizes[] = {0, 1, 31, 32, 33, 1000, 16384, 16385, 40000, 0, 5};
  std::vector<std::byte> stream;
  for (std::size_t i = 0; i < std::size(sizes); ++i) {
    const auto header = wire::encode(wire::Header{.tag = static_cast<std::uint32_t>(i), .bytes = sizes[i]});
    stream.insert(stream.end(), header.begin(), header.end());
    const Payload payload = make_payload(sizes[i], i);
    stream.insert(stream.end(), payload.bytes().begin(), payload.bytes().end());
  }
  for (const std::size_t most : {1UL, 7UL, 100UL, 20000UL, 1000000UL}) {
    int ends[2] = {};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    TcpLink link{FileDescriptor(ends[1])};
    std::size_t sent = 0;
    std::uint32_t next = 0;
    while (next < std::size(sizes)) {
      const std::size_t piece = std::min(stream.size() - sent, 1 + random() % most);
      const ssize_t written = ::send(ends[0], stream.data() + sent, piece, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (written > 0) sent += static_cast<std::size_t>(written);
      const auto read = link.read([](const wire::Header&) { return Status(); },
                                  [&](const wire::Header& header, const Payload& payload) -> Status {
                                    EXPECT_EQ(header.tag, next) << "most=" << most;
                                    EXPECT_EQ(first_difference(payload, sizes[next], next), -1)
                                        << "most=" << most;
                                    ++next;
                                    return {};
                                  });
      ASSERT_TRUE(read.ok()) << read.error().message;
    }
    ::close(ends[0]);
    std::ignore = link.read([](const wire::Header&) { return Status(); },
                            [](const wire::Header&, const Payload&) { return Status(); });
    EXPECT_TRUE(link.has_ended());
  }
}

}  // namespace
}  // namespace disco::testing
