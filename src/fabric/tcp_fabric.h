#pragma once
// The transport between processes and machines in the clear: one TCP connection a pair of nodes, served by
// the thread that computes.

#include <poll.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "fabric/fabric.h"
#include "fabric/inbox.h"
#include "fabric/membership.h"
#include "fabric/tcp_link.h"
#include "fabric/wake_up.h"
#include "fabric/wire.h"

namespace disco {

struct TcpOptions {
  std::chrono::milliseconds heartbeat_interval{500};
  /// A peer of which nothing was heard for so long is lost.
  std::chrono::milliseconds heartbeat_timeout{5000};
  /// How long destruction waits for what was sent to go out.
  std::chrono::milliseconds linger{1000};
  std::size_t max_message_bytes = std::size_t{1} << 30;
  /// The most payload bytes that may wait for one peer; a send beyond them fails.
  std::size_t max_queued_bytes = std::size_t{1} << 30;
  /// The most bytes that are kept of messages that came before they were asked for, of all peers together.
  std::size_t max_kept_bytes = std::size_t{1} << 30;
  /// What this end says it speaks. Only a test has a reason to change it.
  std::uint16_t version = wire::kVersion;
  /// From any thread.
  OnRefusal on_refusal;
};

/// A rank listens on one port for all peers of higher rank and connects to each of lower rank. A connection
/// is who its handshake (wire.h) says, once; strangers are refused and do no harm. Nothing is encrypted: see
/// ZmqFabric.
///
/// The thread that sends hands its bytes to the kernel itself, and the one that receives reads them: one
/// system call a message each way, and no other thread to wake, which on a node of one core would take that
/// core. The kernel's buffers hold what travels meanwhile. A second thread, the keeper, does what must not
/// wait for the first one: it sends what the kernel had no room for, says that this rank lives and listens
/// whether others do, and opens the door to peers. It sleeps otherwise.
///
/// A peer whose connection ends, or that says nothing for too long, is gone for this epoch.
class TcpFabric final : public ListeningFabric {
 public:
  /// Opens the port. Io where it is in use (the line names it), InvalidArgument where `address` cannot be
  /// one.
  [[nodiscard]] static Result<std::unique_ptr<TcpFabric>> listen(const std::string& address,
                                                                 const TcpOptions& options = {});
  /// Lingers until what was sent is out, TcpOptions::linger at most; not at all after cancel().
  ~TcpFabric() override;

  [[nodiscard]] const std::string& address() const override { return listener_.address; }
  Status connect(const Membership& membership, Clock::time_point deadline) override;

  int rank() const override { return membership_.rank; }
  int size() const override { return static_cast<int>(peers_.size()); }
  Status send(int peer, const MessageId& id, Payload payload) override;
  Result<std::optional<Payload>> try_receive(int peer, const MessageId& id) override;
  void wait(Clock::time_point deadline) override;
  void wake() override { wake_.set(); }
  void forget_before(std::uint32_t epoch, std::uint64_t request) override;
  Clock::time_point heard(int peer) const override;
  void cancel(const std::string& reason) override;
  Status check_cancelled() const override;
  std::string describe(int peer) const override;
  LinkCounters counters(int peer) const override;

 private:
  struct Peer {
    TcpLink link;  // its socket stays open until the end, so that no thread polls another's
    bool ready = false;
    bool asked = false;          // try_receive() had nothing of it to give since the last wait()
    std::optional<Error> fault;  // set once; the link is of no use from then on
    Clock::time_point heard{};
    LinkCounters counters;
    // Of a lower rank, until it is ready.
    FileDescriptor connecting;
    Clock::time_point next_attempt{};
  };
  /// Who connected and has not said who it is, or was refused.
  struct Caller {
    TcpLink link;
    Clock::time_point until;
    bool refused = false;
  };

  TcpFabric(const TcpOptions& options, Listener listener);

  void fault(int peer, ErrorCode code, const std::string& reason);
  bool take_in(int peer);
  Status take_hello(int peer, const Payload& payload);
  Status take(int peer, const wire::Header& header, Payload payload);
  Status admit(int peer, const wire::Header& header) const;
  std::optional<Error> cancelled() const;
  void send_hello(TcpLink& link) const;
  [[nodiscard]] bool is_live(const Peer& peer) const { return peer.ready && !peer.link.has_ended(); }

  // The keeper's (tcp_keeper.cpp).
  void keep();
  [[nodiscard]] std::vector<pollfd> watched_by_keeper() const;
  [[nodiscard]] Clock::time_point keepers_deadline() const;
  void connect_to(int peer, Clock::time_point now, std::unique_lock<std::mutex>& lock);
  void open_door(Clock::time_point now);
  void hear_out(Caller& caller, Clock::time_point now);
  void refuse(Caller& caller, const std::string& reason, Clock::time_point now);
  void check_hearts(Clock::time_point now);

  TcpOptions options_;
  Listener listener_;
  Membership membership_;
  bool connected_ = false;

  mutable std::mutex mutex_;  // of what follows
  std::vector<Peer> peers_;   // by rank, its own is unused; their number is fixed by connect()
  Inbox inbox_;
  std::uint64_t kept_ = 0;               // counts messages that went into inbox_
  bool news_ = false;                    // one of them was not asked for yet; ends one wait()
  std::optional<std::string> stranger_;  // who was refused last, and why
  std::optional<std::string> cancel_reason_;
  std::list<Caller> callers_;
  Clock::time_point next_beat_{};
  bool stop_ = false;

  WakeUp wake_;         // of the thread that receives
  WakeUp keeper_wake_;  // of the other one
  std::vector<pollfd> watched_;
  std::vector<int> watched_peers_;  // by index of watched_, from the second on
  std::thread keeper_;              // last: it uses the rest
};

}  // namespace disco
