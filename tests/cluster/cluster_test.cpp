// Three ways to run a cluster, one behaviour; and what becomes of it when nodes die, stop, or are asked the
// impossible.

#include "cluster/cluster.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <future>
#include <thread>

#include "../runtime/shards.h"
#include "base/file.h"
#include "cluster/cores.h"
#include "cluster/node_server.h"
#include "cluster/process.h"
#include "fabric/zmq_socket.h"

namespace disco::testing {
namespace {

using namespace std::chrono_literals;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// A node server as a thread of this process, where sanitizers see it.
class ServerThread {
 public:
  ServerThread() {
    std::promise<std::string> ready;
    auto where = ready.get_future();
    options_.listen = "127.0.0.1:0";
    options_.stop_fd = stop_.fd();
    options_.on_ready = [&](const std::string& text) { ready.set_value(text); };
    thread_ = std::thread([this] { EXPECT_TRUE(run_node_server(options_).ok()); });
    address = where.get();
  }
  ~ServerThread() {
    stop_.set();
    thread_.join();
  }
  std::string address;

 private:
  NodeServerOptions options_;
  WakeUp stop_;
  std::thread thread_;
};

/// A cluster of the kind, and for "connect" the nodes that it connects to.
struct Started {
  std::vector<std::unique_ptr<ServerThread>> servers;
  Result<std::unique_ptr<Cluster>> cluster = Error{};
};

NodeProcess start_node(std::string& address) {
  auto process = NodeProcess::start("/proc/self/exe", {"node"});
  EXPECT_TRUE(process.ok()) << (process ? "" : process.error().message);
  auto where = process->address(Clock::now() + 20s);
  EXPECT_TRUE(where.ok()) << (where ? "" : where.error().message);
  address = *where;
  return std::move(*process);
}

Started start(const std::string& kind, std::vector<Graph> shards, const ClusterOptions& options = {}) {
  Started started;
  if (kind == "inproc") {
    started.cluster = Cluster::start_inproc(std::move(shards), options);
  } else if (kind == "local") {
    started.cluster = Cluster::start_local(std::move(shards), options);
  } else {
    std::vector<NodeConfig> configs(shards.size());
    for (NodeConfig& config : configs) {
      started.servers.push_back(std::make_unique<ServerThread>());
      config.address = started.servers.back()->address;
    }
    started.cluster = Cluster::connect(configs, std::move(shards), options);
  }
  return started;
}

bool is_alive(pid_t process) { return kill(process, 0) == 0; }

class EveryCluster : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(, EveryCluster, ::testing::Values("inproc", "local", "connect"),
                         [](const auto& info) { return info.param; });

TEST_P(EveryCluster, AnswersAsArithmeticDoes) {
  for (const int ranks : {1, 2, 4}) {
    for (const std::int64_t elements : {1, 1000, 300'000}) {
      constexpr int kRounds = 3;
      const std::string what = fmt::format("{} ranks={} elements={}", GetParam(), ranks, elements);
      const std::vector<Graph> shards = all_reduce_shards(ranks, kRounds, elements);
      const Started started = start(GetParam(), shards);
      ASSERT_TRUE(started.cluster.ok()) << what << ": " << started.cluster.error().message;
      for (int seed = 0; seed < 3; ++seed) {
        const NamedTensors inputs = all_reduce_input(elements, seed);
        const auto result = (*started.cluster)->run(inputs);
        ASSERT_TRUE(result.ok()) << what << ": " << result.error().message;
        EXPECT_EQ(first_wrong(result->outputs, inputs, ranks, kRounds), -1) << what << " seed=" << seed;
        ASSERT_EQ(result->statistics.size(), static_cast<std::size_t>(ranks)) << what;
        for (std::size_t rank = 0; rank < result->statistics.size(); ++rank) {
          const RunStatistics& statistics = result->statistics[rank];
          const std::uint64_t sent = messages(shards[rank], "Send");
          const std::uint64_t received = messages(shards[rank], "Recv");
          EXPECT_EQ(statistics.messages_sent, sent) << what << " rank=" << rank;
          EXPECT_EQ(statistics.messages_received, received) << what << " rank=" << rank;
          EXPECT_EQ(statistics.bytes_sent, sent * 4 * static_cast<std::uint64_t>(elements)) << what;
          EXPECT_EQ(statistics.bytes_received, received * 4 * static_cast<std::uint64_t>(elements)) << what;
          EXPECT_GT(statistics.peak_rss_bytes, 1U << 20) << what;
          EXPECT_LE(statistics.compute_ms + statistics.pack_ms + statistics.wait_ms,
                    statistics.total_ms + 0.5)
              << what;
        }
      }
    }
  }
}

TEST_P(EveryCluster, TracesEveryStepOnOneClock) {
  const Started started = start(GetParam(), all_reduce_shards(2, 4, 100));
  ASSERT_TRUE(started.cluster.ok()) << started.cluster.error().message;
  const auto before = std::chrono::nanoseconds(Clock::now().time_since_epoch()).count();
  const auto result = (*started.cluster)->run(all_reduce_input(100), {.trace = true});
  const auto after = std::chrono::nanoseconds(Clock::now().time_since_epoch()).count();
  ASSERT_TRUE(result.ok()) << result.error().message;
  ASSERT_EQ(result->traces.size(), 2U);
  for (const NodeTrace& trace : result->traces) {
    int waits = 0;
    std::int64_t last = 0;
    for (const TraceEvent& event : trace.events) {
      EXPECT_LE(event.start_ns, event.end_ns);
      EXPECT_GE(event.start_ns, last);
      last = event.end_ns;
      waits += event.phase == TracePhase::Wait ? 1 : 0;
      // All processes of one machine read one clock, so the offset must be small: 5 ms is far beyond a round
      // trip.
      EXPECT_GE(event.start_ns + trace.clock_offset_ns, before - 5'000'000);
      EXPECT_LE(event.end_ns + trace.clock_offset_ns, after + 5'000'000);
    }
    EXPECT_EQ(waits, trace.rank == 0 ? 4 : 3) << "rank=" << trace.rank;
  }
  EXPECT_TRUE((*started.cluster)->run(all_reduce_input(100))->traces.empty());
}

TEST_P(EveryCluster, WrongInputsAreErrorsAndTheNextRunIsFine) {
  const Started started = start(GetParam(), all_reduce_shards(2, 2, 10));
  ASSERT_TRUE(started.cluster.ok()) << started.cluster.error().message;
  const NamedTensors good = all_reduce_input(10);
  struct Case {
    NamedTensors inputs;
    ErrorCode code;
    const char* says;
  };
  const Case cases[] = {
      {{}, ErrorCode::NotFound, "input 'x' is missing"},
      {{{"x", good.at("x")}, {"z", good.at("x")}}, ErrorCode::InvalidArgument, "no input 'z'"},
      {all_reduce_input(11), ErrorCode::ShapeMismatch, "[1, 11]"},
  };
  for (const Case& item : cases) {
    const auto result = (*started.cluster)->run(item.inputs, {.deadline = 5s});
    ASSERT_FALSE(result.ok()) << item.says;
    EXPECT_EQ(result.error().code, item.code) << result.error().message;
    EXPECT_NE(result.error().message.find(item.says), std::string::npos) << result.error().message;
    const auto next = (*started.cluster)->run(good);
    ASSERT_TRUE(next.ok()) << "after '" << item.says << "': " << next.error().message;
    EXPECT_EQ(first_wrong(next->outputs, good, 2, 2), -1);
  }
}

TEST_P(EveryCluster, ShardsThatCannotBeCompiledAreErrors) {
  auto shards = all_reduce_shards(2, 2, 10);
  shards[1].nodes[0].op = "NoSuchOperator";
  const auto before = Clock::now();
  const Started started = start(GetParam(), std::move(shards));
  ASSERT_FALSE(started.cluster.ok());
  EXPECT_NE(started.cluster.error().message.find("node 1"), std::string::npos)
      << started.cluster.error().message;
  EXPECT_NE(started.cluster.error().message.find("NoSuchOperator"), std::string::npos)
      << started.cluster.error().message;
  EXPECT_LT(seconds_since(before), 10);
}

TEST_P(EveryCluster, AMessageThatNeverComesEndsTheRunAtItsDeadline) {
  auto shards = all_reduce_shards(3, 2, 10);
  // Rank 2 sends the second round under a tag that nobody waits for.
  for (Node& node : shards[2].nodes) {
    if (node.op == "Send" && node.int_or("tag", 0) == 1) {
      node.attributes["tag"] = std::int64_t{99};
    }
  }
  const Started started = start(GetParam(), std::move(shards));
  ASSERT_TRUE(started.cluster.ok()) << started.cluster.error().message;
  for (int i = 0; i < 2; ++i) {
    const auto before = Clock::now();
    const auto result = (*started.cluster)->run(all_reduce_input(10), {.deadline = 500ms});
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::Timeout) << result.error().message;
    EXPECT_NE(result.error().message.find("waiting for 'sum_1_of_2' (40 bytes)"), std::string::npos)
        << result.error().message;
    EXPECT_NE(result.error().message.find("node 2 ("), std::string::npos) << result.error().message;
    EXPECT_LT(seconds_since(before), 5);
  }
}

TEST_P(EveryCluster, ShutdownIsFinal) {
  const Started started = start(GetParam(), all_reduce_shards(2, 1, 10));
  ASSERT_TRUE(started.cluster.ok()) << started.cluster.error().message;
  (*started.cluster)->shutdown();
  EXPECT_FALSE((*started.cluster)->run(all_reduce_input(10)).ok());
  (*started.cluster)->shutdown();
}

TEST(LocalCluster, NoProcessOutlivesIt) {
  std::vector<pid_t> pids;
  {
    const Started started = start("local", all_reduce_shards(3, 1, 10));
    ASSERT_TRUE(started.cluster.ok()) << started.cluster.error().message;
    for (const NodeInfo& node : (*started.cluster)->nodes()) {
      pids.push_back(node.process);
      EXPECT_TRUE(is_alive(node.process));
    }
  }
  for (const pid_t pid : pids) {
    EXPECT_FALSE(is_alive(pid)) << pid;
  }
}

TEST(LocalCluster, NodesKeepToCoresOfTheirOwn) {
  const auto wanted = cores_of_nodes(2, 1);
  if (wanted.empty()) GTEST_SKIP() << "too few cores, or the environment arranges them";
  const auto cpus_of = [](pid_t process) {
    cpu_set_t set;
    std::vector<int> cpus;
    if (sched_getaffinity(process, sizeof set, &set) != 0) return cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
    return cpus;
  };
  const std::vector<int> mine = cpus_of(0);
  for (const bool own : {true, false}) {
    ClusterOptions options;
    options.threads = 1;
    options.own_cores = own;
    const Started started = start("local", all_reduce_shards(2, 1, 10), options);
    ASSERT_TRUE(started.cluster.ok()) << started.cluster.error().message;
    for (std::size_t rank = 0; rank < 2; ++rank) {
      auto part = wanted[rank];
      std::ranges::sort(part);
      EXPECT_EQ(cpus_of((*started.cluster)->nodes()[rank].process), own ? part : mine) << rank;
    }
  }
  EXPECT_EQ(cpus_of(0), mine) << "who starts them is not confined";
}

TEST(LocalCluster, KilledNodeIsNamedAndNobodyHangs) {
  for (const int victim : {0, 1, 2}) {
    const Started started = start("local", all_reduce_shards(3, 2, 1000));
    ASSERT_TRUE(started.cluster.ok()) << started.cluster.error().message;
    Cluster& cluster = **started.cluster;
    ASSERT_TRUE(cluster.run(all_reduce_input(1000)).ok());
    const NodeInfo info = cluster.nodes()[static_cast<std::size_t>(victim)];
    ASSERT_GT(info.process, 1);  // kill(-1, …) is for everybody
    // Stopped first, so that the others are certain to be in the middle of the run when it dies.
    kill(info.process, SIGSTOP);
    Clock::time_point killed;
    std::thread killer([&] {
      std::this_thread::sleep_for(300ms);
      killed = Clock::now();
      kill(info.process, SIGKILL);
    });
    const auto result = cluster.run(all_reduce_input(1000), {.deadline = 20s});
    killer.join();
    ASSERT_FALSE(result.ok());
    const std::string& line = result.error().message;
    EXPECT_EQ(result.error().code, ErrorCode::PeerLost) << line;
    EXPECT_NE(line.find(fmt::format("node {} ({})", victim, info.label)), std::string::npos) << line;
    EXPECT_NE(line.find(fmt::format("waiting for 'sum_0_of_{}' (4,000 bytes)", victim)), std::string::npos)
        << line;
    EXPECT_NE(line.find("killed by signal 9"), std::string::npos) << line;
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    EXPECT_LT(seconds_since(killed), 2.0);
    const auto again = cluster.run(all_reduce_input(1000), {.deadline = 5s});
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.error().code, ErrorCode::PeerLost) << again.error().message;
    for (const NodeInfo& node : cluster.nodes()) {
      if (node.process != info.process) {
        EXPECT_TRUE(is_alive(node.process));
      }
    }
  }
}

TEST(LocalCluster, StoppedNodeTimesOutAndServesAgainOnceItRuns) {
  const Started started = start("local", all_reduce_shards(3, 2, 1000), {.start_timeout = 3s});
  ASSERT_TRUE(started.cluster.ok()) << started.cluster.error().message;
  Cluster& cluster = **started.cluster;
  const NodeInfo info = cluster.nodes()[1];
  ASSERT_GT(info.process, 1);
  kill(info.process, SIGSTOP);
  const auto before = Clock::now();
  const auto result = cluster.run(all_reduce_input(1000), {.deadline = 1s});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::Timeout) << result.error().message;
  EXPECT_NE(result.error().message.find(fmt::format("node 1 ({}) sent nothing for", info.label)),
            std::string::npos)
      << result.error().message;
  EXPECT_LT(seconds_since(before), 3.0);
  kill(info.process, SIGCONT);
  const NamedTensors inputs = all_reduce_input(1000);
  const auto next = cluster.run(inputs);
  ASSERT_TRUE(next.ok()) << next.error().message;
  EXPECT_EQ(first_wrong(next->outputs, inputs, 3, 2), -1);
}

TEST(LocalCluster, NodesEndWithAParentThatIsKilled) {
  int ends[2] = {};
  ASSERT_EQ(pipe(ends), 0);
  const pid_t parent = fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    setenv("DISCO_TEST_PARENT_PIPE", std::to_string(ends[1]).c_str(), 1);
    execl("/proc/self/exe", "test_cluster", "--gtest_filter=LocalClusterParent.Waits", nullptr);
    _exit(127);
  }
  close(ends[1]);
  pid_t nodes[2] = {};
  ASSERT_EQ(read(ends[0], nodes, sizeof nodes), static_cast<ssize_t>(sizeof nodes));
  close(ends[0]);
  EXPECT_TRUE(is_alive(nodes[0]) && is_alive(nodes[1]));
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  const auto killed = Clock::now();
  const auto is_running = [](pid_t pid) {  // an orphan that nobody reaps yet is no longer running
    std::ifstream file(fmt::format("/proc/{}/stat", pid));
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const std::size_t end = text.rfind(')');
    return end != std::string::npos && end + 2 < text.size() && text[end + 2] != 'Z';
  };
  while ((is_running(nodes[0]) || is_running(nodes[1])) && seconds_since(killed) < 3) {
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_FALSE(is_running(nodes[0]));
  EXPECT_FALSE(is_running(nodes[1]));
}

TEST(LocalClusterParent, Waits) {
  const char* pipe = getenv("DISCO_TEST_PARENT_PIPE");
  if (pipe == nullptr) {
    GTEST_SKIP() << "a part of LocalCluster.NodesEndWithAParentThatIsKilled, run by it";
  }
  const auto cluster = Cluster::start_local(all_reduce_shards(2, 1, 10));
  ASSERT_TRUE(cluster.ok()) << cluster.error().message;
  const pid_t nodes[2] = {(*cluster)->nodes()[0].process, (*cluster)->nodes()[1].process};
  ASSERT_EQ(write(std::stoi(pipe), nodes, sizeof nodes), static_cast<ssize_t>(sizeof nodes));
  std::this_thread::sleep_for(60s);
}

TEST(LocalCluster, ExecutablesThatAreNoNodesAreErrors) {
  struct Case {
    const char* executable;
    std::vector<std::string> arguments;
    const char* says;
  };
  const Case cases[] = {
      {"/no/such/file", {}, "cannot start /no/such/file"},
      {"/bin/false", {}, "ended with status 1"},
      {"/bin/sh", {"-c", "echo out of luck >&2; exit 3"}, "ended with status 3: out of luck"},
      {"/bin/sh", {"-c", "kill -9 $$"}, "killed by signal 9"},
      {"/bin/sleep", {"30"}, "before it could be reached"},  // refuses --listen
      {"/bin/sh", {"-c", "sleep 30"}, "did not say where it listens"},
  };
  for (const Case& item : cases) {
    ClusterOptions options;
    options.start_timeout = 500ms;
    options.executable = item.executable;
    options.arguments = item.arguments;
    const auto before = Clock::now();
    const auto cluster = Cluster::start_local(all_reduce_shards(2, 1, 10), options);
    ASSERT_FALSE(cluster.ok()) << item.executable;
    EXPECT_NE(cluster.error().message.find(item.says), std::string::npos) << cluster.error().message;
    EXPECT_LT(seconds_since(before), 8);
  }
}

TEST(ConnectedCluster, NodesServeOneCoordinatorAfterAnother) {
  std::vector<NodeConfig> configs(2);
  std::vector<NodeProcess> processes;
  for (NodeConfig& config : configs) {
    processes.push_back(start_node(config.address));
  }
  const NamedTensors inputs = all_reduce_input(50);
  for (int turn = 0; turn < 3; ++turn) {
    const auto cluster = Cluster::connect(configs, all_reduce_shards(2, turn + 1, 50));
    ASSERT_TRUE(cluster.ok()) << "turn=" << turn << ": " << cluster.error().message;
    const auto result = (*cluster)->run(inputs);
    ASSERT_TRUE(result.ok()) << "turn=" << turn << ": " << result.error().message;
    EXPECT_EQ(first_wrong(result->outputs, inputs, 2, turn + 1), -1) << "turn=" << turn;
    const auto second = Cluster::connect(configs, all_reduce_shards(2, 1, 50));
    ASSERT_FALSE(second.ok());
    EXPECT_NE(second.error().message.find("serves another coordinator"), std::string::npos)
        << second.error().message;
    EXPECT_TRUE((*cluster)->run(inputs).ok());
  }
}

TEST(ConnectedCluster, NodesThatAreNotThereAreNamed) {
  std::vector<NodeConfig> configs(2);
  NodeProcess process = start_node(configs[0].address);
  configs[1] = {.address = "127.0.0.1:1", .name = "kitchen"};  // nobody listens on port 1
  const auto before = Clock::now();
  const auto cluster = Cluster::connect(configs, all_reduce_shards(2, 1, 10), {.start_timeout = 500ms});
  ASSERT_FALSE(cluster.ok());
  EXPECT_EQ(cluster.error().code, ErrorCode::Timeout);
  EXPECT_NE(cluster.error().message.find("node 1 (kitchen, 127.0.0.1:1)"), std::string::npos)
      << cluster.error().message;
  EXPECT_LT(seconds_since(before), 3);
  EXPECT_FALSE(Cluster::connect({configs[0]}, all_reduce_shards(2, 1, 10)).ok());
  EXPECT_FALSE(Cluster::connect({}, {}).ok());
}

}  // namespace
}  // namespace disco::testing
