// Nodes that are in use, of another version, killed or stopped in the middle: a line that names them, no
// hang, and no process left behind.

#include <arpa/inet.h>
#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>

#include "child.h"
#include "cluster/control.h"
#include "models.h"
#include "node.h"

namespace disco::test {
namespace {

/// A program that answers every control message as another version would.
class OtherVersion {
 public:
  explicit OtherVersion(int version) : version_(version) {
    auto socket = ZmqSocket::open(context_, ZMQ_ROUTER, {.linger = std::chrono::milliseconds(0)});
    EXPECT_TRUE(socket.ok());
    socket_ = std::move(*socket);
    const auto bound = socket_.bind("127.0.0.1:0");
    EXPECT_TRUE(bound.ok());
    address_ = *bound;
    thread_ = std::thread([this] { serve(); });
  }
  ~OtherVersion() {
    stop_ = true;
    thread_.join();
  }
  [[nodiscard]] const std::string& address() const { return address_; }

 private:
  void serve() {
    while (!stop_) {
      std::ignore = socket_.events();
      if (auto frames = socket_.receive()) {
        const auto head = nlohmann::json::parse(frames->at(1).text(), nullptr, false);
        const std::string reply =
            nlohmann::json({{"disco", version_}, {"id", head.value("id", 0)}, {"ok", true}}).dump();
        std::vector<ZmqFrame> answer;
        answer.push_back(std::move(frames->front()));
        answer.emplace_back(std::as_bytes(std::span(reply.data(), reply.size())));
        std::ignore = socket_.send(answer);
      } else {
        std::this_thread::sleep_for(5ms);
      }
    }
  }

  int version_;
  ZmqContext context_;
  ZmqSocket socket_;
  std::string address_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class Nodes : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    put("m.onnx", bytes_of(convolutions()));
  }
  void name_nodes(const std::vector<std::string>& addresses) const {
    std::string text;
    for (const std::string& address : addresses) text += "[[node]]\naddress = \"" + address + "\"\n";
    put("cluster.toml", text);
  }
  /// Runs that go on for longer than the test.
  static std::vector<std::string> long_bench(std::vector<std::string> more) {
    more.insert(more.begin(), {"bench", "m.onnx", "--runs", "100000"});
    return more;
  }
};

TEST_F(Nodes, APortInUse) {
  Node first(folder_);
  const std::string port = first.address().substr(first.address().rfind(':') + 1);
  expect_complaint(
      disco({"node", "--listen", first.address()}), 1,
      {"cannot listen on " + first.address(), "port " + port + " is in use", "choose another port"}, "twice");
  EXPECT_TRUE(is_running(first.child().pid()));
}

TEST_F(Nodes, AnAddressOfAnotherMachine) {
  expect_complaint(disco({"node", "--listen", "203.0.113.7:7001"}), 1, {"cannot listen on 203.0.113.7:7001"},
                   "bind");
}

TEST_F(Nodes, EndOnCtrlCWithoutAWord) {
  for (const int number : {SIGINT, SIGTERM}) {
    Node node(folder_);
    node.child().signal(number);
    const Ended ended = node.child().wait(20s);
    EXPECT_FALSE(ended.late);
    EXPECT_EQ(ended.status, 0);
    EXPECT_EQ(ended.err, "");
  }
}

TEST_F(Nodes, ServeOneCoordinatorAfterAnother) {
  Node a(folder_);
  Node b(folder_);
  name_nodes({a.address(), b.address()});
  for (int turn = 0; turn < 3; ++turn) {
    const Ended ended = disco({"bench", "m.onnx", "--cluster", "cluster.toml", "--runs", "2", "--json"});
    EXPECT_EQ(ended.status, 0) << ended.err;
    EXPECT_EQ(nlohmann::json::parse(ended.out, nullptr, false)["nodes"].size(), 2U) << ended.out;
  }
  EXPECT_TRUE(is_running(a.child().pid()) && is_running(b.child().pid()));
}

TEST_F(Nodes, OfAnotherVersionAreRefused) {
  const OtherVersion other(control::kVersion + 1);
  name_nodes({other.address()});
  expect_complaint(disco({"bench", "m.onnx", "--cluster", "cluster.toml"}), 1,
                   {"node 0 (" + other.address() + ")", "version " + std::to_string(control::kVersion + 1),
                    "install the same release everywhere"},
                   "version");
}

TEST_F(Nodes, ThatServeAnotherCoordinatorSaySo) {
  Node node(folder_);
  name_nodes({node.address()});
  const auto start = [&] {
    return std::make_unique<Child>(DISCO_PROGRAM, long_bench({"--cluster", "cluster.toml"}), folder_);
  };
  std::unique_ptr<Child> first = start();
  // Once it is busy; the first is refused itself where it comes while the node serves the second.
  ASSERT_TRUE(eventually([&] {
    if (!is_running(first->pid())) first = start();
    const Ended second = disco({"bench", "m.onnx", "--cluster", "cluster.toml", "--runs", "1"});
    if (second.status == 0) return false;
    expect_complaint(second, 1,
                     {"node 0 (" + node.address() + ")", "serves another coordinator", "try again later"},
                     "busy");
    return true;
  }));
}

TEST_F(Nodes, ThatAreNotThereAreNamed) {
  // Something else listens there: it accepts and never says a word.
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener, 5), 0);
  socklen_t size = sizeof address;
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  const std::string mute = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  name_nodes({mute});
  expect_complaint(disco({"bench", "m.onnx", "--cluster", "cluster.toml"}), 1,
                   {"node 0 (" + mute + ")", "did not answer", "is it running and reachable?"}, "mute");
  close(listener);
}

TEST_F(Nodes, BadClusterFiles) {
  const auto bench = [this] { return disco({"bench", "m.onnx", "--cluster", "cluster.toml"}); };
  expect_complaint(bench(), 1, {"cluster.toml", "No such file"}, "missing");
  put("cluster.toml", "[[node]\n");
  expect_complaint(bench(), 2, {"cluster.toml:1"}, "not TOML");
  put("cluster.toml", "[[node]]\nadress = \"127.0.0.1:7001\"\n");
  expect_complaint(bench(), 2, {"cluster.toml:2", "'adress'", "known are address"}, "a misspelt key");
  name_nodes({"127.0.0.1:7001", "127.0.0.1:7001"});
  expect_complaint(bench(), 2, {"127.0.0.1:7001 is there twice"}, "twice");
  name_nodes({"127.0.0.1:7001"});
  expect_complaint(disco({"bench", "m.onnx", "-n", "2", "--cluster", "cluster.toml"}), 2,
                   {"cluster.toml", "names 1 node,", "split over 2"}, "another number");
}

TEST_F(Nodes, KilledInTheMiddle) {
  Child bench(DISCO_PROGRAM, long_bench({"-n", "3"}), folder_);
  // One node that runs the whole model, and three that split it.
  ASSERT_TRUE(eventually([&] { return children_of(bench.pid()).size() == 4; })) << bench.err();
  const std::vector<pid_t> nodes = children_of(bench.pid());
  std::this_thread::sleep_for(500ms);
  send_signal(nodes.back(), SIGKILL);
  const Ended ended = bench.wait(30s);
  expect_complaint(ended, 1, {"node 2 (127.0.0.1:", "killed by signal 9"}, "killed");
  for (const pid_t node : nodes) EXPECT_FALSE(is_running(node)) << node;
}

TEST_F(Nodes, StoppedInTheMiddle) {
  Child bench(DISCO_PROGRAM, long_bench({"-n", "3", "--deadline", "1"}), folder_);
  ASSERT_TRUE(eventually([&] { return children_of(bench.pid()).size() == 4; })) << bench.err();
  const std::vector<pid_t> nodes = children_of(bench.pid());
  std::this_thread::sleep_for(1s);
  send_signal(nodes.back(), SIGSTOP);
  const Ended ended = bench.wait(30s);
  expect_complaint(ended, 1, {"node 2 (127.0.0.1:"}, "stopped");
  // Whoever waited says for what, unless it stopped where nobody waited for it.
  EXPECT_TRUE(ended.err.find("while waiting for '") != std::string::npos ||
              ended.err.find("did not answer") != std::string::npos)
      << ended.err;
  for (const pid_t node : nodes) EXPECT_FALSE(is_running(node)) << node;
}

TEST_F(Nodes, OfAClusterKilledInTheMiddle) {
  Node a(folder_);
  Node b(folder_);
  name_nodes({a.address(), b.address()});
  ASSERT_TRUE(write_npy(folder_ / "many.npy", ramp({20'000, 3, 16, 16})).ok());
  Child run(DISCO_PROGRAM,
            {"run", "m.onnx", "--cluster", "cluster.toml", "--input", "many.npy", "--batch", "1"}, folder_);
  std::this_thread::sleep_for(1s);
  b.child().signal(SIGKILL);
  expect_complaint(run.wait(30s), 1, {"node 1 (" + b.address() + ")"}, "killed");
  // The other one serves on.
  name_nodes({a.address()});
  const Ended after = disco({"bench", "m.onnx", "--cluster", "cluster.toml", "--runs", "1"});
  EXPECT_EQ(after.status, 0) << after.err;
}

TEST_F(Nodes, DoNotOutliveWhoStartedThem) {
  for (const int number : {SIGINT, SIGTERM, SIGKILL}) {
    Child bench(DISCO_PROGRAM, long_bench({"-n", "3"}), folder_);
    ASSERT_TRUE(eventually([&] { return children_of(bench.pid()).size() == 4; })) << bench.err();
    const std::vector<pid_t> nodes = children_of(bench.pid());
    std::this_thread::sleep_for(std::chrono::milliseconds(number == SIGINT ? 0 : 300));
    bench.signal(number);
    const Ended ended = bench.wait(30s);
    EXPECT_EQ(ended.signal, number);
    EXPECT_TRUE(eventually([&] { return std::none_of(nodes.begin(), nodes.end(), is_running); }, 10s))
        << "signal " << number;
  }
  EXPECT_EQ(files(), std::set<std::string>{"m.onnx"});
}

TEST_F(Nodes, OfAClusterAreFreeAgainWhenTheCoordinatorIsKilled) {
  Node node(folder_);
  name_nodes({node.address()});
  for (int turn = 0; turn < 3; ++turn) {
    Child bench(DISCO_PROGRAM, long_bench({"--cluster", "cluster.toml"}), folder_);
    std::this_thread::sleep_for(std::chrono::milliseconds(200 * turn));
    bench.signal(SIGKILL);
    bench.wait();
    EXPECT_TRUE(eventually([&] {
      return disco({"bench", "m.onnx", "--cluster", "cluster.toml", "--runs", "1"}).status == 0;
    }));
  }
}

TEST_F(Nodes, TraceHasOneTrackANode) {
  const Ended ended = disco({"bench", "m.onnx", "-n", "3", "--runs", "2", "--trace", "t.json"});
  ASSERT_EQ(ended.status, 0) << ended.err;
  const auto trace = nlohmann::json::parse(content("t.json"), nullptr, false);
  ASSERT_TRUE(trace.is_object() && trace["traceEvents"].is_array());
  std::map<int, std::string> tracks;
  std::map<int, double> ends;
  std::set<std::string> phases;
  for (const auto& event : trace["traceEvents"]) {
    const int track = event.at("pid");
    if (event.at("ph") == "M") {
      if (event.at("name") == "process_name") tracks[track] = event.at("args").at("name");
      continue;
    }
    ASSERT_EQ(event.at("ph"), "X") << event;
    ASSERT_TRUE(event.at("name").is_string() && event.at("tid") == 0) << event;
    const double start = event.at("ts");
    EXPECT_GE(start, 0) << event;
    EXPECT_GE(event.at("dur"), 0) << event;
    EXPECT_GE(start + 1e-3, ends[track]) << "a track's stretches do not overlap: " << event;
    ends[track] = start + event.at("dur").get<double>();
    phases.insert(event.at("cat"));
  }
  ASSERT_EQ(tracks.size(), 3U);
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_TRUE(tracks[rank].starts_with("node " + std::to_string(rank))) << tracks[rank];
    EXPECT_GT(ends[rank], 0) << rank;
  }
  EXPECT_EQ(phases, (std::set<std::string>{"compute", "pack", "unpack", "wait"}));
}

}  // namespace
}  // namespace disco::test
