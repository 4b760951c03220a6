// Encrypted links: who is let in, who is not and what both ends say of it, and what an eavesdropper sees.

#include "mesh.h"
#include "recording_proxy.h"

namespace disco::testing {
namespace {

class Curve : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const Status can = check_encryption(); !can) GTEST_SKIP() << can.error().message;
  }

  /// An end and what it told of strangers.
  struct End {
    std::unique_ptr<ZmqFabric> fabric;
    std::shared_ptr<std::vector<std::string>> refusals = std::make_shared<std::vector<std::string>>();
    std::shared_ptr<std::mutex> mutex = std::make_shared<std::mutex>();
    [[nodiscard]] std::string told() const {
      const std::lock_guard lock(*mutex);
      return fmt::format("{}", fmt::join(*refusals, "\n"));
    }
  };
  static End listen(ZmqOptions options) {
    End end;
    options.on_refusal = [refusals = end.refusals, mutex = end.mutex](const std::string& line) {
      const std::lock_guard lock(*mutex);
      refusals->push_back(line);
    };
    auto fabric = ZmqFabric::listen("127.0.0.1:0", options);
    EXPECT_TRUE(fabric.ok()) << (fabric ? "" : fabric.error().message);
    end.fabric = std::move(*fabric);
    return end;
  }

  struct Joined {
    Status host;
    Status joiner;
    double joiner_seconds = 0;
  };
  /// Rank 0 and another come together; `to` is where the joiner finds rank 0.
  static Joined join(const End& host, const End& joiner, int joiner_rank = 1, int ranks = 2,
                     const std::string& to = "") {
    Membership members{.cluster = 1, .epoch = 1};
    members.addresses.assign(static_cast<std::size_t>(ranks), "127.0.0.1:1");
    members.addresses[0] = to.empty() ? host.fabric->address() : to;
    Membership second = members;
    second.rank = joiner_rank;
    Joined joined;
    std::thread thread([&] { joined.host = host.fabric->connect(members, Clock::now() + 1s); });
    const auto start = Clock::now();
    joined.joiner = joiner.fabric->connect(second, Clock::now() + 10s);
    joined.joiner_seconds = seconds_since(start);
    thread.join();
    return joined;
  }

  static void expect_line(const Status& status, ErrorCode code, const std::vector<std::string>& says) {
    ASSERT_FALSE(status.ok());
    const std::string& line = status.error().message;
    EXPECT_EQ(status.error().code, code) << line;
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    for (const std::string& part : says)
      EXPECT_NE(line.find(part), std::string::npos) << part << "\n" << line;
  }
};

TEST_F(Curve, AnUnknownKeyIsRefusedAndBothEndsSayWhose) {
  const auto keys = make_keys(3);
  const End host = listen(options_of({keys[0], keys[1]}, 0));
  const End stranger = listen(options_of({keys[0], keys[2]}, 1));
  const Joined joined = join(host, stranger);
  const std::string name = keys[2]->public_key().text();
  expect_line(joined.joiner, ErrorCode::ProtocolMismatch, {"node 0 (", "refused the key of this end", name});
  EXPECT_LT(joined.joiner_seconds, 5) << "at once, not at the deadline";
  expect_line(joined.host, ErrorCode::ProtocolMismatch,
              {"node 1 (", "did not join", "refused 127.0.0.1", name, "no member of this cluster"});
  EXPECT_NE(host.told().find(name), std::string::npos) << host.told();
}

TEST_F(Curve, AWrongServerKeyIsRefused) {
  const auto keys = make_keys(3);
  const End host = listen(options_of({keys[0], keys[1]}, 0));
  const End joiner = listen(options_of({keys[2], keys[1]}, 1));  // takes rank 0 for another
  const Joined joined = join(host, joiner);
  expect_line(joined.joiner, ErrorCode::ProtocolMismatch,
              {"node 0 (", "does not hold the secret key of the public_key"});
  EXPECT_LT(joined.joiner_seconds, 5);
  expect_line(joined.host, ErrorCode::ProtocolMismatch, {"node 1 (", "expects another key than this node's"});
  EXPECT_NE(host.told().find("refused 127.0.0.1"), std::string::npos) << host.told();
}

TEST_F(Curve, AMemberIsNotLetInAsAnother) {
  const auto keys = make_keys(3);
  const End host = listen(options_of(keys, 0));
  // It holds rank 2's keys, and believes that it is rank 1.
  const End joiner = listen(options_of({keys[0], keys[2], keys[1]}, 1));
  const Joined joined = join(host, joiner, 1, 3);
  expect_line(joined.joiner, ErrorCode::ProtocolMismatch,
              {"it says that it is node 1, but shows the key " + keys[2]->public_key().text()});
  EXPECT_FALSE(joined.host.ok());
}

TEST_F(Curve, InTheClearAndEncryptedDoNotMix) {
  const auto keys = make_keys(2);
  for (int turn = 0; turn < 2; ++turn) {  // which end notices first is chance
    for (const bool host_encrypts : {true, false}) {
      const End host = listen(host_encrypts ? options_of(keys, 0) : ZmqOptions{});
      const End joiner = listen(host_encrypts ? ZmqOptions{} : options_of(keys, 1));
      const Joined joined = join(host, joiner);
      ASSERT_FALSE(joined.host.ok() || joined.joiner.ok()) << host_encrypts;
      EXPECT_LT(joined.joiner_seconds, 5) << host_encrypts;
      expect_line(joined.joiner, ErrorCode::ProtocolMismatch,
                  {"node 0 (", host_encrypts ? "speaks encrypted only; give --key" : "start"});
      expect_line(joined.host, ErrorCode::ProtocolMismatch, {"node 1 (", "did not join", "127.0.0.1"});
      EXPECT_NE(host.told(), "") << host_encrypts;
    }
  }
}

TEST_F(Curve, NothingIsInTheClearOnTheWire) {
  const std::string secret = "the features of a picture that is nobody's business";
  std::string text;
  while (text.size() < 100'000) text += secret;
  const auto bytes = std::make_shared<std::string>(text);
  const auto payload = [&] {
    return Payload{std::shared_ptr<const std::byte>(bytes, reinterpret_cast<const std::byte*>(bytes->data())),
                   bytes->size()};
  };
  for (const bool encrypts : {false, true}) {
    const auto keys = make_keys(2);
    const End host = listen(encrypts ? options_of(keys, 0) : ZmqOptions{});
    const End joiner = listen(encrypts ? options_of(keys, 1) : ZmqOptions{});
    const RecordingProxy proxy(host.fabric->address());
    const Joined joined = join(host, joiner, 1, 2, proxy.address);
    ASSERT_TRUE(joined.host.ok()) << joined.host.error().message;
    ASSERT_TRUE(joined.joiner.ok()) << joined.joiner.error().message;
    ASSERT_TRUE(host.fabric->send(1, {1, 1, 0}, payload()).ok());
    const auto there = joiner.fabric->receive(0, {1, 1, 0}, Clock::now() + 10s);
    ASSERT_TRUE(there.ok()) << there.error().message;
    ASSERT_TRUE(joiner.fabric->send(0, {1, 1, 0}, *there).ok());
    const auto back = host.fabric->receive(1, {1, 1, 0}, Clock::now() + 10s);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(std::memcmp(back->data.get(), text.data(), text.size()), 0);
    const std::string wire = proxy.recorded();
    EXPECT_GT(wire.size(), 2 * text.size());
    EXPECT_EQ(wire.find(secret) == std::string::npos, encrypts) << "the proxy must see what is in the clear";
    EXPECT_EQ(wire.find("OCSD") == std::string::npos && wire.find("DSCO") == std::string::npos, encrypts)
        << "nor the headers";
  }
}

TEST_F(Curve, TheLargestMessageFits) {
  ZmqOptions options;
  options.socket.max_message_bytes = 1 << 20;
  const auto mesh = make_mesh("curve", 2, options);
  ASSERT_TRUE(mesh[0]->send(1, {1, 1, 0}, make_payload(1 << 20, 7)).ok());
  const auto got = mesh[1]->receive(0, {1, 1, 0}, Clock::now() + 10s);
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(first_difference(*got, 1 << 20, 7), -1);
}

TEST_F(Curve, HeartbeatsKeepAnIdleLink) {
  ZmqOptions options;
  options.socket.heartbeat_interval = 50ms;
  options.socket.heartbeat_timeout = 250ms;
  const auto mesh = make_mesh("curve", 3, options);
  const auto nothing = mesh[0]->receive(1, {1, 2, 0}, Clock::now() + 1s);
  EXPECT_EQ(nothing.error().code, ErrorCode::Timeout) << nothing.error().message;
  ASSERT_TRUE(mesh[2]->send(0, {1, 2, 0}, make_payload(10, 1)).ok());
  EXPECT_TRUE(mesh[0]->receive(2, {1, 2, 0}, Clock::now() + 10s).ok());
}

TEST_F(Curve, KeysAndMembersMustAgree) {
  const auto keys = make_keys(3);
  ZmqOptions no_members;
  no_members.socket.keys = keys[0];
  EXPECT_EQ(ZmqFabric::listen("127.0.0.1:0", no_members).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(ZmqFabric::listen("127.0.0.1:0", {.members = {keys[0]->public_key()}}).error().code,
            ErrorCode::InvalidArgument);
  for (const auto& [rank, size] : {std::pair(1, 2), std::pair(0, 3), std::pair(-1, 2), std::pair(2, 2)}) {
    const End end = listen(options_of({keys[0], keys[1]}, 0));
    Membership membership{.rank = rank, .cluster = 1};
    membership.addresses.assign(static_cast<std::size_t>(size), "127.0.0.1:1");
    EXPECT_EQ(end.fabric->connect(membership, Clock::now() + 5s).error().code, ErrorCode::InvalidArgument)
        << rank << " of " << size;
  }
  // A socket that is to be encrypted is never opened in the clear.
  const ZmqContext context;
  const ZmqSocketOptions with_keys{.keys = keys[0]};
  EXPECT_EQ(ZmqSocket::open(context, ZMQ_DEALER, with_keys).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(ZmqSocket::open(context, ZMQ_DEALER, {}, keys[1]->public_key()).error().code,
            ErrorCode::InvalidArgument);
}

TEST_F(Curve, WithoutADoormanNobodyComesIn) {
  const auto keys = make_keys(2);
  const ZmqContext context;
  auto host = ZmqSocket::open(context, ZMQ_ROUTER, {.linger = 0ms, .keys = keys[0]});
  ASSERT_TRUE(host.ok());
  const auto address = host->bind("127.0.0.1:0");
  auto client = ZmqSocket::open(context, ZMQ_DEALER, {.linger = 0ms, .keys = keys[1]}, keys[0]->public_key());
  ASSERT_TRUE(client.ok() && client->connect(*address).ok());
  std::vector<ZmqFrame> parts;
  parts.emplace_back(std::as_bytes(std::span("hello", 5)));
  std::ignore = client->send(parts);
  std::this_thread::sleep_for(300ms);
  EXPECT_FALSE(host->receive().has_value());
}

}  // namespace
}  // namespace disco::testing
