#pragma once
// The inside of the MPI plug-in: one thread that makes all calls to MPI, and the ends of meshes that it
// serves.

#include <mpi.h>

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <tuple>

#include "fabric/mailbox.h"
#include "fabric/mpi.h"
#include "fabric/zmq_socket.h"

namespace disco {

/// What goes before every message, as it lies in memory: the processes of a job are of one kind.
struct MpiEnvelope {
  enum class Kind : std::uint32_t { Data = 1, Bye = 2, End = 3 };
  std::uint32_t magic = 0x4D435344;  // "DSCM"
  std::uint32_t version = 1;
  std::uint64_t cluster = 0;
  std::uint64_t request = 0;
  std::uint64_t bytes = 0;       ///< of the message that follows
  std::uint32_t mesh_epoch = 0;  ///< which mesh of the cluster
  std::uint32_t epoch = 0;       ///< of its MessageId, as are request and tag
  std::uint32_t tag = 0;
  std::int32_t from = 0;
  std::int32_t to = 0;
  Kind kind = Kind::Data;
};

class MpiProcess final : public MpiWorld {
 public:
  [[nodiscard]] static Result<std::unique_ptr<MpiProcess>> open();
  ~MpiProcess() override;
  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }
  [[nodiscard]] Result<std::vector<std::string>> all_gather(const std::string& mine) override;
  [[nodiscard]] Result<std::unique_ptr<Fabric>> join(const Mesh& mesh) override;
  [[nodiscard]] int end_fd() const override { return end_.fd(); }

  void post(const MpiEnvelope& envelope, Payload payload);
  void leave(const Mailbox& mailbox);

  /// While it lives, somebody waits for a message and does nothing else.
  class Waiting {
   public:
    explicit Waiting(MpiProcess& process);
    ~Waiting();
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

   private:
    MpiProcess& process_;
  };

 private:
  struct Outgoing {
    MpiEnvelope envelope;
    Payload payload;
    std::array<MPI_Request, 2> requests = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  };
  struct Incoming {
    MpiEnvelope envelope;
    Payload payload;
    MPI_Request request = MPI_REQUEST_NULL;
  };
  using Key = std::tuple<std::uint64_t, std::uint32_t, int>;  // cluster, epoch, rank

  void live();
  bool progress();
  int finish(MPI_Request& request);
  bool start_sends();
  bool finish_sends();
  bool start_receives();
  bool finish_receives();
  void deliver(Incoming incoming);
  void nap(Clock::time_point last_event);
  bool check(int code, const char* doing);
  void fail(const std::string& reason);
  [[nodiscard]] int process_of(int end) const { return size_ == 1 ? 0 : end; }

  int rank_ = 0;
  int size_ = 1;
  WakeUp end_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<Outgoing> queue_;
  std::deque<std::function<void()>> tasks_;  // for the thread that calls MPI
  bool stop_ = false;
  int waiting_ = 0;
  std::map<Key, std::shared_ptr<Mailbox>> mailboxes_;
  // Of the thread that calls MPI:
  std::deque<std::unique_ptr<Outgoing>> sending_;  // stays where it is while MPI reads it
  std::vector<std::deque<Incoming>> receiving_;    // by process, in the order of their envelopes
  std::optional<std::string> fault_;
  std::thread thread_;
};

}  // namespace disco
