// What every transport promises, checked over all of them, ranks as threads.

#include <random>

#include "mesh.h"

namespace disco::testing {
namespace {

class Transport : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(, Transport, ::testing::ValuesIn(transports()),
                         [](const auto& info) { return info.param; });

std::uint64_t seed_of(int from, int to, std::uint32_t tag) {
  return (static_cast<std::uint64_t>(from) << 40) | (static_cast<std::uint64_t>(to) << 32) | tag;
}

TEST_P(Transport, AllToAllOfRandomSizes) {
  for (const int ranks : {1, 2, 3, 5}) {
    constexpr std::uint32_t kTags = 12;
    const auto size_of_message = [](int from, int to, std::uint32_t tag) -> std::size_t {
      std::mt19937_64 random(seed_of(from, to, tag));
      constexpr std::size_t kSizes[] = {0, 1, 31, 256, 257, 4096, 65537, std::size_t{4} << 20};
      return tag < 8 ? kSizes[tag] : random() % 200000;
    };
    const auto mesh = make_mesh(GetParam(), ranks);
    on_every_rank(mesh, [&](Fabric& fabric) {
      for (std::uint32_t tag = 0; tag < kTags; ++tag) {
        for (int peer = 0; peer < ranks; ++peer) {
          if (peer != fabric.rank()) {
            const std::size_t size = size_of_message(fabric.rank(), peer, tag);
            const Status sent =
                fabric.send(peer, {1, 1, tag}, make_payload(size, seed_of(fabric.rank(), peer, tag)));
            ASSERT_TRUE(sent.ok()) << sent.error().message;
          }
        }
      }
      // Taken in another order than they were sent, by tag and by peer.
      for (std::uint32_t step = 0; step < kTags; ++step) {
        const std::uint32_t tag = (step * 5 + 3) % kTags;
        for (int peer = ranks - 1; peer >= 0; --peer) {
          if (peer != fabric.rank()) {
            const std::size_t size = size_of_message(peer, fabric.rank(), tag);
            const auto got = fabric.receive(peer, {1, 1, tag}, Clock::now() + 20s);
            ASSERT_TRUE(got.ok()) << got.error().message;
            EXPECT_EQ(first_difference(*got, size, seed_of(peer, fabric.rank(), tag)), -1)
                << GetParam() << " ranks=" << ranks << " from=" << peer << " to=" << fabric.rank()
                << " tag=" << tag << " bytes=" << size << " got=" << got->size;
          }
        }
      }
      for (int peer = 0; peer < ranks; ++peer) {
        if (peer != fabric.rank()) {
          std::uint64_t out = 0;
          std::uint64_t in = 0;
          for (std::uint32_t tag = 0; tag < kTags; ++tag) {
            out += size_of_message(fabric.rank(), peer, tag);
            in += size_of_message(peer, fabric.rank(), tag);
          }
          const LinkCounters counters = fabric.counters(peer);
          EXPECT_EQ(counters.bytes_sent, out);
          EXPECT_EQ(counters.bytes_received, in);
          EXPECT_EQ(counters.messages_sent, kTags);
          EXPECT_EQ(counters.messages_received, kTags);
        }
      }
    });
  }
}

TEST_P(Transport, MessagesOfOneIdKeepTheirOrder) {
  const auto mesh = make_mesh(GetParam(), 2);
  for (std::uint64_t i = 0; i < 200; ++i) {
    ASSERT_TRUE(mesh[0]->send(1, {1, 1, 4}, make_payload(i, i)).ok());
  }
  for (std::uint64_t i = 0; i < 200; ++i) {
    const auto got = mesh[1]->receive(0, {1, 1, 4}, Clock::now() + 10s);
    ASSERT_TRUE(got.ok()) << "i=" << i << ": " << got.error().message;
    ASSERT_EQ(first_difference(*got, i, i), -1) << "i=" << i;
  }
}

TEST_P(Transport, StaleRequestsAreDropped) {
  const auto mesh = make_mesh(GetParam(), 2);
  ASSERT_TRUE(mesh[0]->send(1, {1, 1, 0}, make_payload(10, 1)).ok());
  ASSERT_TRUE(mesh[0]->send(1, {1, 2, 0}, make_payload(20, 2)).ok());
  ASSERT_TRUE(mesh[0]->send(1, {2, 1, 0}, make_payload(30, 3)).ok());
  const auto newest = mesh[1]->receive(0, {2, 1, 0}, Clock::now() + 10s);
  ASSERT_TRUE(newest.ok()) << newest.error().message;
  EXPECT_EQ(newest->size, 30U);
  mesh[1]->forget_before(2, 1);
  // Those of older requests are gone, and so is one that comes late.
  ASSERT_TRUE(mesh[0]->send(1, {1, 2, 1}, make_payload(40, 4)).ok());
  ASSERT_TRUE(mesh[0]->send(1, {2, 1, 1}, make_payload(50, 5)).ok());
  ASSERT_TRUE(mesh[1]->receive(0, {2, 1, 1}, Clock::now() + 10s).ok());
  for (const MessageId stale : {MessageId{1, 1, 0}, MessageId{1, 2, 0}, MessageId{1, 2, 1}}) {
    const auto got = mesh[1]->receive(0, stale, Clock::now() + 20ms);
    ASSERT_FALSE(got.ok()) << "request=" << stale.request << " tag=" << stale.tag;
    EXPECT_EQ(got.error().code, ErrorCode::Timeout);
  }
}

TEST_P(Transport, DeadlineEndsAWait) {
  const auto mesh = make_mesh(GetParam(), 2);
  const auto start = Clock::now();
  const auto got = mesh[1]->receive(0, {1, 1, 0}, start + 300ms);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::Timeout);
  EXPECT_NE(got.error().message.find("node 0 ("), std::string::npos) << got.error().message;
  EXPECT_NE(got.error().message.find("sent nothing for 0."), std::string::npos) << got.error().message;
  EXPECT_GE(seconds_since(start), 0.3);
  EXPECT_LT(seconds_since(start), 2.0);
}

TEST_P(Transport, NoWaitMissesWhatCameWhileAnotherMessageWasLookedFor) {
  // As an executor with two requests in flight: it looks for one message after the other, then sleeps.
  const auto mesh = make_mesh(GetParam(), 2);
  const MessageId first{1, 1, 0}, second{1, 2, 0};
  ASSERT_FALSE(mesh[1]->try_receive(0, first).value());
  ASSERT_TRUE(mesh[0]->send(1, first, make_payload(10, 1)).ok());
  std::this_thread::sleep_for(100ms);
  ASSERT_FALSE(mesh[1]->try_receive(0, second).value());  // takes the first one in
  const auto start = Clock::now();
  std::optional<Payload> got;
  while (!got && seconds_since(start) < 5) {
    mesh[1]->wait(start + 5s);
    got = mesh[1]->try_receive(0, first).value();
  }
  EXPECT_TRUE(got);
  EXPECT_LT(seconds_since(start), 2.0);
}

TEST_P(Transport, WaitingTakesNoProcessorTime) {
  const auto mesh = make_mesh(GetParam(), 2);
  const auto processor_seconds = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  const double before = processor_seconds();
  ASSERT_FALSE(mesh[1]->receive(0, {1, 1, 0}, Clock::now() + 1s).ok());
  EXPECT_LT(processor_seconds() - before, 0.1);
}

TEST_P(Transport, PeerThatClosesIsLostAfterWhatItSent) {
  auto mesh = make_mesh(GetParam(), 3);
  ASSERT_TRUE(mesh[1]->send(0, {1, 1, 0}, make_payload(100000, 1)).ok());
  ASSERT_TRUE(mesh[1]->send(2, {1, 1, 0}, make_payload(100000, 2)).ok());
  mesh[1].reset();
  for (const int rank : {0, 2}) {
    const auto start = Clock::now();
    const auto first = mesh[static_cast<std::size_t>(rank)]->receive(1, {1, 1, 0}, Clock::now() + 10s);
    ASSERT_TRUE(first.ok()) << "rank=" << rank << ": " << first.error().message;
    EXPECT_EQ(first->size, 100000U);
    const auto second = mesh[static_cast<std::size_t>(rank)]->receive(1, {1, 1, 1}, Clock::now() + 10s);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, ErrorCode::PeerLost) << second.error().message;
    EXPECT_NE(second.error().message.find("node 1 ("), std::string::npos) << second.error().message;
    EXPECT_LT(seconds_since(start), 1.0) << "rank=" << rank;
    const Status sent = mesh[static_cast<std::size_t>(rank)]->send(1, {1, 1, 0}, make_payload(1, 1));
    ASSERT_FALSE(sent.ok());
    EXPECT_EQ(sent.error().code, ErrorCode::PeerLost);
  }
  // The others' link is unharmed.
  ASSERT_TRUE(mesh[0]->send(2, {1, 1, 2}, make_payload(5, 3)).ok());
  EXPECT_TRUE(mesh[2]->receive(0, {1, 1, 2}, Clock::now() + 10s).ok());
}

TEST_P(Transport, CancelFromAnotherThreadEndsAWaitAndLaterOnes) {
  const auto mesh = make_mesh(GetParam(), 2);
  const auto start = Clock::now();
  std::thread canceller([&] {
    std::this_thread::sleep_for(100ms);
    mesh[1]->cancel("the request was abandoned");
  });
  const auto got = mesh[1]->receive(0, {1, 1, 0}, start + 20s);
  canceller.join();
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::PeerLost);
  EXPECT_EQ(got.error().message, "the request was abandoned");
  EXPECT_LT(seconds_since(start), 2.0);
  EXPECT_FALSE(mesh[1]->receive(0, {1, 2, 0}, Clock::now() + 20s).ok());
  EXPECT_LT(seconds_since(start), 2.0);
}

TEST_P(Transport, RanksThatAreNotThereAreRefused) {
  const auto mesh = make_mesh(GetParam(), 2);
  for (const int peer : {-1, 0, 2, 1000}) {
    EXPECT_EQ(mesh[0]->send(peer, {}, make_payload(1, 1)).error().code, ErrorCode::InvalidArgument) << peer;
    EXPECT_EQ(mesh[0]->receive(peer, {}, Clock::now()).error().code, ErrorCode::InvalidArgument) << peer;
    EXPECT_FALSE(mesh[0]->describe(peer).empty());
    EXPECT_EQ(mesh[0]->counters(peer).messages_sent, 0U);
  }
}

TEST_P(Transport, PayloadsAreReleasedOnceReceived) {
  const auto mesh = make_mesh(GetParam(), 2);
  Payload payload = make_payload(1 << 20, 1);
  const std::weak_ptr<const std::byte> watch = payload.data;
  ASSERT_TRUE(mesh[0]->send(1, {1, 1, 0}, std::move(payload)).ok());
  ASSERT_TRUE(mesh[1]->receive(0, {1, 1, 0}, Clock::now() + 10s).ok());
  const auto start = Clock::now();
  while (!watch.expired() && seconds_since(start) < 5) {
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace disco::testing
