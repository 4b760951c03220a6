// What only the transport between processes can get wrong: ports, handshakes, strangers, killed and stopped
// peers.

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <random>

#include "mesh.h"

extern char** environ;

namespace disco::testing {
namespace {

std::unique_ptr<ZmqFabric> listen(const ZmqOptions& options = {}) {
  auto end = ZmqFabric::listen("127.0.0.1:0", options);
  EXPECT_TRUE(end.ok()) << (end ? "" : end.error().message);
  return std::move(*end);
}

/// What both ends of a mesh of two say when rank 1 joins as `joiner` and rank 0 as `host`.
struct Joined {
  Status host;
  Status joiner;
};
Joined join(ZmqFabric& host_end, const Membership& host, ZmqFabric& joiner_end, const Membership& joiner) {
  Joined joined;
  std::thread thread([&] { joined.host = host_end.connect(host, Clock::now() + 1s); });
  joined.joiner = joiner_end.connect(joiner, Clock::now() + 5s);
  thread.join();
  return joined;
}

TEST(ZmqFabric, PortInUseIsNamed) {
  const auto first = listen();
  const auto second = ZmqFabric::listen(first->address());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::Io);
  const std::string port = first->address().substr(first->address().rfind(':') + 1);
  EXPECT_NE(second.error().message.find("port " + port + " is in use"), std::string::npos)
      << second.error().message;
  EXPECT_EQ(second.error().message.find('\n'), std::string::npos);
}

TEST(ZmqFabric, WhatIsNoAddressIsRefused) {
  for (const char* address : {"", "7001", ":7001", "host", "host:", "host:port", "host:70000", "host:-1",
                              "1:2:3", "127.0.0.1:7001x", "127.0.0.1:99999999999999999999"}) {
    const auto end = ZmqFabric::listen(address);
    ASSERT_FALSE(end.ok()) << address;
    EXPECT_EQ(end.error().code, ErrorCode::InvalidArgument) << address;
  }
  EXPECT_FALSE(ZmqFabric::listen("256.1.1.1:7001").ok());
}

TEST(ZmqFabric, OtherVersionIsRefusedOnBothEnds) {
  const auto host = listen();
  const auto joiner = listen({.version = 9});
  const Membership members{.addresses = {host->address(), joiner->address()}, .cluster = 1, .epoch = 1};
  Membership second = members;
  second.rank = 1;
  const Joined joined = join(*host, members, *joiner, second);
  ASSERT_FALSE(joined.host.ok());
  ASSERT_FALSE(joined.joiner.ok());
  for (const Status* status : {&joined.host, &joined.joiner}) {
    EXPECT_EQ(status->error().code, ErrorCode::ProtocolMismatch);
    EXPECT_NE(status->error().message.find("protocol version 9"), std::string::npos)
        << status->error().message;
    EXPECT_NE(status->error().message.find("install the same release"), std::string::npos)
        << status->error().message;
    EXPECT_EQ(status->error().message.find('\n'), std::string::npos);
  }
}

TEST(ZmqFabric, OtherClusterEpochSizeOrRankIsRefused) {
  struct Case {
    const char* what;
    Membership joiner;
    const char* says;
  };
  const Case cases[] = {
      {"cluster", {.rank = 1, .addresses = {"", ""}, .cluster = 2, .epoch = 1}, "belongs to cluster"},
      {"epoch", {.rank = 1, .addresses = {"", ""}, .cluster = 1, .epoch = 2}, "joins epoch 2 of 2 nodes"},
      {"size", {.rank = 1, .addresses = {"", "", "127.0.0.1:1"}, .cluster = 1, .epoch = 1}, "of 3 nodes"},
      // Told that rank 1 listens where rank 0 does.
      {"rank", {.rank = 2, .addresses = {"127.0.0.1:1", "", ""}, .cluster = 1, .epoch = 1}, "node 0 answers"},
  };
  for (const Case& item : cases) {
    const auto host = listen();
    const auto joiner = listen();
    Membership member = item.joiner;
    Membership hosts{.addresses = {host->address(), joiner->address()}, .cluster = 1, .epoch = 1};
    if (member.rank == 2) {
      member.addresses[1] = host->address();
      hosts.addresses.push_back("127.0.0.1:1");
    } else {
      member.addresses[0] = host->address();
    }
    const Joined joined = join(*host, hosts, *joiner, member);
    ASSERT_FALSE(joined.host.ok()) << item.what;
    ASSERT_FALSE(joined.joiner.ok()) << item.what;
    EXPECT_EQ(joined.joiner.error().code, ErrorCode::ProtocolMismatch) << item.what;
    EXPECT_NE(joined.joiner.error().message.find(item.says), std::string::npos)
        << item.what << ": " << joined.joiner.error().message;
  }
}

TEST(ZmqFabric, PeersThatNeverStopSendingCannotHideTheDeadline) {
  // What they send is of an older request and dropped, so that nothing but the deadline ends the wait.
  auto mesh = make_mesh("zmq", 4);
  std::atomic<bool> stop = false;
  std::vector<std::thread> floods;
  for (int rank = 1; rank < 4; ++rank) {
    floods.emplace_back([&, rank] {
      while (!stop) {
        std::ignore = mesh[static_cast<std::size_t>(rank)]->send(0, {1, 1, 0}, make_payload(10, 1));
      }
    });
  }
  const auto waited = mesh[0]->receive(1, {1, 5, 0}, Clock::now() + 300ms);
  stop = true;
  for (std::thread& flood : floods) {
    flood.join();
  }
  ASSERT_FALSE(waited.ok());
  EXPECT_EQ(waited.error().code, ErrorCode::Timeout) << waited.error().message;
}

TEST(ZmqFabric, WhatIsSentAheadIsBoundedEvenWhereItIsEmpty) {
  for (const std::size_t size : {0UL, 1000UL}) {
    auto mesh = make_mesh("zmq", 2, {.max_kept_bytes = 64 << 10});
    for (std::uint64_t i = 2; i < 1000; ++i) {
      std::ignore = mesh[1]->send(0, {1, i, 0}, make_payload(size, i));
    }
    const auto waited = mesh[0]->receive(1, {1, 1, 0}, Clock::now() + 20s);
    ASSERT_FALSE(waited.ok()) << size;
    EXPECT_EQ(waited.error().code, ErrorCode::ProtocolMismatch) << size << ": " << waited.error().message;
  }
}

TEST(ZmqFabric, MissingPeerIsNamedAtTheDeadline) {
  const auto end = listen();
  const auto start = Clock::now();
  // Nobody listens on port 1.
  const Status joined =
      end->connect({.rank = 1, .addresses = {"127.0.0.1:1", end->address()}, .cluster = 1}, start + 400ms);
  ASSERT_FALSE(joined.ok());
  EXPECT_EQ(joined.error().code, ErrorCode::Timeout);
  EXPECT_NE(joined.error().message.find("node 0 (127.0.0.1:1)"), std::string::npos) << joined.error().message;
  EXPECT_LT(seconds_since(start), 3.0);
}

TEST(ZmqFabric, CancelEndsTheHandshake) {
  const auto end = listen();
  const auto start = Clock::now();
  std::thread canceller([&] {
    std::this_thread::sleep_for(50ms);
    end->cancel("the load was abandoned");
  });
  const Status joined =
      end->connect({.rank = 0, .addresses = {end->address(), "127.0.0.1:1"}, .cluster = 1}, start + 20s);
  canceller.join();
  ASSERT_FALSE(joined.ok());
  EXPECT_EQ(joined.error().message, "the load was abandoned");
  EXPECT_LT(seconds_since(start), 2.0);
}

TEST(ZmqFabric, MembershipMustAgreeWithItself) {
  for (const Membership& bad : {Membership{}, Membership{.rank = 2, .addresses = {"a:1", "b:1"}},
                                Membership{.rank = -1, .addresses = {"a:1"}},
                                Membership{.rank = 0, .addresses = {"a:1", "b:1"}, .labels = {"only one"}}}) {
    EXPECT_EQ(listen()->connect(bad, Clock::now() + 1s).error().code, ErrorCode::InvalidArgument);
  }
}

int connect_raw(const std::string& address) {
  const int port = std::stoi(address.substr(address.rfind(':') + 1));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0) << strerror(errno);
  return fd;
}

TEST(ZmqFabric, StrangersDoNoHarm) {
  // Raw garbage on TCP, and well-formed ZeroMQ peers that send what no rank would, before, during and after
  // the join.
  const auto host = listen();
  const auto joiner = listen();
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
  disturb();
  Membership members{.addresses = {host->address(), joiner->address()}, .cluster = 1, .epoch = 1};
  Status joined;
  std::thread thread([&] { joined = host->connect(members, Clock::now() + 10s); });
  disturb();
  Membership second = members;
  second.rank = 1;
  const Status other = joiner->connect(second, Clock::now() + 10s);
  thread.join();
  ASSERT_TRUE(joined.ok()) << joined.error().message;
  ASSERT_TRUE(other.ok()) << other.error().message;
  disturb();
  for (std::uint32_t tag = 0; tag < 50; ++tag) {
    if (!raw.empty()) {  // connections that end, whose numbers the kernel gives out again
      ::close(raw.back());
      raw.pop_back();
    }
    ASSERT_TRUE(joiner->send(0, {1, 1, tag}, make_payload(1000, tag)).ok());
    const auto got = host->receive(1, {1, 1, tag}, Clock::now() + 10s);
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_EQ(first_difference(*got, 1000, tag), -1);
  }
  // A second one that says it is rank 1 is refused, and the first goes on.
  const auto twin = listen();
  Status twin_joined;
  std::thread twin_thread([&] { twin_joined = twin->connect(second, Clock::now() + 10s); });
  const auto nothing = host->receive(1, {1, 2, 0}, Clock::now() + 500ms);
  twin_thread.join();
  EXPECT_EQ(nothing.error().code, ErrorCode::Timeout) << nothing.error().message;
  ASSERT_FALSE(twin_joined.ok());
  EXPECT_NE(twin_joined.error().message.find("is here already"), std::string::npos)
      << twin_joined.error().message;
  ASSERT_TRUE(joiner->send(0, {1, 2, 0}, make_payload(1, 1)).ok());
  EXPECT_TRUE(host->receive(1, {1, 2, 0}, Clock::now() + 10s).ok());
}

TEST(ZmqFabric, MessagesBeyondTheBoundsFailTheLinkAndNothingElse) {
  ZmqOptions options;
  options.max_queued_bytes = 1 << 20;
  options.max_kept_bytes = 1 << 20;
  const auto mesh = make_mesh("zmq", 3, options);
  ASSERT_TRUE(mesh[0]->send(1, {1, 1, 0}, make_payload(700000, 1)).ok());
  ASSERT_TRUE(mesh[0]->send(1, {1, 1, 1}, make_payload(300000, 1)).ok());
  EXPECT_FALSE(mesh[0]->send(2, {1, 1, 0}, make_payload((1 << 20) + 1, 1)).ok());
  ASSERT_TRUE(mesh[1]->receive(0, {1, 1, 1}, Clock::now() + 10s).ok());
  std::this_thread::sleep_for(200ms);
  ASSERT_TRUE(mesh[0]->send(1, {1, 1, 2}, make_payload(700000, 1)).ok());
  const auto got = mesh[1]->receive(0, {1, 1, 9}, Clock::now() + 10s);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::ProtocolMismatch) << got.error().message;
  ASSERT_TRUE(mesh[2]->send(1, {1, 1, 0}, make_payload(10, 1)).ok());
  EXPECT_TRUE(mesh[1]->receive(2, {1, 1, 0}, Clock::now() + 10s).ok());
}

/// Rank 1 of a mesh of two as a process of its own: this executable, run again for the test below that is
/// skipped otherwise. It answers every message with its bytes until it is killed.
class Child {
 public:
  explicit Child(const std::string& host) {
    int ends[2] = {};
    EXPECT_EQ(pipe(ends), 0);
    pid_ = fork();
    if (pid_ == 0) {
      setenv("DISCO_TEST_ECHO_HOST", host.c_str(), 1);
      setenv("DISCO_TEST_ECHO_PIPE", std::to_string(ends[1]).c_str(), 1);
      execl("/proc/self/exe", "test_fabric", "--gtest_filter=ZmqFabricChild.Echo", nullptr);
      _exit(127);
    }
    ::close(ends[1]);
    char buffer[64] = {};
    const auto size = read(ends[0], buffer, sizeof buffer - 1);
    EXPECT_GT(size, 0);
    ::close(ends[0]);
    address = buffer;
  }
  ~Child() {
    signal(SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  void signal(int number) const {
    if (pid_ > 1) kill(pid_, number);  // kill(-1, …) is for everybody
  }
  std::string address;

 private:
  pid_t pid_ = -1;
};

TEST(ZmqFabricChild, Echo) {
  const char* host = getenv("DISCO_TEST_ECHO_HOST");
  if (host == nullptr) {
    GTEST_SKIP() << "a part of ZmqFabric.KilledPeerIsLost and ZmqFabric.StoppedPeerTimesOut, run by them";
  }
  auto end = listen();
  const int pipe = std::stoi(getenv("DISCO_TEST_ECHO_PIPE"));
  ASSERT_GT(write(pipe, end->address().data(), end->address().size()), 0);
  ::close(pipe);
  ASSERT_TRUE(
      end->connect({.rank = 1, .addresses = {host, end->address()}, .cluster = 1}, Clock::now() + 10s).ok());
  for (std::uint64_t request = 1;; ++request) {
    auto got = end->receive(0, {0, request, 0}, Clock::now() + 60s);
    if (!got.ok() || !end->send(0, {0, request, 0}, std::move(*got)).ok()) {
      return;
    }
  }
}

void meet(ZmqFabric& host, const Child& child) {
  const Status joined = host.connect({.rank = 0, .addresses = {host.address(), child.address}, .cluster = 1},
                                     Clock::now() + 20s);
  ASSERT_TRUE(joined.ok()) << joined.error().message;
  ASSERT_TRUE(host.send(1, {0, 1, 0}, make_payload(1 << 20, 3)).ok());
  const auto got = host.receive(1, {0, 1, 0}, Clock::now() + 20s);
  ASSERT_TRUE(got.ok()) << got.error().message;
  ASSERT_EQ(first_difference(*got, 1 << 20, 3), -1);
}

TEST(ZmqFabric, KilledPeerIsLostWithinASecond) {
  const auto host = listen();
  const Child child(host->address());
  ASSERT_NO_FATAL_FAILURE(meet(*host, child));
  Clock::time_point killed;
  std::thread killer([&] {
    std::this_thread::sleep_for(100ms);
    killed = Clock::now();
    child.signal(SIGKILL);
  });
  const auto got = host->receive(1, {0, 2, 0}, Clock::now() + 20s);
  killer.join();
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::PeerLost) << got.error().message;
  EXPECT_NE(got.error().message.find(child.address), std::string::npos) << got.error().message;
  EXPECT_LT(seconds_since(killed), 1.0);
}

TEST(ZmqFabric, StoppedPeerTimesOutAndIsHeardAgainOnceItRuns) {
  const auto host = listen();
  const Child child(host->address());
  ASSERT_NO_FATAL_FAILURE(meet(*host, child));
  Payload payload = make_payload(16 << 20, 4);  // more than the kernel buffers
  child.signal(SIGSTOP);
  const auto start = Clock::now();
  ASSERT_TRUE(host->send(1, {0, 2, 0}, std::move(payload)).ok());
  EXPECT_LT(seconds_since(start), 0.5);
  const auto got = host->receive(1, {0, 2, 0}, start + 1s);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::Timeout) << got.error().message;
  EXPECT_LT(seconds_since(start), 2.0);
  child.signal(SIGCONT);
  const auto late = host->receive(1, {0, 2, 0}, Clock::now() + 20s);
  ASSERT_TRUE(late.ok()) << late.error().message;
  EXPECT_EQ(first_difference(*late, 16 << 20, 4), -1);
}

TEST(ZmqFabric, StoppedPeerIsLostWhenItsHeartIsNotHeard) {
  ZmqOptions options;
  options.socket.heartbeat_interval = 100ms;
  options.socket.heartbeat_timeout = 500ms;
  const auto host = listen(options);
  const Child child(host->address());
  ASSERT_NO_FATAL_FAILURE(meet(*host, child));
  child.signal(SIGSTOP);
  const auto start = Clock::now();
  const auto got = host->receive(1, {0, 2, 0}, start + 20s);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::PeerLost) << got.error().message;
  EXPECT_LT(seconds_since(start), 5.0);
}

TEST(ZmqFabric, DestructionDoesNotWaitForAStoppedPeerLongerThanItsLinger) {
  ZmqOptions options;
  options.socket.linger = 300ms;
  auto host = listen(options);
  const Child child(host->address());
  ASSERT_NO_FATAL_FAILURE(meet(*host, child));
  child.signal(SIGSTOP);
  ASSERT_TRUE(host->send(1, {0, 2, 0}, make_payload(32 << 20, 4)).ok());
  const auto start = Clock::now();
  host.reset();
  EXPECT_LT(seconds_since(start), 2.0);
}

}  // namespace
}  // namespace disco::testing
