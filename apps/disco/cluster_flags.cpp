#include "cluster_flags.h"

#include "mpi.h"

namespace disco::cli {

void ClusterFlags::add_to(CLI::App& command) {
  if (mpi_launch()) transport = "mpi";
  command
      .add_option(
          "--cluster", cluster_file,
          "TOML file that names the machines on which `disco node` runs (default: nodes are started on "
          "this machine)")
      ->type_name("FILE");
  command
      .add_option("--transport", transport,
                  "processes: local nodes are processes that talk over TCP; threads: of this process; mpi: "
                  "the processes of mpirun, and what is taken where that started this one")
      ->check(CLI::IsMember({"processes", "threads", "mpi"}))
      ->type_name("HOW")
      ->capture_default_str();
  command
      .add_option(
          "--key", key_file,
          "this end's secret key (`disco keys new` makes one): everything on the wire is then encrypted, "
          "and every node of --cluster needs its public_key there; nodes on this machine get keys of "
          "their own")
      ->type_name("FILE");
  command
      .add_option("-t,--threads", threads, "threads a node computes with (default: the cores, shared evenly)")
      ->check(CLI::Range(1, 1024))
      ->type_name("T");
  command.add_flag("--shared-cores", shared_cores,
                   "nodes of this machine may run on any core (default: each keeps to its own, where there "
                   "are enough for all threads)");
  command
      .add_option("--deadline", deadline_s,
                  "seconds that one run may take before it fails and says which node was waited for")
      ->check(CLI::Range(0.001, 86400.0))
      ->type_name("S")
      ->capture_default_str();
}

Result<std::vector<NodeConfig>> ClusterFlags::remote_nodes() const {
  if (cluster_file.empty()) return mpi_job() ? mpi_job()->nodes() : std::vector<NodeConfig>{};
  return load_cluster_file(cluster_file);
}

void ClusterFlags::take_shares(const Graph& model, const std::vector<NodeConfig>& remote, SplitFlags& split) {
  if (split.nodes != 0 || !split.shares.empty() || model.metadata.contains(std::string(kPartitionKey)))
    return;
  for (const NodeConfig& node : remote)
    split.shares += fmt::format("{}{}", split.shares.empty() ? "" : ",", node.share);
}

Status ClusterFlags::check_number(const std::vector<NodeConfig>& remote, std::size_t shards) const {
  if (remote.empty() || remote.size() == shards) return {};
  return error(ErrorCode::InvalidArgument,
               "{}: it names {}, but the model is split over {}; leave --nodes out",
               cluster_file.empty() ? "mpirun" : cluster_file,
               remote.size() == 1 ? "1 node" : fmt::format("{} nodes", remote.size()), shards);
}

Result<ClusterOptions> ClusterFlags::options() const {
  ClusterOptions options;
  options.threads = threads;
  options.own_cores = !shared_cores;
  if (mpi_job() && cluster_file.empty()) {
    if (!key_file.empty()) {
      return error(ErrorCode::InvalidArgument, "--key: the processes of an MPI job make keys of their own");
    }
    options.keys = mpi_job()->keys();
  } else if (!key_file.empty()) {
    if (cluster_file.empty() && transport == "threads") {
      return error(ErrorCode::InvalidArgument, "--key: threads of one process have no wire to encrypt");
    }
    DISCO_TRY(options.keys, KeyPair::load(key_file));
  }
  return options;
}

Result<std::unique_ptr<Cluster>> ClusterFlags::start(std::vector<Graph> shards) const {
  DISCO_TRY(const ClusterOptions how, options());
  DISCO_TRY(const std::vector<NodeConfig> remote, remote_nodes());
  DISCO_CHECK(check_number(remote, shards.size()));
  return start(remote, std::move(shards), how);
}

Result<std::unique_ptr<Cluster>> ClusterFlags::start(const std::vector<NodeConfig>& remote,
                                                     std::vector<Graph> shards,
                                                     const ClusterOptions& options) const {
  if (!remote.empty()) return Cluster::connect(remote, std::move(shards), options);
  if (transport == "threads") return Cluster::start_inproc(std::move(shards), options);
  return Cluster::start_local(std::move(shards), options);
}

RunOptions ClusterFlags::run_options(bool trace) const {
  RunOptions options;
  options.deadline = std::chrono::milliseconds(static_cast<std::int64_t>(deadline_s * 1000.0));
  options.trace = trace;
  return options;
}

}  // namespace disco::cli
