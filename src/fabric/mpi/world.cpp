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

class MpiFabric final : public MailboxFabric {
 public:
  MpiFabric(MpiProcess& process, MpiWorld::Mesh mesh, std::shared_ptr<Mailbox> mailbox)
      : MailboxFabric(std::move(mailbox)), process_(process), mesh_(std::move(mesh)) {}

  ~MpiFabric() override {
    process_.leave(mailbox());
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
    DISCO_CHECK(check_open(peer));
    const std::size_t bytes = payload.size;
    count_sent(peer, bytes);
    process_.post(envelope(MpiEnvelope::Kind::Data, peer, id, bytes), std::move(payload));
    return {};
  }

  void wait(Clock::time_point deadline) override {
    std::optional<MpiProcess::Waiting> waiting;
    if (!mailbox().has_news()) waiting.emplace(process_);
    MailboxFabric::wait(deadline);
  }

  std::string describe(int peer) const override {
    return peer >= 0 && peer < size()
               ? fmt::format("node {} ({})", peer, mesh_.labels[static_cast<std::size_t>(peer)])
               : fmt::format("node {}", peer);
  }

 private:
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

  MpiProcess& process_;
  MpiWorld::Mesh mesh_;
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
  auto mailbox = std::make_shared<Mailbox>(mesh.labels.size());
  const std::lock_guard lock(mutex_);
  if (fault_) return error(ErrorCode::PeerLost, "{}", *fault_);
  if (!mailboxes_.emplace(Key(mesh.cluster, mesh.epoch, mesh.rank), mailbox).second) {
    return error(ErrorCode::InvalidArgument, "node {} is in this mesh already", mesh.rank);
  }
  return std::unique_ptr<Fabric>(std::make_unique<MpiFabric>(*this, mesh, std::move(mailbox)));
}

void MpiProcess::leave(const Mailbox& mailbox) {
  const std::lock_guard lock(mutex_);
  std::erase_if(mailboxes_, [&](const auto& entry) { return entry.second.get() == &mailbox; });
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
  std::shared_ptr<Mailbox> mailbox;
  {
    const std::lock_guard lock(mutex_);
    const auto found = mailboxes_.find({envelope.cluster, envelope.mesh_epoch, envelope.to});
    if (found == mailboxes_.end()) return;  // of a mesh that was given up
    mailbox = found->second;
  }
  if (envelope.from < 0 || static_cast<std::size_t>(envelope.from) >= mailbox->ranks()) return;
  if (envelope.kind == MpiEnvelope::Kind::Bye) return mailbox->leave(envelope.from);
  mailbox->put(envelope.from, {envelope.epoch, envelope.request, envelope.tag}, std::move(incoming.payload));
}

bool MpiProcess::check(int code, const char* doing) {
  if (code == MPI_SUCCESS) return true;
  fail(fmt::format("MPI cannot {}: {}", doing, reason_of(code)));
  return false;
}

void MpiProcess::fail(const std::string& reason) {
  std::vector<std::shared_ptr<Mailbox>> all;
  {
    const std::lock_guard lock(mutex_);
    if (!fault_) fault_ = reason;
    for (const auto& [key, mailbox] : mailboxes_) all.push_back(mailbox);
  }
  for (const auto& mailbox : all)
    mailbox->cancel(reason);  // without the lock: who waits on a mailbox takes it
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
