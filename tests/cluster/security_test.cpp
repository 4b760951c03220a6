// Clusters with keys: the same answers, nobody else, and a line on both ends about who was refused.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <future>
#include <thread>

#include "../fabric/recording_proxy.h"
#include "../runtime/shards.h"
#include "cluster/cluster.h"
#include "cluster/node_server.h"

namespace disco::testing {
namespace {

using namespace std::chrono_literals;

class Security : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const Status can = check_encryption(); !can) GTEST_SKIP() << can.error().message;
    for (int i = 0; i < 6; ++i) keys_.push_back(KeyPair::make().value());
  }

  /// A node on a thread of this process, and what it says of strangers.
  class Node {
   public:
    explicit Node(KeyPair::Shared keys, Judge judge = {}, const std::string& listen = "127.0.0.1:0") {
      std::promise<std::string> ready;
      auto where = ready.get_future();
      config.public_key = keys ? keys->public_key().text() : "";
      options_.listen = listen;
      options_.stop_fd = stop_.fd();
      options_.keys = std::move(keys);
      options_.judge = std::move(judge);
      options_.on_ready = [&](const std::string& text) { ready.set_value(text); };
      options_.on_refusal = [this](const std::string& line) {
        const std::lock_guard lock(mutex_);
        refusals_ += line + "\n";
      };
      thread_ = std::thread([this] {
        const Status status = run_node_server(options_);
        EXPECT_TRUE(status.ok()) << status.error().message;
      });
      config.address = where.get();
    }
    ~Node() {
      stop_.set();
      thread_.join();
    }
    [[nodiscard]] std::string refusals() const {
      const std::lock_guard lock(mutex_);
      return refusals_;
    }
    NodeConfig config;

   private:
    NodeServerOptions options_;
    WakeUp stop_;
    mutable std::mutex mutex_;
    std::string refusals_;
    std::thread thread_;
  };

  /// A node with keys_[rank], which serves the coordinator, who has keys_[5].
  [[nodiscard]] std::unique_ptr<Node> node(std::size_t rank,
                                           const std::string& listen = "127.0.0.1:0") const {
    return std::make_unique<Node>(keys_[rank], only({keys_[5]->public_key()}, "not the coordinator's"),
                                  listen);
  }
  [[nodiscard]] ClusterOptions options() const {
    ClusterOptions options;
    options.keys = keys_[5];
    return options;
  }
  static Result<std::unique_ptr<Cluster>> connect(const std::vector<NodeConfig>& configs,
                                                  const ClusterOptions& options) {
    return Cluster::connect(configs, all_reduce_shards(static_cast<int>(configs.size()), 2, 100), options);
  }
  static void expect_line(const Error& error, ErrorCode code, const std::vector<std::string>& says) {
    EXPECT_EQ(error.code, code) << error.message;
    EXPECT_EQ(error.message.find('\n'), std::string::npos) << error.message;
    for (const std::string& part : says)
      EXPECT_NE(error.message.find(part), std::string::npos) << part << "\n" << error.message;
  }

  std::vector<KeyPair::Shared> keys_;
};

TEST_F(Security, RightKeysGiveTheSameAnswersAndServeOneCoordinatorAfterAnother) {
  for (const std::size_t ranks : {1U, 2U, 3U, 4U}) {
    std::vector<std::unique_ptr<Node>> nodes;
    std::vector<NodeConfig> configs;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      nodes.push_back(node(rank));
      configs.push_back(nodes.back()->config);
    }
    const int size = static_cast<int>(ranks);
    const NamedTensors inputs = all_reduce_input(300'000);
    for (int turn = 0; turn < 2; ++turn) {
      const auto cluster = Cluster::connect(configs, all_reduce_shards(size, 3, 300'000), options());
      ASSERT_TRUE(cluster.ok()) << ranks << ": " << cluster.error().message;
      for (int run = 0; run < 2; ++run) {
        const auto result = (*cluster)->run(inputs, {.trace = run == 1});
        ASSERT_TRUE(result.ok()) << ranks << ": " << result.error().message;
        EXPECT_EQ(first_wrong(result->outputs, inputs, size, 3), -1) << "nodes=" << ranks << " turn=" << turn;
      }
    }
    for (const auto& one : nodes) EXPECT_EQ(one->refusals(), "") << ranks;
  }
}

TEST_F(Security, NodesOfThisMachineGetKeysOfTheirOwn) {
  for (const int ranks : {1, 2, 4}) {
    const auto cluster = Cluster::start_local(all_reduce_shards(ranks, 2, 1000), options());
    ASSERT_TRUE(cluster.ok()) << cluster.error().message;
    const NamedTensors inputs = all_reduce_input(1000);
    const auto result = (*cluster)->run(inputs);
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_EQ(first_wrong(result->outputs, inputs, ranks, 2), -1) << ranks;
    for (const NodeInfo& info : (*cluster)->nodes()) {  // neither in arguments nor in variables
      for (const char* file : {"cmdline", "environ"}) {
        std::ifstream stream(fmt::format("/proc/{}/{}", info.process, file));
        const std::string text(std::istreambuf_iterator<char>(stream), {});
        EXPECT_EQ(text.find("disco-secret"), std::string::npos) << file;
      }
      const auto stranger = connect({{.address = info.label}}, {.start_timeout = 5s});
      EXPECT_FALSE(stranger.ok()) << "in the clear";
    }
  }
}

TEST_F(Security, ANodeThatRestartsWithItsKeyIsReachedAgain) {
  auto first = node(0);
  const auto second = node(1);
  const std::vector<NodeConfig> configs = {first->config, second->config};
  {
    const auto cluster = connect(configs, options());
    ASSERT_TRUE(cluster.ok()) << cluster.error().message;
  }
  const std::string address = first->config.address;
  first.reset();
  std::thread late([&] {
    std::this_thread::sleep_for(400ms);
    first = node(0, address);
  });
  const auto cluster = connect(configs, options());  // begins while nobody is there
  late.join();
  ASSERT_TRUE(cluster.ok()) << cluster.error().message;
  const NamedTensors inputs = all_reduce_input(100);
  const auto result = (*cluster)->run(inputs);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(first_wrong(result->outputs, inputs, 2, 2), -1);
}

TEST_F(Security, AnUnknownCoordinatorIsRefusedAtOnceAndBothEndsSaySo) {
  const auto good = node(0);
  const auto bad = std::make_unique<Node>(keys_[1], only({keys_[4]->public_key()}, "not the coordinator's"));
  const auto start = Clock::now();
  const auto cluster = connect({good->config, bad->config}, options());
  ASSERT_FALSE(cluster.ok());
  const std::string name = keys_[5]->public_key().text();
  expect_line(cluster.error(), ErrorCode::ProtocolMismatch,
              {"node 1 (" + bad->config.address + ")", "refused the key of this end", name, "--authorised"});
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_NE(bad->refusals().find(name), std::string::npos) << bad->refusals();
  EXPECT_NE(bad->refusals().find("refused 127.0.0.1"), std::string::npos) << bad->refusals();
  EXPECT_EQ(good->refusals(), "");
  // It serves on.
  ClusterOptions known;
  known.keys = keys_[4];
  const auto after = connect({bad->config}, known);
  EXPECT_TRUE(after.ok()) << after.error().message;
}

TEST_F(Security, AWrongNodeIsNotSpokenTo) {
  const auto impostor = node(0);
  NodeConfig config = impostor->config;
  config.public_key = keys_[1]->public_key().text();
  const auto start = Clock::now();
  const auto cluster = connect({config}, options());
  ASSERT_FALSE(cluster.ok());
  expect_line(cluster.error(), ErrorCode::ProtocolMismatch,
              {"node 0 (" + config.address + ")", "does not hold the secret key of the public_key"});
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_NE(impostor->refusals().find("expects another key than this node's"), std::string::npos)
      << impostor->refusals();
}

TEST_F(Security, InTheClearAndEncryptedDoNotMix) {
  const auto encrypted = node(0);
  const auto plain = std::make_unique<Node>(nullptr);
  NodeConfig named = plain->config;
  named.public_key = keys_[1]->public_key().text();
  NodeConfig nameless = encrypted->config;
  nameless.public_key.clear();
  for (int turn = 0; turn < 3; ++turn) {
    const auto start = Clock::now();
    const auto to_plain = connect({named}, options());
    ASSERT_FALSE(to_plain.ok());
    expect_line(to_plain.error(), ErrorCode::ProtocolMismatch, {"node 0 (" + named.address + ")", "--key"});
    const auto to_encrypted = connect({nameless}, {});
    ASSERT_FALSE(to_encrypted.ok());
    expect_line(to_encrypted.error(), ErrorCode::ProtocolMismatch,
                {"node 0 (" + nameless.address + ")", "speaks encrypted only; give --key"});
    EXPECT_LT(Clock::now() - start, 8s);
  }
  EXPECT_NE(plain->refusals(), "");
  EXPECT_NE(encrypted->refusals(), "");
}

TEST_F(Security, AllHaveKeysOrNone) {
  const auto a = node(0);
  const auto b = node(1);
  NodeConfig nameless = b->config;
  nameless.public_key.clear();
  expect_line(connect({a->config, nameless}, options()).error(), ErrorCode::InvalidArgument,
              {"node 1 (" + nameless.address + ")", "no public_key", "nothing is sent in the clear"});
  expect_line(connect({nameless, a->config}, {}).error(), ErrorCode::InvalidArgument,
              {"node 1 (" + a->config.address + ")", "say --key"});
  EXPECT_EQ(a->refusals() + b->refusals(), "") << "nobody was spoken to";
  EXPECT_EQ(run_node_server({.listen = "127.0.0.1:0", .keys = keys_[0]}).error().code,
            ErrorCode::InvalidArgument)
      << "keys, and nobody to judge";
}

TEST_F(Security, TheListIsReadAnewForEveryConnection) {
  const auto file = std::filesystem::temp_directory_path() / fmt::format("disco-authorised-{}", getpid());
  const auto write = [&](const std::string& text) { std::ofstream(file) << text; };
  write(keys_[4]->public_key().text() + " somebody else\n");
  const Node node(keys_[0], only_those_in(file));
  const std::string name = keys_[5]->public_key().text();
  for (int turn = 0; turn < 2; ++turn) {
    const auto refused = connect({node.config}, options());
    ASSERT_FALSE(refused.ok());
    expect_line(refused.error(), ErrorCode::ProtocolMismatch, {name});
    write("# since today\n" + name + " the laptop\n");
    const auto accepted = connect({node.config}, options());
    ASSERT_TRUE(accepted.ok()) << accepted.error().message;
    write(turn == 0 ? "nonsense\n" : "");
  }
  EXPECT_FALSE(connect({node.config}, options()).ok());
  std::filesystem::remove(file);
  EXPECT_FALSE(connect({node.config}, options()).ok()) << "no list: nobody";
  EXPECT_NE(node.refusals().find(name + " is not in " + file.string()), std::string::npos) << node.refusals();
  EXPECT_NE(node.refusals().find(file.string() + ":1: not a public key"), std::string::npos)
      << node.refusals();
}

TEST_F(Security, NothingIsInTheClearOnTheWire) {
  const NamedTensors inputs = all_reduce_input(4000, 3);
  const Tensor& input = inputs.begin()->second;
  const std::string sample(reinterpret_cast<const char*>(input.data<float>()), 64);
  for (const bool encrypts : {false, true}) {
    const auto target = encrypts ? node(0) : std::make_unique<Node>(nullptr);
    const RecordingProxy proxy(target->config.address);
    NodeConfig config = target->config;
    config.address = proxy.address;
    const auto cluster =
        Cluster::connect({config}, all_reduce_shards(1, 1, 4000), encrypts ? options() : ClusterOptions{});
    ASSERT_TRUE(cluster.ok()) << cluster.error().message;
    const auto result = (*cluster)->run(inputs);
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_EQ(first_wrong(result->outputs, inputs, 1, 1), -1);
    const std::string wire = proxy.recorded();
    EXPECT_EQ(wire.find(sample) == std::string::npos, encrypts) << "the proxy must see what is in the clear";
    EXPECT_EQ(wire.find("\"op\"") == std::string::npos, encrypts);
  }
}

}  // namespace
}  // namespace disco::testing
