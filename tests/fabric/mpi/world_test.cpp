// MPI between processes, each with one end of the mesh: all of a job run this, started by ctest through
// mpirun. A job of one process runs what every transport promises in its place (fabric_test.cpp).

#include <ctime>
#include <iostream>
#include <random>

#include "../mesh.h"

namespace disco::testing {

std::unique_ptr<MpiWorld>& the_world() {
  static std::unique_ptr<MpiWorld> world;
  return world;
}
MpiWorld& mpi_world() { return *the_world(); }

namespace {

std::unique_ptr<Fabric> join(std::uint64_t cluster, std::uint32_t epoch = 1) {
  MpiWorld::Mesh mesh{.cluster = cluster, .epoch = epoch, .rank = mpi_world().rank()};
  for (int rank = 0; rank < mpi_world().size(); ++rank)
    mesh.labels.push_back(fmt::format("process {}", rank));
  auto end = mpi_world().join(mesh);
  EXPECT_TRUE(end.ok()) << (end ? "" : end.error().message);
  EXPECT_TRUE(mpi_world().all_gather("joined").ok());  // as a coordinator waits for all before the first run
  return std::move(*end);
}

std::uint64_t seed_of(int from, int to, std::uint32_t tag) {
  return (static_cast<std::uint64_t>(from) << 40) | (static_cast<std::uint64_t>(to) << 32) | tag;
}

TEST(MpiProcesses, GatherEverybodysText) {
  const auto text = [](int rank) { return std::string(static_cast<std::size_t>(rank * 1000), 'a') + "end"; };
  for (int turn = 0; turn < 3; ++turn) {
    const auto texts = mpi_world().all_gather(text(mpi_world().rank()));
    ASSERT_TRUE(texts.ok()) << texts.error().message;
    ASSERT_EQ(texts->size(), static_cast<std::size_t>(mpi_world().size()));
    for (int rank = 0; rank < mpi_world().size(); ++rank)
      EXPECT_EQ((*texts)[static_cast<std::size_t>(rank)], text(rank));
  }
}

TEST(MpiProcesses, ExchangeMessagesOfAllSizesInAnyOrder) {
  constexpr std::size_t kSizes[] = {0, 1, 31, 256, 4096, 65537, std::size_t{1} << 20, std::size_t{9} << 20};
  constexpr std::uint32_t kTags = 8;
  const auto end = join(1);
  const int ranks = end->size();
  for (std::uint64_t request = 1; request <= 5; ++request) {
    for (std::uint32_t tag = 0; tag < kTags; ++tag) {
      for (int peer = 0; peer < ranks; ++peer) {
        if (peer == end->rank()) continue;
        const Status sent =
            end->send(peer, {1, request, tag}, make_payload(kSizes[tag], seed_of(end->rank(), peer, tag)));
        ASSERT_TRUE(sent.ok()) << sent.error().message;
      }
    }
    for (std::uint32_t step = 0; step < kTags; ++step) {
      const std::uint32_t tag = (step * 5 + 3) % kTags;
      for (int peer = ranks - 1; peer >= 0; --peer) {
        if (peer == end->rank()) continue;
        const auto got = end->receive(peer, {1, request, tag}, Clock::now() + 60s);
        ASSERT_TRUE(got.ok()) << got.error().message;
        EXPECT_EQ(first_difference(*got, kSizes[tag], seed_of(peer, end->rank(), tag)), -1)
            << "from=" << peer << " to=" << end->rank() << " tag=" << tag << " request=" << request;
      }
    }
  }
}

TEST(MpiProcesses, MessagesOfAMeshThatWasGivenUpDisturbNoLaterOne) {
  for (std::uint32_t epoch = 1; epoch < 6; ++epoch) {
    const auto end = join(2, epoch);
    const int next = (end->rank() + 1) % end->size();
    const int last = (end->rank() + end->size() - 1) % end->size();
    if (next == end->rank()) GTEST_SKIP() << "one process has no peer";
    const Status sent = end->send(next, {1, 1, 0}, make_payload(100'000, epoch));
    if (epoch % 2 ==
        0) {  // the same ids in every epoch; in the others nobody waits, and a peer may have left
      ASSERT_TRUE(sent.ok()) << sent.error().message;
      const auto got = end->receive(last, {1, 1, 0}, Clock::now() + 60s);
      ASSERT_TRUE(got.ok()) << got.error().message;
      EXPECT_EQ(first_difference(*got, 100'000, epoch), -1) << "epoch=" << epoch;
    }
  }
}

TEST(MpiProcesses, IdleOnesTakeNextToNoProcessorTime) {
  const auto end = join(3);
  std::ignore = mpi_world().all_gather("");
  std::this_thread::sleep_for(200ms);
  const auto seconds = [] {
    timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  const double before = seconds();
  std::this_thread::sleep_for(1s);
  EXPECT_LT(seconds() - before, 0.25);
  std::ignore = mpi_world().all_gather("");
}

}  // namespace
}  // namespace disco::testing

int main(int count, char** arguments) {
  ::testing::InitGoogleTest(&count, arguments);
  auto world = disco::open_mpi();
  if (!world) {
    std::cerr << "test_mpi: " << world.error().message << "\n";
    return 1;
  }
  disco::testing::the_world() = std::move(*world);
  ::testing::GTEST_FLAG(filter) = disco::testing::mpi_world().size() == 1 ? "*Transport*" : "MpiProcesses*";
  const int result = RUN_ALL_TESTS();
  disco::testing::the_world().reset();
  return result;
}
