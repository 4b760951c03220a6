#include "cluster/mpi_job.h"

#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <future>
#include <set>

#include "cluster/node_server.h"

namespace disco {
namespace {

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

/// Cores that this process may use, where the launcher bound it to some of them; else an even share of all.
int cores(int processes_here) {
  const int all = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  cpu_set_t set;
  const int mine = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : all;
  const int online = static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  return mine < online ? mine : std::max(1, online / processes_here);
}

}  // namespace

Result<std::unique_ptr<MpiJob>> MpiJob::start() {
  std::unique_ptr<MpiJob> job(new MpiJob);
  DISCO_TRY(job->keys_, KeyPair::make());
  DISCO_TRY(job->world_, open_mpi());
  if (const Status opened = job->open(); !opened) return opened.error();
  return job;
}

Status MpiJob::open() {
  DISCO_TRY(const std::vector<std::string> hosts, world_->all_gather(host_name()));
  DISCO_TRY(const std::vector<std::string> keys, world_->all_gather(keys_->public_key().text()));
  const bool one_machine = std::set<std::string>(hosts.begin(), hosts.end()).size() == 1;
  const std::string& here = hosts[static_cast<std::size_t>(rank())];
  DISCO_TRY(const PublicKey coordinator, PublicKey::parse(keys[0]));

  NodeServerOptions options;
  options.listen = one_machine ? "127.0.0.1:0" : "0.0.0.0:0";
  options.keys = keys_;
  options.judge = only({coordinator}, "not that of process 0 of this job");
  options.stop_fd = stop_.fd();
  options.join = [this](const Membership& membership) {
    return world_->join({.cluster = membership.cluster,
                         .epoch = membership.epoch,
                         .rank = membership.rank,
                         .labels = membership.labels});
  };
  // A node that cannot listen must still tell the others, who wait for its address.
  std::promise<std::string> listening;
  auto address = listening.get_future();
  node_ = std::thread([this, options, told = std::move(listening)]() mutable {
    bool ready = false;
    options.on_ready = [&](const std::string& where) {
      ready = true;
      told.set_value(where);
    };
    served_ = run_node_server(options);
    if (!ready) told.set_value("!" + served_.error().message);
  });
  DISCO_TRY(const std::vector<std::string> addresses, world_->all_gather(address.get()));
  const int threads = cores(static_cast<int>(std::count(hosts.begin(), hosts.end(), here)));
  DISCO_TRY(const std::vector<std::string> shares, world_->all_gather(std::to_string(threads)));
  for (std::size_t process = 0; process < addresses.size(); ++process) {
    if (addresses[process].starts_with("!")) {
      return error(ErrorCode::Io, "node {} (process {} on {}): {}", process, process, hosts[process],
                   addresses[process].substr(1));
    }
    const std::string port = addresses[process].substr(addresses[process].rfind(':'));
    nodes_.push_back({.address = (one_machine ? "127.0.0.1" : hosts[process]) + port,
                      .name = fmt::format("process {} on {}", process, hosts[process]),
                      .threads = std::atoi(shares[process].c_str()),
                      .public_key = keys[process]});
  }
  return {};
}

Status MpiJob::serve() {
  pollfd item{world_->end_fd(), POLLIN, 0};
  while (poll(&item, 1, -1) < 0 && errno == EINTR) {
  }
  stop_.set();
  node_.join();
  return served_;
}

MpiJob::~MpiJob() {
  stop_.set();
  if (node_.joinable()) node_.join();
}

}  // namespace disco
