// A node server against clients that are not coordinators, or bad ones.

#include "cluster/node_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <map>
#include <random>
#include <thread>

#include "../runtime/shards.h"
#include "cluster/cluster.h"
#include "cluster/control.h"
#include "graph/onnx.h"

namespace disco::testing {
namespace {

using namespace std::chrono_literals;
using control::Message;

/// A server on a thread of this process, and a client.
class NodeServer : public ::testing::Test {
 protected:
  void SetUp() override {
    std::promise<std::string> ready;
    auto address = ready.get_future();
    options_.listen = "127.0.0.1:0";
    options_.stop_fd = stop_.fd();
    options_.on_ready = [&](const std::string& where) { ready.set_value(where); };
    thread_ = std::thread([this] { status_ = run_node_server(options_); });
    address_ = address.get();
    client_ = connect();
  }
  void TearDown() override {
    client_.close();
    stop_.set();
    thread_.join();
    EXPECT_TRUE(status_.ok()) << status_.error().message;
  }

  ZmqSocket connect() {
    auto socket = ZmqSocket::open(context_, ZMQ_DEALER, {.linger = 0ms});
    EXPECT_TRUE(socket.ok() && socket->connect(address_).ok());
    return std::move(*socket);
  }

  static void send(ZmqSocket& socket, std::vector<ZmqFrame> frames) { EXPECT_TRUE(socket.send(frames)); }

  static std::optional<Message> answer(ZmqSocket& socket, Clock::duration patience = 10s) {
    const auto deadline = Clock::now() + patience;
    while (Clock::now() < deadline) {
      if (auto frames = socket.receive()) {
        auto message = control::decode(std::move(*frames));
        EXPECT_TRUE(message.ok()) << (message ? "" : message.error().message);
        return std::move(*message);
      }
      const ZmqSocket* const one = &socket;
      std::ignore = socket.events();
      zmq_wait(std::span(&one, 1), {}, deadline);
    }
    return std::nullopt;
  }

  std::optional<Message> ask(Message message) {
    send(client_, control::encode(std::move(message)));
    return answer(client_);
  }

  void expect_alive(const std::string& after) {
    const auto pong = ask(control::request("ping", 77));
    ASSERT_TRUE(pong.has_value()) << after;
    EXPECT_EQ(pong->head.value("id", 0), 77) << after;
    EXPECT_TRUE(pong->head.value("ok", false)) << after;
  }

  static ZmqFrame frame(std::string_view text) {
    return ZmqFrame(std::as_bytes(std::span(text.data(), text.size())));
  }

  NodeServerOptions options_;
  WakeUp stop_;
  ZmqContext context_;
  std::string address_;
  std::thread thread_;
  Status status_;
  ZmqSocket client_;
};

TEST_F(NodeServer, NoMalformedMessageEndsIt) {
  std::string deep(100'000, '[');
  const std::string heads[] = {
      "",
      "x",
      "[]",
      "null",
      "{}",
      "{\"disco\":4}",
      "{\"disco\":4,\"id\":-1}",
      "{\"disco\":4,\"id\":\"a\",\"op\":\"ping\"}",
      "{\"disco\":2,\"id\":1,\"op\":\"ping\"}",
      "{\"disco\":4,\"id\":1}",
      "{\"disco\":4,\"id\":1,\"op\":7}",
      "{\"disco\":4,\"id\":1,\"op\":\"dance\"}",
      "{\"disco\":4,\"id\":1,\"op\":\"load\"}",
      "{\"disco\":4,\"id\":1,\"op\":\"load\",\"optimise\":1,\"threads\":1}",
      "{\"disco\":4,\"id\":1,\"op\":\"load\",\"optimise\":1,\"threads\":1,\"shard\":7}",
      "{\"disco\":4,\"id\":1,\"op\":\"load\",\"optimise\":1,\"threads\":1,\"shard\":{\"bytes\":0,\"chunks\":"
      "0}}",
      "{\"disco\":4,\"id\":1,\"op\":\"load\",\"optimise\":1,\"threads\":1,\"shard\":{\"bytes\":1800000000,"
      "\"chunks\":1}}",
      "{\"disco\":4,\"id\":1,\"op\":\"load\",\"optimise\":1,\"threads\":1,\"shard\":{\"bytes\":1,\"chunks\":"
      "99999999999}}",
      "{\"disco\":4,\"id\":1,\"op\":\"load\",\"optimise\":1,\"threads\":99999999,\"shard\":{\"bytes\":1,"
      "\"chunks\":1}}",
      "{\"disco\":4,\"id\":1,\"op\":\"join\"}",
      "{\"disco\":4,\"id\":1,\"op\":\"join\",\"addresses\":[1],\"labels\":[],\"rank\":0,\"cluster\":1,"
      "\"epoch\":1,\"deadline_ms\":10}",
      "{\"disco\":4,\"id\":1,\"op\":\"join\",\"addresses\":[\"a:1\"],\"labels\":[],\"rank\":0,\"cluster\":1,"
      "\"epoch\":1,\"deadline_ms\":10}",
      "{\"disco\":4,\"id\":1,\"op\":\"run\"}",
      "{\"disco\":4,\"id\":1,\"op\":\"run\",\"request\":1,\"trace\":0,\"deadline_ms\":10,\"inputs\":[]}",
      deep,
  };
  for (const std::string& head : heads) {
    for (const int parts : {0, 1, 3}) {
      std::vector<ZmqFrame> frames;
      frames.push_back(frame(head));
      for (int part = 0; part < parts; ++part) {
        frames.push_back(frame("no model"));
      }
      send(client_, std::move(frames));
      const auto reply = answer(client_);
      ASSERT_TRUE(reply.has_value()) << head.substr(0, 100) << " parts=" << parts;
      const auto fault = control::error_of(*reply);
      ASSERT_TRUE(fault.has_value()) << head.substr(0, 100) << " parts=" << parts;
      EXPECT_EQ(fault->message.find('\n'), std::string::npos) << fault->message;
      EXPECT_NE(fault->code, ErrorCode::Internal) << head.substr(0, 100) << ": " << fault->message;
    }
    expect_alive(head.substr(0, 100));
  }
}

TEST_F(NodeServer, FlippedAndCutBitsOfGoodMessagesNeverEndIt) {
  std::mt19937 random(11);
  const std::string shard = serialise_onnx(all_reduce_shards(1, 1, 10)[0]).value();
  for (int trial = 0; trial < 150; ++trial) {
    Message message = control::request(trial % 3 == 0 ? "run" : "load", 5);
    message.head["optimise"] = 1;
    message.head["threads"] = 1;
    message.head["request"] = 1;
    message.head["trace"] = 0;
    message.head["deadline_ms"] = 10;
    control::put_bytes(message, "shard", shard);
    control::put_tensors(message, "inputs", all_reduce_input(10));
    std::vector<ZmqFrame> frames = control::encode(std::move(message));
    const std::size_t victim = random() % frames.size();
    std::string text = frames[victim].text();
    for (unsigned flips = 1 + random() % 4; flips > 0; --flips) {
      text[random() % text.size()] ^= static_cast<char>(1U << (random() % 8));
    }
    if (random() % 4 == 0) {
      text.resize(random() % text.size());
    }
    frames[victim] = frame(text);
    send(client_, std::move(frames));
    ASSERT_TRUE(answer(client_).has_value()) << "trial=" << trial << ": no answer";
  }
  expect_alive("150 damaged messages");
}

TEST_F(NodeServer, RawGarbageOnItsPortDoesNotEndIt) {
  std::mt19937 random(3);
  const int port = parse_address(address_)->port;
  for (const std::size_t size : {0UL, 1UL, 10UL, 64UL, 100'000UL}) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    std::string garbage(size, '\0');
    for (char& byte : garbage) {
      byte = static_cast<char>(random());
    }
    std::ignore = ::send(fd, garbage.data(), garbage.size(), MSG_NOSIGNAL);
    expect_alive(fmt::format("{} bytes of garbage", size));
    ::close(fd);
  }
}

TEST_F(NodeServer, AVanishedClientFreesItForTheNext) {
  // It joins a mesh whose other member never comes, so that the work is under way when the client vanishes.
  for (int turn = 0; turn < 3; ++turn) {
    ZmqSocket first = connect();
    send(first, control::encode(control::request("listen", 1)));
    ASSERT_TRUE(answer(first).has_value());
    Message join = control::request("join", 2);
    join.head["addresses"] = {"127.0.0.1:1", "127.0.0.1:1"};
    join.head["labels"] = {"a", "b"};
    join.head["rank"] = 1;
    join.head["cluster"] = 1;
    join.head["epoch"] = 1;
    join.head["deadline_ms"] = 60'000;
    send(first, control::encode(std::move(join)));
    std::this_thread::sleep_for(50ms);
    const auto busy = ask(control::request("listen", 3));
    ASSERT_TRUE(busy.has_value());
    EXPECT_EQ(control::error_of(*busy)->code, ErrorCode::Io);
    first.close();
    // The next coordinator is served within moments, not after the minute of the other's request.
    const auto vanished = Clock::now();
    bool served = false;
    while (!served && Clock::now() < vanished + 5s) {
      const auto reply = ask(control::request("listen", 4));
      ASSERT_TRUE(reply.has_value());
      served = !control::error_of(*reply);
    }
    EXPECT_TRUE(served);
    ASSERT_TRUE(ask(control::request("unload", 5)).has_value());
  }
}

TEST_F(NodeServer, AClientThatIsGoneBeforeItIsHeardHoldsNothing) {
  // Its end may be seen before its requests are, or between them: a 'join' that begins afterwards would wait
  // for its minute, and its owner would never leave.
  for (int turn = 0; turn < 50; ++turn) {
    auto first = ZmqSocket::open(context_, ZMQ_DEALER, {.linger = 1000ms});
    ASSERT_TRUE(first.ok() && first->connect(address_).ok());
    send(*first, control::encode(control::request("listen", 1)));
    Message join = control::request("join", 2);
    join.head["addresses"] = {"127.0.0.1:1", "127.0.0.1:1"};
    join.head["labels"] = {"a", "b"};
    join.head["rank"] = 1;
    join.head["cluster"] = 1;
    join.head["epoch"] = 1;
    join.head["deadline_ms"] = 60'000;
    send(*first, control::encode(std::move(join)));
    if (turn % 3 != 0) {
      std::this_thread::sleep_for(std::chrono::microseconds(500 * (turn % 11)));
    }
    first->close();  // lingers until both are out
    const auto vanished = Clock::now();
    bool served = false;
    while (!served && Clock::now() < vanished + 10s) {
      const auto reply = ask(control::request("listen", 4));
      ASSERT_TRUE(reply.has_value()) << "turn=" << turn;
      served = !control::error_of(*reply);
    }
    ASSERT_TRUE(served) << "turn=" << turn;
    ASSERT_TRUE(ask(control::request("unload", 5)).has_value());
  }
}

TEST_F(NodeServer, CancelEndsWhatHasNotBegun) {
  const auto join = [this](std::uint64_t id) {
    Message message = control::request("join", id);
    message.head["addresses"] = {"127.0.0.1:1", "127.0.0.1:1"};
    message.head["labels"] = {"a", "b"};
    message.head["rank"] = 1;
    message.head["cluster"] = 1;
    message.head["epoch"] = 1;
    message.head["deadline_ms"] = 60'000;
    send(client_, control::encode(std::move(message)));
  };
  send(client_, control::encode(control::request("listen", 1)));
  join(2);
  send(client_, control::encode(control::request("listen", 3)));
  join(4);
  Message cancel = control::request("cancel", 5);
  cancel.head["reason"] = "no longer wanted";
  send(client_, control::encode(std::move(cancel)));
  std::map<int, Message> replies;
  while (replies.size() < 5) {
    auto reply = answer(client_);
    ASSERT_TRUE(reply.has_value()) << replies.size() << " answers";
    const int id = reply->head.value("id", 0);
    replies.emplace(id, std::move(*reply));
  }
  for (const int id : {2, 4}) {
    const auto fault = control::error_of(replies.at(id));
    ASSERT_TRUE(fault.has_value()) << id;
    EXPECT_EQ(fault->message, "no longer wanted");
  }
  const auto next = ask(control::request("listen", 6));
  ASSERT_TRUE(next.has_value());
  EXPECT_FALSE(control::error_of(*next)) << "what comes after is served";
}

TEST_F(NodeServer, PortInUseIsOneLine) {
  const Status second = run_node_server({.listen = address_});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::Io);
  EXPECT_NE(second.error().message.find(fmt::format("port {} is in use", parse_address(address_)->port)),
            std::string::npos)
      << second.error().message;
  EXPECT_EQ(run_node_server({.listen = "nowhere"}).error().code, ErrorCode::InvalidArgument);
}

}  // namespace
}  // namespace disco::testing
