#include "runtime/executor.h"

#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <map>
#include <set>

#include "../fabric/mesh.h"
#include "shards.h"

namespace disco::testing {
namespace {

std::shared_ptr<const Program> compiled(const Graph& graph) {
  auto program = compile(graph);
  EXPECT_TRUE(program.ok()) << (program ? "" : program.error().message);
  return std::make_shared<const Program>(std::move(*program));
}

class OverTransport : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(, OverTransport, ::testing::Values("inproc", "zmq"),
                         [](const auto& info) { return info.param; });

TEST_P(OverTransport, RanksComputeTogether) {
  for (const int ranks : {1, 2, 3}) {
    for (const std::int64_t elements : {1, 77, 100'000}) {
      constexpr int kRounds = 4;
      const auto shards = all_reduce_shards(ranks, kRounds, elements);
      const auto mesh = make_mesh(GetParam(), ranks);
      on_every_rank(mesh, [&](Fabric& fabric) {
        Executor executor(compiled(shards[static_cast<std::size_t>(fabric.rank())]), {.threads = 1});
        for (std::uint64_t request = 1; request <= 5; ++request) {
          const NamedTensors inputs = all_reduce_input(elements, static_cast<int>(request));
          const auto result =
              executor.run(inputs, {.epoch = 1, .request = request, .deadline = Clock::now() + 20s}, &fabric);
          ASSERT_TRUE(result.ok()) << result.error().message;
          if (fabric.rank() == 0) {
            EXPECT_EQ(first_wrong(result->outputs, inputs, ranks, kRounds), -1)
                << GetParam() << " ranks=" << ranks << " elements=" << elements << " request=" << request;
          }
        }
      });
    }
  }
}

TEST_P(OverTransport, RequestsInFlightTakeTurns) {
  for (const int ranks : {2, 3}) {
    constexpr int kRounds = 4;
    constexpr std::uint64_t kRequests = 6;
    const std::int64_t elements = 20'000;
    const auto shards = all_reduce_shards(ranks, kRounds, elements);
    const auto mesh = make_mesh(GetParam(), ranks);
    on_every_rank(mesh, [&](Fabric& fabric) {
      Executor executor(compiled(shards[static_cast<std::size_t>(fabric.rank())]), {.threads = 1});
      for (std::uint64_t request = 1; request <= kRequests; ++request) {
        const Status begun = executor.begin(all_reduce_input(elements, static_cast<int>(request)),
                                            {.epoch = 1, .request = request, .deadline = Clock::now() + 20s});
        ASSERT_TRUE(begun.ok()) << begun.error().message;
      }
      std::set<std::uint64_t> finished;
      while (executor.in_flight() > 0) {
        Executor::Progress progress = executor.advance(&fabric);
        if (!progress.moved) {
          fabric.wait(executor.deadline());
        }
        if (!progress.finished) continue;
        const std::uint64_t request = progress.finished->request;
        const auto& result = progress.finished->result;
        ASSERT_TRUE(result.ok()) << result.error().message;
        EXPECT_TRUE(finished.insert(request).second) << "request " << request << " finished twice";
        if (fabric.rank() == 0) {
          EXPECT_EQ(first_wrong(result->outputs, all_reduce_input(elements, static_cast<int>(request)), ranks,
                                kRounds),
                    -1)
              << GetParam() << " ranks=" << ranks << " request=" << request;
        }
      }
      EXPECT_EQ(finished.size(), kRequests);
    });
  }
}

TEST_P(OverTransport, SilenceAndLossNameWhatWasWaitedFor) {
  const auto shards = all_reduce_shards(2, 1, 25'088);
  auto mesh = make_mesh(GetParam(), 2);
  Executor executor(compiled(shards[0]));
  const NamedTensors inputs = all_reduce_input(25'088);
  const auto silent = executor.run(inputs, {.request = 1, .deadline = Clock::now() + 200ms}, mesh[0].get());
  ASSERT_FALSE(silent.ok());
  EXPECT_EQ(silent.error().code, ErrorCode::Timeout);
  // How long it waited is less on a busy machine, where the run came late to the wait.
  const std::string& said = silent.error().message;
  EXPECT_TRUE(said.starts_with(mesh[0]->describe(1) + " sent nothing for 0.")) << said;
  EXPECT_TRUE(said.ends_with(" s while waiting for 'sum_0_of_1' (100,352 bytes); is it running?")) << said;
  mesh[1].reset();
  const auto lost = executor.run(inputs, {.request = 2, .deadline = Clock::now() + 10s}, mesh[0].get());
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code, ErrorCode::PeerLost);
  EXPECT_TRUE(lost.error().message.starts_with(mesh[0]->describe(1) + " went away")) << lost.error().message;
  EXPECT_NE(lost.error().message.find("'sum_0_of_"), std::string::npos) << lost.error().message;
}

TEST_P(OverTransport, AMessageOfAnotherSizeIsRefused) {
  const auto shards = all_reduce_shards(2, 1, 100);
  for (const std::size_t size : {0, 399, 401, 100'000}) {
    const auto mesh = make_mesh(GetParam(), 2);
    Executor executor(compiled(shards[0]));
    ASSERT_TRUE(mesh[1]->send(0, {0, 1, 0}, make_payload(size, 1)).ok());
    const auto result = executor.run(all_reduce_input(100), {.deadline = Clock::now() + 10s}, mesh[0].get());
    ASSERT_FALSE(result.ok()) << "size=" << size;
    EXPECT_EQ(result.error().code, ErrorCode::ProtocolMismatch) << "size=" << size;
    EXPECT_NE(result.error().message.find("'sum_0_of_1', expected 400"), std::string::npos)
        << result.error().message;
  }
}

/// A transport whose peer takes nothing: what is sent stays here.
class Stalled final : public Fabric {
 public:
  int rank() const override { return 0; }
  int size() const override { return 2; }
  Status send(int, const MessageId& id, Payload payload) override {
    held[id.request] = std::move(payload);
    return {};
  }
  Result<std::optional<Payload>> try_receive(int, const MessageId&) override {
    return error(ErrorCode::Timeout, "node 1 (nowhere) sent nothing for 0.0 s");
  }
  void wait(Clock::time_point) override {}
  void wake() override {}
  void forget_before(std::uint32_t, std::uint64_t) override {}
  Clock::time_point heard(int) const override { return {}; }
  void cancel(const std::string&) override {}
  std::string describe(int) const override { return "node 1 (nowhere)"; }
  LinkCounters counters(int) const override { return {}; }

  std::map<std::uint64_t, Payload> held;
};

TEST(Executor, MessagesThatWaitAreNotChangedByLaterRuns) {
  constexpr std::int64_t kElements = 1000;
  Stalled fabric;
  {
    Executor executor(compiled(all_reduce_shards(2, 2, kElements)[0]));
    for (std::uint64_t request = 1; request <= 4; ++request) {
      const auto result =
          executor.run(all_reduce_input(kElements, static_cast<int>(request)), {.request = request}, &fabric);
      ASSERT_FALSE(result.ok());
    }
  }
  // The executor is gone too; rank 0 sends its input times 1.
  ASSERT_EQ(fabric.held.size(), 4U);
  for (const auto& [request, payload] : fabric.held) {
    const NamedTensors inputs = all_reduce_input(kElements, static_cast<int>(request));
    ASSERT_EQ(payload.size, inputs.at("x").bytes());
    EXPECT_EQ(std::memcmp(payload.data.get(), inputs.at("x").raw(), payload.size), 0)
        << "request=" << request;
  }
}

TEST(Executor, InputsMustBeTheProgramsOwn) {
  Executor executor(compiled(all_reduce_shards(1, 1, 10)[0]));
  const Tensor x = all_reduce_input(10).at("x");
  EXPECT_EQ(executor.run({}, {}, nullptr).error().code, ErrorCode::NotFound);
  EXPECT_EQ(executor.run({{"x", x}, {"y", x}}, {}, nullptr).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(executor.run(all_reduce_input(9), {}, nullptr).error().code, ErrorCode::ShapeMismatch);
  const auto result = executor.run({{"x", x}}, {}, nullptr);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(first_wrong(result->outputs, {{"x", x}}, 1, 1), -1);
}

TEST(Executor, AShardAloneIsAnError) {
  Executor executor(compiled(all_reduce_shards(2, 1, 10)[0]));
  const auto result = executor.run(all_reduce_input(10), {}, nullptr);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::InvalidArgument);
  EXPECT_NE(result.error().message.find("needs node 1"), std::string::npos) << result.error().message;
}

/// Says when its first wait begins.
class WatchedFabric final : public Fabric {
 public:
  WatchedFabric(Fabric& fabric, std::promise<void>& waits) : fabric_(fabric), waits_(&waits) {}
  int rank() const override { return fabric_.rank(); }
  int size() const override { return fabric_.size(); }
  Status send(int peer, const MessageId& id, Payload payload) override {
    return fabric_.send(peer, id, std::move(payload));
  }
  Result<std::optional<Payload>> try_receive(int peer, const MessageId& id) override {
    return fabric_.try_receive(peer, id);
  }
  void wait(Clock::time_point deadline) override {
    if (waits_ != nullptr) std::exchange(waits_, nullptr)->set_value();
    fabric_.wait(deadline);
  }
  void wake() override { fabric_.wake(); }
  void forget_before(std::uint32_t epoch, std::uint64_t request) override {
    fabric_.forget_before(epoch, request);
  }
  Clock::time_point heard(int peer) const override { return fabric_.heard(peer); }
  void cancel(const std::string& reason) override { fabric_.cancel(reason); }
  std::string describe(int peer) const override { return fabric_.describe(peer); }
  LinkCounters counters(int peer) const override { return fabric_.counters(peer); }

 private:
  Fabric& fabric_;
  std::promise<void>* waits_;
};

TEST(Executor, StatisticsAddUpAndWaitingIsCountedAsSuch) {
  const auto shards = all_reduce_shards(2, 3, 500);
  const auto mesh = make_mesh("inproc", 2);
  std::promise<void> first_waits;
  on_every_rank(mesh, [&](Fabric& fabric) {
    Executor executor(compiled(shards[static_cast<std::size_t>(fabric.rank())]));
    WatchedFabric watched(fabric, first_waits);
    if (fabric.rank() == 1) {
      ASSERT_EQ(first_waits.get_future().wait_for(20s), std::future_status::ready);
      std::this_thread::sleep_for(50ms);
    }
    const auto result = executor.run(all_reduce_input(500), {.deadline = Clock::now() + 20s, .trace = true},
                                     fabric.rank() == 0 ? &watched : &fabric);
    ASSERT_TRUE(result.ok()) << result.error().message;
    const RunStatistics& statistics = result->statistics;
    const Graph& shard = shards[static_cast<std::size_t>(fabric.rank())];
    EXPECT_EQ(statistics.messages_sent, messages(shard, "Send"));
    EXPECT_EQ(statistics.bytes_sent, 2000 * messages(shard, "Send"));
    EXPECT_EQ(statistics.messages_received, messages(shard, "Recv"));
    EXPECT_EQ(statistics.bytes_received, 2000 * messages(shard, "Recv"));
    if (fabric.rank() == 0) {
      EXPECT_GE(statistics.wait_ms, 50);
    }
    double traced = 0;
    for (const TraceEvent& event : result->trace) {
      traced += static_cast<double>(event.end_ns - event.start_ns) * 1e-6;
    }
    EXPECT_NEAR(traced, statistics.compute_ms + statistics.pack_ms + statistics.wait_ms, 0.1);
  });
}

}  // namespace
}  // namespace disco::testing
