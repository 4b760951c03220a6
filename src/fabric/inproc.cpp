#include "fabric/inproc.h"

#include <condition_variable>
#include <mutex>
#include <optional>

#include "fabric/inbox.h"

namespace disco {
namespace {

/// One rank's part of the mesh. Locked one at a time, so no order of locks is needed.
struct Mailbox {
  std::mutex mutex;
  std::condition_variable arrived;
  Inbox inbox;
  std::vector<bool> gone;                // by peer: that end was destroyed
  std::vector<Clock::time_point> heard;  // by peer: when its last message came
  std::vector<LinkCounters> received;    // by peer: the receiving halves only
  std::optional<std::string> cancelled;
  std::uint64_t happened = 0;  // counts what a wait ends for
  std::uint64_t seen = 0;      // of it, by the owner's last look for a message
  bool woken = false;
};

struct Mesh {
  explicit Mesh(int ranks) : boxes(static_cast<std::size_t>(ranks)) {
    for (Mailbox& box : boxes) {
      box.gone.resize(boxes.size());
      box.heard.resize(boxes.size());
      box.received.resize(boxes.size());
    }
  }
  std::vector<Mailbox> boxes;
};

class InprocFabric final : public Fabric {
 public:
  InprocFabric(std::shared_ptr<Mesh> mesh, int rank)
      : mesh_(std::move(mesh)), rank_(rank), sent_(mesh_->boxes.size()) {}

  ~InprocFabric() override {
    for (Mailbox& other : mesh_->boxes) {
      notify(other, [&](Mailbox& box) { box.gone[index(rank_)] = true; });
    }
  }

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(mesh_->boxes.size()); }

  Status send(int peer, const MessageId& id, Payload payload) override {
    DISCO_CHECK(check_peer(peer));
    {
      Mailbox& own = mesh_->boxes[index(rank_)];
      const std::lock_guard lock(own.mutex);
      if (own.gone[index(peer)]) {
        return error(ErrorCode::PeerLost, "{} went away (it closed its end)", describe(peer));
      }
    }
    LinkCounters& counters = sent_[index(peer)];
    counters.bytes_sent += payload.size;
    ++counters.messages_sent;
    notify(mesh_->boxes[index(peer)], [&](Mailbox& box) {
      box.heard[index(rank_)] = Clock::now();
      box.received[index(rank_)].bytes_received += payload.size;
      ++box.received[index(rank_)].messages_received;
      box.inbox.put(rank_, id, std::move(payload));
    });
    return {};
  }

  Result<std::optional<Payload>> try_receive(int peer, const MessageId& id) override {
    DISCO_CHECK(check_peer(peer));
    Mailbox& box = mesh_->boxes[index(rank_)];
    const std::lock_guard lock(box.mutex);
    box.seen = box.happened;
    if (box.cancelled) {
      return error(ErrorCode::PeerLost, "{}", *box.cancelled);
    }
    if (auto payload = box.inbox.take(peer, id)) {
      return payload;
    }
    if (box.gone[index(peer)]) {
      return error(ErrorCode::PeerLost, "{} went away (it closed its end)", describe(peer));
    }
    return std::optional<Payload>();
  }

  void wait(Clock::time_point deadline) override {
    Mailbox& box = mesh_->boxes[index(rank_)];
    std::unique_lock lock(box.mutex);
    // wait_until() of the furthest deadline would overflow in some libraries.
    const auto end = std::min(deadline, Clock::now() + std::chrono::hours(1));
    box.arrived.wait_until(lock, end, [&] { return box.woken || box.seen != box.happened; });
    box.woken = false;
  }

  void wake() override {
    notify(mesh_->boxes[index(rank_)], [](Mailbox& box) { box.woken = true; });
  }

  void forget_before(std::uint32_t epoch, std::uint64_t request) override {
    Mailbox& box = mesh_->boxes[index(rank_)];
    const std::lock_guard lock(box.mutex);
    box.inbox.forget_before(epoch, request);
  }

  Clock::time_point heard(int peer) const override {
    Mailbox& box = mesh_->boxes[index(rank_)];
    const std::lock_guard lock(box.mutex);
    return box.heard[index(peer)];
  }

  void cancel(const std::string& reason) override {
    notify(mesh_->boxes[index(rank_)], [&](Mailbox& box) { box.cancelled = reason; });
  }

  std::string describe(int peer) const override {
    return fmt::format("node {} (a thread of this process)", peer);
  }

  LinkCounters counters(int peer) const override {
    if (peer < 0 || peer >= size()) {
      return {};
    }
    LinkCounters counters = sent_[index(peer)];
    Mailbox& box = mesh_->boxes[index(rank_)];
    const std::lock_guard lock(box.mutex);
    counters.bytes_received = box.received[index(peer)].bytes_received;
    counters.messages_received = box.received[index(peer)].messages_received;
    return counters;
  }

 private:
  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

  /// Changes a mailbox and ends its owner's wait.
  template <typename Change>
  static void notify(Mailbox& box, Change change) {
    {
      const std::lock_guard lock(box.mutex);
      change(box);
      ++box.happened;
    }
    box.arrived.notify_all();
  }

  Status check_peer(int peer) const {
    if (peer < 0 || peer >= size() || peer == rank_) {
      return error(ErrorCode::InvalidArgument, "node {} has no link to node {} in a cluster of {}", rank_,
                   peer, size());
    }
    return {};
  }

  std::shared_ptr<Mesh> mesh_;
  int rank_;
  std::vector<LinkCounters> sent_;  // by peer: the sending halves only; used by this rank's thread alone
};

}  // namespace

std::vector<std::unique_ptr<Fabric>> InprocMesh::create(int ranks) {
  auto mesh = std::make_shared<Mesh>(ranks);
  std::vector<std::unique_ptr<Fabric>> ends;
  for (int rank = 0; rank < ranks; ++rank) {
    ends.push_back(std::make_unique<InprocFabric>(mesh, rank));
  }
  return ends;
}

}  // namespace disco
