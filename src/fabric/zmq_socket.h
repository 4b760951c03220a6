#pragma once
// libzmq's C API with owners: contexts, frames and sockets that close themselves, and a monitor beside every
// socket. (cppzmq reports by exceptions; here errors are values.)

#include <zmq.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "fabric/address.h"
#include "fabric/fabric.h"
#include "fabric/keys.h"
#include "fabric/wake_up.h"

namespace disco {

class ZmqContext {
 public:
  ZmqContext() : context_(zmq_ctx_new()) {}
  /// Waits until the closed sockets' lingering messages are sent, each socket's linger time at most.
  ~ZmqContext();
  ZmqContext(const ZmqContext&) = delete;
  ZmqContext& operator=(const ZmqContext&) = delete;
  [[nodiscard]] void* get() const { return context_; }

 private:
  void* context_;
};

/// One part of a message.
class ZmqFrame {
 public:
  ZmqFrame() { zmq_msg_init(&message_); }
  /// A copy of `bytes`.
  explicit ZmqFrame(std::span<const std::byte> bytes);
  /// Without a copy: the payload is kept alive until its bytes went out; `queued` is lowered by their number
  /// then.
  ZmqFrame(Payload payload, std::shared_ptr<std::atomic<std::size_t>> queued);
  ~ZmqFrame() { zmq_msg_close(&message_); }
  ZmqFrame(ZmqFrame&& other) noexcept {
    zmq_msg_init(&message_);
    zmq_msg_move(&message_, &other.message_);
  }
  ZmqFrame& operator=(ZmqFrame&& other) noexcept {
    zmq_msg_move(&message_, &other.message_);
    return *this;
  }

  [[nodiscard]] std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(zmq_msg_data(&message_)), zmq_msg_size(&message_)};
  }
  [[nodiscard]] std::string text() const;
  /// The TCP socket that it came in by, or -1.
  [[nodiscard]] int source() const { return zmq_msg_get(&message_, ZMQ_SRCFD); }
  /// The public key of who sent it, as text, where the Doorman of a listening socket let it in; else empty.
  [[nodiscard]] std::string sender() const;
  [[nodiscard]] zmq_msg_t* get() { return &message_; }

  /// Hands the bytes out as a Payload, without a copy. Their alignment is whatever libzmq's decoder left.
  static Payload release(ZmqFrame frame);

 private:
  mutable zmq_msg_t message_;  // zmq_msg_data has no const form
};

struct ZmqSocketOptions {
  std::chrono::milliseconds heartbeat_interval{500};
  std::chrono::milliseconds heartbeat_timeout{5000};
  std::chrono::milliseconds linger{1000};
  int high_water_messages = 16384;
  std::int64_t max_message_bytes = std::int64_t{1} << 30;
  /// This end's own keys: it then speaks encrypted only, and a listening socket lets in whom the Doorman of
  /// its context lets in. Null: everything is in the clear.
  KeyPair::Shared keys;
};

/// Why two ends did not come to speak.
enum class HandshakeFault {
  Mechanism,  ///< one speaks encrypted, the other in the clear
  Refused,    ///< the other end does not let this one's key in
  WrongKey,   ///< the other end took this one for the holder of another key
  Cut,        ///< the other end left in the middle: any of these, or something else that failed
};

/// A handshake that failed, and with whom: an IP address for accepted connections where it is known still.
struct FailedHandshake {
  HandshakeFault fault = HandshakeFault::Cut;
  std::string peer;
};

/// Whether a socket's connections come and go.
struct ZmqEvents {
  std::vector<int> accepted;      ///< TCP sockets
  std::vector<int> disconnected;  ///< TCP sockets
  std::vector<FailedHandshake> failed;
};

/// The line about a stranger at a listening socket's door, for whoever runs it. None for a key that is
/// refused: the Doorman says that.
[[nodiscard]] std::optional<std::string> refusal_of(const FailedHandshake& failed, bool encrypted);

/// What a connecting socket's handshakes say about the other end.
class HandshakeVerdict {
 public:
  /// The fault that is final, as what follows the peer's name; none where another attempt may go well.
  [[nodiscard]] std::optional<std::string> take(const ZmqEvents& events, const KeyPair::Shared& keys);

 private:
  int cuts_ = 0;
};

/// A socket and its monitor. Used by one thread at a time. No call waits.
class ZmqSocket {
 public:
  /// Opens a socket of `type` (ZMQ_ROUTER to listen, ZMQ_DEALER to connect) with keepalive, heartbeats and a
  /// monitor.
  ///
  /// @param server  whose key the other end of an encrypted ZMQ_DEALER must hold
  /// @return the socket, Io, InvalidArgument for keys without `server` and the other way round, or
  /// Unsupported
  ///         for keys where libzmq has no CURVE
  static Result<ZmqSocket> open(const ZmqContext& context, int type, const ZmqSocketOptions& options,
                                const std::optional<PublicKey>& server = std::nullopt);

  ZmqSocket() = default;
  ~ZmqSocket() { close(); }
  ZmqSocket(ZmqSocket&& other) noexcept { *this = std::move(other); }
  ZmqSocket& operator=(ZmqSocket&& other) noexcept;

  /// Listens on "host:port", "*:port"; port 0 takes a free one. @return the address with its port; Io names
  /// it where it is in use, InvalidArgument where it cannot be one.
  Result<std::string> bind(const std::string& address);
  /// Starts to connect to "host:port" and goes on trying until closed. InvalidArgument for what cannot be an
  /// address.
  Status connect(const std::string& address);

  /// Sends one message of several parts. @return false where it cannot be taken now (the peer's queue is
  /// full) or its addressee is gone.
  [[nodiscard]] bool send(std::span<ZmqFrame> parts);
  /// The next message, or nullopt where none has come. Parts beyond the first 4096 are dropped.
  [[nodiscard]] std::optional<std::vector<ZmqFrame>> receive();
  /// What happened to its connections since the last call.
  [[nodiscard]] ZmqEvents events();

  void set_linger(std::chrono::milliseconds linger);
  void close();
  [[nodiscard]] bool is_open() const { return socket_ != nullptr; }
  [[nodiscard]] void* get() const { return socket_; }
  [[nodiscard]] void* monitor() const { return monitor_; }
  /// Descriptors that poll() finds readable when there is something new since receive() or events() last came
  /// back empty-handed. A send may swallow such news: try receive() after it before sleeping on these.
  [[nodiscard]] int fd() const { return fd_of(socket_); }
  [[nodiscard]] int monitor_fd() const { return fd_of(monitor_); }

 private:
  static int fd_of(void* socket);
  Status encrypt(int type, const KeyPair::Shared& keys, const std::optional<PublicKey>& server);

  void* socket_ = nullptr;
  void* monitor_ = nullptr;
  std::map<int, std::string> peers_;     // IP addresses of accepted connections
  std::optional<HandshakeFault> fault_;  // of the connection whose end is told of next
};

/// Sleeps until one of the sockets or their monitors has something, `wake` (an eventfd or pipe) is readable,
/// or the deadline has come.
void zmq_wait(std::span<const ZmqSocket* const> sockets, std::span<const int> wakes,
              Clock::time_point deadline);

}  // namespace disco
