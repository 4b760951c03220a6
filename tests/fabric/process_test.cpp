// What only transports between processes can get wrong: ports, handshakes, killed and stopped peers.

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "mesh.h"

extern char** environ;

namespace disco::testing {
namespace {

/// Over "tcp" and "zmq".
class Processes : public ::testing::TestWithParam<std::string> {
 protected:
  static std::unique_ptr<ListeningFabric> listen(const ZmqOptions& options = {}) {
    return listen_over(GetParam(), options);
  }
  /// What it says about an address where nothing can listen.
  static Error refused(const std::string& address) {
    if (GetParam() == "tcp") {
      const auto end = TcpFabric::listen(address);
      return end ? Error{} : end.error();
    }
    const auto end = ZmqFabric::listen(address);
    return end ? Error{} : end.error();
  }
};
INSTANTIATE_TEST_SUITE_P(, Processes, ::testing::Values("tcp", "zmq"),
                         [](const auto& test) { return test.param; });

/// What both ends of a mesh of two say when rank 1 joins as `joiner` and rank 0 as `host`.
struct Joined {
  Status host;
  Status joiner;
};
Joined join(ListeningFabric& host_end, const Membership& host, ListeningFabric& joiner_end,
            const Membership& joiner) {
  Joined joined;
  std::thread thread([&] { joined.host = host_end.connect(host, Clock::now() + 1s); });
  joined.joiner = joiner_end.connect(joiner, Clock::now() + 5s);
  thread.join();
  return joined;
}

TEST_P(Processes, PortInUseIsNamed) {
  const auto first = listen();
  const Error second = refused(first->address());
  EXPECT_EQ(second.code, ErrorCode::Io);
  const std::string port = first->address().substr(first->address().rfind(':') + 1);
  EXPECT_NE(second.message.find("port " + port + " is in use"), std::string::npos) << second.message;
  EXPECT_EQ(second.message.find('\n'), std::string::npos);
}

TEST_P(Processes, WhatIsNoAddressIsRefused) {
  for (const char* address : {"", "7001", ":7001", "host", "host:", "host:port", "host:70000", "host:-1",
                              "1:2:3", "127.0.0.1:7001x", "127.0.0.1:99999999999999999999"}) {
    EXPECT_EQ(refused(address).code, ErrorCode::InvalidArgument) << address;
  }
  EXPECT_FALSE(refused("256.1.1.1:7001").message.empty());
}

TEST_P(Processes, OtherVersionIsRefusedOnBothEnds) {
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

TEST_P(Processes, OtherClusterEpochSizeOrRankIsRefused) {
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

TEST_P(Processes, PeersThatNeverStopSendingCannotHideTheDeadline) {
  // What they send is of an older request and dropped, so that nothing but the deadline ends the wait.
  auto mesh = make_mesh(GetParam(), 4);
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

TEST_P(Processes, WhatIsSentAheadIsBoundedEvenWhereItIsEmpty) {
  for (const std::size_t size : {0UL, 1000UL}) {
    auto mesh = make_mesh(GetParam(), 2, {.max_kept_bytes = 64 << 10});
    for (std::uint64_t i = 2; i < 1000; ++i) {
      std::ignore = mesh[1]->send(0, {1, i, 0}, make_payload(size, i));
    }
    const auto waited = mesh[0]->receive(1, {1, 1, 0}, Clock::now() + 20s);
    ASSERT_FALSE(waited.ok()) << size;
    EXPECT_EQ(waited.error().code, ErrorCode::ProtocolMismatch) << size << ": " << waited.error().message;
  }
}

TEST_P(Processes, MissingPeerIsNamedAtTheDeadline) {
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

TEST_P(Processes, CancelEndsTheHandshake) {
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

TEST_P(Processes, MembershipMustAgreeWithItself) {
  for (const Membership& bad : {Membership{}, Membership{.rank = 2, .addresses = {"a:1", "b:1"}},
                                Membership{.rank = -1, .addresses = {"a:1"}},
                                Membership{.rank = 0, .addresses = {"a:1", "b:1"}, .labels = {"only one"}}}) {
    EXPECT_EQ(listen()->connect(bad, Clock::now() + 1s).error().code, ErrorCode::InvalidArgument);
  }
}

TEST_P(Processes, MessagesBeyondTheBoundsFailTheLinkAndNothingElse) {
  ZmqOptions options;
  options.max_queued_bytes = 1 << 20;
  options.max_kept_bytes = 1 << 20;
  const auto mesh = make_mesh(GetParam(), 3, options);
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
  Child(const std::string& transport, const std::string& host) {
    int ends[2] = {};
    EXPECT_EQ(pipe(ends), 0);
    pid_ = fork();
    if (pid_ == 0) {
      setenv("DISCO_TEST_ECHO_TRANSPORT", transport.c_str(), 1);
      setenv("DISCO_TEST_ECHO_HOST", host.c_str(), 1);
      setenv("DISCO_TEST_ECHO_PIPE", std::to_string(ends[1]).c_str(), 1);
      execl("/proc/self/exe", "test_fabric", "--gtest_filter=ProcessesChild.Echo", nullptr);
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

TEST(ProcessesChild, Echo) {
  const char* host = getenv("DISCO_TEST_ECHO_HOST");
  if (host == nullptr) {
    GTEST_SKIP() << "a part of Processes.KilledPeerIsLost and Processes.StoppedPeerTimesOut, run by them";
  }
  auto end = listen_over(getenv("DISCO_TEST_ECHO_TRANSPORT"), {});
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

void meet(ListeningFabric& host, const Child& child) {
  const Status joined = host.connect({.rank = 0, .addresses = {host.address(), child.address}, .cluster = 1},
                                     Clock::now() + 20s);
  ASSERT_TRUE(joined.ok()) << joined.error().message;
  ASSERT_TRUE(host.send(1, {0, 1, 0}, make_payload(1 << 20, 3)).ok());
  const auto got = host.receive(1, {0, 1, 0}, Clock::now() + 20s);
  ASSERT_TRUE(got.ok()) << got.error().message;
  ASSERT_EQ(first_difference(*got, 1 << 20, 3), -1);
}

TEST_P(Processes, KilledPeerIsLostWithinASecond) {
  const auto host = listen();
  const Child child(GetParam(), host->address());
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

TEST_P(Processes, StoppedPeerTimesOutAndIsHeardAgainOnceItRuns) {
  const auto host = listen();
  const Child child(GetParam(), host->address());
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

TEST_P(Processes, StoppedPeerIsLostWhenItsHeartIsNotHeard) {
  ZmqOptions options;
  options.socket.heartbeat_interval = 100ms;
  options.socket.heartbeat_timeout = 500ms;
  const auto host = listen(options);
  const Child child(GetParam(), host->address());
  ASSERT_NO_FATAL_FAILURE(meet(*host, child));
  child.signal(SIGSTOP);
  const auto start = Clock::now();
  const auto got = host->receive(1, {0, 2, 0}, start + 20s);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::PeerLost) << got.error().message;
  EXPECT_LT(seconds_since(start), 5.0);
}

TEST_P(Processes, DestructionDoesNotWaitForAStoppedPeerLongerThanItsLinger) {
  ZmqOptions options;
  options.socket.linger = 300ms;
  auto host = listen(options);
  const Child child(GetParam(), host->address());
  ASSERT_NO_FATAL_FAILURE(meet(*host, child));
  child.signal(SIGSTOP);
  ASSERT_TRUE(host->send(1, {0, 2, 0}, make_payload(32 << 20, 4)).ok());
  const auto start = Clock::now();
  host.reset();
  EXPECT_LT(seconds_since(start), 2.0);
}

}  // namespace
}  // namespace disco::testing
