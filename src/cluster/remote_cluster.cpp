// Ranks as processes, of this machine or of others, that run a node server.

#include <algorithm>
#include <deque>
#include <functional>
#include <limits>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "cluster/cluster.h"
#include "cluster/control.h"
#include "cluster/process.h"
#include "cluster/shard_message.h"
#include "fabric/zmq_socket.h"

namespace disco {
namespace {

using control::Message;
using std::chrono::milliseconds;

double seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
}

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
    for (std::size_t rank = 0; rank < nodes; ++rank) {
      NodeIdentity identity;
      if (options.keys) {
        DISCO_TRY(identity.keys, KeyPair::make());
        identity.coordinator = options.keys->public_key();
      }
      public_keys.push_back(options.keys ? identity.keys->public_key().text() : "");
      DISCO_TRY(NodeProcess process, NodeProcess::start(executable, options.arguments, identity));
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
    for (std::size_t rank = 0; rank < configs.size(); ++rank) {
      const NodeConfig& config = configs[rank];
      Node node;
      node.address = config.address;
      NodeInfo info;
      info.label = config.name.empty() ? config.address : config.name + ", " + config.address;
      info.process = rank < processes_.size() ? processes_[rank].pid() : -1;
      nodes_.push_back(std::move(info));
      DISCO_TRY(node.socket,
                ZmqSocket::open(context_, ZMQ_DEALER, socket_options,
                                options.keys ? std::optional(public_keys_[rank]) : std::nullopt));
      if (const Status status = node.socket.connect(config.address); !status) {
        return in_context(describe(rank), status.error());
      }
      links_.push_back(std::move(node));
    }
    DISCO_CHECK(exchange(
        "hello", [](std::size_t, Message&) { return Status(); }, options.start_timeout));
    for (std::size_t rank = 0; rank < links_.size(); ++rank) {
      const auto& head = asked_->answers[rank].reply->head;
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
    if (links_.empty()) {
      return error(ErrorCode::InvalidArgument, "the cluster was shut down");
    }
    DISCO_CHECK(check(inputs, options));
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
      message.head["request"] = request;
      message.head["trace"] = options.trace ? 1 : 0;
      message.head["deadline_ms"] = options.deadline.count();
      control::put_tensors(message, "inputs", inputs_of(rank, inputs), images);
      return Status();
    };
    // A second more than the nodes have, so that they come first: they know what they wait for.
    DISCO_TRY(std::unique_ptr<Exchange> run, post("run", fill, options.deadline + milliseconds(1000)));
    run->request = request;
    run->trace = options.trace;
    runs_.push_back(std::move(run));
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
      const bool any = pump_all();
      for (settled = 0; settled < runs_.size() && !is_settled(*runs_[settled]); ++settled) {
      }
      if (settled < runs_.size()) {
        break;
      }
      if (!any) {
        Clock::time_point end = Clock::time_point::max();
        for (const auto& run : runs_) {
          end = std::min(end, when_to_look(*run));
        }
        wait(end);
      }
    }
    const std::unique_ptr<Exchange> run = std::move(runs_[settled]);
    runs_.erase(runs_.begin() + static_cast<std::ptrdiff_t>(settled));
    const Status verdict_of_run = verdict(*run);
    auto result = verdict_of_run ? collect(*run) : Result<RunResult>(verdict_of_run.error());
    if (!result) {
      joined_ = false;  // cancelled ends cannot be used again
      for (const auto& other : runs_) {
        failed_.emplace_back(other->request, given_up(result.error()));
      }
      runs_.clear();
    }
    return Completed{run->request, std::move(result)};
  }

  std::size_t in_flight() const override { return runs_.size() + failed_.size(); }

  void shutdown() override {
    for (Node& link : links_) {
      if (link.socket.is_open() && processes_.empty()) {
        std::vector<ZmqFrame> frames = control::encode(control::request("unload", ++id_));
        std::ignore = link.socket.send(frames);
      } else {
        link.socket.set_linger(milliseconds(0));
      }
    }
    runs_.clear();
    failed_.clear();
    links_.clear();
    processes_.clear();
    joined_ = false;
  }

 private:
  struct Node {
    std::string address;
    ZmqSocket socket;
    HandshakeVerdict handshakes;
    bool met = false;  // it has answered once: the end of its connection is its end
    bool lost = false;
    std::int64_t clock_offset_ns = 0;
  };

  /// What one node made of one question.
  struct Answer {
    std::uint64_t expected = 0;  // the reply's id
    std::optional<Message> reply;
    std::int64_t reply_ns = 0;  // when it came
    std::optional<Error> fault;
    bool fault_is_its_word = false;  // it said so itself
    bool after_cancel = false;
    std::size_t order = 0;
    [[nodiscard]] bool waits() const { return !reply && !fault; }
  };

  /// The same question to every node, and their answers.
  struct Exchange {
    std::string op;
    Clock::time_point start = Clock::now();
    std::int64_t start_ns = now_ns();
    Clock::time_point end;
    std::vector<Answer> answers;  // by rank
    std::size_t answered = 0;
    std::optional<Clock::time_point> failed;
    bool cancelled = false;
    std::uint64_t request = 0;  // of a run
    bool trace = false;
    /// Whether nodes may wait for one that failed, so that they must be told.
    [[nodiscard]] bool together() const { return op == "run" || op == "join"; }
  };

  static constexpr milliseconds kMoment{100};
  static constexpr milliseconds kStopping{500};

  Result<RunResult> collect(const Exchange& run) {
    RunResult result;
    std::int64_t end_ns = run.start_ns;
    for (std::size_t rank = 0; rank < run.answers.size(); ++rank) {
      const Message& reply = *run.answers[rank].reply;
      control::Reader reader(reply);
      DISCO_TRY(NamedTensors outputs, named(rank, reader.tensors("outputs")));
      result.outputs.merge(outputs);
      DISCO_TRY(RunStatistics statistics, named(rank, control::get_statistics(reply)));
      result.statistics.push_back(statistics);
      if (run.trace) {
        DISCO_TRY(auto trace, named(rank, control::get_trace(reply)));
        result.traces.push_back(
            {static_cast<int>(rank), nodes_[rank].label, links_[rank].clock_offset_ns, std::move(trace)});
      }
      end_ns = std::max(end_ns, run.answers[rank].reply_ns);
    }
    result.total_ms = static_cast<double>(end_ns - run.start_ns) * 1e-6;
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
    const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    const int local_share = std::max(1, cores / static_cast<int>(shards.size()));
    const auto fill = [&](std::size_t rank, Message& message) -> Status {
      if (const Status put = control::put_shard(message, std::exchange(shards[rank], {})); !put) {
        return in_context(describe(rank), put.error());
      }
      message.head["threads"] = options_.threads > 0        ? options_.threads
                                : configs[rank].threads > 0 ? configs[rank].threads
                                : !processes_.empty()       ? local_share
                                                            : 0;
      message.head["optimise"] = options_.optimise ? 1 : 0;
      return {};
    };
    DISCO_CHECK(exchange("load", fill, options_.load_timeout));
    for (std::size_t rank = 0; rank < links_.size(); ++rank) {
      const Message& reply = *asked_->answers[rank].reply;
      constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
      DISCO_TRY(nodes_[rank].inputs, named(rank, control::texts(reply, "inputs")));
      DISCO_TRY(nodes_[rank].outputs, named(rank, control::texts(reply, "outputs")));
      DISCO_TRY(nodes_[rank].weight_bytes, named(rank, control::number(reply, "weight_bytes", kMost)));
      DISCO_TRY(nodes_[rank].arena_bytes, named(rank, control::number(reply, "arena_bytes", kMost)));
    }
    return {};
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
    DISCO_CHECK(exchange("listen", introduce, options_.start_timeout));
    std::vector<std::string> addresses;
    std::vector<std::string> labels;
    for (std::size_t rank = 0; rank < links_.size(); ++rank) {
      DISCO_TRY(const std::uint64_t port,
                named(rank, control::number(*asked_->answers[rank].reply, "port", 65535)));
      DISCO_TRY(const HostPort control_address, parse_address(links_[rank].address));
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
    DISCO_CHECK(exchange("join", fill, options_.start_timeout, milliseconds(1000)));
    joined_ = true;
    return {};
  }

  /// Of a few round trips the shortest tells best what the node's clock showed in its middle.
  Status measure_clocks() {
    std::vector<std::int64_t> shortest(links_.size(), std::numeric_limits<std::int64_t>::max());
    for (int round = 0; round < 5; ++round) {
      std::vector<std::int64_t> sent(links_.size());
      const auto fill = [&](std::size_t rank, Message&) {
        sent[rank] = now_ns();
        return Status();
      };
      DISCO_CHECK(exchange("ping", fill, options_.start_timeout));
      for (std::size_t rank = 0; rank < links_.size(); ++rank) {
        const std::int64_t trip = asked_->answers[rank].reply_ns - sent[rank];
        DISCO_TRY(const std::uint64_t clock,
                  named(rank, control::number(*asked_->answers[rank].reply, "clock_ns", control::kLatestNs)));
        if (trip < shortest[rank]) {
          shortest[rank] = trip;
          links_[rank].clock_offset_ns = sent[rank] + trip / 2 - static_cast<std::int64_t>(clock);
        }
      }
    }
    return {};
  }

  /// Asks every node the same thing and waits for all answers, which are then in asked_. Where one
  /// fails, the others have a moment to say what they see; then they are told to stop, and have half a second
  /// to do so.
  ///
  /// @param fill     completes a rank's request
  /// @param margin   added to the deadline here, where the nodes know it too
  Status exchange(std::string_view op, const std::function<Status(std::size_t, Message&)>& fill,
                  milliseconds deadline, milliseconds margin = milliseconds(0)) {
    DISCO_TRY(asked_, post(op, fill, deadline + margin));
    while (true) {
      const bool any = pump_all();
      if (is_settled(*asked_)) {
        return verdict(*asked_);
      }
      if (!any) {
        wait(when_to_look(*asked_));
      }
    }
  }

  /// Sends the question off.
  Result<std::unique_ptr<Exchange>> post(std::string_view op,
                                         const std::function<Status(std::size_t, Message&)>& fill,
                                         milliseconds time) {
    auto exchange = std::make_unique<Exchange>();
    exchange->op = op;
    exchange->answers.resize(links_.size());
    for (std::size_t rank = 0; rank < links_.size(); ++rank) {
      Node& link = links_[rank];
      exchange->answers[rank].expected = ++id_;
      Message message = control::request(op, id_);
      DISCO_CHECK(fill(rank, message));
      std::vector<ZmqFrame> frames = control::encode(std::move(message));
      if (link.lost || !link.socket.send(frames)) {
        link.lost = true;
        set_lost(*exchange, rank);
      }
    }
    exchange->end = Clock::now() + time;
    return exchange;
  }

  bool pump_all() {
    bool any = false;
    for (std::size_t rank = 0; rank < links_.size(); ++rank) {
      any |= pump(rank);
    }
    return any;
  }

  /// Whether nothing more is to be waited for. Tells the nodes to stop where one failed a moment ago.
  bool is_settled(Exchange& exchange) {
    const Clock::time_point now = Clock::now();
    const auto& answers = exchange.answers;
    const bool waiting =
        std::any_of(answers.begin(), answers.end(), [](const Answer& a) { return a.waits(); });
    if (!exchange.failed && std::any_of(answers.begin(), answers.end(),
                                        [](const Answer& answer) { return answer.fault.has_value(); })) {
      exchange.failed = now;
    }
    if (!waiting || (!exchange.failed && now >= exchange.end) ||
        (exchange.failed && now >= *exchange.failed + kMoment + kStopping)) {
      return true;
    }
    if (exchange.failed && !exchange.cancelled && now >= *exchange.failed + kMoment) {
      exchange.cancelled = true;
      if (!exchange.together()) {
        return true;
      }
      tell_to_stop();
    }
    return false;
  }

  /// When is_settled() may have changed its mind although nothing came.
  static Clock::time_point when_to_look(const Exchange& exchange) {
    return !exchange.failed ? exchange.end
                            : *exchange.failed + kMoment + (exchange.cancelled ? kStopping : milliseconds(0));
  }

  static void set_fault(Exchange& exchange, std::size_t rank, Error fault, bool its_word) {
    Answer& answer = exchange.answers[rank];
    answer.fault = std::move(fault);
    answer.fault_is_its_word = its_word;
    answer.order = exchange.answered++;
  }

  void set_lost(Exchange& exchange, std::size_t rank) {
    if (exchange.answers[rank].waits()) {
      set_fault(exchange, rank, error(ErrorCode::PeerLost, "{} went away{}", describe(rank), fate(rank)),
                false);
    }
  }

  template <typename Visit>
  void each_open(Visit visit) {
    for (const auto& run : runs_) {
      visit(*run);
    }
    if (asked_) {
      visit(*asked_);
    }
  }

  /// The open exchange whose answer of `rank` has this id. Id 0, of one who could not read the request and so
  /// not its id, is taken for the oldest's.
  Exchange* find_open(std::size_t rank, std::uint64_t id) {
    Exchange* found = nullptr;
    each_open([&](Exchange& exchange) {
      const Answer& answer = exchange.answers[rank];
      if (found == nullptr && answer.waits() && (answer.expected == id || id == 0)) {
        found = &exchange;
      }
    });
    return found;
  }

  bool pump(std::size_t rank) {
    Node& link = links_[rank];
    if (!link.socket.is_open()) {
      return false;
    }
    const ZmqEvents events = link.socket.events();
    const bool ended = !events.disconnected.empty();
    bool any = ended;
    if (!link.met && asked_ && asked_->answers[rank].waits()) {
      if (const auto why = link.handshakes.take(events, options_.keys)) {
        set_fault(*asked_, rank, error(ErrorCode::ProtocolMismatch, "{} {}", describe(rank), *why), false);
        return true;
      }
    }
    // So many at a time that deadlines are looked at, however fast a node sends.
    std::optional<std::vector<ZmqFrame>> frames;
    for (int i = 0; i < 256 && (frames = link.socket.receive()); ++i) {
      any = true;
      auto message = control::decode(std::move(*frames));
      const auto id = message ? control::number(*message, "id", std::numeric_limits<std::uint64_t>::max())
                              : Result<std::uint64_t>(0);
      Exchange* const exchange = find_open(rank, *id);
      if (exchange == nullptr) {
        continue;
      }
      if (!message) {
        set_fault(*exchange, rank, in_context(describe(rank), message.error()), false);
        continue;
      }
      Answer& answer = exchange->answers[rank];
      link.met = true;
      answer.reply_ns = now_ns();
      answer.after_cancel = exchange->cancelled;
      if (auto fault = control::error_of(*message)) {
        set_fault(*exchange, rank, std::move(*fault), true);
      } else {
        answer.reply = std::move(*message);
      }
    }
    if (ended && link.met) {
      link.lost = true;
      link.socket.set_linger(milliseconds(0));
      link.socket.close();
      each_open([&](Exchange& exchange) { set_lost(exchange, rank); });
    }
    return any;
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

  void tell_to_stop() {
    for (Node& link : links_) {
      if (!link.lost && link.socket.is_open()) {
        Message message = control::request("cancel", ++id_);
        message.head["reason"] = "the coordinator cancelled the request";
        std::vector<ZmqFrame> frames = control::encode(std::move(message));
        std::ignore = link.socket.send(frames);
      }
    }
  }

  void wait(Clock::time_point deadline) {
    std::vector<const ZmqSocket*> sockets;
    for (const Node& link : links_) {
      sockets.push_back(&link.socket);
    }
    zmq_wait(sockets, {}, deadline);
  }

  /// The error that says most: what a node says of one that is silent or gone; then the first that one says
  /// of itself; then who is silent.
  Status verdict(const Exchange& exchange) {
    std::vector<std::size_t> complaints;  // ranks, in the order of what they said
    std::vector<std::size_t> silent;
    for (std::size_t rank = 0; rank < exchange.answers.size(); ++rank) {
      const Answer& answer = exchange.answers[rank];
      if (answer.fault && answer.fault_is_its_word) {
        if (!answer.after_cancel) {
          complaints.push_back(rank);
        }
      } else if (!answer.reply) {
        silent.push_back(rank);
      }
    }
    std::sort(complaints.begin(), complaints.end(), [&](std::size_t a, std::size_t b) {
      return exchange.answers[a].order < exchange.answers[b].order;
    });
    for (const std::size_t rank : complaints) {
      for (const std::size_t quiet : silent) {
        const Error& word = *exchange.answers[rank].fault;
        if (word.message.starts_with(describe(quiet))) {
          return error(word.code, "{}{}", said_by(rank, word).message, fate(quiet));
        }
      }
    }
    if (!complaints.empty()) {
      return said_by(complaints.front(), *exchange.answers[complaints.front()].fault);
    }
    for (const std::size_t rank : silent) {
      if (exchange.answers[rank].fault) {
        return *exchange.answers[rank].fault;
      }
    }
    if (!silent.empty()) {
      return error(ErrorCode::Timeout, "{} did not answer '{}' within {:.1f} s; is it running and reachable?",
                   describe(silent.front()), exchange.op, seconds(Clock::now() - exchange.start));
    }
    for (const Answer& answer : exchange.answers) {
      if (answer.fault) {
        return *answer.fault;
      }
    }
    return {};
  }

  ClusterOptions options_;
  std::vector<NodeProcess> processes_;  // by rank, where they are ours
  ZmqContext context_;
  std::vector<Node> links_;             // by rank
  std::vector<PublicKey> public_keys_;  // by rank; none where nothing is encrypted
  std::uint64_t cluster_ = (std::uint64_t{std::random_device{}()} << 32) | std::random_device{}();
  std::uint32_t epoch_ = 0;
  std::uint64_t request_ = 0;
  std::uint64_t id_ = 0;
  bool joined_ = false;
  std::unique_ptr<Exchange> asked_;                     // the last question that is not a run
  std::vector<std::unique_ptr<Exchange>> runs_;         // in flight, oldest first
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
