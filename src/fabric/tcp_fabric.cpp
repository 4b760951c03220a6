#include "fabric/tcp_fabric.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

namespace disco {
namespace {

constexpr const char* kEnded = "went away (its connection ended)";

const auto kAnything = [](const wire::Header&) { return Status(); };

}  // namespace

Result<std::unique_ptr<TcpFabric>> TcpFabric::listen(const std::string& address, const TcpOptions& options) {
  DISCO_TRY(Listener listener, listen_at(address));
  return std::unique_ptr<TcpFabric>(new TcpFabric(options, std::move(listener)));
}

TcpFabric::TcpFabric(const TcpOptions& options, Listener listener)
    : options_(options), listener_(std::move(listener)) {}

TcpFabric::~TcpFabric() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  keeper_wake_.set();
  if (keeper_.joinable()) keeper_.join();
  if (cancel_reason_) return;
  const Clock::time_point deadline = Clock::now() + options_.linger;
  // What has come is read too: the end of a connection with bytes that nobody read takes back what it sent.
  while (Clock::now() < deadline) {
    std::vector<pollfd> pending;
    for (Peer& peer : peers_) {
      if (!is_live(peer) || peer.fault) continue;
      peer.link.flush();
      if (!peer.link.is_blocked()) peer.link.finish_sending();
      std::ignore = peer.link.read(kAnything, [](const wire::Header&, const Payload&) { return Status(); });
      if (!peer.link.has_ended() && (peer.link.is_blocked() || peer.link.unconfirmed() > 0))
        pending.push_back({peer.link.fd(), POLLIN, 0});
    }
    if (pending.empty()) return;
    poll(pending.data(), pending.size(), 2);  // nothing tells of bytes that are confirmed
  }
}

Status TcpFabric::connect(const Membership& membership, Clock::time_point deadline) {
  const Clock::time_point start = Clock::now();
  DISCO_CHECK(check(membership));
  if (std::exchange(connected_, true)) {
    return error(ErrorCode::InvalidArgument, "an end joins a mesh once");
  }
  membership_ = membership;
  peers_.resize(membership.addresses.size());
  next_beat_ = start + options_.heartbeat_interval;
  keeper_ = std::thread([this] { keep(); });
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (const auto reason = cancelled()) return *reason;
      int missing = -1;
      for (int peer = size() - 1; peer >= 0; --peer) {
        const Peer& item = peers_[static_cast<std::size_t>(peer)];
        if (item.fault) return *item.fault;
        if (peer != rank() && !item.ready) missing = peer;
      }
      if (missing < 0) return {};
      if (Clock::now() >= deadline) {
        const double waited = std::chrono::duration<double>(Clock::now() - start).count();
        if (missing > rank() && stranger_) {
          return error(ErrorCode::ProtocolMismatch, "{} did not join within {:.1f} s; {}", describe(missing),
                       waited, *stranger_);
        }
        return error(ErrorCode::Timeout, "{} did not {} within {:.1f} s; is it running and reachable?",
                     describe(missing), missing > rank() ? "join" : "answer", waited);
      }
    }
    pollfd item{wake_.fd(), POLLIN, 0};
    poll(&item, 1, milliseconds_until(deadline));
    wake_.clear();
  }
}

Status TcpFabric::send(int peer, const MessageId& id, Payload payload) {
  DISCO_CHECK(check_peer(peer));
  const std::size_t size = payload.size;
  bool blocked = false;
  {
    const std::lock_guard lock(mutex_);
    Peer& to = peers_[static_cast<std::size_t>(peer)];
    if (to.fault) return *to.fault;
    if (size > options_.max_message_bytes) {
      return error(ErrorCode::InvalidArgument, "a message of {} bytes to {}; at most {} can be sent", size,
                   describe(peer), options_.max_message_bytes);
    }
    if (to.link.queued() + size > options_.max_queued_bytes) {
      fault(peer, ErrorCode::PeerLost,
            fmt::format("does not take its messages ({} bytes wait)", to.link.queued()));
      return *to.fault;
    }
    to.link.send({.version = options_.version,
                  .kind = wire::Kind::Data,
                  .epoch = id.epoch,
                  .tag = id.tag,
                  .request = id.request},
                 std::move(payload));
    if (to.link.is_broken()) {
      fault(peer, ErrorCode::PeerLost, kEnded);
      return *to.fault;
    }
    blocked = to.link.is_blocked();
    to.counters.bytes_sent += size;
    ++to.counters.messages_sent;
  }
  if (blocked) keeper_wake_.set();
  return {};
}

Result<std::optional<Payload>> TcpFabric::try_receive(int peer, const MessageId& id) {
  DISCO_CHECK(check_peer(peer));
  const std::lock_guard lock(mutex_);
  if (const auto reason = cancelled()) return *reason;
  if (auto payload = inbox_.take(peer, id)) return payload;
  const std::uint64_t before = kept_;
  const bool any = take_in(peer);
  auto payload = inbox_.take(peer, id);
  if (!payload) peers_[static_cast<std::size_t>(peer)].asked = true;
  news_ = news_ || kept_ - before > (payload ? 1U : 0U);
  // Only now that nothing is left in the socket: what a peer sent before it went away still counts.
  if (const auto& fault = peers_[static_cast<std::size_t>(peer)].fault; !payload && !any && fault) {
    return *fault;
  }
  return payload;
}

void TcpFabric::wait(Clock::time_point deadline) {
  watched_.assign(1, {wake_.fd(), POLLIN, 0});
  watched_peers_.clear();
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(news_, false)) return;
    for (int peer = 0; peer < size(); ++peer) {
      Peer& item = peers_[static_cast<std::size_t>(peer)];
      if (!is_live(item)) continue;
      if (std::exchange(item.asked, false)) item.link.expect_news();
      watched_.push_back({item.link.fd(), POLLIN, 0});
      watched_peers_.push_back(peer);
    }
  }
  poll(watched_.data(), watched_.size(), milliseconds_until(deadline));
  if (watched_[0].revents != 0) wake_.clear();
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < watched_peers_.size(); ++i) {
    if (watched_[i + 1].revents != 0) take_in(watched_peers_[i]);
    peers_[static_cast<std::size_t>(watched_peers_[i])].link.ignore_news();
  }
  news_ = false;  // whoever waited looks for everything now
}

void TcpFabric::forget_before(std::uint32_t epoch, std::uint64_t request) {
  const std::lock_guard lock(mutex_);
  inbox_.forget_before(epoch, request);
}

Clock::time_point TcpFabric::heard(int peer) const {
  const std::lock_guard lock(mutex_);
  return peer >= 0 && peer < size() ? peers_[static_cast<std::size_t>(peer)].heard : Clock::time_point{};
}

void TcpFabric::cancel(const std::string& reason) {
  {
    const std::lock_guard lock(mutex_);
    cancel_reason_ = reason;
  }
  wake_.set();
}

Status TcpFabric::check_cancelled() const {
  const std::lock_guard lock(mutex_);
  const auto reason = cancelled();
  return reason ? Status(*reason) : Status();
}

std::optional<Error> TcpFabric::cancelled() const {
  if (cancel_reason_) return Error{ErrorCode::PeerLost, *cancel_reason_};
  return std::nullopt;
}

std::string TcpFabric::describe(int peer) const {
  return peer >= 0 && peer < size() ? fmt::format("node {} ({})", peer, membership_.label(peer))
                                    : fmt::format("node {}", peer);
}

LinkCounters TcpFabric::counters(int peer) const {
  const std::lock_guard lock(mutex_);
  return peer >= 0 && peer < size() ? peers_[static_cast<std::size_t>(peer)].counters : LinkCounters{};
}

void TcpFabric::fault(int peer, ErrorCode code, const std::string& reason) {
  Peer& of = peers_[static_cast<std::size_t>(peer)];
  if (!of.fault) of.fault = error(code, "{} {}", describe(peer), reason);
}

/// Reads what has come of a peer. @return whether that was anything
bool TcpFabric::take_in(int peer) {
  Peer& from = peers_[static_cast<std::size_t>(peer)];
  if (from.link.has_ended()) return false;
  const auto any = from.link.read(
      [&](const wire::Header& header) { return admit(peer, header); },
      [&](const wire::Header& header, Payload payload) { return take(peer, header, std::move(payload)); });
  if (!any) {
    fault(peer, any.error().code, any.error().message);
    from.link.shut_down();
    return false;
  }
  if (*any) from.heard = Clock::now();
  if (from.link.has_ended() && from.ready) fault(peer, ErrorCode::PeerLost, kEnded);
  return *any;
}

/// What a peer may send, before there is room for it.
Status TcpFabric::admit(int peer, const wire::Header& header) const {
  const Peer& from = peers_[static_cast<std::size_t>(peer)];
  if (header.kind == wire::Kind::Data && !from.ready) {
    return error(ErrorCode::ProtocolMismatch, "sent data before its handshake");
  }
  if (header.bytes > (header.kind == wire::Kind::Data ? options_.max_message_bytes : 4096)) {
    return error(ErrorCode::ProtocolMismatch, "sent a message of {} bytes; at most {} are taken",
                 header.bytes, options_.max_message_bytes);
  }
  if (header.kind == wire::Kind::Data && inbox_.bytes() + header.bytes > options_.max_kept_bytes) {
    return error(ErrorCode::ProtocolMismatch, "sent more than {} bytes ahead of what was asked for",
                 options_.max_kept_bytes);
  }
  return {};
}

Status TcpFabric::take(int peer, const wire::Header& header, Payload payload) {
  Peer& from = peers_[static_cast<std::size_t>(peer)];
  switch (header.kind) {
    case wire::Kind::Beat: return {};
    case wire::Kind::Refusal:
      return error(ErrorCode::ProtocolMismatch, "refused this node: {}", wire::printable(payload.bytes()));
    case wire::Kind::Hello: return take_hello(peer, payload);
    case wire::Kind::Data: break;
  }
  ++from.counters.messages_received;
  from.counters.bytes_received += payload.size;
  inbox_.put(peer, {header.epoch, header.request, header.tag}, std::move(payload));
  ++kept_;
  return {};
}

/// The answer of a lower rank.
Status TcpFabric::take_hello(int peer, const Payload& payload) {
  const auto hello = wire::decode_hello(payload.bytes());
  const Status fits = hello ? check_same_mesh(membership_.hello(), *hello) : Status(hello.error());
  if (!fits) {
    return error(ErrorCode::ProtocolMismatch, "cannot be joined: {}", fits.error().message);
  }
  if (static_cast<int>(hello->rank) != peer) {
    return error(ErrorCode::ProtocolMismatch,
                 "cannot be joined: node {} answers at this address; check the list of addresses",
                 hello->rank);
  }
  peers_[static_cast<std::size_t>(peer)].ready = true;
  return {};
}

void TcpFabric::send_hello(TcpLink& link) const {
  const auto hello = wire::encode(membership_.hello());
  const std::shared_ptr<std::byte[]> bytes(new std::byte[hello.size()]);
  std::copy(hello.begin(), hello.end(), bytes.get());
  link.send({.version = options_.version, .kind = wire::Kind::Hello},
            {std::shared_ptr<const std::byte>(bytes, bytes.get()), hello.size()});
}

}  // namespace disco
