#include "fabric/mpi/world.h"

#include <sys/prctl.h>

#include <algorithm>
#include <future>
#include <limits>
#include <utility>

namespace disco {
namespace {

constexpr int kEnvelopeTag = 1;
constexpr int kBodyTag = 2;
/// Each nap's end takes the core from whoever computes on it, so naps are long while nobody waits: of 20 us
/// they double a computation's time, of 200 us they cost a twentieth. A core whose owner waits is free.
constexpr std::chrono::microseconds kWaitingNap{50};
constexpr std::chrono::microseconds kWorkingNap{300};
constexpr std::chrono::microseconds kLongestNap{1000};
/// How long the end of a process waits for what it still has to send.
constexpr std::chrono::seconds kLinger{5};

class MpiFabric final : public Fabric {
 public:
  MpiFabric(MpiProcess& process, MpiWorld::Mesh mesh, std::shared_ptr<MpiChannel> channel)
      : process_(process), mesh_(std::move(mesh)), channel_(std::move(channel)), sent_(mesh_.labels.size()) {}

  ~MpiFabric() override {
    process_.leave(*channel_);
    for (int peer = 0; peer < size(); ++peer) {
      if (peer != rank()) process_.post(envelope(MpiEnvelope::Kind::Bye, peer, {}, 0), {});
    }
  }

  int rank() const override { return mesh_.rank; }
  int size() const override { return static_cast<int>(mesh_.labels.size()); }

  Status send(int peer, const MessageId& id, Payload payload) override {
    DISCO_CHECK(check_peer(peer));
    if (payload.size > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
      return error(ErrorCode::InvalidArgument,
                   "a message of {} bytes to {}; MPI takes less than 2 GiB at once", payload.size,
                   describe(peer));
    }
    {
      const std::lock_guard lock(channel_->mutex);
      if (channel_->gone[index(peer)]) return gone(peer);
    }
    sent_[index(peer)].bytes_sent += payload.size;
    ++sent_[index(peer)].messages_sent;
    const std::size_t bytes = payload.size;
    process_.post(envelope(MpiEnvelope::Kind::Data, peer, id, bytes), std::move(payload));
    return {};
  }

  Result<std::optional<Payload>> try_receive(int peer, const MessageId& id) override {
    DISCO_CHECK(check_peer(peer));
    const std::lock_guard lock(channel_->mutex);
    channel_->seen = channel_->happened;
    if (channel_->cancelled) return error(ErrorCode::PeerLost, "{}", *channel_->cancelled);
    if (auto payload = channel_->inbox.take(peer, id)) return payload;
    if (channel_->gone[index(peer)]) return gone(peer);
    return std::optional<Payload>();
  }

  void wait(Clock::time_point deadline) override {
    std::unique_lock lock(channel_->mutex);
    // wait_until() of the furthest deadline would overflow in some libraries.
    const auto end = std::min(deadline, Clock::now() + std::chrono::hours(1));
    const auto news = [&] { return channel_->woken || channel_->seen != channel_->happened; };
    if (!news()) {
      const MpiProcess::Waiting waiting(process_);
      channel_->arrived.wait_until(lock, end, news);
    }
    channel_->woken = false;
  }

  void wake() override {
    channel_->notify([](MpiChannel& channel) { channel.woken = true; });
  }

  void forget_before(std::uint32_t epoch, std::uint64_t request) override {
    const std::lock_guard lock(channel_->mutex);
    channel_->inbox.forget_before(epoch, request);
  }

  Clock::time_point heard(int peer) const override {
    const std::lock_guard lock(channel_->mutex);
    return channel_->heard[index(peer)];
  }

  void cancel(const std::string& reason) override {
    channel_->notify([&](MpiChannel& channel) { channel.cancelled = reason; });
  }

  std::string describe(int peer) const override {
    return peer >= 0 && peer < size() ? fmt::format("node {} ({})", peer, mesh_.labels[index(peer)])
                                      : fmt::format("node {}", peer);
  }

  LinkCounters counters(int peer) const override {
    if (peer < 0 || peer >= size()) return {};
    LinkCounters counters = sent_[index(peer)];
    const std::lock_guard lock(channel_->mutex);
    counters.bytes_received = channel_->received[index(peer)].bytes_received;
    counters.messages_received = channel_->received[index(peer)].messages_received;
    return counters;
  }

 private:
  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

  MpiEnvelope envelope(MpiEnvelope::Kind kind, int peer, const MessageId& id, std::size_t bytes) const {
    return {.cluster = mesh_.cluster,
            .request = id.request,
            .bytes = bytes,
            .mesh_epoch = mesh_.epoch,
            .epoch = id.epoch,
            .tag = id.tag,
            .from = rank(),
            .to = peer,
            .kind = kind};
  }

  Error gone(int peer) const {
    return error(ErrorCode::PeerLost, "{} went away (it closed its end)", describe(peer));
  }

  Status check_peer(int peer) const {
    if (peer < 0 || peer >= size() || peer == rank()) {
      return error(ErrorCode::InvalidArgument, "node {} has no link to node {} in a cluster of {}", rank(),
                   peer, size());
    }
    return {};
  }

  MpiProcess& process_;
  MpiWorld::Mesh mesh_;
  std::shared_ptr<MpiChannel> channel_;
  std::vector<LinkCounters> sent_;  // by peer: the sending halves only; used by this end's thread alone
};

std::string reason_of(int code) {
  char text[MPI_MAX_ERROR_STRING] = {};
  int size = 0;
  MPI_Error_string(code, text, &size);
  return as_one_line(std::string_view(text, static_cast<std::size_t>(size)));
}

}  // namespace

Result<std::unique_ptr<MpiProcess>> MpiProcess::open() {
  auto process = std::make_unique<MpiProcess>();
  std::promise<std::optional<std::string>> started;
  auto outcome = started.get_future();
  process->thread_ = std::thread([world = process.get(), &started] {
    // MPI's own thread is the one that starts and ends it.
    int provided = 0;
    const int code = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
    if (code != MPI_SUCCESS || provided < MPI_THREAD_FUNNELED) {
      return started.set_value("MPI cannot be started beside other threads");
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &world->rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &world->size_);
    world->receiving_.resize(static_cast<std::size_t>(world->size_));
    started.set_value(std::nullopt);
    world->live();
  });
  if (const auto reason = outcome.get()) {
    process->thread_.join();
    return error(ErrorCode::Io, "{}", *reason);
  }
  return process;
}

MpiProcess::~MpiProcess() {
  if (!thread_.joinable()) return;
  if (rank_ == 0) {
    for (int other = 1; other < size_; ++other) {
      post({.to = other, .kind = MpiEnvelope::Kind::End}, {});
    }
  }
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_one();
  thread_.join();
}

Result<std::vector<std::string>> MpiProcess::all_gather(const std::string& mine) {
  std::promise<Result<std::vector<std::string>>> done;
  auto outcome = done.get_future();
  {
    const std::lock_guard lock(mutex_);
    tasks_.emplace_back([&] {
      const int size = static_cast<int>(mine.size());
      std::vector<int> sizes(static_cast<std::size_t>(size_));
      std::vector<int> offsets(sizes.size());
      MPI_Request request = MPI_REQUEST_NULL;
      int code = MPI_Iallgather(&size, 1, MPI_INT, sizes.data(), 1, MPI_INT, MPI_COMM_WORLD, &request);
      if (code == MPI_SUCCESS) code = finish(request);
      int total = 0;
      for (std::size_t i = 0; i < sizes.size(); ++i) {
        offsets[i] = total;
        total += sizes[i];
      }
      std::string all(static_cast<std::size_t>(total), '\0');
      if (code == MPI_SUCCESS) {
        code = MPI_Iallgatherv(mine.data(), size, MPI_CHAR, all.data(), sizes.data(), offsets.data(),
                               MPI_CHAR, MPI_COMM_WORLD, &request);
      }
      if (code == MPI_SUCCESS) code = finish(request);
      if (code != MPI_SUCCESS) return done.set_value(error(ErrorCode::PeerLost, "MPI: {}", reason_of(code)));
      std::vector<std::string> texts;
      for (std::size_t i = 0; i < sizes.size(); ++i) {
        texts.push_back(all.substr(static_cast<std::size_t>(offsets[i]), static_cast<std::size_t>(sizes[i])));
      }
      done.set_value(std::move(texts));
    });
  }
  work_.notify_one();
  return outcome.get();
}

Result<std::unique_ptr<Fabric>> MpiProcess::join(const Mesh& mesh) {
  const int ends = static_cast<int>(mesh.labels.size());
  if (mesh.rank < 0 || mesh.rank >= ends || (size_ > 1 && (mesh.rank != rank_ || ends > size_))) {
    return error(ErrorCode::InvalidArgument, "process {} of {} cannot join as node {} of {}", rank_, size_,
                 mesh.rank, ends);
  }
  auto channel = std::make_shared<MpiChannel>();
  channel->gone.resize(mesh.labels.size());
  channel->heard.resize(mesh.labels.size());
  channel->received.resize(mesh.labels.size());
  const std::lock_guard lock(mutex_);
  if (fault_) return error(ErrorCode::PeerLost, "{}", *fault_);
  if (!channels_.emplace(Key(mesh.cluster, mesh.epoch, mesh.rank), channel).second) {
    return error(ErrorCode::InvalidArgument, "node {} is in this mesh already", mesh.rank);
  }
  return std::unique_ptr<Fabric>(std::make_unique<MpiFabric>(*this, mesh, std::move(channel)));
}

void MpiProcess::leave(const MpiChannel& channel) {
  const std::lock_guard lock(mutex_);
  std::erase_if(channels_, [&](const auto& entry) { return entry.second.get() == &channel; });
}

void MpiProcess::post(const MpiEnvelope& envelope, Payload payload) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({envelope, std::move(payload)});
  }
  work_.notify_one();
}

void MpiProcess::live() {
  prctl(PR_SET_TIMERSLACK, 1UL);  // else every nap is 50 us longer than asked for
  Clock::time_point last_event = Clock::now();
  std::optional<Clock::time_point> stopping;
  while (true) {
    bool any = progress();
    std::deque<std::function<void()>> tasks;
    {
      const std::lock_guard lock(mutex_);
      std::swap(tasks, tasks_);
      if (stop_ && !stopping) stopping = Clock::now();
      if (stopping && queue_.empty() && sending_.empty()) break;
    }
    for (const auto& task : tasks) {
      task();
      any = true;
    }
    if (stopping && Clock::now() > *stopping + kLinger) {
      MPI_Abort(MPI_COMM_WORLD, 1);  // somebody takes nothing any more, and MPI_Finalize would wait for ever
    }
    if (any) {
      last_event = Clock::now();
    } else {
      nap(last_event);
    }
  }
  MPI_Finalize();
}

int MpiProcess::finish(MPI_Request& request) {
  const Clock::time_point start = Clock::now();
  while (true) {
    int done = 0;
    const int code = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (code != MPI_SUCCESS || done != 0) return code;
    if (!progress()) nap(start);
  }
}

void MpiProcess::nap(Clock::time_point last_event) {
  using std::chrono::microseconds;
  const auto idle = std::chrono::duration_cast<microseconds>(Clock::now() - last_event);
  std::unique_lock lock(mutex_);
  const auto shortest = waiting_ > 0 ? kWaitingNap : kWorkingNap;
  if (queue_.empty() && tasks_.empty()) work_.wait_for(lock, std::clamp(idle / 8, shortest, kLongestNap));
}

MpiProcess::Waiting::Waiting(MpiProcess& process) : process_(process) {
  {
    const std::lock_guard lock(process_.mutex_);
    ++process_.waiting_;
  }
  process_.work_.notify_one();  // from a nap that may be a long one
}

MpiProcess::Waiting::~Waiting() {
  const std::lock_guard lock(process_.mutex_);
  --process_.waiting_;
}

bool MpiProcess::progress() {
  bool any = start_sends();
  any |= start_receives();
  any |= finish_receives();
  any |= finish_sends();
  return any;
}

bool MpiProcess::start_sends() {
  std::deque<Outgoing> fresh;
  {
    const std::lock_guard lock(mutex_);
    std::swap(fresh, queue_);
  }
  for (Outgoing& one : fresh) {
    sending_.push_back(std::make_unique<Outgoing>(std::move(one)));
    Outgoing& out = *sending_.back();
    const int process = process_of(out.envelope.to);
    bool sent = check(MPI_Isend(&out.envelope, sizeof out.envelope, MPI_BYTE, process, kEnvelopeTag,
                                MPI_COMM_WORLD, &out.requests[0]),
                      "send");
    if (sent && out.payload.size > 0) {
      sent = check(MPI_Isend(out.payload.data.get(), static_cast<int>(out.payload.size), MPI_BYTE, process,
                             kBodyTag, MPI_COMM_WORLD, &out.requests[1]),
                   "send");
    }
  }
  return !fresh.empty();
}

bool MpiProcess::finish_sends() {
  const std::size_t before = sending_.size();
  std::erase_if(sending_, [&](const std::unique_ptr<Outgoing>& out) {
    int done = 0;
    // A failed request is done: nothing reads its bytes any more.
    return !check(MPI_Testall(2, out->requests.data(), &done, MPI_STATUSES_IGNORE), "send") || done != 0;
  });
  return sending_.size() != before;
}

bool MpiProcess::start_receives() {
  bool any = false;
  while (true) {
    int there = 0;
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status{};
    if (!check(MPI_Improbe(MPI_ANY_SOURCE, kEnvelopeTag, MPI_COMM_WORLD, &there, &message, &status),
               "receive") ||
        there == 0) {
      return any;
    }
    any = true;
    int size = 0;
    MPI_Get_count(&status, MPI_BYTE, &size);
    Incoming in;
    if (size != static_cast<int>(sizeof in.envelope)) {
      std::vector<std::byte> rest(static_cast<std::size_t>(std::max(size, 0)));
      MPI_Mrecv(rest.data(), size, MPI_BYTE, &message, MPI_STATUS_IGNORE);
      fail("a process of this job sends what cannot be read; install the same release everywhere");
      continue;
    }
    if (!check(MPI_Mrecv(&in.envelope, size, MPI_BYTE, &message, MPI_STATUS_IGNORE), "receive")) continue;
    if (in.envelope.magic != MpiEnvelope{}.magic || in.envelope.version != MpiEnvelope{}.version) {
      fail("a process of this job is of another version; install the same release everywhere");
      continue;
    }
    if (in.envelope.bytes > 0) {
      const std::shared_ptr<std::byte[]> buffer(new (std::nothrow) std::byte[in.envelope.bytes]);
      if (!buffer) {
        fail("out of memory");
        continue;
      }
      in.payload = {std::shared_ptr<const std::byte>(buffer, buffer.get()), in.envelope.bytes};
      // Bodies of one process come in the order of their envelopes.
      check(MPI_Irecv(buffer.get(), static_cast<int>(in.envelope.bytes), MPI_BYTE, status.MPI_SOURCE,
                      kBodyTag, MPI_COMM_WORLD, &in.request),
            "receive");
    }
    receiving_[static_cast<std::size_t>(status.MPI_SOURCE)].push_back(std::move(in));
  }
}

bool MpiProcess::finish_receives() {
  bool any = false;
  for (auto& from : receiving_) {
    while (!from.empty()) {
      int done = 0;
      if (!check(MPI_Test(&from.front().request, &done, MPI_STATUS_IGNORE), "receive")) {
        from.pop_front();
        continue;
      }
      if (done == 0) break;
      any = true;
      deliver(std::move(from.front()));
      from.pop_front();
    }
  }
  return any;
}

void MpiProcess::deliver(Incoming incoming) {
  const MpiEnvelope& envelope = incoming.envelope;
  if (envelope.kind == MpiEnvelope::Kind::End) return end_.set();
  std::shared_ptr<MpiChannel> channel;
  {
    const std::lock_guard lock(mutex_);
    const auto found = channels_.find({envelope.cluster, envelope.mesh_epoch, envelope.to});
    if (found == channels_.end()) return;  // of a mesh that was given up
    channel = found->second;
  }
  const auto from = static_cast<std::size_t>(envelope.from);
  if (envelope.from < 0 || from >= channel->gone.size()) return;
  channel->notify([&](MpiChannel& to) {
    if (envelope.kind == MpiEnvelope::Kind::Bye) {
      to.gone[from] = true;
      return;
    }
    to.heard[from] = Clock::now();
    to.received[from].bytes_received += envelope.bytes;
    ++to.received[from].messages_received;
    to.inbox.put(envelope.from, {envelope.epoch, envelope.request, envelope.tag},
                 std::move(incoming.payload));
  });
}

bool MpiProcess::check(int code, const char* doing) {
  if (code == MPI_SUCCESS) return true;
  fail(fmt::format("MPI cannot {}: {}", doing, reason_of(code)));
  return false;
}

void MpiProcess::fail(const std::string& reason) {
  std::vector<std::shared_ptr<MpiChannel>> all;
  {
    const std::lock_guard lock(mutex_);
    if (!fault_) fault_ = reason;
    for (const auto& [key, channel] : channels_) all.push_back(channel);
  }
  for (const auto& channel : all) {  // without the lock: who waits in a channel takes it
    channel->notify([&](MpiChannel& to) { to.cancelled = reason; });
  }
}

}  // namespace disco

extern "C" __attribute__((visibility("default"))) disco::MpiWorld* disco_open_mpi(disco::Error& failure) {
  auto world = disco::MpiProcess::open();
  if (!world) {
    failure = world.error();
    return nullptr;
  }
  return world->release();
}
