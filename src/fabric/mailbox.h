#pragma once
// What one end of a mesh has received, for transports that deliver on another thread than the one that waits.

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "fabric/fabric.h"
#include "fabric/inbox.h"

namespace disco {

/// Filled by any thread, emptied by its owner's. Two mailboxes are never locked at a time, so no order of
/// locks is needed.
class Mailbox {
 public:
  explicit Mailbox(std::size_t ranks) : gone_(ranks), heard_(ranks), received_(ranks) {}

  void put(int from, const MessageId& id, Payload payload);
  /// That end was destroyed: nothing more comes of it.
  void leave(int peer);
  void cancel(const std::string& reason);
  [[nodiscard]] Status check_cancelled() const;
  void wake();

  struct Taken {
    std::optional<Payload> payload;
    bool gone = false;  ///< the peer left, and nothing of it is here
  };
  /// PeerLost after cancel().
  Result<Taken> take(int peer, const MessageId& id);
  /// Whether wait() would return at once.
  [[nodiscard]] bool has_news() const;
  /// Until something happened since the last wait(), or the deadline. What take() handed out meanwhile counts
  /// too, so that one look for a message that hides another's coming costs a turn and no wait.
  void wait(Clock::time_point deadline);
  void forget_before(std::uint32_t epoch, std::uint64_t request);

  [[nodiscard]] bool is_gone(int peer) const;
  [[nodiscard]] Clock::time_point heard(int peer) const;
  [[nodiscard]] LinkCounters received(int peer) const;  ///< the receiving half
  [[nodiscard]] std::size_t ranks() const { return gone_.size(); }

 private:
  /// Changes it and ends its owner's wait.
  template <typename Change>
  void notify(Change change);

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  Inbox inbox_;
  std::vector<bool> gone_;                // by peer
  std::vector<Clock::time_point> heard_;  // by peer: when its last message came
  std::vector<LinkCounters> received_;    // by peer
  std::optional<std::string> cancelled_;
  bool news_ = false;  // something happened since the last wait
};

/// An end that receives by a mailbox; how it sends is the transport's.
class MailboxFabric : public Fabric {
 public:
  Result<std::optional<Payload>> try_receive(int peer, const MessageId& id) final;
  void wait(Clock::time_point deadline) override { mailbox_->wait(deadline); }
  void wake() final { mailbox_->wake(); }
  void forget_before(std::uint32_t epoch, std::uint64_t request) final {
    mailbox_->forget_before(epoch, request);
  }
  Clock::time_point heard(int peer) const final { return mailbox_->heard(peer); }
  void cancel(const std::string& reason) final { mailbox_->cancel(reason); }
  Status check_cancelled() const final { return mailbox_->check_cancelled(); }
  LinkCounters counters(int peer) const final;

 protected:
  explicit MailboxFabric(std::shared_ptr<Mailbox> mailbox)
      : mailbox_(std::move(mailbox)), sent_(mailbox_->ranks()) {}

  /// What a send begins with: InvalidArgument for a rank that is not there, PeerLost for one that left.
  [[nodiscard]] Status check_open(int peer) const;
  void count_sent(int peer, std::size_t bytes);
  [[nodiscard]] Mailbox& mailbox() const { return *mailbox_; }

 private:
  [[nodiscard]] Error gone(int peer) const;

  std::shared_ptr<Mailbox> mailbox_;
  std::vector<LinkCounters> sent_;  // by peer: the sending halves only; used by this end's thread alone
};

}  // namespace disco
