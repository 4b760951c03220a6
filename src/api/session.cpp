#include <disco/session.h>

#include "api/executable.h"
#include "api/impl.h"
#include "cluster/cluster.h"

namespace disco {

struct Session::Impl {
  std::unique_ptr<Cluster> cluster;
};

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::start(const Split& split, const SessionOptions& options) {
  return guarded([&]() -> Result<Session> {
    ClusterOptions cluster_options;
    cluster_options.start_timeout = options.start_timeout;
    cluster_options.load_timeout = options.load_timeout;
    cluster_options.threads = options.threads;
    if (!options.key.empty()) {
      DISCO_TRY(cluster_options.keys, KeyPair::load(options.key));
    }
    std::vector<Graph> shards = split.impl_->model.shards;
    const auto start = [&]() -> Result<std::unique_ptr<Cluster>> {
      if (!options.cluster.empty()) {
        if (options.cluster.size() != shards.size()) {
          return error(ErrorCode::InvalidArgument,
                       "the cluster names {} nodes, but the model is split over {}", options.cluster.size(),
                       shards.size());
        }
        return Cluster::connect(options.cluster, std::move(shards), cluster_options);
      }
      if (options.transport == Transport::Threads) {
        return Cluster::start_inproc(std::move(shards), cluster_options);
      }
      DISCO_TRY(cluster_options.executable, find_executable(options.executable));
      return Cluster::start_local(std::move(shards), cluster_options);
    };
    DISCO_TRY(std::unique_ptr<Cluster> cluster, start());
    return Session(std::make_unique<Impl>(Impl{std::move(cluster)}));
  });
}

Result<RunResult> Session::run(const NamedTensors& inputs, const RunOptions& options) {
  return guarded([&] { return impl_->cluster->run(inputs, options); });
}

Result<std::uint64_t> Session::submit(const NamedTensors& inputs, const RunOptions& options) {
  return guarded([&] { return impl_->cluster->submit(inputs, options); });
}

Result<Completed> Session::next() {
  return guarded([&] { return impl_->cluster->next(); });
}

std::size_t Session::in_flight() const { return impl_->cluster->in_flight(); }

const std::vector<NodeInfo>& Session::nodes() const { return impl_->cluster->nodes(); }

}  // namespace disco
