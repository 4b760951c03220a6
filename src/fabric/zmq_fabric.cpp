#include "fabric/zmq_fabric.h"

#include <algorithm>
#include <utility>

namespace disco {
namespace {

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Indices of ZmqFabric::watched_, by source.
std::size_t messages_of(int source) { return 1 + 2 * static_cast<std::size_t>(source); }
std::size_t events_of(int source) { return 2 + 2 * static_cast<std::size_t>(source); }

double seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

/// Messages that are taken in at a time: deadlines are looked at in between, however fast a peer sends.
constexpr int kBatch = 256;

}  // namespace

Result<std::unique_ptr<ZmqFabric>> ZmqFabric::listen(const std::string& address, const ZmqOptions& options) {
  std::unique_ptr<ZmqFabric> fabric(new ZmqFabric(options));
  if (static_cast<bool>(options.socket.keys) == options.members.empty()) {
    return error(ErrorCode::InvalidArgument, "a fabric with {} needs {} of its members",
                 options.members.empty() ? "keys" : "members", options.members.empty() ? "the keys" : "keys");
  }
  if (options.socket.keys) {
    DISCO_TRY(fabric->doorman_,
              Doorman::start(fabric->context_, only(options.members, "of no member of this cluster"),
                             [end = fabric.get()](const std::string& line) { end->refuse(line); }));
  }
  DISCO_TRY(fabric->listener_, ZmqSocket::open(fabric->context_, ZMQ_ROUTER, options.socket));
  DISCO_TRY(fabric->address_, fabric->listener_.bind(address));
  return fabric;
}

ZmqFabric::ZmqFabric(const ZmqOptions& options) : options_(options) {}

ZmqFabric::~ZmqFabric() {
  const bool abandoned = !check_cancelled().ok();
  if (abandoned) {
    listener_.set_linger(std::chrono::milliseconds(0));
  }
  for (Peer& peer : peers_) {
    if (abandoned || !peer.ready) {
      peer.socket.set_linger(std::chrono::milliseconds(0));
    }
  }
}

Status ZmqFabric::connect(const Membership& membership, Clock::time_point deadline) {
  const Clock::time_point start = Clock::now();
  const int size = static_cast<int>(membership.addresses.size());
  const auto& keys = options_.socket.keys;
  if (keys && (membership.rank < 0 || options_.members.size() != membership.addresses.size() ||
               membership.rank >= size ||
               options_.members[static_cast<std::size_t>(membership.rank)] != keys->public_key())) {
    return error(ErrorCode::InvalidArgument,
                 "cannot join as node {} of {}: the members' keys ({}) say otherwise", membership.rank, size,
                 options_.members.size());
  }
  DISCO_CHECK(check(membership));
  if (std::exchange(connected_, true)) {
    return error(ErrorCode::InvalidArgument, "an end joins a mesh once");
  }
  rank_ = membership.rank;
  hello_ = membership.hello();
  peers_.resize(membership.addresses.size());
  for (int peer = 0; peer < size; ++peer) {
    at(peer).address = membership.addresses[static_cast<std::size_t>(peer)];
    at(peer).label = membership.label(peer);
  }
  for (int peer = 0; peer < rank_; ++peer) {
    DISCO_TRY(at(peer).socket,
              ZmqSocket::open(
                  context_, ZMQ_DEALER, options_.socket,
                  keys ? std::optional(options_.members[static_cast<std::size_t>(peer)]) : std::nullopt));
    if (const Status connecting = at(peer).socket.connect(at(peer).address); !connecting) {
      return in_context(describe(peer), connecting.error());
    }
  }
  watch();
  for (int peer = 0; peer < rank_; ++peer) {
    say_hello(peer);
  }

  const auto is_missing = [&](const Peer& peer) { return !peer.ready && &peer != &at(rank_); };
  while (true) {
    DISCO_CHECK(check_cancelled());
    for (const Peer& peer : peers_) {
      if (peer.fault) {
        return *peer.fault;
      }
    }
    const auto missing = std::find_if(peers_.begin(), peers_.end(), is_missing);
    if (missing == peers_.end()) {
      return {};
    }
    if (Clock::now() >= deadline) {
      const int peer = static_cast<int>(missing - peers_.begin());
      const double waited = seconds(Clock::now() - start);
      const std::lock_guard lock(stranger_mutex_);
      if (peer > rank_ && stranger_) {
        return error(ErrorCode::ProtocolMismatch, "{} did not join within {:.1f} s; {}", describe(peer),
                     waited, *stranger_);
      }
      return error(ErrorCode::Timeout, "{} did not {} within {:.1f} s; is it running and reachable?",
                   describe(peer), peer > rank_ ? "join" : "answer", waited);
    }
    if (!pump()) {
      wait(deadline);
    }
  }
}

Status ZmqFabric::send(int peer, const MessageId& id, Payload payload) {
  DISCO_CHECK(check_peer(peer));
  // What the monitors saw is taken in first: a DEALER would queue for a peer that is gone.
  notice_events();
  Peer& to = at(peer);
  if (to.fault) {
    return *to.fault;
  }
  if (static_cast<std::int64_t>(payload.size) > options_.socket.max_message_bytes) {
    return error(ErrorCode::InvalidArgument, "a message of {} bytes to {}; at most {} can be sent",
                 payload.size, describe(peer), options_.socket.max_message_bytes);
  }
  const std::size_t queued = to.queued->load(std::memory_order_acquire);
  const std::size_t size = payload.size;
  if (queued + size > options_.max_queued_bytes ||
      !post(peer, wire::Kind::Data, id, {std::move(payload), to.queued})) {
    fault(peer, ErrorCode::PeerLost, fmt::format("does not take its messages ({} bytes wait)", queued));
    return *to.fault;
  }
  to.counters.bytes_sent += size;
  ++to.counters.messages_sent;
  return {};
}

Result<std::optional<Payload>> ZmqFabric::try_receive(int peer, const MessageId& id) {
  DISCO_CHECK(check_peer(peer));
  DISCO_CHECK(check_cancelled());
  if (auto payload = inbox_.take(peer, id)) {
    return payload;
  }
  look();
  const std::uint64_t before = kept_;
  // So many times that a peer that floods does not hold the caller here.
  bool any = true;
  for (int i = 0; i < 16 && (any = pump()); ++i) {
    if (auto payload = inbox_.take(peer, id)) {
      news_ = news_ || kept_ - before > 1;
      return payload;
    }
  }
  drained_ = !any;
  news_ = news_ || kept_ != before;
  // Only now that nothing is left in the sockets: what a peer sent before it went away still counts.
  if (drained_ && at(peer).fault) {
    return *at(peer).fault;
  }
  return std::optional<Payload>();
}

void ZmqFabric::wake() { wake_.set(); }

void ZmqFabric::forget_before(std::uint32_t epoch, std::uint64_t request) {
  inbox_.forget_before(epoch, request);
}

Clock::time_point ZmqFabric::heard(int peer) const {
  return peer >= 0 && peer < size() ? at(peer).heard : Clock::time_point{};
}

void ZmqFabric::cancel(const std::string& reason) {
  {
    const std::lock_guard lock(cancel_mutex_);
    cancel_reason_ = reason;
  }
  wake_.set();
}

Status ZmqFabric::check_cancelled() const {
  const std::lock_guard lock(cancel_mutex_);
  if (cancel_reason_) {
    return Error{ErrorCode::PeerLost, *cancel_reason_};
  }
  return {};
}

std::string ZmqFabric::describe(int peer) const {
  return peer >= 0 && peer < size() ? fmt::format("node {} ({})", peer, at(peer).label)
                                    : fmt::format("node {}", peer);
}

LinkCounters ZmqFabric::counters(int peer) const {
  return peer >= 0 && peer < size() ? at(peer).counters : LinkCounters{};
}

void ZmqFabric::watch() {
  watched_.assign(1, {wake_.fd(), POLLIN, 0});
  const auto add = [this](const ZmqSocket& socket) {
    watched_.push_back({socket.fd(), POLLIN, 0});  // -1 for what is closed, which poll() passes over
    watched_.push_back({socket.monitor_fd(), POLLIN, 0});
  };
  add(listener_);
  for (int peer = 0; peer < rank_; ++peer) {
    add(at(peer).socket);
  }
  fresh_.assign(watched_.size(), true);
}

void ZmqFabric::wait(Clock::time_point deadline) {
  const bool news = std::exchange(news_, false);
  if (!std::exchange(drained_, true) || news) {
    return;
  }
  poll_for(milliseconds_until(deadline));
  if (watched_[0].revents != 0) {
    wake_.clear();  // only here: one who wakes while this end looks around must not be missed
  }
}

void ZmqFabric::poll_for(int milliseconds) {
  if (poll(watched_.data(), watched_.size(), milliseconds) <= 0) {
    return;
  }
  for (std::size_t i = 1; i < watched_.size(); ++i) {
    fresh_[i] = fresh_[i] || watched_[i].revents != 0;
  }
}

void ZmqFabric::look() { poll_for(0); }

void ZmqFabric::notice_events() {
  look();
  pump_events();
}

bool ZmqFabric::pump() {
  // Events first: messages that came before a connection ended are in the sockets by the time that its end is
  // seen.
  bool any = pump_events();
  if (fresh_[messages_of(0)]) {
    any |= pump_listener();
  }
  for (int peer = 0; peer < rank_; ++peer) {
    ZmqSocket& socket = at(peer).socket;
    if (!socket.is_open() || !fresh_[messages_of(1 + peer)]) {
      continue;
    }
    std::optional<std::vector<ZmqFrame>> parts;
    for (int i = 0; i < kBatch && (parts = socket.receive()); ++i) {
      any = true;
      take(peer, *parts);
    }
    fresh_[messages_of(1 + peer)] = parts.has_value();
    // One that is lost may have sent more than a batch before.
    if (at(peer).fault && (!parts || at(peer).fault->code != ErrorCode::PeerLost)) {
      socket.set_linger(std::chrono::milliseconds(0));
      socket.close();  // so that it does not reconnect
      watched_[messages_of(1 + peer)].fd = watched_[events_of(1 + peer)].fd = -1;
    }
  }
  return any;
}

bool ZmqFabric::pump_events() {
  bool any = false;
  if (fresh_[events_of(0)]) {
    fresh_[events_of(0)] = false;
    const ZmqEvents events = listener_.events();
    any = !events.accepted.empty() || !events.disconnected.empty();
    for (const int connection : events.disconnected) {
      open_connections_.erase(connection);
      for (int peer = rank_ + 1; peer < size(); ++peer) {
        if (at(peer).connection == connection) {
          lost(peer);
        }
      }
    }
    open_connections_.insert(events.accepted.begin(), events.accepted.end());
    for (const FailedHandshake& failed : events.failed) {
      if (const auto line = refusal_of(failed, options_.socket.keys != nullptr)) {
        refuse(*line);
      }
    }
  }
  for (int peer = 0; peer < rank_; ++peer) {
    if (at(peer).socket.is_open() && fresh_[events_of(1 + peer)]) {
      fresh_[events_of(1 + peer)] = false;
      const ZmqEvents events = at(peer).socket.events();
      const auto verdict =
          at(peer).ready ? std::nullopt : at(peer).handshakes.take(events, options_.socket.keys);
      if (verdict) {
        any = true;
        fault(peer, ErrorCode::ProtocolMismatch, *verdict);
      } else if (events.disconnected.size() > events.failed.size()) {
        any = true;
        lost(peer);
      }  // else libzmq tries again, and still has what waits to be sent
    }
  }
  return any;
}

bool ZmqFabric::pump_listener() {
  bool any = false;
  std::optional<std::vector<ZmqFrame>> parts;
  fresh_[messages_of(0)] = false;  // before the loop: an answer that is sent in it may swallow news
  for (int i = 0; i < kBatch && (parts = listener_.receive()); ++i) {
    any = true;
    const auto known = identities_.find(parts->front().text());
    if (known != identities_.end()) {
      take(known->second, std::span(*parts).subspan(1));
    } else {
      admit(std::move(*parts));
    }
  }
  fresh_[messages_of(0)] = fresh_[messages_of(0)] || parts.has_value();
  return any;
}

void ZmqFabric::lost(int peer) {
  fresh_[messages_of(peer > rank_ ? 0 : 1 + peer)] = true;  // what it sent before is taken in first
  if (at(peer).ready || peer > rank_) {
    fault(peer, ErrorCode::PeerLost, "went away (its connection ended)");
  } else if (!at(peer).fault) {
    say_hello(peer);  // it restarted, or is not ours; libzmq connects again until the deadline
  }
}

void ZmqFabric::fault(int peer, ErrorCode code, const std::string& reason) {
  if (!at(peer).fault) {
    at(peer).fault = error(code, "{} {}", describe(peer), reason);
  }
}

void ZmqFabric::take(int peer, std::span<ZmqFrame> parts) {
  Peer& from = at(peer);
  if (from.fault && from.fault->code != ErrorCode::PeerLost) {
    return;
  }
  from.heard = Clock::now();
  const auto header = parts.empty()
                          ? decltype(wire::decode_header({}))(Error{ErrorCode::ProtocolMismatch, "no header"})
                          : wire::decode_header(parts[0].bytes());
  if (!header || parts.size() != 2 || header->bytes != parts[1].bytes().size()) {
    return fault(peer, ErrorCode::ProtocolMismatch,
                 "sent what cannot be read: " +
                     (header ? "a message of another size than its header says" : header.error().message));
  }
  if (header->kind == wire::Kind::Refusal) {
    return fault(peer, ErrorCode::ProtocolMismatch,
                 "refused this node: " + wire::printable(parts[1].bytes()));
  }
  if (header->kind == wire::Kind::Hello) {
    const auto hello = wire::decode_hello(parts[1].bytes());
    const Status fits = hello ? check_same_mesh(hello_, *hello) : Status(hello.error());
    if (!fits) {
      return fault(peer, ErrorCode::ProtocolMismatch, "cannot be joined: " + fits.error().message);
    }
    if (static_cast<int>(hello->rank) != peer) {
      return fault(
          peer, ErrorCode::ProtocolMismatch,
          fmt::format("cannot be joined: node {} answers at this address; check the list of addresses",
                      hello->rank));
    }
    from.ready = true;
    return;
  }
  if (!from.ready) {
    return fault(peer, ErrorCode::ProtocolMismatch, "sent data before its handshake");
  }
  ++from.counters.messages_received;
  from.counters.bytes_received += header->bytes;
  if (inbox_.bytes() + header->bytes > options_.max_kept_bytes) {
    return fault(peer, ErrorCode::ProtocolMismatch,
                 fmt::format("sent more than {} bytes ahead of what was asked for", options_.max_kept_bytes));
  }
  inbox_.put(peer, {header->epoch, header->request, header->tag}, ZmqFrame::release(std::move(parts[1])));
  ++kept_;
}

Status ZmqFabric::check_sender(const wire::Hello& hello, const std::string& sender) const {
  if (!options_.socket.keys || sender == options_.members[hello.rank].text()) {
    return {};
  }
  return error(ErrorCode::ProtocolMismatch, "it says that it is node {}, but shows the key {}", hello.rank,
               sender);
}

void ZmqFabric::refuse(const std::string& line) {
  {
    const std::lock_guard lock(stranger_mutex_);
    stranger_ = line;
  }
  if (options_.on_refusal) {
    options_.on_refusal(line);
  }
}

void ZmqFabric::admit(std::vector<ZmqFrame> parts) {
  std::string refusal;
  int peer = -1;
  const int connection = parts.back().source();
  const auto header = parts.size() < 2 ? Result<wire::Header>(Error{ErrorCode::ProtocolMismatch, "no header"})
                                       : wire::decode_header(parts[1].bytes());
  if (!header) {
    refusal = header.error().message;
  } else if (parts.size() != 3 || header->kind != wire::Kind::Hello) {
    refusal = "data without a handshake";
  } else if (const auto hello = wire::decode_hello(parts[2].bytes()); !hello) {
    refusal = hello.error().message;
  } else if (const Status fits = check_same_mesh(hello_, *hello); !fits) {
    refusal = fits.error().message;
  } else if (const Status is_it = check_sender(*hello, parts[2].sender()); !is_it) {
    refusal = is_it.error().message;
  } else if (static_cast<int>(hello->rank) <= rank_ || at(static_cast<int>(hello->rank)).ready) {
    refusal =
        fmt::format("it says that it is node {}, which {}", hello->rank,
                    static_cast<int>(hello->rank) <= rank_ ? "does not connect here" : "is here already");
  } else {
    peer = static_cast<int>(hello->rank);
  }
  if (peer < 0) {
    refuse("refused another peer: " + refusal);
    std::vector<ZmqFrame> answer;
    const wire::Header head{
        .version = options_.version, .kind = wire::Kind::Refusal, .bytes = refusal.size()};
    answer.push_back(std::move(parts[0]));
    answer.emplace_back(std::span<const std::byte>(wire::encode(head)));
    answer.emplace_back(as_bytes(refusal));
    std::ignore = listener_.send(answer);
    return;
  }
  Peer& joined = at(peer);
  joined.identity = parts[0].text();
  joined.connection = connection;
  joined.ready = true;
  joined.heard = Clock::now();
  identities_[joined.identity] = peer;
  say_hello(peer);
  // The connection's end may have been noted before its hello was read, when it was nobody's yet.
  fresh_[events_of(0)] = true;
  pump_events();
  if (!open_connections_.contains(connection)) {
    lost(peer);
  }
}

void ZmqFabric::say_hello(int peer) {
  const auto hello = wire::encode(hello_);
  if (!post(peer, wire::Kind::Hello, {}, ZmqFrame(std::span<const std::byte>(hello)))) {
    fault(peer, ErrorCode::PeerLost, "went away (its connection ended)");
  }
}

bool ZmqFabric::post(int peer, wire::Kind kind, const MessageId& id, ZmqFrame payload) {
  const auto header = wire::encode(wire::Header{.version = options_.version,
                                                .kind = kind,
                                                .epoch = id.epoch,
                                                .tag = id.tag,
                                                .request = id.request,
                                                .bytes = payload.bytes().size()});
  std::vector<ZmqFrame> parts;
  if (peer > rank_) {
    parts.emplace_back(as_bytes(at(peer).identity));
  }
  parts.emplace_back(std::span<const std::byte>(header));
  parts.push_back(std::move(payload));
  ZmqSocket& socket = peer > rank_ ? listener_ : at(peer).socket;
  fresh_[messages_of(peer > rank_ ? 0 : 1 + peer)] = true;  // see ZmqSocket::fd
  return socket.is_open() && socket.send(parts);
}

}  // namespace disco
