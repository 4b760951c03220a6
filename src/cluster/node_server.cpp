#include "cluster/node_server.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "base/memory.h"
#include "cluster/control.h"
#include "cluster/input_mail.h"
#include "cluster/runner.h"
#include "cluster/shard_message.h"
#include "cluster/worker.h"
#include "compile/program.h"
#include "fabric/tcp_fabric.h"
#include "fabric/zmq_fabric.h"

namespace disco {
namespace {

using control::Message;

/// The shard that a node holds, and its work; used by the worker thread, but for `cancel` and `wake`.
class Session {
 public:
  explicit Session(const NodeServerOptions& options, OnRefusal on_refusal)
      : options_(options), on_refusal_(std::move(on_refusal)) {}

  /// Called once for every request, on the worker's thread.
  using Reply = std::function<void(Message)>;

  /// Answers the request, or begins the run that it asks for; see drive().
  ///
  /// @param ticket  of the request, counted up by the one thread that takes requests in
  /// @param mail    where bands of its inputs come
  void handle(Message& request, std::uint64_t id, std::uint64_t ticket,
              const std::shared_ptr<InputMail>& mail, const Reply& reply) {
    // What libraries throw (memory that is not there, mostly) becomes an answer here.
    try {
      auto answer = begin(request, id, ticket, mail, reply);
      if (!answer) {
        reply(control::failure(id, answer.error()));
      } else if (*answer) {
        reply(std::move(**answer));
      }
    } catch (const std::bad_alloc&) {
      reply(control::failure(id, error(ErrorCode::Io, "out of memory")));
    } catch (const std::exception& exception) {
      reply(control::failure(id, error(ErrorCode::Internal, "{}", exception.what())));
    }
  }

  /// Works on the runs in flight until all are answered, or `interrupted` and able to take one more.
  void drive(const std::function<bool()>& interrupted) {
    if (runner_) {
      runner_->drive(fabric_.get(), interrupted);
    }
  }

  /// Ends a wait of drive(), which then asks whether it is interrupted; callable from any thread.
  void wake() {
    const std::lock_guard lock(mutex_);
    if (fabric_) {
      fabric_->wake();
    }
  }

  /// Ends the waits of all requests up to this ticket, also of those that have not begun, and of one that
  /// opens its port at this very moment; callable from any thread.
  void cancel(const std::string& reason, std::uint64_t upto) {
    const std::lock_guard lock(mutex_);
    cancelled_upto_ = upto;
    cancel_reason_ = reason;
    if (fabric_) {
      fabric_->cancel(reason);
    }
  }

  void unload() {
    give_up("the node was told to let its shard go");
    set_fabric(nullptr);
    runner_.reset();
  }

 private:
  /// The answer, or nullopt for a run that was begun and will be answered later.
  Result<std::optional<Message>> begin(Message& request, std::uint64_t id, std::uint64_t ticket,
                                       const std::shared_ptr<InputMail>& mail, const Reply& reply) {
    DISCO_TRY(const std::string op, control::text(request, "op"));
    if (op == "unload") {
      unload();
      return std::optional<Message>(control::success(id));
    }
    {
      const std::lock_guard lock(mutex_);
      ticket_ = ticket;
      if (ticket <= cancelled_upto_) {
        return Error{ErrorCode::PeerLost, cancel_reason_};
      }
    }
    if (op == "run") {
      DISCO_CHECK(run(request, id, mail, reply));
      return std::optional<Message>();
    }
    give_up(fmt::format("the node was told to '{}'", as_one_line(op)));
    Result<Message> answer = op == "load"     ? load(request, id)
                             : op == "listen" ? listen(request, id)
                             : op == "join"
                                 ? join(request, id)
                                 : error(ErrorCode::ProtocolMismatch, "unknown control operation '{}'", op);
    if (!answer) {
      return answer.error();
    }
    return std::optional<Message>(std::move(*answer));
  }

  void give_up(const std::string& why) {
    if (runner_) {
      runner_->give_up({ErrorCode::PeerLost, why});
    }
  }

  Result<Message> load(Message& request, std::uint64_t id) {
    unload();
    forget_peak_memory();  // what an earlier shard took
    DISCO_TRY(const std::uint64_t optimise, control::number(request, "optimise", 1));
    DISCO_TRY(const std::uint64_t wanted, control::number(request, "threads", 1024));
    const int threads = options_.threads > 0 ? options_.threads : static_cast<int>(wanted);
    std::shared_ptr<const Program> program;
    {
      DISCO_TRY(Graph graph, control::take_shard(request));
      CompileOptions options{.optimise = optimise == 1, .threads = threads};
      DISCO_TRY(options.inputs, control::get_route(request));
      DISCO_TRY(Program compiled, compile(std::move(graph), options));
      program = std::make_shared<const Program>(std::move(compiled));
    }
    runner_ = std::make_unique<Runner>(program, ExecutorOptions{.threads = threads});
    Message reply = control::success(id);
    reply.head["inputs"] = program->input_names();
    reply.head["outputs"] = program->output_names();
    reply.head["input_bands"] = nlohmann::json::object();
    for (const BandedInput& input : program->banded_inputs()) {
      reply.head["input_bands"][input.name] = input.bands;
    }
    reply.head["weight_bytes"] = program->weight_bytes();
    reply.head["arena_bytes"] = program->arena_bytes();
    return reply;
  }

  Result<Message> listen(const Message& request, std::uint64_t id) {
    set_fabric(nullptr);  // first, so that a fixed port is free again
    if (options_.join) {
      Message reply = control::success(id);
      reply.head["port"] = 0;  // nobody connects
      return reply;
    }
    DISCO_TRY(const HostPort address, parse_address(options_.listen));
    DISCO_TRY(std::vector<PublicKey> members, members_of(request));
    DISCO_TRY(auto fabric,
              open_port(fmt::format("{}:{}", address.host, options_.fabric_port), std::move(members)));
    DISCO_TRY(const HostPort bound, parse_address(fabric->address()));
    set_fabric(std::move(fabric));
    Message reply = control::success(id);
    reply.head["port"] = bound.port;
    return reply;
  }

  /// In the clear the thread that computes moves the bytes itself; ZeroMQ encrypts them.
  Result<std::unique_ptr<ListeningFabric>> open_port(const std::string& address,
                                                     std::vector<PublicKey> members) const {
    if (!options_.keys) {
      DISCO_TRY(auto fabric, TcpFabric::listen(address, {.on_refusal = on_refusal_}));
      return std::unique_ptr<ListeningFabric>(std::move(fabric));
    }
    ZmqOptions encrypted;
    encrypted.socket.keys = options_.keys;
    encrypted.on_refusal = on_refusal_;
    encrypted.members = std::move(members);
    DISCO_TRY(auto fabric, ZmqFabric::listen(address, encrypted));
    return std::unique_ptr<ListeningFabric>(std::move(fabric));
  }

  Result<Message> join(const Message& request, std::uint64_t id) {
    Membership membership;
    DISCO_TRY(membership.addresses, control::texts(request, "addresses"));
    DISCO_TRY(membership.labels, control::texts(request, "labels"));
    DISCO_TRY(const std::uint64_t rank, control::number(request, "rank", std::numeric_limits<int>::max()));
    DISCO_TRY(membership.cluster,
              control::number(request, "cluster", std::numeric_limits<std::uint64_t>::max()));
    DISCO_TRY(const std::uint64_t epoch,
              control::number(request, "epoch", std::numeric_limits<std::uint32_t>::max()));
    DISCO_TRY(const Clock::time_point deadline, deadline_of(request));
    membership.rank = static_cast<int>(rank);
    membership.epoch = epoch_ = static_cast<std::uint32_t>(epoch);
    if (options_.join) {
      DISCO_TRY(auto fabric, options_.join(membership));
      set_fabric(std::move(fabric));
      return control::success(id);
    }
    auto* const fabric = dynamic_cast<ListeningFabric*>(fabric_.get());
    if (fabric == nullptr) {
      return error(ErrorCode::ProtocolMismatch, "a 'join' without a 'listen' before it");
    }
    DISCO_CHECK(fabric->connect(membership, deadline));
    return control::success(id);
  }

  Status run(const Message& request, std::uint64_t id, const std::shared_ptr<InputMail>& mail,
             const Reply& reply) {
    if (!runner_ || !fabric_) {
      return error(ErrorCode::InvalidArgument, "no shard was loaded on this node");
    }
    RunRequest run{.epoch = epoch_};
    DISCO_TRY(run.request, control::number(request, "request", std::numeric_limits<std::uint64_t>::max()));
    DISCO_TRY(const std::uint64_t trace, control::number(request, "trace", 1));
    DISCO_TRY(run.deadline, deadline_of(request));
    run.trace = trace == 1;
    control::Reader reader(request);
    DISCO_TRY(const NamedTensors inputs, reader.tensors("inputs"));
    if (!runner_->program().banded_inputs().empty()) {
      DISCO_CHECK(mail->put(request, reader));
      run.bands = mail;
    }
    runner_->begin(inputs, run, [id, reply](Result<ExecutorResult> result) {
      if (!result) {
        return reply(control::failure(id, result.error()));
      }
      Message message = control::success(id);
      control::put_tensors(message, "outputs", std::move(result->outputs));
      control::put_statistics(message, result->statistics);
      control::put_trace(message, result->trace);
      reply(std::move(message));
    });
    return {};
  }

  /// The public keys of the cluster's nodes by rank; none where nothing is encrypted.
  Result<std::vector<PublicKey>> members_of(const Message& request) const {
    std::vector<std::string> texts;
    if (request.head.contains("public_keys")) {
      DISCO_TRY(texts, control::texts(request, "public_keys"));
    }
    if (texts.empty() != (options_.keys == nullptr)) {
      return error(ErrorCode::ProtocolMismatch, "the nodes of a cluster have keys, all of them or none");
    }
    std::vector<PublicKey> members;
    for (const std::string& text : texts) {
      DISCO_TRY(const PublicKey key, PublicKey::parse(text));
      members.push_back(key);
    }
    return members;
  }

  /// Clocks of two machines differ, so requests say how long, not until when.
  static Result<Clock::time_point> deadline_of(const Message& request) {
    DISCO_TRY(const std::uint64_t milliseconds, control::number(request, "deadline_ms", 86'400'000));
    return Clock::now() + std::chrono::milliseconds(milliseconds);
  }

  void set_fabric(std::shared_ptr<Fabric> fabric) {
    {
      const std::lock_guard lock(mutex_);
      std::swap(fabric_, fabric);
      if (fabric_ && ticket_ <= cancelled_upto_) {
        fabric_->cancel(cancel_reason_);
      }
    }
    // The old one ends here, outside of the lock: it may linger.
  }

  const NodeServerOptions& options_;
  OnRefusal on_refusal_;
  std::unique_ptr<Runner> runner_;
  std::uint32_t epoch_ = 0;
  std::mutex mutex_;
  std::shared_ptr<Fabric> fabric_;  // changed under the mutex; read by the worker without it
  std::uint64_t ticket_ = 0;        // of the request that is worked on
  std::uint64_t cancelled_upto_ = 0;
  std::string cancel_reason_;
};

/// The control socket and who is behind it; used by the serving thread, but for `post`.
class Server {
 public:
  explicit Server(const NodeServerOptions& options)
      : options_(options), session_(options, [this](const std::string& line) { refuse(line); }) {}

  Status serve() {
    ZmqSocketOptions socket_options;
    socket_options.heartbeat_timeout = std::chrono::seconds(10);
    socket_options.max_message_bytes = control::kMaxPartBytes;
    socket_options.keys = options_.keys;
    if (options_.keys) {
      if (!options_.judge) {
        return error(ErrorCode::InvalidArgument, "a node with keys needs to know whom it may serve");
      }
      DISCO_TRY(doorman_,
                Doorman::start(context_, options_.judge, [this](const std::string& line) { refuse(line); }));
    }
    DISCO_TRY(socket_, ZmqSocket::open(context_, ZMQ_ROUTER, socket_options));
    DISCO_TRY(const std::string address, socket_.bind(options_.listen));
    if (options_.parent_fd >= 0) {
      const std::string line = address + "\n";
      if (::write(options_.parent_fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
        return error(ErrorCode::Io, "cannot report the address to the starting process");
      }
    }
    if (options_.on_ready) {
      options_.on_ready(address);
    }
    while (!has_ended(options_.stop_fd)) {
      if (has_ended(options_.parent_fd)) {
        _exit(0);  // at once, whatever the worker is in the middle of: nobody is left to use it
      }
      if (!pump()) {
        const ZmqSocket* const socket = &socket_;
        std::vector<int> wakes = {wake_.fd()};
        for (const int fd : {options_.parent_fd, options_.stop_fd}) {
          if (fd >= 0) {
            wakes.push_back(fd);
          }
        }
        zmq_wait(std::span(&socket, 1), wakes, Clock::now() + std::chrono::hours(1));
      }
    }
    session_.cancel("the node is stopping", std::numeric_limits<std::uint64_t>::max());
    return {};
  }

 private:
  /// Whether a byte or the other end's end is there.
  static bool has_ended(int fd) {
    pollfd item{fd, POLLIN, 0};
    return fd >= 0 && poll(&item, 1, 0) > 0;
  }

  bool pump() {
    bool any = pump_events();
    // So many at a time that the other descriptors are looked at, however fast a client sends.
    std::optional<std::vector<ZmqFrame>> frames;
    for (int i = 0; i < 256 && (frames = socket_.receive()); ++i) {
      any = true;
      try {
        take(std::move(*frames));
      } catch (const std::bad_alloc&) {
        // Whoever sent so much gets no answer; the others are served on.
      }
    }
    wake_.clear();
    std::vector<std::vector<ZmqFrame>> replies;
    {
      const std::lock_guard lock(mutex_);
      std::swap(replies, replies_);
    }
    for (auto& reply : replies) {
      any = true;
      std::ignore = socket_.send(reply);  // whoever asked may be gone
    }
    return any;
  }

  bool pump_events() {
    const ZmqEvents events = socket_.events();
    for (const int connection : events.disconnected) {
      open_connections_.erase(connection);
      if (connection == owner_connection_) {
        abandon();
      }
    }
    open_connections_.insert(events.accepted.begin(), events.accepted.end());
    for (const FailedHandshake& failed : events.failed) {
      if (const auto line = refusal_of(failed, options_.keys != nullptr)) {
        refuse(*line);
      }
    }
    return !events.accepted.empty() || !events.disconnected.empty();
  }

  /// Whoever is refused tries again many times a second.
  void refuse(const std::string& line) {
    const std::lock_guard lock(refusal_mutex_);
    const Clock::time_point now = Clock::now();
    std::erase_if(refusals_, [&](const auto& told) { return now - told.second > std::chrono::minutes(1); });
    if (options_.on_refusal && refusals_.size() < 100 && refusals_.emplace(line, now).second) {
      options_.on_refusal(line);
    }
  }

  /// The coordinator is gone: what it asked for is of no use.
  void abandon() {
    owner_.clear();
    owner_connection_ = -1;
    session_.cancel("the coordinator went away", tickets_);
    worker_.post([this] { session_.unload(); });
    session_.wake();
  }

  void take(std::vector<ZmqFrame> frames) {
    const std::string client = frames[0].text();
    const int connection = frames.back().source();
    frames.erase(frames.begin());
    auto request = control::decode(std::move(frames));
    if (!request) {
      return post(client, control::failure(0, request.error()));
    }
    const std::uint64_t id =
        control::number(*request, "id", std::numeric_limits<std::uint64_t>::max()).value();
    const auto op = control::text(*request, "op");
    if (!op) {
      return post(client, control::failure(id, op.error()));
    }
    if (*op == "hello" || *op == "ping") {
      Message reply = control::success(id);
      reply.head["clock_ns"] =
          std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
      const MachineMemory memory = machine_memory();
      reply.head["memory_total"] = memory.total;
      reply.head["memory_free"] = memory.free;
      reply.head["busy"] = !owner_.empty() && owner_ != client;
      return post(client, std::move(reply));
    }
    if (!owner_.empty() && owner_ != client) {
      return post(client, control::failure(
                              id, error(ErrorCode::Io, "it serves another coordinator; try again later")));
    }
    if (*op == "cancel") {
      const auto reason = control::text(*request, "reason");
      session_.cancel(reason ? as_one_line(*reason) : "the request was cancelled", tickets_);
      return post(client, control::success(id));
    }
    if (*op == "input") {
      return deliver(std::move(*request));
    }
    if (worker_.waiting() > 16) {
      return post(client, control::failure(id, error(ErrorCode::Io, "it has too many requests waiting")));
    }
    // Its end may have been seen before its last requests: nobody would ever release what they take.
    pump_events();
    if (!open_connections_.contains(connection)) {
      return;
    }
    owner_ = client;
    owner_connection_ = connection;
    const bool leaves = *op == "unload";
    const auto mail = std::make_shared<InputMail>();
    if (const auto run = control::number(*request, "request", std::numeric_limits<std::uint64_t>::max())) {
      std::erase_if(mails_, [](const auto& entry) { return entry.second.expired(); });
      mails_[*run] = mail;
    }
    worker_.post([this, client, id, mail, ticket = ++tickets_,
                  request = std::make_shared<Message>(std::move(*request))] {
      session_.handle(*request, id, ticket, mail, [this, client](Message reply) {
        post(client, std::move(reply));
        wake_.set();
      });
      session_.drive([this] { return worker_.waiting() > 0; });
    });
    session_.wake();
    if (leaves) {
      owner_.clear();
      owner_connection_ = -1;
    }
  }

  /// Who asks for a run sends the rest of its inputs without waiting for an answer. What is left of a run
  /// that has ended is dropped.
  void deliver(Message message) {
    const auto run = control::number(message, "request", std::numeric_limits<std::uint64_t>::max());
    const auto found = run ? mails_.find(*run) : mails_.end();
    const std::shared_ptr<InputMail> mail = found == mails_.end() ? nullptr : found->second.lock();
    if (mail != nullptr) {
      mail->post(std::move(message));
      session_.wake();
    }
  }

  void post(const std::string& client, Message reply) {
    std::vector<ZmqFrame> frames;
    frames.emplace_back(std::as_bytes(std::span(client.data(), client.size())));
    for (ZmqFrame& frame : control::encode(std::move(reply))) {
      frames.push_back(std::move(frame));
    }
    const std::lock_guard lock(mutex_);
    replies_.push_back(std::move(frames));
  }

  const NodeServerOptions& options_;
  std::mutex refusal_mutex_;
  std::map<std::string, Clock::time_point> refusals_;  // lines, and when they were told
  ZmqContext context_;
  std::unique_ptr<Doorman> doorman_;
  ZmqSocket socket_;
  WakeUp wake_;
  std::string owner_;          // routing id of the coordinator that is served
  int owner_connection_ = -1;  // its TCP socket
  std::set<int> open_connections_;
  std::uint64_t tickets_ = 0;                                // requests that were given to the worker
  std::map<std::uint64_t, std::weak_ptr<InputMail>> mails_;  // by run in flight
  std::mutex mutex_;
  std::vector<std::vector<ZmqFrame>> replies_;
  Session session_;
  Worker worker_;  // last: its thread ends before the rest does
};

}  // namespace

Status run_node_server(const NodeServerOptions& options) {
  Server server(options);
  return server.serve();
}

}  // namespace disco
