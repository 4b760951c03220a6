// Ranks as threads of one process.

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "cluster/cluster.h"
#include "cluster/cores.h"
#include "cluster/worker.h"
#include "compile/program.h"
#include "fabric/inproc.h"

namespace disco {
namespace {

class InprocCluster final : public Cluster {
 public:
  ~InprocCluster() override { shutdown(); }

  Status load(std::vector<Graph> shards, const ClusterOptions& options) {
    memory_.assign(shards.size(), machine_memory());
    const int threads = options.threads > 0 ? options.threads : even_share_of_cores(shards.size());
    for (std::size_t rank = 0; rank < shards.size(); ++rank) {
      auto program =
          compile(std::exchange(shards[rank], {}), {.optimise = options.optimise, .threads = threads});
      if (!program) {
        return in_context(fmt::format("node {}", rank), program.error());
      }
      nodes_.push_back({.label = "a thread of this process",
                        .inputs = program->input_names(),
                        .outputs = program->output_names(),
                        .weight_bytes = program->weight_bytes(),
                        .arena_bytes = program->arena_bytes()});
      runners_.push_back(std::make_unique<Runner>(std::make_shared<const Program>(std::move(*program)),
                                                  ExecutorOptions{.threads = threads}));
      workers_.push_back(std::make_unique<Worker>());
    }
    return {};
  }

  Result<std::uint64_t> submit(const NamedTensors& inputs, const RunOptions& options) override {
    if (workers_.empty()) {
      return error(ErrorCode::InvalidArgument, "the cluster was shut down");
    }
    DISCO_CHECK(check(inputs, options));
    DISCO_CHECK(check_room());
    if (failed_) {
      return error(ErrorCode::InvalidArgument, "requests that failed are still to be collected with next()");
    }
    const std::size_t ranks = workers_.size();
    if (mesh_.empty()) {
      mesh_ = InprocMesh::create(static_cast<int>(ranks));
      ++epoch_;
    }
    const auto start = Clock::now();
    const RunRequest request{epoch_, ++request_, start + options.deadline, options.trace};
    auto pending = std::make_shared<Pending>();
    pending->start = start;
    pending->trace = options.trace;
    pending->results.resize(ranks);
    {
      const std::lock_guard lock(mutex_);
      pending_[request.request] = pending;
    }
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      // The worker must not look into mesh_: where it refuses the inputs, the answer may end the mesh.
      Fabric* const fabric = mesh_[rank].get();
      workers_[rank]->post([this, rank, fabric, request, pending, mine = inputs_of(rank, inputs)] {
        Runner& runner = *runners_[rank];
        runner.begin(mine, request, [this, rank, pending](Result<ExecutorResult> result) {
          answer(rank, *pending, std::move(result));
        });
        runner.drive(fabric, [this, rank] { return workers_[rank]->waiting() > 0; });
      });
      mesh_[rank]->wake();
    }
    return request.request;
  }

  Result<Completed> next() override {
    std::unique_lock lock(mutex_);
    if (pending_.empty()) {
      return error(ErrorCode::InvalidArgument, "no request is in flight");
    }
    const auto is_done = [](const auto& entry) { return entry.second->done == entry.second->results.size(); };
    auto found = pending_.end();
    finished_.wait(lock, [&] {
      found = std::find_if(pending_.begin(), pending_.end(), is_done);
      return found != pending_.end();
    });
    const std::uint64_t request = found->first;
    if (!found->second->first_failed && !failed_) {
      const std::shared_ptr<Pending> pending = found->second;
      pending_.erase(found);
      return Completed{request, collect(*pending)};
    }
    // The ends were cancelled, so that the others end as well; only then may the mesh go.
    finished_.wait(lock, [&] { return std::all_of(pending_.begin(), pending_.end(), is_done); });
    Error word = failed_ ? given_up(*failed_) : Error{};
    if (!failed_) {
      found = std::min_element(pending_.begin(), pending_.end(), [](const auto& a, const auto& b) {
        return a.second->failed_at < b.second->failed_at;
      });
      const std::size_t rank = *found->second->first_failed;
      word = said_by(rank, found->second->results[rank]->error());
      failed_ = word;
    }
    const std::uint64_t number = found->first;
    pending_.erase(found);
    if (pending_.empty()) {
      failed_.reset();
      mesh_.clear();
    }
    return Completed{number, word};
  }

  std::size_t in_flight() const override {
    const std::lock_guard lock(mutex_);
    return pending_.size();
  }

  void shutdown() override {
    for (auto& fabric : mesh_) {
      fabric->cancel("the cluster was shut down");
    }
    workers_.clear();
    runners_.clear();
    mesh_.clear();
    pending_.clear();
    failed_.reset();
  }

 private:
  struct Pending {
    Clock::time_point start;
    Clock::time_point end;
    bool trace = false;
    std::size_t done = 0;
    std::optional<std::size_t> first_failed;  // rank
    Clock::time_point failed_at = Clock::time_point::max();
    std::vector<std::optional<Result<ExecutorResult>>> results;  // by rank
  };

  /// On a rank's thread.
  void answer(std::size_t rank, Pending& pending, Result<ExecutorResult> result) {
    const std::lock_guard lock(mutex_);
    if (!result && !pending.first_failed) {
      pending.first_failed = rank;
      pending.failed_at = Clock::now();
      // Whoever waits for this rank would wait until the deadline.
      for (auto& fabric : mesh_) {
        fabric->cancel(fmt::format("node {} failed", rank));
      }
    }
    pending.results[rank] = std::move(result);
    pending.end = Clock::now();
    ++pending.done;
    finished_.notify_one();
  }

  RunResult collect(Pending& pending) {
    RunResult all;
    for (std::size_t rank = 0; rank < pending.results.size(); ++rank) {
      ExecutorResult& one = **pending.results[rank];
      all.outputs.merge(one.outputs);
      all.statistics.push_back(one.statistics);
      if (pending.trace) {
        all.traces.push_back({static_cast<int>(rank), nodes_[rank].label, 0, std::move(one.trace)});
      }
    }
    all.total_ms = std::chrono::duration<double, std::milli>(pending.end - pending.start).count();
    return all;
  }

  std::vector<std::unique_ptr<Runner>> runners_;
  std::vector<std::unique_ptr<Fabric>> mesh_;
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable finished_;
  std::map<std::uint64_t, std::shared_ptr<Pending>> pending_;
  std::optional<Error> failed_;  // while those in flight beside a failed request are reported
  std::vector<std::unique_ptr<Worker>> workers_;
  std::uint32_t epoch_ = 0;
  std::uint64_t request_ = 0;
};

}  // namespace

Result<std::unique_ptr<Cluster>> Cluster::start_inproc(std::vector<Graph> shards,
                                                       const ClusterOptions& options) {
  if (shards.empty()) {
    return error(ErrorCode::InvalidArgument, "a cluster of no nodes");
  }
  auto cluster = std::make_unique<InprocCluster>();
  DISCO_CHECK(cluster->load(std::move(shards), options));
  return std::unique_ptr<Cluster>(std::move(cluster));
}

}  // namespace disco
