// What TcpFabric's keeper does: connections that are made, callers at the door, what the kernel had no room
// for, and signs of life.

#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "fabric/tcp_fabric.h"

namespace disco {
namespace {

using std::chrono::milliseconds;

/// How long a caller may take to say who it is, and one that was refused to leave.
constexpr milliseconds kPatience{5000};
constexpr milliseconds kFarewell{1000};
/// Between attempts to connect to a peer that is not there yet.
constexpr milliseconds kRetry{50};
/// The most callers at a time; the oldest one gives way.
constexpr std::size_t kMostCallers = 64;

bool is_writable(const FileDescriptor& socket) {
  pollfd item{socket.get(), POLLOUT, 0};
  return poll(&item, 1, 0) > 0;
}

}  // namespace

void TcpFabric::keep() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    const Clock::time_point now = Clock::now();
    for (int peer = 0; peer < size(); ++peer) {
      Peer& item = peers_[static_cast<std::size_t>(peer)];
      if (peer < rank() && !item.ready && !item.fault) {
        connect_to(peer, now, lock);
      } else if (item.link.is_blocked()) {
        item.link.flush();
      }
    }
    open_door(now);
    if (now >= next_beat_) {
      check_hearts(now);
      next_beat_ = now + options_.heartbeat_interval;
    }
    std::vector<pollfd> watched = watched_by_keeper();
    const int patience = milliseconds_until(keepers_deadline());
    lock.unlock();
    poll(watched.data(), watched.size(), patience);
    if (watched[0].revents != 0) keeper_wake_.clear();
    lock.lock();
  }
}

std::vector<pollfd> TcpFabric::watched_by_keeper() const {
  std::vector<pollfd> watched = {{keeper_wake_.fd(), POLLIN, 0}, {listener_.socket.get(), POLLIN, 0}};
  for (const Caller& caller : callers_) watched.push_back({caller.link.fd(), POLLIN, 0});
  for (const Peer& peer : peers_) {
    if (peer.connecting) {
      watched.push_back({peer.connecting.get(), POLLOUT, 0});
    } else if (!peer.ready && !peer.fault) {
      watched.push_back({peer.link.fd(), POLLIN, 0});  // its answer; -1 is passed over
    } else if (peer.link.is_blocked()) {
      watched.push_back({peer.link.fd(), POLLOUT, 0});
    }
  }
  return watched;
}

Clock::time_point TcpFabric::keepers_deadline() const {
  Clock::time_point next = next_beat_;
  for (const Caller& caller : callers_) next = std::min(next, caller.until);
  for (int peer = 0; peer < rank(); ++peer) {
    const Peer& item = peers_[static_cast<std::size_t>(peer)];
    if (!item.ready && !item.fault && !item.connecting && item.link.fd() < 0)
      next = std::min(next, item.next_attempt);
  }
  return next;
}

/// One more step on the way to a lower rank.
void TcpFabric::connect_to(int peer, Clock::time_point now, std::unique_lock<std::mutex>& lock) {
  Peer& to = peers_[static_cast<std::size_t>(peer)];
  if (to.link.fd() >= 0) {
    take_in(peer);
    if (to.ready || to.fault) {
      to.link.ignore_news();
      wake_.set();
    } else if (to.link.has_ended()) {  // it restarted, or is not ours
      to.link = TcpLink();
      to.next_attempt = now + kRetry;
    }
  } else if (to.connecting) {
    if (!is_writable(to.connecting)) return;
    if (is_connected(to.connecting)) {
      to.link = TcpLink(std::move(to.connecting));
      to.link.expect_news();
      send_hello(to.link);
    } else {
      to.connecting.reset();
      to.next_attempt = now + kRetry;
    }
  } else if (now >= to.next_attempt) {
    lock.unlock();  // looking up a name may take long
    auto socket = begin_connecting(membership_.addresses[static_cast<std::size_t>(peer)]);
    lock.lock();
    if (socket) {
      to.connecting = std::move(*socket);
    } else {
      to.fault = in_context(describe(peer), socket.error());
      wake_.set();
    }
  }
}

void TcpFabric::open_door(Clock::time_point now) {
  while (true) {
    FileDescriptor socket(accept4(listener_.socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) break;
    if (callers_.size() >= kMostCallers) callers_.pop_front();
    callers_.push_back({TcpLink(std::move(socket)), now + kPatience});
  }
  for (Caller& caller : callers_) caller.link.expect_news();
  callers_.remove_if([&](Caller& caller) {
    hear_out(caller, now);
    return caller.link.fd() < 0 || (caller.link.has_ended() && !caller.refused) || now >= caller.until;
  });
}

/// Reads who a caller is, and takes it in as a peer or refuses it.
void TcpFabric::hear_out(Caller& caller, Clock::time_point now) {
  if (caller.refused) {  // what it still says goes nowhere, until it has read why and leaves
    std::byte nothing[1024];
    ssize_t got = 0;
    while ((got = recv(caller.link.fd(), nothing, sizeof nothing, MSG_DONTWAIT)) > 0) {
    }
    if (got == 0) caller.until = now;
    return;
  }
  std::optional<wire::Hello> hello;
  const auto heard = caller.link.read(
      [&](const wire::Header& header) {
        const bool is_hello = header.kind == wire::Kind::Hello && header.bytes == wire::kHelloBytes;
        return is_hello && !hello ? Status() : error(ErrorCode::ProtocolMismatch, "data without a handshake");
      },
      [&](const wire::Header&, const Payload& payload) -> Status {
        DISCO_TRY(hello, wire::decode_hello(payload.bytes()));
        return check_same_mesh(membership_.hello(), *hello);
      });
  if (!heard) return refuse(caller, heard.error().message, now);
  if (!hello) return;
  const int peer = static_cast<int>(hello->rank);
  if (peer <= rank() || peers_[hello->rank].ready) {
    return refuse(caller,
                  fmt::format("it says that it is node {}, which {}", peer,
                              peer <= rank() ? "does not connect here" : "is here already"),
                  now);
  }
  Peer& joined = peers_[hello->rank];
  joined.link = std::move(caller.link);
  joined.link.ignore_news();
  joined.heard = now;
  joined.ready = true;
  send_hello(joined.link);
  wake_.set();
}

void TcpFabric::refuse(Caller& caller, const std::string& reason, Clock::time_point now) {
  stranger_ = "refused another peer: " + reason;
  if (options_.on_refusal) options_.on_refusal(*stranger_);
  const std::shared_ptr<std::byte[]> text(new std::byte[reason.size()]);
  std::memcpy(text.get(), reason.data(), reason.size());
  caller.link.send({.version = options_.version, .kind = wire::Kind::Refusal},
                   {std::shared_ptr<const std::byte>(text, text.get()), reason.size()});
  caller.link.finish_sending();
  caller.refused = true;
  caller.until = now + kFarewell;
}

void TcpFabric::check_hearts(Clock::time_point now) {
  for (int peer = 0; peer < size(); ++peer) {
    Peer& item = peers_[static_cast<std::size_t>(peer)];
    if (!is_live(item) || item.fault) continue;
    // Nobody may have read for long, where this rank computes.
    const std::uint64_t before = kept_;
    take_in(peer);
    news_ = news_ || kept_ != before;
    if (const auto silent = now - item.heard; !item.fault && silent > options_.heartbeat_timeout) {
      fault(peer, ErrorCode::PeerLost,
            fmt::format("has given no sign of life for {:.1f} s",
                        std::chrono::duration<double>(silent).count()));
      item.link.shut_down();
    }
    if (!item.fault && !item.link.is_blocked())
      item.link.send({.version = options_.version, .kind = wire::Kind::Beat}, {});
    if (item.fault || kept_ != before) wake_.set();
  }
}

}  // namespace disco
