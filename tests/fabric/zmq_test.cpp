// Strangers at a ZeroMQ port.

#include <sys/socket.h>
#include <unistd.h>

#include <random>

#include "mesh.h"
#include "stranger.h"

namespace disco::testing {
namespace {

TEST(ZmqFabric, StrangersDoNoHarm) {
  // Raw garbage on TCP, and well-formed ZeroMQ peers that send what no rank would, before, during and after
  // the join.
  const auto host = listen_over("zmq", {});
  const auto joiner = listen_over("zmq", {});
  std::mt19937 random(5);
  const ZmqContext context;
  std::vector<int> raw;
  std::vector<ZmqSocket> peers;
  const auto disturb = [&] {
    for (const std::size_t size : {0UL, 1UL, 11UL, 64UL, 5000UL}) {
      raw.push_back(connect_raw(host->address()));
      std::string garbage(size, '\0');
      for (char& byte : garbage) {
        byte = static_cast<char>(random());
      }
      std::ignore = ::send(raw.back(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
    }
    ::close(raw.front());
    raw.erase(raw.begin());
    for (int shape = 0; shape < 6; ++shape) {
      auto socket = ZmqSocket::open(context, ZMQ_DEALER, {.linger = 0ms});
      ASSERT_TRUE(socket.ok() && socket->connect(host->address()).ok());
      const auto header =
          wire::encode(wire::Header{.kind = shape < 3 ? wire::Kind::Hello : wire::Kind::Data, .bytes = 9});
      const auto hello = wire::encode(wire::Hello{.cluster = 1, .rank = 1, .size = 4000000000U, .epoch = 1});
      std::vector<ZmqFrame> parts;
      for (int part = 0; part < shape; ++part) {
        parts.emplace_back(part % 2 == 0 ? std::span<const std::byte>(header)
                                         : std::span<const std::byte>(hello));
      }
      if (parts.empty()) {
        parts.emplace_back();
      }
      EXPECT_TRUE(socket->send(parts));
      peers.push_back(std::move(*socket));
    }
  };
  const Membership members{.addresses = {host->address(), joiner->address()}, .cluster = 1, .epoch = 1};
  ASSERT_NO_FATAL_FAILURE(meet_among_strangers(*host, *joiner, members, disturb, raw));
  // A second one that says it is rank 1 is refused, and the first goes on.
  const auto twin = listen_over("zmq", {});
  Status twin_joined;
  std::thread twin_thread([&] { twin_joined = twin->connect(as_rank_1(members), Clock::now() + 10s); });
  const auto nothing = host->receive(1, {1, 2, 0}, Clock::now() + 500ms);
  twin_thread.join();
  EXPECT_EQ(nothing.error().code, ErrorCode::Timeout) << nothing.error().message;
  ASSERT_FALSE(twin_joined.ok());
  EXPECT_NE(twin_joined.error().message.find("is here already"), std::string::npos)
      << twin_joined.error().message;
  ASSERT_TRUE(joiner->send(0, {1, 2, 0}, make_payload(1, 1)).ok());
  EXPECT_TRUE(host->receive(1, {1, 2, 0}, Clock::now() + 10s).ok());
}

}  // namespace
}  // namespace disco::testing
