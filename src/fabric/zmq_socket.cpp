#include "fabric/zmq_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <tuple>
#include <utility>

namespace disco {
namespace {

/// What a frame without a copy holds until libzmq's I/O thread calls free_lease.
struct Lease {
  Payload payload;
  std::shared_ptr<std::atomic<std::size_t>> queued;
};

/// Orders the making of a lease before its end on the I/O thread. libzmq's queues do so too, but unseen by
/// ThreadSanitizer, which is to judge what we do on both sides.
std::atomic<std::uint64_t> handed_over{0};

void free_lease(void* /*data*/, void* hint) {
  std::ignore = handed_over.load(std::memory_order_acquire);
  Lease* lease = static_cast<Lease*>(hint);
  lease->queued->fetch_sub(lease->payload.size, std::memory_order_acq_rel);
  delete lease;
}

/// The IP address of a connection's other end; empty where it is gone.
std::string peer_of(int connection) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  char text[INET6_ADDRSTRLEN] = {};
  if (getpeername(connection, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  const void* bytes = address.ss_family == AF_INET6
                          ? static_cast<const void*>(&reinterpret_cast<sockaddr_in6*>(&address)->sin6_addr)
                          : &reinterpret_cast<sockaddr_in*>(&address)->sin_addr;
  return inet_ntop(address.ss_family, bytes, text, sizeof text) != nullptr ? text : "";
}

/// ZMQ_ZAP_ENFORCE_DOMAIN, which libzmq has since 4.3 and its header hides from those who do not ask for
/// drafts. Without it anybody comes in where no Doorman answers.
constexpr int kEnforceDomain = 93;
/// What CURVE adds to a message, with room to spare.
constexpr std::int64_t kEncryptionBytes = 256;
/// Handshakes that the other end may leave in a row before it is said to leave them all. One that is being
/// started or ended may leave one.
constexpr int kMostCuts = 4;

}  // namespace

std::optional<std::string> refusal_of(const FailedHandshake& failed, bool encrypted) {
  const std::string who = failed.peer.empty() ? "a connection" : failed.peer;
  switch (failed.fault) {
    case HandshakeFault::Mechanism:
      return encrypted
                 ? fmt::format("refused {}: it speaks in the clear, and only who has a key is let in", who)
                 : fmt::format("refused {}: it speaks encrypted, and this node was started without --key",
                               who);
    case HandshakeFault::WrongKey:
      return fmt::format("refused {}: it expects another key than this node's", who);
    case HandshakeFault::Cut:
      return fmt::format("{} left before it said who it is{}", who,
                         encrypted ? "" : "; if it speaks encrypted, start this node with --key");
    case HandshakeFault::Refused: break;
  }
  return std::nullopt;
}

std::optional<std::string> HandshakeVerdict::take(const ZmqEvents& events, const KeyPair::Shared& keys) {
  for (const FailedHandshake& failed : events.failed) {
    switch (failed.fault) {
      case HandshakeFault::Mechanism:
        return keys ? "speaks in the clear, which is not done here with keys; start it with --key"
                    : "speaks encrypted only; give --key, and its public_key in the cluster file";
      case HandshakeFault::Refused:
        return fmt::format(
            "refused the key of this end, {}; add it to the file that it was started with as "
            "--authorised",
            keys ? keys->public_key().text() : "which has none");
      case HandshakeFault::WrongKey: return "took this end for the holder of another key";
      case HandshakeFault::Cut: ++cuts_; break;
    }
  }
  // In the clear this may be another program that starts slowly, and the deadline is there for that.
  if (keys && cuts_ >= kMostCuts) {
    return "ended the handshake: it does not hold the secret key of the public_key that is given for it, or "
           "was started without --key";
  }
  return std::nullopt;
}

ZmqContext::~ZmqContext() {
  while (zmq_ctx_term(context_) != 0 && errno == EINTR) {
  }
}

ZmqFrame::ZmqFrame(std::span<const std::byte> bytes) {
  zmq_msg_init_size(&message_, bytes.size());
  if (!bytes.empty()) {
    std::memcpy(zmq_msg_data(&message_), bytes.data(), bytes.size());
  }
}

ZmqFrame::ZmqFrame(Payload payload, std::shared_ptr<std::atomic<std::size_t>> queued) {
  const std::size_t size = payload.size;
  if (size == 0) {
    zmq_msg_init(&message_);
    return;
  }
  queued->fetch_add(size, std::memory_order_acq_rel);
  auto* data = const_cast<std::byte*>(payload.data.get());  // libzmq does not write what it sends
  auto* lease = new Lease{std::move(payload), std::move(queued)};
  handed_over.fetch_add(1, std::memory_order_release);
  zmq_msg_init_data(&message_, data, size, free_lease, lease);
}

std::string ZmqFrame::sender() const {
  const char* user = zmq_msg_gets(&message_, "User-Id");
  return user != nullptr ? user : "";
}

std::string ZmqFrame::text() const { return {reinterpret_cast<const char*>(bytes().data()), bytes().size()}; }

Payload ZmqFrame::release(ZmqFrame frame) {
  auto owner = std::make_shared<ZmqFrame>(std::move(frame));
  const std::span<const std::byte> bytes = owner->bytes();
  return {std::shared_ptr<const std::byte>(owner, bytes.data()), bytes.size()};
}

Result<ZmqSocket> ZmqSocket::open(const ZmqContext& context, int type, const ZmqSocketOptions& options,
                                  const std::optional<PublicKey>& server) {
  static std::atomic<unsigned> number{0};
  ZmqSocket socket;
  socket.socket_ = zmq_socket(context.get(), type);
  if (socket.socket_ == nullptr) {
    return error(ErrorCode::Io, "cannot open a socket: {}", zmq_strerror(zmq_errno()));
  }
  const auto set = [&](int option, int value) {
    zmq_setsockopt(socket.socket_, option, &value, sizeof value);
  };
  set(ZMQ_LINGER, static_cast<int>(options.linger.count()));
  set(ZMQ_SNDHWM, options.high_water_messages);
  set(ZMQ_RCVHWM, options.high_water_messages);
  const std::int64_t most = options.max_message_bytes + (options.keys ? kEncryptionBytes : 0);
  zmq_setsockopt(socket.socket_, ZMQ_MAXMSGSIZE, &most, sizeof most);
  DISCO_CHECK(socket.encrypt(type, options.keys, server));
  set(ZMQ_HEARTBEAT_IVL, static_cast<int>(options.heartbeat_interval.count()));
  set(ZMQ_HEARTBEAT_TIMEOUT, static_cast<int>(options.heartbeat_timeout.count()));
  set(ZMQ_TCP_KEEPALIVE, 1);
  set(ZMQ_TCP_KEEPALIVE_IDLE, 5);
  set(ZMQ_TCP_KEEPALIVE_INTVL, 2);
  set(ZMQ_TCP_KEEPALIVE_CNT, 3);
  set(ZMQ_TCP_MAXRT, 10000);
  set(ZMQ_HANDSHAKE_IVL, 5000);
  set(ZMQ_CONNECT_TIMEOUT, 2000);
  set(ZMQ_RECONNECT_IVL, 20);
  set(ZMQ_RECONNECT_IVL_MAX, 200);
  if (type == ZMQ_ROUTER) {
    set(ZMQ_ROUTER_MANDATORY, 1);
  }
  const std::string endpoint = fmt::format("inproc://monitor-{}", number.fetch_add(1));
  zmq_socket_monitor(socket.socket_, endpoint.c_str(),
                     ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                         ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH);
  socket.monitor_ = zmq_socket(context.get(), ZMQ_PAIR);
  if (socket.monitor_ == nullptr || zmq_connect(socket.monitor_, endpoint.c_str()) != 0) {
    return error(ErrorCode::Io, "cannot watch a socket: {}", zmq_strerror(zmq_errno()));
  }
  const int linger = 0;
  zmq_setsockopt(socket.monitor_, ZMQ_LINGER, &linger, sizeof linger);
  return socket;
}

ZmqSocket& ZmqSocket::operator=(ZmqSocket&& other) noexcept {
  if (this != &other) {
    close();
    socket_ = std::exchange(other.socket_, nullptr);
    monitor_ = std::exchange(other.monitor_, nullptr);
    peers_ = std::move(other.peers_);
    fault_ = other.fault_;
  }
  return *this;
}

Status ZmqSocket::encrypt(int type, const KeyPair::Shared& keys, const std::optional<PublicKey>& server) {
  if (static_cast<bool>(keys && type == ZMQ_DEALER) != server.has_value()) {
    return error(ErrorCode::InvalidArgument, "a connection with a key of {}, but without one of {}",
                 keys ? "its own" : "the other end", keys ? "the other end" : "its own");
  }
  if (!keys) return {};
  DISCO_CHECK(check_encryption());
  bool set = true;
  const auto put = [&](int option, const void* value, std::size_t size) {
    set = set && zmq_setsockopt(socket_, option, value, size) == 0;
  };
  put(ZMQ_CURVE_SECRETKEY, keys->secret().data(), kKeyBytes);
  if (server) {
    put(ZMQ_CURVE_PUBLICKEY, keys->public_key().bytes().data(), kKeyBytes);
    put(ZMQ_CURVE_SERVERKEY, server->bytes().data(), kKeyBytes);
  } else {
    const int listens = 1;
    constexpr std::string_view kDomain = "disco";
    put(ZMQ_CURVE_SERVER, &listens, sizeof listens);
    put(ZMQ_ZAP_DOMAIN, kDomain.data(), kDomain.size());
    put(kEnforceDomain, &listens, sizeof listens);
  }
  return set ? Status() : error(ErrorCode::Io, "cannot encrypt a socket: {}", zmq_strerror(zmq_errno()));
}

void ZmqSocket::close() {
  if (monitor_ != nullptr) {
    if (socket_ != nullptr) {
      zmq_socket_monitor(socket_, nullptr, 0);
    }
    zmq_close(std::exchange(monitor_, nullptr));
  }
  if (socket_ != nullptr) {
    zmq_close(std::exchange(socket_, nullptr));
  }
}

int ZmqSocket::fd_of(void* socket) {
  int fd = -1;
  std::size_t size = sizeof fd;
  if (socket != nullptr) {
    zmq_getsockopt(socket, ZMQ_FD, &fd, &size);
  }
  return fd;
}

void ZmqSocket::set_linger(std::chrono::milliseconds linger) {
  const int value = static_cast<int>(linger.count());
  if (socket_ != nullptr) {
    zmq_setsockopt(socket_, ZMQ_LINGER, &value, sizeof value);
  }
}

Result<std::string> ZmqSocket::bind(const std::string& address) {
  DISCO_TRY(const HostPort host_port, parse_address(address));
  if (host_port.host.front() == '[') {
    const int enabled = 1;
    zmq_setsockopt(socket_, ZMQ_IPV6, &enabled, sizeof enabled);
  }
  const std::string endpoint =
      fmt::format("tcp://{}:{}", host_port.host, host_port.port == 0 ? "*" : std::to_string(host_port.port));
  if (zmq_bind(socket_, endpoint.c_str()) != 0) {
    const int reason = zmq_errno();
    if (reason == EADDRINUSE) {
      return error(ErrorCode::Io,
                   "cannot listen on {}: port {} is in use; stop the other program or choose another port",
                   address, host_port.port);
    }
    return error(ErrorCode::Io, "cannot listen on {}: {}", address, zmq_strerror(reason));
  }
  char bound[256] = {};
  std::size_t size = sizeof bound;
  zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, bound, &size);
  const std::string text(bound);
  return host_port.host + text.substr(text.rfind(':'));
}

Status ZmqSocket::connect(const std::string& address) {
  DISCO_TRY(const HostPort host_port, parse_address(address));
  if (host_port.host.front() == '[') {
    const int enabled = 1;
    zmq_setsockopt(socket_, ZMQ_IPV6, &enabled, sizeof enabled);
  }
  if (host_port.port == 0 || zmq_connect(socket_, ("tcp://" + address).c_str()) != 0) {
    return error(ErrorCode::InvalidArgument, "cannot connect to {}: {}", address,
                 host_port.port == 0 ? "port 0" : zmq_strerror(zmq_errno()));
  }
  return {};
}

bool ZmqSocket::send(std::span<ZmqFrame> parts) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const int flags = ZMQ_DONTWAIT | (i + 1 < parts.size() ? ZMQ_SNDMORE : 0);
    int sent = -1;
    do {
      sent = zmq_msg_send(parts[i].get(), socket_, flags);
    } while (sent < 0 && zmq_errno() == EINTR);
    if (sent < 0) {
      return false;
    }
  }
  return true;
}

std::optional<std::vector<ZmqFrame>> ZmqSocket::receive() {
  constexpr std::size_t kMaxParts = 4096;
  std::vector<ZmqFrame> parts;
  while (true) {
    ZmqFrame frame;
    if (zmq_msg_recv(frame.get(), socket_, ZMQ_DONTWAIT) < 0) {
      if (zmq_errno() == EINTR) {
        continue;
      }
      return std::nullopt;  // messages are atomic: this happens before a first part only
    }
    const bool more = zmq_msg_more(frame.get()) != 0;
    if (parts.size() < kMaxParts) {
      parts.push_back(std::move(frame));
    }
    if (!more) {
      return parts;
    }
  }
}

ZmqEvents ZmqSocket::events() {
  ZmqEvents events;
  while (true) {
    ZmqFrame frame;
    if (zmq_msg_recv(frame.get(), monitor_, ZMQ_DONTWAIT) < 0) {
      if (zmq_errno() == EINTR) {
        continue;
      }
      return events;
    }
    // An event is 16 bits of kind and 32 bits of value in the machine's byte order; its address is the second
    // part.
    std::uint16_t kind = 0;
    std::int32_t value = 0;
    if (zmq_msg_more(frame.get()) != 0 && frame.bytes().size() == 6) {
      std::memcpy(&kind, frame.bytes().data(), 2);
      std::memcpy(&value, frame.bytes().data() + 2, 4);
    }
    switch (kind) {
      case ZMQ_EVENT_ACCEPTED:
        // The kernel reuses a number only after it was closed, so a disconnection noted before is of another
        // connection.
        events.accepted.push_back(value);
        peers_[value] = peer_of(value);
        break;
      case ZMQ_EVENT_DISCONNECTED: {
        std::erase(events.accepted, value);
        events.disconnected.push_back(value);
        const auto peer = peers_.extract(value);
        if (fault_) {
          events.failed.push_back({*fault_, peer ? peer.mapped() : ""});
          fault_.reset();
        }
        break;
      }
      case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: events.failed.push_back({HandshakeFault::Refused, ""}); break;
      // These are told of right before the end of their connection, which says whose it was.
      case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        fault_ = value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH ? HandshakeFault::Mechanism
                 : value == ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC    ? HandshakeFault::WrongKey
                                                                     : HandshakeFault::Cut;
        break;
      case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: fault_ = HandshakeFault::Cut; break;
      default: break;
    }
  }
}

void zmq_wait(std::span<const ZmqSocket* const> sockets, std::span<const int> wakes,
              Clock::time_point deadline) {
  std::vector<zmq_pollitem_t> items;
  for (const ZmqSocket* socket : sockets) {
    if (socket->is_open()) {
      items.push_back({socket->get(), 0, ZMQ_POLLIN, 0});
      items.push_back({socket->monitor(), 0, ZMQ_POLLIN, 0});
    }
  }
  for (const int wake : wakes) {
    items.push_back({nullptr, wake, ZMQ_POLLIN, 0});
  }
  zmq_poll(items.data(), static_cast<int>(items.size()), milliseconds_until(deadline));
}

}  // namespace disco
