#pragma once
// One TCP connection between two ranks, without a thread: what is sent goes into the kernel's buffer at once,
// what has come is read out of it.

#include <array>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "fabric/fabric.h"
#include "fabric/wire.h"

namespace disco {

/// An open descriptor; closes it.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() { reset(); }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  void reset();
  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// Messages over one non-blocking TCP socket: a header (wire.h), then its payload. No call waits. Not
/// synchronised.
class TcpLink {
 public:
  TcpLink() = default;
  /// Takes a connected socket over, and asks the kernel for buffers that hold a layer's messages.
  explicit TcpLink(FileDescriptor socket);
  TcpLink(TcpLink&&) = default;
  TcpLink& operator=(TcpLink&&) = default;

  /// Sends a message, as much of it as the kernel takes now; flush() sends the rest, from the payload itself.
  /// After the connection's end it goes nowhere.
  void send(wire::Header header, Payload payload);
  /// Sends what waits, as far as the kernel takes it.
  void flush();
  /// Payload bytes that wait for flush().
  [[nodiscard]] std::size_t queued() const { return queued_; }
  /// Whether anything waits for flush().
  [[nodiscard]] bool is_blocked() const { return !waiting_.empty(); }
  /// Of what was sent, bytes that the other end's kernel has not confirmed.
  [[nodiscard]] std::size_t unconfirmed() const;

  /// Called for each message; an error ends the reading, and no more is read of this link ever.
  using Take = std::function<Status(const wire::Header&, Payload)>;
  /// Called for each header before there is room for its payload; an error likewise.
  using Admit = std::function<Status(const wire::Header&)>;
  /// Reads what has come, some megabytes at most, so that a peer that floods does not hold the caller here.
  ///
  /// @return whether anything came, or ProtocolMismatch for what is no message, or what `admit` or `take` say
  Result<bool> read(const Admit& admit, const Take& take);

  /// From here on poll() tells of whatever comes.
  void expect_news();
  /// From here on poll() tells of the connection's end, and else of nothing that the kernel has room for; as
  /// in the beginning. Who computes is not woken, and the kernel confirms at once what comes: it would
  /// otherwise wait for it to be read, and the other end's flow would falter. It also makes the kernel have
  /// that room: SO_RCVBUF is held to net.core.rmem_max, a small part of what a layer sends.
  void ignore_news();

  /// Whether nothing more will come: the other end closed it, or it broke, or read() failed.
  [[nodiscard]] bool has_ended() const { return ended_; }
  /// Whether the other end can't be sent anything more.
  [[nodiscard]] bool is_broken() const { return broken_; }
  /// Ends both directions; who polls the socket wakes up.
  void shut_down();
  /// Tells the other end that nothing more will come.
  void finish_sending();

  [[nodiscard]] int fd() const { return socket_.get(); }

 private:
  struct Outgoing {
    std::array<std::byte, wire::kHeaderBytes> header;
    Payload payload;
    std::size_t sent = 0;  // of both
    [[nodiscard]] std::size_t size() const { return header.size() + payload.size; }
  };
  std::size_t send_some(Outgoing& first);
  void set_least_news(int bytes);
  Status take_staged(const Admit& admit, const Take& take);

  FileDescriptor socket_;
  bool ended_ = false;
  bool broken_ = false;
  int least_news_ = 1;  // bytes
  std::deque<Outgoing> waiting_;
  std::size_t queued_ = 0;

  // What was read and is not taken yet: the beginning of a message, or some small ones.
  static constexpr std::size_t kStage = 16 * 1024;
  std::unique_ptr<std::byte[]> stage_ = std::make_unique<std::byte[]>(kStage);
  std::size_t staged_ = 0;
  // The message that is being read.
  std::optional<wire::Header> header_;
  std::shared_ptr<std::byte[]> payload_;
  std::size_t filled_ = 0;
};

/// Opens a listening socket at "host:port", "*:port"; port 0 takes a free one.
///
/// @return it and the address with its port; Io where it is in use (names the port), InvalidArgument where it
///         cannot be an address
struct Listener {
  FileDescriptor socket;
  std::string address;
};
[[nodiscard]] Result<Listener> listen_at(const std::string& address);

/// Begins to connect; the socket is writable once that has succeeded or failed. Names are looked up first,
/// which may take as long as the system's resolver does.
///
/// @return the socket; InvalidArgument where it cannot be an address, Io where its host is not known
[[nodiscard]] Result<FileDescriptor> begin_connecting(const std::string& address);

/// Whether a socket of begin_connecting() is connected, once it is writable.
[[nodiscard]] bool is_connected(const FileDescriptor& socket);

}  // namespace disco
