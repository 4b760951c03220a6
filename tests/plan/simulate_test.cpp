#include "plan/simulate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "programs.h"

namespace disco {
namespace {

using namespace testing;

/// What the simulator adds to a message's bytes, for headers.
constexpr double kHeaders = 110;

double latency_ms(const std::vector<SimulatedProgram>& programs, const Profile& profile,
                  const SimulationOptions& options = {}) {
  const auto result = simulate(programs, profile, options);
  EXPECT_TRUE(result) << (result ? "" : result.error().message);
  return result ? result->latency_ms : -1.0;
}

TEST(Simulate, OneNodeTakesTheSumOfItsSteps) {
  const auto result =
      simulate({program({compute(0.010), compute(0.020)})}, free_of_overhead(1, 1e6, 0), {.concurrency = 1});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_NEAR(result->latency_ms, 30.0, 1e-6);
  EXPECT_NEAR(result->throughput, 1 / 0.030, 1e-6);
  EXPECT_NEAR(result->nodes[0].compute_ms, 30.0, 1e-6);
  EXPECT_NEAR(result->nodes[0].busy, 1.0, 1e-9);
}

TEST(Simulate, AMessageTakesItsBytesAndTheLatency) {
  // 10 ms of computing, 100,000 bytes at 1 MB/s, 5 ms of latency, 20 ms of computing.
  const std::vector<SimulatedProgram> programs = {program({compute(0.010), send(1, 0, 100'000)}),
                                                  program({receive(0, 0, 100'000), compute(0.020)})};
  const double wire = (100'000 + kHeaders) / 1e6;
  EXPECT_NEAR(latency_ms(programs, free_of_overhead(2, 1e6, 0.005)), 10 + wire * 1e3 + 5 + 20, 1e-6);
}

TEST(Simulate, ComputingHidesTheWire) {
  // Both send 50 kB (50 ms), then compute 80 ms, and only then read what came.
  std::vector<SimulatedProgram> programs;
  for (int n = 0; n < 2; ++n)
    programs.push_back(
        program({send(1 - n, 0, 50'000), compute(0.080), receive(1 - n, 0, 50'000), compute(0.010)}));
  const auto result = simulate(programs, free_of_overhead(2, 1e6, 0.001), {});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_NEAR(result->latency_ms, 90.0, 1e-6);
  EXPECT_NEAR(result->nodes[0].wait_ms, 0.0, 1e-6);
}

TEST(Simulate, MessagesOfOneNodeShareItsEgress) {
  // Node 0 sends 100 kB to each of two others, which wait: both arrive after about 200 ms, as they take
  // turns.
  std::vector<SimulatedProgram> programs = {program({send(1, 0, 100'000), send(2, 0, 100'000)}),
                                            program({receive(0, 0, 100'000)}),
                                            program({receive(0, 0, 100'000)})};
  const auto result = simulate(programs, free_of_overhead(3, 1e6, 0), {});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_NEAR(result->latency_ms, 2 * (100'000 + kHeaders) / 1e3, 1e-6);
  EXPECT_GT(result->nodes[1].wait_ms, 150.0);  // not first one, then the other
}

TEST(Simulate, MessagesToOneNodeShareItsIngress) {
  std::vector<SimulatedProgram> programs = {program({receive(1, 0, 100'000), receive(2, 0, 100'000)}),
                                            program({send(0, 0, 100'000)}), program({send(0, 0, 100'000)})};
  EXPECT_NEAR(latency_ms(programs, free_of_overhead(3, 1e6, 0)), 2 * (100'000 + kHeaders) / 1e3, 1e-6);
}

TEST(Simulate, MovingBytesTakesTheCoreOnlyWhereItIsShared) {
  for (const bool shared : {true, false}) {
    Profile profile = free_of_overhead(2, 1e9, 0);
    for (NodeProfile& node : profile.nodes) {
      node.shares_core = shared;
      node.messages.receive_byte_s = 1e-7;
    }
    // Node 0 computes 50 ms while 100 kB come in, whose bytes take 10 ms of a processor.
    const std::vector<SimulatedProgram> programs = {program({compute(0.050), receive(1, 0, 100'000)}),
                                                    program({send(0, 0, 100'000)})};
    const double moved = (100'000 + kHeaders) * 1e-7 * 1e3;
    EXPECT_NEAR(latency_ms(programs, profile), shared ? 50 + moved : 50, 1e-6) << "shared " << shared;
  }
}

TEST(Simulate, OverheadsOfMessagesAddUp) {
  Profile profile = free_of_overhead(2, 1e12, 0);
  for (NodeProfile& node : profile.nodes) {
    node.messages = {.send_s = 1e-3,
                     .receive_s = 2e-3,
                     .send_copy_byte_s = 0,
                     .receive_copy_byte_s = 0,
                     .wake_s = 4e-3,
                     .io_send_s = 8e-3,
                     .io_receive_s = 16e-3,
                     .send_byte_s = 0,
                     .receive_byte_s = 0};
    node.request_s = 32e-3;
  }
  const std::vector<SimulatedProgram> programs = {program({send(1, 0, 10)}), program({receive(0, 0, 10)})};
  EXPECT_NEAR(latency_ms(programs, profile), 1 + 2 + 4 + 8 + 16 + 32, 1e-3);
}

TEST(Simulate, FasterIsMeasuredByLatencyOrByAnswersASecond) {
  const Simulation quick{.latency_ms = 10.0, .throughput = 100.0};
  const Simulation slow{.latency_ms = 10.05, .throughput = 120.0};
  EXPECT_TRUE(is_faster(quick, slow));
  EXPECT_FALSE(is_faster(slow, quick));
  EXPECT_FALSE(is_faster(quick, slow, 1.01)) << "by half a per cent only";
  Simulation many = slow;
  many.concurrency = 4;
  EXPECT_TRUE(is_faster(many, quick, 1.19));
  EXPECT_FALSE(is_faster(many, quick, 1.21));
}

TEST(Simulate, NodesAreAskedOneAfterAnother) {
  Profile profile = free_of_overhead(3, 1e12, 0);
  for (NodeProfile& node : profile.nodes) node.ask_s = 1e-3, node.ask_byte_s = 1e-6, node.request_s = 6e-3;
  std::vector<SimulatedProgram> programs(3, program({compute(0.01)}));
  for (SimulatedProgram& of_node : programs) of_node.input_bytes = 2000;
  // The first two take 3 ms each before the last, node 0, is asked.
  EXPECT_NEAR(latency_ms(programs, profile), 2 * 3 + 6 + 10, 1e-3);
  programs[0] = program({});
  EXPECT_NEAR(latency_ms(programs, profile), 3 + 6 + 10, 1e-3);
}

TEST(Simulate, TheBytesOfAMessageTakeTheComputingThread) {
  Profile profile = free_of_overhead(2, 1e12, 0);
  for (NodeProfile& node : profile.nodes)
    node.messages.send_copy_byte_s = 1e-7, node.messages.receive_copy_byte_s = 2e-7;
  // 100 kB: 10 ms to send. What came while node 1 computed takes 20 ms to fetch; what it waited for, the last
  // piece.
  const std::vector<SimulatedProgram> late = {program({send(1, 0, 100'000)}),
                                              program({compute(0.050), receive(0, 0, 100'000)})};
  EXPECT_NEAR(latency_ms(late, profile), 50 + 20, 1e-3);
  const std::vector<SimulatedProgram> awaited = {program({send(1, 0, 100'000)}),
                                                 program({receive(0, 0, 100'000)})};
  EXPECT_NEAR(latency_ms(awaited, profile), 10 + (20 - 10), 1e-3);
  const std::vector<SimulatedProgram> long_awaited = {program({compute(0.050), send(1, 0, 100'000)}),
                                                      program({receive(0, 0, 100'000)})};
  EXPECT_NEAR(latency_ms(long_awaited, profile), 50 + 10 + 16.384 * 0.2, 1e-3);
}

TEST(Simulate, RequestsInFlightFillTheWaits) {
  // A request computes 10 ms, waits 30 ms for the wire, and computes 10 ms: two fit beside each other.
  std::vector<SimulatedProgram> programs;
  for (int n = 0; n < 2; ++n)
    programs.push_back(program(
        {compute(0.010), send(1 - n, 0, 30'000 - 110), receive(1 - n, 0, 30'000 - 110), compute(0.010)}));
  const Profile profile = free_of_overhead(2, 1e6, 0);
  const auto one = simulate(programs, profile, {.concurrency = 1});
  const auto two = simulate(programs, profile, {.concurrency = 2});
  ASSERT_TRUE(one && two);
  EXPECT_NEAR(one->throughput, 1 / 0.050, 1e-3);
  // The wire is the limit then: 30 ms a request.
  EXPECT_NEAR(two->throughput, 1 / 0.030, 0.5);
  EXPECT_EQ(two->nodes[0].bytes_sent, one->nodes[0].bytes_sent);
}

TEST(Simulate, TheOldestRequestComputesFirst) {
  // Compute-bound: the first of two requests is not delayed by the second.
  const std::vector<SimulatedProgram> programs = {program({compute(0.010), compute(0.010)})};
  const auto result =
      simulate(programs, free_of_overhead(1, 1e6, 0), {.concurrency = 2, .requests = 2, .trace = true});
  ASSERT_TRUE(result);
  ASSERT_EQ(result->traces[0].events.size(), 4U);
  EXPECT_NEAR(result->latency_ms, 40.0, 1e-6);  // of 20 and 40 the upper
  EXPECT_NEAR(result->throughput, 1 / 0.020, 1e-6);
}

TEST(Simulate, BurstsPassAtOnce) {
  Profile profile = free_of_overhead(2, 1e6, 0);
  profile.link.burst_bytes = 50'000;
  const std::vector<SimulatedProgram> programs = {program({send(1, 0, 100'000 - 110)}),
                                                  program({receive(0, 0, 100'000 - 110)})};
  EXPECT_NEAR(latency_ms(programs, profile, {.requests = 1}), 50.0, 1e-6);
}

TEST(Simulate, InputsShareTheLinkOfTheCoordinatorsMachine) {
  std::vector<SimulatedProgram> programs = {program({compute(0.001)}), program({compute(0.001)})};
  programs[0].input_bytes = programs[1].input_bytes = 100'000;
  Profile profile = free_of_overhead(2, 1e6, 0);
  EXPECT_NEAR(latency_ms(programs, profile), 1.0, 1e-6);
  profile.coordinator = profile.nodes[0].name;
  EXPECT_NEAR(latency_ms(programs, profile), 1.0 + (100'000 + kHeaders) / 1e3, 1e-6);
}

TEST(Simulate, BandsOfAnInputAreComputedWithAsTheyCome) {
  const auto band = [](std::uint32_t b) { return receive(kCaller, band_tag(0, b), 100'000); };
  std::vector<SimulatedProgram> programs = {
      program({compute(0.001)}),
      program({band(0), compute(0.05), band(1), compute(0.05), band(2), compute(0.05)})};
  constexpr auto kBytes = static_cast<std::uint64_t>(100'000 - kHeaders);
  programs[1].input_bytes = kBytes;
  programs[1].more_input_bytes = {kBytes, kBytes};
  Profile profile = free_of_overhead(2, 1e6, 0);
  EXPECT_NEAR(latency_ms(programs, profile), 150.0, 1e-6);  // the coordinator's link is no limit
  profile.coordinator = profile.nodes[0].name;
  EXPECT_NEAR(latency_ms(programs, profile), 350.0, 1e-6);  // three times 100 ms, and what follows the last
  profile.nodes[1].request_byte_s = 1e-7;
  EXPECT_NEAR(latency_ms(programs, profile), 350.0 + (100'000 - kHeaders) * 1e-4, 1e-6);
}

TEST(Simulate, NothingIsLostOrMadeUp) {
  for (const int nodes : {2, 3, 5, 16, 64}) {
    for (const int concurrency : {1, 3}) {
      const auto programs = all_to_all(nodes, 3, 0.01, 5000);
      Profile profile = uniform_profile(nodes, {.bytes_per_s = 1e8, .latency_s = 1e-4});
      const auto result =
          simulate(programs, profile, {.concurrency = concurrency, .requests = 6, .trace = true});
      const std::string where = fmt::format("nodes={} concurrency={}", nodes, concurrency);
      ASSERT_TRUE(result) << where << ": " << result.error().message;
      for (int n = 0; n < nodes; ++n) {
        const SimulatedNode& node = result->nodes[static_cast<std::size_t>(n)];
        EXPECT_EQ(node.bytes_sent, 3U * 5000U * static_cast<unsigned>(nodes - 1)) << where;
        EXPECT_EQ(node.messages_sent, 3U * static_cast<unsigned>(nodes - 1)) << where;
        // Moving bytes can only lengthen computing.
        EXPECT_GE(node.compute_ms, 3 * 10.0 / nodes - 1e-6) << where;
        EXPECT_LE(node.busy, 1.0 + 1e-9) << where;
        // A core does one thing at a time.
        std::int64_t end = 0;
        for (const TraceEvent& event : result->traces[static_cast<std::size_t>(n)].events) {
          EXPECT_GE(event.end_ns, event.start_ns) << where;
          if (event.phase == TracePhase::Wait) continue;
          EXPECT_GE(event.start_ns, end - 1) << where;
          end = event.end_ns;
        }
      }
      // No answer before the wire could carry it.
      EXPECT_GE(result->latency_ms, 3 * 5000.0 * (nodes - 1) / 1e8 * 1e3) << where;
    }
  }
}

TEST(Simulate, FasterIsNeverSlower) {
  for (const int nodes : {2, 4}) {
    const auto programs = all_to_all(nodes, 6, 0.02, 40'000);
    double before = 1e30;
    for (const double rate : {1e6, 3e6, 1e7, 5e7, 1e8, 1e9}) {
      const double now =
          latency_ms(programs, uniform_profile(nodes, {.bytes_per_s = rate, .latency_s = 1e-4}));
      EXPECT_LE(now, before + 1e-6) << nodes << " nodes at " << rate << " B/s";
      before = now;
    }
    before = 1e30;
    for (const double latency : {1e-2, 1e-3, 1e-4, 0.0}) {
      const double now =
          latency_ms(programs, uniform_profile(nodes, {.bytes_per_s = 1e7, .latency_s = latency}));
      EXPECT_LE(now, before + 1e-6) << nodes << " nodes, " << latency << " s of latency";
      before = now;
    }
  }
}

TEST(Simulate, MessagesAreSeenOnTheWire) {
  const std::vector<SimulatedProgram> programs = {
      program({compute(0.010), send(1, 0, 100'000), send(1, 1, 50'000)}),
      program({receive(0, 0, 100'000), receive(0, 1, 50'000), compute(0.020)})};
  const auto result = simulate(programs, free_of_overhead(2, 1e6, 0.005), {.requests = 1, .trace = true});
  ASSERT_TRUE(result);
  ASSERT_EQ(result->wire.size(), 2U);
  const WireSpan& first = result->wire[0];
  EXPECT_EQ(first.from, 0);
  EXPECT_EQ(first.to, 1);
  EXPECT_NEAR(first.start_s, 0.010, 1e-9);
  EXPECT_NEAR(first.end_s, 0.010 + (100'000 + kHeaders) / 1e6 + 0.005, 1e-9);
  EXPECT_EQ(first.bytes, 100'000 + kHeaders);
  EXPECT_GE(result->wire[1].start_s, 0.010 + 100'000 / 1e6);
  EXPECT_TRUE(simulate(programs, free_of_overhead(2, 1e6, 0.005), {.requests = 1})->wire.empty());
}

TEST(Simulate, SaysWhatIsNeverSent) {
  const auto result =
      simulate({program({receive(1, 7, 10)}), program({compute(0.1)})}, free_of_overhead(2, 1e6, 0), {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::InvalidArgument);
  EXPECT_THAT(result.error().message, ::testing::HasSubstr("node 0 waits for 'value' (tag 7) of node 1"));
  EXPECT_FALSE(simulate({program({send(5, 0, 10)})}, free_of_overhead(1, 1e6, 0), {}));
  EXPECT_FALSE(simulate({program({}), program({})}, free_of_overhead(1, 1e6, 0), {}));
  EXPECT_FALSE(simulate({}, free_of_overhead(1, 1e6, 0), {}));
}

}  // namespace
}  // namespace disco
