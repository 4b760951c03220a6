#pragma once
// The transport between processes and machines: one TCP connection a pair of nodes, by ZeroMQ.

#include <poll.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "fabric/doorman.h"
#include "fabric/fabric.h"
#include "fabric/inbox.h"
#include "fabric/membership.h"
#include "fabric/wire.h"
#include "fabric/zmq_socket.h"

namespace disco {

struct ZmqOptions {
  ZmqSocketOptions socket;
  /// The most payload bytes that may wait for one peer; a send beyond them fails.
  std::size_t max_queued_bytes = std::size_t{1} << 30;
  /// The most bytes that are kept of messages that came before they were asked for, of all peers together.
  std::size_t max_kept_bytes = std::size_t{1} << 30;
  /// What this end says it speaks. Only a test has a reason to change it.
  std::uint16_t version = wire::kVersion;
  /// Where socket.keys are given: the members' public keys by rank. Nobody else is let in, and none of them
  /// as another.
  std::vector<PublicKey> members;
  /// Told of strangers that were refused; from any thread.
  OnRefusal on_refusal;
};

/// A rank listens on one ROUTER socket for all peers of higher rank and connects one DEALER socket to each of
/// lower rank, so that a node needs one open port. Peers are told apart by the connection's identity and a
/// handshake (wire.h), never by what a connection claims later; strangers are refused and do no harm. With
/// keys all links are encrypted, and a rank is who holds the key that its member is known by.
///
/// A peer whose connection ends (watched by socket monitors, heartbeats and TCP keepalive) is gone for this
/// epoch. libzmq's I/O thread moves the bytes while the rank computes. Payloads are copied neither on the way
/// out nor in.
///
/// Memory: ZmqOptions bounds what waits for each peer in bytes and what is kept in bytes; what libzmq holds
/// of received messages is bounded by high_water_messages, and in practice by what the peers send in one
/// request.
class ZmqFabric final : public ListeningFabric {
 public:
  /// Opens the port. Io where it is in use (the line names it), InvalidArgument where `address` cannot be
  /// one or keys are given without members, Unsupported for keys where libzmq has no CURVE.
  [[nodiscard]] static Result<std::unique_ptr<ZmqFabric>> listen(const std::string& address,
                                                                 const ZmqOptions& options = {});
  /// Lingers until what was sent is out, ZmqSocketOptions::linger at most; not at all after cancel().
  ~ZmqFabric() override;

  [[nodiscard]] const std::string& address() const override { return address_; }
  Status connect(const Membership& membership, Clock::time_point deadline) override;

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(peers_.size()); }
  Status send(int peer, const MessageId& id, Payload payload) override;
  Result<std::optional<Payload>> try_receive(int peer, const MessageId& id) override;
  void wait(Clock::time_point deadline) override;
  void wake() override;
  void forget_before(std::uint32_t epoch, std::uint64_t request) override;
  Clock::time_point heard(int peer) const override;
  void cancel(const std::string& reason) override;
  Status check_cancelled() const override;
  std::string describe(int peer) const override;
  LinkCounters counters(int peer) const override;

 private:
  struct Peer {
    std::string address;
    std::string label;
    ZmqSocket socket;      // to a lower rank
    std::string identity;  // of a higher rank's connection to listener_
    int connection = -1;   // its TCP socket, as events name it
    bool ready = false;
    HandshakeVerdict handshakes;
    std::optional<Error> fault;  // set once; the link is of no use from then on
    Clock::time_point heard{};
    LinkCounters counters;
    std::shared_ptr<std::atomic<std::size_t>> queued = std::make_shared<std::atomic<std::size_t>>(0);
  };

  explicit ZmqFabric(const ZmqOptions& options);

  bool pump();  // takes in some of what has arrived; whether that was anything
  void look();  // marks what has news, without waiting
  void poll_for(int milliseconds);
  void watch();
  void notice_events();
  bool pump_events();
  bool pump_listener();
  void take(int peer, std::span<ZmqFrame> parts);
  void admit(std::vector<ZmqFrame> parts);
  void lost(int peer);
  void fault(int peer, ErrorCode code, const std::string& reason);
  void say_hello(int peer);
  bool post(int peer, wire::Kind kind, const MessageId& id, ZmqFrame payload);
  Status check_sender(const wire::Hello& hello, const std::string& sender) const;
  void refuse(const std::string& line);
  Peer& at(int peer) { return peers_[static_cast<std::size_t>(peer)]; }
  const Peer& at(int peer) const { return peers_[static_cast<std::size_t>(peer)]; }

  ZmqOptions options_;
  std::mutex stranger_mutex_;
  std::optional<std::string> stranger_;  // who was refused last, and why; the doorman's thread says so too
  ZmqContext context_;                   // outlives the sockets below
  std::unique_ptr<Doorman> doorman_;
  ZmqSocket listener_;
  std::string address_;
  int rank_ = 0;
  wire::Hello hello_;
  bool connected_ = false;
  std::vector<Peer> peers_;  // by rank; its own is unused
  // What poll() sleeps on: wake_, then by source its messages and its events; source 0 is listener_, 1 + p is
  // peer p's socket. Where `fresh_` is false, nothing is left to take in and poll() will tell of news. Going
  // by this, rather than asking libzmq about every socket before and after each sleep, halves the time of a
  // short message.
  std::vector<pollfd> watched_;
  std::vector<bool> fresh_;                // by index of watched_
  bool drained_ = true;                    // whether the last try_receive() took in all there was
  bool news_ = false;                      // it took in what nobody asked for yet; ends one wait()
  std::uint64_t kept_ = 0;                 // counts messages that went into inbox_
  std::map<std::string, int> identities_;  // ranks by their connection's identity
  std::set<int> open_connections_;         // of listener_
  Inbox inbox_;

  WakeUp wake_;
  mutable std::mutex cancel_mutex_;
  std::optional<std::string> cancel_reason_;
};

}  // namespace disco
