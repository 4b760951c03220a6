#pragma once
// The transport between nodes. Everything above it sees ranks and numbered messages only.

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"

namespace disco {

using Clock = std::chrono::steady_clock;

/// Numbers a message so that late ones of an abandoned request are told apart and dropped.
struct MessageId {
  std::uint32_t epoch = 0;    ///< which membership of the cluster
  std::uint64_t request = 0;  ///< counts up
  std::uint32_t tag = 0;      ///< which exchange within the request
  friend auto operator<=>(const MessageId&, const MessageId&) = default;
};

/// Bytes with shared ownership, so that a transport can hand its own buffers out and keep the sender's alive.
struct Payload {
  std::shared_ptr<const std::byte> data;
  std::size_t size = 0;
  [[nodiscard]] std::span<const std::byte> bytes() const { return {data.get(), size}; }
};

struct LinkCounters {
  std::uint64_t bytes_sent = 0;  ///< payload bytes
  std::uint64_t messages_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t messages_received = 0;
};

/// One rank's end of a mesh of `size()` ranks. Used by one thread at a time, but for `cancel` and `wake`.
class Fabric {
 public:
  virtual ~Fabric() = default;
  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;

  /// Hands the message over and returns at once; never waits for the peer. PeerLost if the peer is known to
  /// be gone.
  virtual Status send(int peer, const MessageId& id, Payload payload) = 0;

  /// The message `id` of `peer` if it is here, nullopt if it is not; never waits. Messages of other ids that
  /// arrive meanwhile are kept.
  ///
  /// @return PeerLost as soon as the peer is known to be gone (what it sent before comes first), or after
  /// cancel();
  ///         ProtocolMismatch for a message that cannot be decoded
  virtual Result<std::optional<Payload>> try_receive(int peer, const MessageId& id) = 0;

  /// Sleeps in the kernel, without spinning, until something happens that try_receive() did not hand out (a
  /// message of a peer that it was asked about since the last wait, a peer's end, cancel(), wake()) or until
  /// the deadline. May return early.
  virtual void wait(Clock::time_point deadline) = 0;

  /// Ends the current wait(), or the next; callable from any thread.
  virtual void wake() = 0;

  /// Drops the messages of requests before this one, those that are here and those that come later.
  virtual void forget_before(std::uint32_t epoch, std::uint64_t request) = 0;

  /// Waits for the message `id` of `peer`.
  ///
  /// @return the bytes, Timeout at the deadline, or what try_receive() gives
  Result<Payload> receive(int peer, const MessageId& id, Clock::time_point deadline);

  /// Makes current and later waits return PeerLost with this reason; callable from any thread.
  virtual void cancel(const std::string& reason) = 0;

  /// PeerLost with cancel()'s reason once that was called, for who waits for something else than a peer.
  [[nodiscard]] virtual Status check_cancelled() const { return {}; }

  /// When the last message of `peer` came; the clock's beginning where none did.
  [[nodiscard]] virtual Clock::time_point heard(int peer) const = 0;

  /// How messages name a peer: "node 2 (10.0.0.7:7001)".
  [[nodiscard]] virtual std::string describe(int peer) const = 0;

  /// Counters of the link to `peer` since construction.
  [[nodiscard]] virtual LinkCounters counters(int peer) const = 0;

 protected:
  /// InvalidArgument for a rank that this end has no link to: its own, or one that is not there.
  [[nodiscard]] Status check_peer(int peer) const;
};

}  // namespace disco
