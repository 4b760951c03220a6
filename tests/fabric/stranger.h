#pragma once
// Whoever connects to a port without being asked.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "mesh.h"

namespace disco::testing {

inline int connect_raw(const std::string& address) {
  const int port = std::stoi(address.substr(address.rfind(':') + 1));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0) << strerror(errno);
  return fd;
}

inline Membership as_rank_1(Membership members) {
  members.rank = 1;
  return members;
}

/// Two ends meet and talk, while `disturb` brings strangers before, meanwhile and after. Those of
/// `strangers`, which it fills, leave one by one: connections that end, whose numbers the kernel gives out
/// again.
inline void meet_among_strangers(ListeningFabric& host, ListeningFabric& joiner, const Membership& members,
                                 const std::function<void()>& disturb, std::vector<int>& strangers) {
  using std::chrono::seconds;
  disturb();
  Status joined;
  std::thread thread([&] { joined = host.connect(members, Clock::now() + seconds(10)); });
  disturb();
  const Status other = joiner.connect(as_rank_1(members), Clock::now() + seconds(10));
  thread.join();
  ASSERT_TRUE(joined.ok()) << joined.error().message;
  ASSERT_TRUE(other.ok()) << other.error().message;
  disturb();
  for (std::uint32_t tag = 0; tag < 50; ++tag) {
    if (!strangers.empty()) {
      ::close(strangers.back());
      strangers.pop_back();
    }
    ASSERT_TRUE(joiner.send(0, {1, 1, tag}, make_payload(1000, tag)).ok());
    const auto got = host.receive(1, {1, 1, tag}, Clock::now() + seconds(10));
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_EQ(first_difference(*got, 1000, tag), -1);
  }
}

}  // namespace disco::testing
