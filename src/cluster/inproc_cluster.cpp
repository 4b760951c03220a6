// Ranks as threads of one process.

#include <algorithm>
#include <exception>
#include <future>
#include <optional>
#include <thread>
#include <utility>

#include "cluster/cluster.h"
#include "cluster/worker.h"
#include "compile/program.h"
#include "fabric/inproc.h"

namespace disco {
namespace {

class InprocCluster final : public Cluster {
 public:
  ~InprocCluster() override { shutdown(); }

  Status load(std::vector<Graph> shards, const ClusterOptions& options) {
    const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    const int threads =
        options.threads > 0 ? options.threads : std::max(1, cores / static_cast<int>(shards.size()));
    for (std::size_t rank = 0; rank < shards.size(); ++rank) {
      auto program = compile(std::exchange(shards[rank], {}), {.optimise = options.optimise});
      if (!program) {
        return in_context(fmt::format("node {}", rank), program.error());
      }
      nodes_.push_back({.label = "a thread of this process",
                        .inputs = program->input_names(),
                        .outputs = program->output_names(),
                        .weight_bytes = program->weight_bytes(),
                        .arena_bytes = program->arena_bytes()});
      executors_.push_back(std::make_unique<Executor>(std::make_shared<const Program>(std::move(*program)),
                                                      ExecutorOptions{.threads = threads}));
      workers_.push_back(std::make_unique<Worker>());
    }
    return {};
  }

  Result<RunResult> run(const NamedTensors& inputs, const RunOptions& options) override {
    if (workers_.empty()) {
      return error(ErrorCode::InvalidArgument, "the cluster was shut down");
    }
    DISCO_CHECK(check(inputs, options));
    const std::size_t ranks = workers_.size();
    if (mesh_.empty()) {
      mesh_ = InprocMesh::create(static_cast<int>(ranks));
      ++epoch_;
    }
    const auto start = Clock::now();
    const RunRequest request{epoch_, ++request_, start + options.deadline, options.trace};

    std::mutex mutex;
    std::condition_variable finished;
    std::size_t done = 0;
    std::optional<std::size_t> first_failed;
    std::vector<std::optional<Result<ExecutorResult>>> results(ranks);
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      workers_[rank]->post([&, rank, mine = inputs_of(rank, inputs)] {
        auto result = run_rank(rank, mine, request);
        const std::lock_guard lock(mutex);
        if (!result && !first_failed) {
          first_failed = rank;
          // Whoever waits for this rank would wait until the deadline.
          for (auto& fabric : mesh_) {
            fabric->cancel(fmt::format("node {} failed", rank));
          }
        }
        results[rank] = std::move(result);
        ++done;
        finished.notify_one();
      });
    }
    {
      std::unique_lock lock(mutex);
      finished.wait(lock, [&] { return done == ranks; });
    }
    if (first_failed) {
      mesh_.clear();
      return said_by(*first_failed, results[*first_failed]->error());
    }
    RunResult all;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      ExecutorResult& one = **results[rank];
      all.outputs.merge(one.outputs);
      all.statistics.push_back(one.statistics);
      if (options.trace) {
        all.traces.push_back({static_cast<int>(rank), nodes_[rank].label, 0, std::move(one.trace)});
      }
    }
    all.total_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    return all;
  }

  void shutdown() override {
    workers_.clear();
    executors_.clear();
    mesh_.clear();
  }

 private:
  Result<ExecutorResult> run_rank(std::size_t rank, const NamedTensors& inputs, const RunRequest& request) {
    try {
      return executors_[rank]->run(inputs, request, mesh_[rank].get());
    } catch (const std::exception& exception) {
      return error(ErrorCode::Internal, "{}", exception.what());
    }
  }

  std::vector<std::unique_ptr<Executor>> executors_;
  std::vector<std::unique_ptr<Fabric>> mesh_;
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
