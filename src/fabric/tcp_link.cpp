#include "fabric/tcp_link.h"

#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "fabric/address.h"

namespace disco {
namespace {

/// What the kernel is asked to hold for one connection, each way. It travels and arrives while both ends
/// compute, and whoever sends it goes on.
constexpr int kKernelBuffer = 4 << 20;

/// How much one read() takes in at most.
constexpr std::size_t kMostRead = 8 << 20;

template <typename Value>
void set(const FileDescriptor& socket, int level, int option, Value value) {
  setsockopt(socket.get(), level, option, &value, sizeof value);
}

FileDescriptor open_socket(const addrinfo& address) {
  return FileDescriptor(
      ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, address.ai_protocol));
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void FileDescriptor::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

TcpLink::TcpLink(FileDescriptor socket) : socket_(std::move(socket)) {
  set(socket_, IPPROTO_TCP, TCP_NODELAY, 1);
  set(socket_, SOL_SOCKET, SO_SNDBUF, kKernelBuffer);
  ignore_news();
}

void TcpLink::ignore_news() { set_least_news(kKernelBuffer / 2); }

void TcpLink::expect_news() { set_least_news(1); }

void TcpLink::set_least_news(int bytes) {
  if (std::exchange(least_news_, bytes) != bytes) set(socket_, SOL_SOCKET, SO_RCVLOWAT, bytes);
}

void TcpLink::send(wire::Header header, Payload payload) {
  if (broken_) return;
  header.bytes = payload.size;
  Outgoing message{wire::encode(header), std::move(payload)};
  if (waiting_.empty()) {
    const std::size_t taken = send_some(message);
    message.sent = taken;
    if (broken_ || taken == message.size()) return;
  }
  queued_ += message.payload.size;
  waiting_.push_back(std::move(message));
}

void TcpLink::flush() {
  while (!waiting_.empty() && !broken_) {
    Outgoing& first = waiting_.front();
    first.sent += send_some(first);
    if (first.sent < first.size()) break;
    queued_ -= first.payload.size;
    waiting_.pop_front();
  }
  if (broken_) {
    waiting_.clear();
    queued_ = 0;
  }
}

/// One system call. @return how many bytes the kernel took
std::size_t TcpLink::send_some(Outgoing& message) {
  std::array<iovec, 2> parts{};
  std::size_t count = 0;
  const std::size_t of_header = std::min(message.sent, message.header.size());
  const std::size_t of_payload = message.sent - of_header;
  if (of_header < message.header.size())
    parts[count++] = {message.header.data() + of_header, message.header.size() - of_header};
  if (of_payload < message.payload.size)
    parts[count++] = {const_cast<std::byte*>(message.payload.data.get()) + of_payload,
                      message.payload.size - of_payload};
  msghdr out{};
  out.msg_iov = parts.data();
  out.msg_iovlen = count;
  ssize_t sent = -1;
  do {
    sent = sendmsg(socket_.get(), &out, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) broken_ = true;
  return static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
}

std::size_t TcpLink::unconfirmed() const {
  int bytes = 0;
  return !broken_ && ioctl(socket_.get(), SIOCOUTQ, &bytes) == 0 ? static_cast<std::size_t>(bytes) : 0;
}

Result<bool> TcpLink::read(const Admit& admit, const Take& take) {
  bool any = false;
  for (std::size_t total = 0; !ended_ && total < kMostRead;) {
    std::array<iovec, 2> parts{};
    std::size_t count = 0, room = 0;
    if (payload_) {
      parts[count++] = {payload_.get() + filled_, header_->bytes - filled_};
      room += header_->bytes - filled_;
    }
    parts[count++] = {stage_.get() + staged_, kStage - staged_};
    room += kStage - staged_;
    msghdr in{};
    in.msg_iov = parts.data();
    in.msg_iovlen = count;
    const ssize_t got = recvmsg(socket_.get(), &in, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      ended_ = got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
      break;
    }
    any = true;
    total += static_cast<std::size_t>(got);
    auto left = static_cast<std::size_t>(got);
    if (payload_) {
      const std::size_t filled = std::min<std::size_t>(left, header_->bytes - filled_);
      filled_ += filled;
      left -= filled;
    }
    staged_ += left;
    if (Status taken = take_staged(admit, take); !taken) {
      ended_ = true;
      return taken.error();
    }
    if (static_cast<std::size_t>(got) < room) break;  // that was all
  }
  return any;
}

/// Takes the messages that are whole, and begins the next one.
Status TcpLink::take_staged(const Admit& admit, const Take& take) {
  std::size_t used = 0;
  while (true) {
    if (header_) {
      if (filled_ < header_->bytes) break;
      const std::shared_ptr<std::byte[]> whole = std::exchange(payload_, nullptr);
      const wire::Header header = *std::exchange(header_, std::nullopt);
      DISCO_CHECK(take(header, {std::shared_ptr<const std::byte>(whole, whole.get()), header.bytes}));
      continue;
    }
    const std::span<const std::byte> rest(stage_.get() + used, staged_ - used);
    if (rest.size() < wire::kHeaderBytes) {
      DISCO_CHECK(wire::check_start(rest));  // a stranger may never send so much
      break;
    }
    DISCO_TRY(header_, wire::decode_header(rest.first(wire::kHeaderBytes)));
    DISCO_CHECK(admit(*header_));
    used += wire::kHeaderBytes;
    filled_ = 0;
    if (header_->bytes == 0) continue;
    payload_.reset(new (std::nothrow) std::byte[header_->bytes]);
    if (!payload_) return error(ErrorCode::Io, "no memory for a message of {} bytes", header_->bytes);
    filled_ = std::min<std::size_t>(header_->bytes, staged_ - used);
    std::memcpy(payload_.get(), stage_.get() + used, filled_);
    used += filled_;
  }
  staged_ -= used;
  std::memmove(stage_.get(), stage_.get() + used, staged_);
  return {};
}

void TcpLink::shut_down() {
  broken_ = true;
  if (socket_) ::shutdown(socket_.get(), SHUT_RDWR);
}

void TcpLink::finish_sending() {
  if (socket_) ::shutdown(socket_.get(), SHUT_WR);
}

Result<Listener> listen_at(const std::string& address) {
  DISCO_TRY(const HostPort host_port, parse_address(address));
  Addresses found;
  if (const char* wrong = look_up(host_port, /*to_listen=*/true, found)) {
    return error(ErrorCode::InvalidArgument, "cannot listen on {}: {}", address, wrong);
  }
  Listener listener{open_socket(*found.first), {}};
  set(listener.socket, SOL_SOCKET, SO_REUSEADDR, 1);  // a restarted node takes its port again at once
  if (!listener.socket || ::bind(listener.socket.get(), found.first->ai_addr, found.first->ai_addrlen) != 0 ||
      ::listen(listener.socket.get(), SOMAXCONN) != 0) {
    if (errno == EADDRINUSE) {
      return error(ErrorCode::Io,
                   "cannot listen on {}: port {} is in use; stop the other program or choose another port",
                   address, host_port.port);
    }
    return error(ErrorCode::Io, "cannot listen on {}: {}", address, std::strerror(errno));
  }
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  getsockname(listener.socket.get(), reinterpret_cast<sockaddr*>(&bound), &size);
  // Both families keep the port at the same place.
  listener.address =
      fmt::format("{}:{}", host_port.host, ntohs(reinterpret_cast<const sockaddr_in*>(&bound)->sin_port));
  return listener;
}

Result<FileDescriptor> begin_connecting(const std::string& address) {
  DISCO_TRY(const HostPort host_port, parse_address(address));
  if (host_port.port == 0) {
    return error(ErrorCode::InvalidArgument, "cannot connect to {}: port 0", address);
  }
  Addresses found;
  if (const char* wrong = look_up(host_port, /*to_listen=*/false, found)) {
    return error(ErrorCode::Io, "cannot connect to {}: {}", address, wrong);
  }
  FileDescriptor socket = open_socket(*found.first);
  if (!socket) return error(ErrorCode::Io, "cannot open a socket: {}", std::strerror(errno));
  // What fails at once says so again when the socket is asked.
  std::ignore = ::connect(socket.get(), found.first->ai_addr, found.first->ai_addrlen);
  return socket;
}

bool is_connected(const FileDescriptor& socket) {
  int failure = 0;
  socklen_t size = sizeof failure;
  sockaddr_storage peer{};
  socklen_t peer_size = sizeof peer;
  return getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &failure, &size) == 0 && failure == 0 &&
         getpeername(socket.get(), reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0;
}

}  // namespace disco
