#include "fabric/mailbox.h"

#include <algorithm>
#include <utility>

namespace disco {
namespace {

std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

}  // namespace

template <typename Change>
void Mailbox::notify(Change change) {
  {
    const std::lock_guard lock(mutex_);
    change();
    news_ = true;
  }
  arrived_.notify_all();
}

void Mailbox::put(int from, const MessageId& id, Payload payload) {
  notify([&] {
    heard_[index(from)] = Clock::now();
    received_[index(from)].bytes_received += payload.size;
    ++received_[index(from)].messages_received;
    inbox_.put(from, id, std::move(payload));
  });
}

void Mailbox::leave(int peer) {
  notify([&] { gone_[index(peer)] = true; });
}

void Mailbox::cancel(const std::string& reason) {
  notify([&] { cancelled_ = reason; });
}

void Mailbox::wake() {
  notify([] {});
}

Status Mailbox::check_cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_ ? Status(error(ErrorCode::PeerLost, "{}", *cancelled_)) : Status();
}

Result<Mailbox::Taken> Mailbox::take(int peer, const MessageId& id) {
  DISCO_CHECK(check_cancelled());
  const std::lock_guard lock(mutex_);
  Taken taken{.payload = inbox_.take(peer, id)};
  taken.gone = !taken.payload && gone_[index(peer)];
  return taken;
}

bool Mailbox::has_news() const {
  const std::lock_guard lock(mutex_);
  return news_;
}

void Mailbox::wait(Clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  // wait_until() of the furthest deadline would overflow in some libraries.
  const auto end = std::min(deadline, Clock::now() + std::chrono::hours(1));
  arrived_.wait_until(lock, end, [&] { return news_; });
  news_ = false;
}

void Mailbox::forget_before(std::uint32_t epoch, std::uint64_t request) {
  const std::lock_guard lock(mutex_);
  inbox_.forget_before(epoch, request);
}

bool Mailbox::is_gone(int peer) const {
  const std::lock_guard lock(mutex_);
  return gone_[index(peer)];
}

Clock::time_point Mailbox::heard(int peer) const {
  const std::lock_guard lock(mutex_);
  return heard_[index(peer)];
}

LinkCounters Mailbox::received(int peer) const {
  const std::lock_guard lock(mutex_);
  return received_[index(peer)];
}

Result<std::optional<Payload>> MailboxFabric::try_receive(int peer, const MessageId& id) {
  DISCO_CHECK(check_peer(peer));
  DISCO_TRY(Mailbox::Taken taken, mailbox_->take(peer, id));
  if (taken.gone) {
    return gone(peer);
  }
  return std::move(taken.payload);
}

LinkCounters MailboxFabric::counters(int peer) const {
  if (peer < 0 || peer >= size()) {
    return {};
  }
  LinkCounters counters = mailbox_->received(peer);
  counters.bytes_sent = sent_[index(peer)].bytes_sent;
  counters.messages_sent = sent_[index(peer)].messages_sent;
  return counters;
}

Status MailboxFabric::check_open(int peer) const {
  DISCO_CHECK(check_peer(peer));
  if (mailbox_->is_gone(peer)) {
    return gone(peer);
  }
  return {};
}

void MailboxFabric::count_sent(int peer, std::size_t bytes) {
  sent_[index(peer)].bytes_sent += bytes;
  ++sent_[index(peer)].messages_sent;
}

Error MailboxFabric::gone(int peer) const {
  return error(ErrorCode::PeerLost, "{} went away (it closed its end)", describe(peer));
}

}  // namespace disco
