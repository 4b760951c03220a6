// Ranks as processes, of this machine or of others, that run a node server.

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "cluster/cluster.h"
#include "cluster/control.h"
#include "cluster/cores.h"
#include "cluster/node_links.h"
#include "cluster/process.h"
#include "cluster/shard_message.h"
#include "compile/program.h"
#include "fabric/address.h"

namespace disco {
namespace {

using control::Message;
using std::chrono::milliseconds;

class RemoteCluster final : public Cluster {
 public:
  ~RemoteCluster() override { shutdown(); }

  /// Starts the processes, all at once, and returns where they listen.
  Result<std::vector<NodeConfig>> spawn(std::size_t nodes, const ClusterOptions& options) {
    std::error_code failure;
    const std::filesystem::path executable = options.executable.empty()
                                                 ? std::filesystem::read_symlink("/proc/self/exe", failure)
                                                 : options.executable;
    const Clock::time_point deadline = Clock::now() + options.start_timeout;
    std::vector<NodeConfig> configs;
    std::vector<std::string> public_keys;
    const int threads = options.threads > 0 ? options.threads : even_share_of_cores(nodes);
    const auto cores = options.own_cores && nodes > 1 ? cores_of_nodes(static_cast<int>(nodes), threads)
                                                      : std::vector<std::vector<int>>();
    for (std::size_t rank = 0; rank < nodes; ++rank) {
      NodeIdentity identity;
      if (options.keys) {
        DISCO_TRY(identity.keys, KeyPair::make());
        identity.coordinator = options.keys->public_key();
      }
      public_keys.push_back(options.keys ? identity.keys->public_key().text() : "");
      DISCO_TRY(NodeProcess process, NodeProcess::start(executable, options.arguments, identity,
                                                        cores.empty() ? std::vector<int>() : cores[rank]));
      processes_.push_back(std::move(process));
    }
    for (NodeProcess& process : processes_) {
      auto address = process.address(deadline);
      if (!address) {
        return in_context(fmt::format("node {}", configs.size()), address.error());
      }
      configs.push_back({.address = *address, .public_key = public_keys[configs.size()]});
    }
    return configs;
  }

  Status open(const std::vector<NodeConfig>& configs, std::vector<Graph> shards,
              const ClusterOptions& options) {
    if (configs.size() != shards.size() || configs.empty()) {
      return error(ErrorCode::InvalidArgument, "{} shards for {} nodes", shards.size(), configs.size());
    }
    options_ = options;
    DISCO_CHECK(take_keys(configs));
    ZmqSocketOptions socket_options;
    socket_options.keys = options.keys;
    socket_options.heartbeat_timeout = std::chrono::seconds(10);
    socket_options.max_message_bytes = control::kMaxPartBytes;
    socket_options.linger = milliseconds(200);
    links_.emplace(
        NodeLinks::About{[this](std::size_t rank) { return describe(rank); },
                         [this](std::size_t rank) { return fate(rank); },
                         [this](std::size_t rank, const Error& word) { return said_by(rank, word); }},
        options.keys);
    clock_offsets_.assign(configs.size(), 0);
    for (std::size_t rank = 0; rank < configs.size(); ++rank) {
      const NodeConfig& config = configs[rank];
      NodeInfo info;
      info.label = config.name.empty() ? config.address : config.name + ", " + config.address;
      info.process = rank < processes_.size() ? processes_[rank].pid() : -1;
      nodes_.push_back(std::move(info));
      const Status opened = links_->open(config.address, socket_options,
                                         options.keys ? std::optional(public_keys_[rank]) : std::nullopt);
      if (!opened) {
        return in_context(describe(rank), opened.error());
      }
    }
    DISCO_TRY(const auto hello,
              links_->ask(
                  "hello", [](std::size_t, Message&) { return Status(); }, options.start_timeout));
    for (std::size_t rank = 0; rank < nodes_.size(); ++rank) {
      const auto& head = hello->answers[rank].reply->head;
      if (const auto busy = head.find("busy"); busy != head.end() && *busy == true) {
        return error(ErrorCode::Io, "{} serves another coordinator; try again later", describe(rank));
      }
      // Nodes of earlier releases do not say.
      const auto figure = [&](const char* key) {
        const auto found = head.find(key);
        return found != head.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
      };
      memory_.push_back({figure("memory_total"), figure("memory_free")});
    }
    DISCO_CHECK(load(configs, shards));
    return join();
  }

  Result<std::uint64_t> submit(const NamedTensors& inputs, const RunOptions& options) override {
    if (!links_) {
      return error(ErrorCode::InvalidArgument, "the cluster was shut down");
    }
    DISCO_CHECK(check(inputs, options));
    for (const auto& of_rank : in_bands_) {
      for (const std::string& name : of_rank) {
        DISCO_CHECK(check_input(name, inputs.at(name), DataType::Float32, shapes_.at(name)));
      }
    }
    DISCO_CHECK(check_room());
    if (!failed_.empty()) {
      return error(ErrorCode::InvalidArgument, "requests that failed are still to be collected with next()");
    }
    if (!joined_) {
      DISCO_CHECK(join());
    }
    if (options.trace) {
      DISCO_CHECK(measure_clocks());
    }
    const std::uint64_t request = ++request_;
    const control::Images images = control::pack_images(inputs);
    const auto fill = [&](std::size_t rank, Message& message) {
      NamedTensors whole = inputs_of(rank, inputs);
      NamedTensors banded;
      for (const std::string& name : in_bands_[rank]) banded.insert(whole.extract(name));
      message.head["request"] = request;
      message.head["trace"] = options.trace ? 1 : 0;
      message.head["deadline_ms"] = options.deadline.count();
      control::put_tensors(message, "inputs", std::move(whole), images);
      control::put_bands(message, "bands", banded, bands_, 0, images);
      return Status();
    };
    const auto rest = [&](std::size_t rank, std::size_t band, Message& message) {
      NamedTensors banded;
      for (const std::string& name : in_bands_[rank]) banded.insert(*inputs.find(name));
      message.head["request"] = request;
      control::put_bands(message, "bands", banded, bands_, band, images);
      return !message.head["bands"].empty();
    };
    // A second more than the nodes have, so that they come first: they know what they wait for.
    DISCO_TRY(auto question, links_->post("run", fill, options.deadline + milliseconds(1000), rest));
    runs_.push_back({std::move(question), request, options.trace});
    return request;
  }

  Result<Completed> next() override {
    if (!failed_.empty()) {
      const auto [request, why] = failed_.front();
      failed_.pop_front();
      return Completed{request, why};
    }
    if (runs_.empty()) {
      return error(ErrorCode::InvalidArgument, "no request is in flight");
    }
    std::size_t settled = 0;
    while (true) {
      const bool any = links_->pump();
      for (settled = 0; settled < runs_.size() && !links_->is_settled(*runs_[settled].question); ++settled) {
      }
      if (settled < runs_.size()) {
        break;
      }
      if (!any) {
        Clock::time_point end = Clock::time_point::max();
        for (const Run& run : runs_) {
          end = std::min(end, NodeLinks::when_to_look(*run.question));
        }
        links_->wait(end);
      }
    }
    const Run run = std::move(runs_[settled]);
    runs_.erase(runs_.begin() + static_cast<std::ptrdiff_t>(settled));
    const Status verdict = links_->verdict(*run.question);
    auto result = verdict ? collect(run) : Result<RunResult>(verdict.error());
    if (!result) {
      joined_ = false;  // cancelled ends cannot be used again
      for (const Run& other : runs_) {
        failed_.emplace_back(other.request, given_up(result.error()));
      }
      runs_.clear();
    }
    return Completed{run.request, std::move(result)};
  }

  std::size_t in_flight() const override { return runs_.size() + failed_.size(); }

  void shutdown() override {
    if (links_) {
      links_->close(/*live_on=*/processes_.empty());
    }
    runs_.clear();
    failed_.clear();
    links_.reset();
    processes_.clear();
    joined_ = false;
  }

 private:
  /// A run in flight.
  struct Run {
    std::shared_ptr<NodeLinks::Question> question;
    std::uint64_t request = 0;
    bool trace = false;
  };

  Result<RunResult> collect(const Run& run) {
    RunResult result;
    const NodeLinks::Question& question = *run.question;
    std::int64_t end_ns = question.start_ns;
    for (std::size_t rank = 0; rank < question.answers.size(); ++rank) {
      const Message& reply = *question.answers[rank].reply;
      control::Reader reader(reply);
      DISCO_TRY(NamedTensors outputs, named(rank, reader.tensors("outputs")));
      result.outputs.merge(outputs);
      DISCO_TRY(RunStatistics statistics, named(rank, control::get_statistics(reply)));
      result.statistics.push_back(statistics);
      if (run.trace) {
        DISCO_TRY(auto trace, named(rank, control::get_trace(reply)));
        result.traces.push_back(
            {static_cast<int>(rank), nodes_[rank].label, clock_offsets_[rank], std::move(trace)});
      }
      end_ns = std::max(end_ns, question.answers[rank].reply_ns);
    }
    result.total_ms = static_cast<double>(end_ns - question.start_ns) * 1e-6;
    return result;
  }

  template <typename T>
  Result<T> named(std::size_t rank, Result<T> result) const {
    return result ? std::move(result) : Result<T>(in_context(describe(rank), result.error()));
  }

  /// The nodes' public keys: of all where this end has a key, of none where it has none. What is meant to be
  /// encrypted never travels in the clear by mistake.
  Status take_keys(const std::vector<NodeConfig>& configs) {
    public_keys_.clear();
    for (std::size_t rank = 0; rank < configs.size(); ++rank) {
      const NodeConfig& config = configs[rank];
      if (config.public_key.empty() != (options_.keys == nullptr)) {
        return error(ErrorCode::InvalidArgument, "node {} ({}) has {}", rank, config.address,
                     options_.keys
                         ? "no public_key in the cluster file; with --key nothing is sent in the clear"
                         : "a public_key in the cluster file; say --key too, the file of this end's "
                           "own key (`disco keys new` makes one)");
      }
      if (options_.keys) {
        DISCO_TRY(const PublicKey key, PublicKey::parse(config.public_key));
        public_keys_.push_back(key);
      }
    }
    return {};
  }

  Status load(const std::vector<NodeConfig>& configs, std::vector<Graph>& shards) {
    in_bands_.resize(nodes_.size());
    const std::vector<InputRoute> routes = input_routes(shards, near());
    for (std::size_t rank = 0; rank < shards.size(); ++rank) {
      bands_.insert(routes[rank].bands.begin(), routes[rank].bands.end());
      for (const ValueId id : shards[rank].inputs) {
        const Value& value = shards[rank].value(id);
        if (value.has_shape()) shapes_[value.name] = value.shape();
      }
    }
    const auto fill = [&](std::size_t rank, Message& message) -> Status {
      control::put_route(message, routes[rank]);
      if (const Status put = control::put_shard(message, std::exchange(shards[rank], {})); !put) {
        return in_context(describe(rank), put.error());
      }
      message.head["threads"] = options_.threads > 0        ? options_.threads
                                : configs[rank].threads > 0 ? configs[rank].threads
                                : !processes_.empty()       ? even_share_of_cores(nodes_.size())
                                                            : 0;
      message.head["optimise"] = options_.optimise ? 1 : 0;
      return {};
    };
    DISCO_TRY(const auto loaded, links_->ask("load", fill, options_.load_timeout));
    for (std::size_t rank = 0; rank < nodes_.size(); ++rank) {
      const Message& reply = *loaded->answers[rank].reply;
      constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
      DISCO_TRY(nodes_[rank].inputs, named(rank, control::texts(reply, "inputs")));
      DISCO_TRY(nodes_[rank].outputs, named(rank, control::texts(reply, "outputs")));
      DISCO_TRY(nodes_[rank].weight_bytes, named(rank, control::number(reply, "weight_bytes", kMost)));
      DISCO_TRY(nodes_[rank].arena_bytes, named(rank, control::number(reply, "arena_bytes", kMost)));
      DISCO_TRY(const auto taken, named(rank, control::bands(reply, "input_bands")));
      for (const std::string& name : nodes_[rank].inputs) {
        if (taken.contains(name) && bands_.contains(name)) in_bands_[rank].insert(name);
      }
    }
    return {};
  }

  /// Which nodes are on this machine: to those there is no link to mind.
  std::vector<bool> near() const {
    std::vector<bool> result;
    for (std::size_t rank = 0; rank < nodes_.size(); ++rank) {
      const auto address = parse_address(links_->address(rank));
      result.push_back(options_.pretend_far ? rank == 0 : !address || is_this_machine(*address));
    }
    return result;
  }

  /// Brings the nodes together under a new epoch: each opens a port, then all learn of all.
  Status join() {
    std::vector<std::string> public_keys;
    for (const PublicKey& key : public_keys_) {
      public_keys.push_back(key.text());
    }
    const auto introduce = [&](std::size_t, Message& message) {
      message.head["public_keys"] = public_keys;
      return Status();
    };
    DISCO_TRY(const auto listening, links_->ask("listen", introduce, options_.start_timeout));
    std::vector<std::string> addresses;
    std::vector<std::string> labels;
    for (std::size_t rank = 0; rank < nodes_.size(); ++rank) {
      DISCO_TRY(const std::uint64_t port,
                named(rank, control::number(*listening->answers[rank].reply, "port", 65535)));
      DISCO_TRY(const HostPort control_address, parse_address(links_->address(rank)));
      addresses.push_back(fmt::format("{}:{}", control_address.host, port));
      labels.push_back(nodes_[rank].label);
    }
    ++epoch_;
    const auto fill = [&](std::size_t rank, Message& message) {
      message.head["addresses"] = addresses;
      message.head["labels"] = labels;
      message.head["rank"] = rank;
      message.head["cluster"] = cluster_;
      message.head["epoch"] = epoch_;
      message.head["deadline_ms"] = options_.start_timeout.count();
      return Status();
    };
    // A second more than the nodes have, as for runs.
    DISCO_CHECK(links_->ask("join", fill, options_.start_timeout + milliseconds(1000)));
    joined_ = true;
    return {};
  }

  /// Of a few round trips the shortest tells best what the node's clock showed in its middle.
  Status measure_clocks() {
    std::vector<std::int64_t> shortest(nodes_.size(), std::numeric_limits<std::int64_t>::max());
    for (int round = 0; round < 5; ++round) {
      std::vector<std::int64_t> sent(nodes_.size());
      const auto fill = [&](std::size_t rank, Message&) {
        sent[rank] = now_ns();
        return Status();
      };
      DISCO_TRY(const auto ping, links_->ask("ping", fill, options_.start_timeout));
      for (std::size_t rank = 0; rank < nodes_.size(); ++rank) {
        const std::int64_t trip = ping->answers[rank].reply_ns - sent[rank];
        DISCO_TRY(const std::uint64_t clock,
                  named(rank, control::number(*ping->answers[rank].reply, "clock_ns", control::kLatestNs)));
        if (trip < shortest[rank]) {
          shortest[rank] = trip;
          clock_offsets_[rank] = sent[rank] + trip / 2 - static_cast<std::int64_t>(clock);
        }
      }
    }
    return {};
  }

  /// "; it was killed by signal 9 (Killed)", where that can be known.
  std::string fate(std::size_t rank) {
    if (rank >= processes_.size()) {
      return "";
    }
    for (int i = 0; i < 20 && processes_[rank].fate().empty(); ++i) {
      std::this_thread::sleep_for(milliseconds(2));
    }
    const std::string fate = processes_[rank].fate();
    return fate.empty() ? "" : "; it " + fate;
  }

  ClusterOptions options_;
  std::vector<NodeProcess> processes_;       // by rank, where they are ours
  std::optional<NodeLinks> links_;           // while it runs
  std::vector<std::int64_t> clock_offsets_;  // by rank, nanoseconds
  std::vector<PublicKey> public_keys_;       // by rank; none where nothing is encrypted
  std::uint64_t cluster_ = (std::uint64_t{std::random_device{}()} << 32) | std::random_device{}();
  std::uint32_t epoch_ = 0;
  std::uint64_t request_ = 0;
  bool joined_ = false;
  std::map<std::string, Bands> bands_;                  // of inputs that some node may take in bands
  std::map<std::string, Shape> shapes_;                 // of inputs
  std::vector<std::set<std::string>> in_bands_;         // by rank, those that it takes
  std::vector<Run> runs_;                               // in flight, oldest first
  std::deque<std::pair<std::uint64_t, Error>> failed_;  // requests beside one that failed
};

}  // namespace

Result<std::unique_ptr<Cluster>> Cluster::start_local(std::vector<Graph> shards,
                                                      const ClusterOptions& options) {
  auto cluster = std::make_unique<RemoteCluster>();
  DISCO_TRY(const auto configs, cluster->spawn(shards.size(), options));
  DISCO_CHECK(cluster->open(configs, std::move(shards), options));
  return std::unique_ptr<Cluster>(std::move(cluster));
}

Result<std::unique_ptr<Cluster>> Cluster::connect(const std::vector<NodeConfig>& nodes,
                                                  std::vector<Graph> shards, const ClusterOptions& options) {
  auto cluster = std::make_unique<RemoteCluster>();
  DISCO_CHECK(cluster->open(nodes, std::move(shards), options));
  return std::unique_ptr<Cluster>(std::move(cluster));
}

}  // namespace disco
