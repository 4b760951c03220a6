#include "plan/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <tuple>

namespace disco {

namespace {

/// The header and those of two packets.
constexpr double kBytesAMessage = 110;
/// Bytes are moved in pieces, so that messages to several peers share an egress.
constexpr double kLeastPiece = 16 * 1024;
constexpr double kMostPieces = 4000;

/// A part of a message on its way. Inputs travel as messages without a tag, one a band.
struct Piece {
  int from = 0;
  int to = 0;
  int request = 0;
  std::optional<std::uint32_t> tag;
  std::size_t band = 0;
  double bytes = 0;
  double arriving = 0;  // seconds from its first byte's arrival to its last one's
  bool first = false;
  bool last = false;
};

struct Event {
  enum class Kind : std::uint8_t { Input, StepEnd, Queued, EgressFree, Arrived, Delivered, Answered };
  double time = 0;
  std::uint64_t order = 0;  // of equal times the earlier one first
  Kind kind = Kind::Input;
  int node = 0;
  int request = 0;
  std::uint64_t version = 0;
  Piece piece{};
  bool operator>(const Event& other) const {
    return std::tie(time, order) > std::tie(other.time, other.order);
  }
};

/// The step that a node's core is at.
struct Running {
  int request = 0;
  double start = 0;
  double end = 0;
  std::uint64_t version = 0;
};

struct NodeState {
  std::map<int, std::size_t> next_step;                     // by request in flight
  std::set<std::tuple<int, int, std::uint32_t>> delivered;  // request, peer, tag; of inputs the band
  std::optional<Running> running;
  double idle_since = 0;
  double io_free = 0;  // when the thread that moves bytes has done what it was given
  std::vector<std::deque<Piece>> egress;
  std::size_t turn = 0;
  bool sending = false;
  std::vector<double> bucket;  // by peer: until when what was sent fills the token bucket
  double ingress_free = 0;
  double compute = 0, pack = 0, wait = 0;
  std::uint64_t bytes = 0, messages = 0;
};

class Simulator {
 public:
  Simulator(const std::vector<SimulatedProgram>& programs, const Profile& profile,
            const SimulationOptions& options)
      : programs_(programs), profile_(profile), options_(options), nodes_(programs.size()) {
    double bytes = 0;
    for (std::size_t n = 0; n < programs.size(); ++n) {
      nodes_[n].egress.resize(programs.size());
      nodes_[n].bucket.resize(programs.size(), -1e9);
      for (const SimulatedStep& step : programs[n].steps)
        bytes += step.kind == StepKind::Send ? static_cast<double>(step.bytes) : 0.0;
    }
    piece_ = std::max(kLeastPiece, bytes / kMostPieces);
    requests_ = options.requests > 0       ? options.requests
                : options.concurrency == 1 ? 3
                                           : 6 * options.concurrency + 4;
    started_.resize(static_cast<std::size_t>(requests_), 0.0);
    unanswered_.resize(static_cast<std::size_t>(requests_), static_cast<int>(programs.size()));
  }

  Result<Simulation> run() {
    DISCO_TRY(coordinator_, coordinator());
    if (options_.trace) {
      for (std::size_t n = 0; n < nodes_.size(); ++n)
        traces_.push_back({static_cast<int>(n), profile_.nodes[n].name, 0, {}});
    }
    for (int r = 0; r < std::min(options_.concurrency, requests_); ++r) start(0.0);
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      handle(event);
    }
    if (done_.size() < static_cast<std::size_t>(requests_)) return stuck();
    return report();
  }

 private:
  Result<int> coordinator() const {
    if (profile_.coordinator.empty()) return -1;
    DISCO_TRY(const std::size_t index, profile_.find(profile_.coordinator));
    // One that has no part in this keeps its machine to itself.
    return index < nodes_.size() ? static_cast<int>(index) : -1;
  }

  [[nodiscard]] const NodeProfile& about(int node) const {
    return profile_.nodes[static_cast<std::size_t>(node)];
  }
  [[nodiscard]] const SimulatedProgram& program(int node) const {
    return programs_[static_cast<std::size_t>(node)];
  }
  NodeState& at(int node) { return nodes_[static_cast<std::size_t>(node)]; }

  void post(Event event) {
    event.order = order_++;
    events_.push(event);
  }

  /// The coordinator asks one node after another.
  void start(double now) {
    const int request = issued_++;
    started_[static_cast<std::size_t>(request)] = now;
    double begun = now;
    // As the coordinator does: its own machine's node last, since that has the shortest way.
    for (int n = static_cast<int>(nodes_.size()) - 1; n >= 0; --n) {
      const double asked = begun + about(n).request_s / 2;
      begun += about(n).ask_s + static_cast<double>(program(n).input_bytes) * about(n).ask_byte_s;
      double taken = asked;
      for (std::size_t band = 0; band <= program(n).more_input_bytes.size(); ++band) {
        const double bytes = input_bytes(n, band);
        const Piece input{
            .from = coordinator_, .to = n, .request = request, .tag = std::nullopt, .band = band};
        if (coordinator_ >= 0 && coordinator_ != n && bytes > 0) {
          // Its bytes take turns with what the node on its machine sends.
          for_pieces(input, bytes, [&](const Piece& piece) {
            post({.time = asked, .kind = Event::Kind::Queued, .node = coordinator_, .piece = piece});
          });
          continue;
        }
        taken += bytes * about(n).request_byte_s;
        post({.time = taken, .kind = Event::Kind::Input, .node = n, .piece = input});
      }
    }
  }

  [[nodiscard]] double input_bytes(int n, std::size_t band) const {
    return static_cast<double>(band == 0 ? program(n).input_bytes : program(n).more_input_bytes[band - 1]);
  }

  /// A message of the coordinator was taken in; the first begins the request.
  void begin(int n, const Piece& input, double now) {
    NodeState& node = at(n);
    if (input.band == 0) {
      node.next_step[input.request] = 0;
      if (!node.running && node.next_step.size() == 1) node.idle_since = now;
    }
    node.delivered.insert({input.request, kCaller, static_cast<std::uint32_t>(input.band)});
    advance(n, now, false);
  }

  /// Whether the message of a Receive is there.
  [[nodiscard]] bool is_there(const NodeState& node, int request, const SimulatedStep& step) const {
    if (step.peer != kCaller) return node.delivered.contains({request, step.peer, step.tag});
    return node.delivered.contains({request, kCaller, static_cast<std::uint32_t>(band_of_tag(step.tag))});
  }

  template <typename Function>
  void for_pieces(Piece piece, double bytes, const Function& function) {
    bytes += kBytesAMessage;
    piece.first = true;
    while (true) {
      // No crumbs at the end.
      piece.bytes = bytes < 1.5 * piece_ ? bytes : piece_;
      bytes -= piece.bytes;
      piece.last = bytes <= 0;
      function(piece);
      if (piece.last) return;
      piece.first = false;
    }
  }

  void handle(const Event& event) {
    NodeState& node = at(event.node);
    switch (event.kind) {
      case Event::Kind::Input: begin(event.node, event.piece, event.time); break;
      case Event::Kind::StepEnd:
        if (node.running && node.running->version == event.version) end_step(event.node, event.time);
        break;
      case Event::Kind::Queued:
        node.egress[static_cast<std::size_t>(event.piece.to)].push_back(event.piece);
        if (!node.sending) send_next(event.node, event.time);
        break;
      case Event::Kind::EgressFree:
        node.sending = false;
        send_next(event.node, event.time);
        break;
      case Event::Kind::Arrived: {
        const MessageCost& cost = about(event.node).messages;
        const double work =
            event.piece.bytes * cost.receive_byte_s + (event.piece.last ? cost.io_receive_s : 0.0);
        // Its bytes are taken in as they come.
        const double ready = io_work(event.node, event.time - event.piece.arriving, work);
        post({.time = std::max(event.time, ready),
              .kind = Event::Kind::Delivered,
              .node = event.node,
              .piece = event.piece});
        break;
      }
      case Event::Kind::Delivered:
        if (!event.piece.last) break;
        if (!event.piece.tag) {
          const double bytes = input_bytes(event.node, event.piece.band);
          post({.time = event.time + bytes * about(event.node).request_byte_s,
                .kind = Event::Kind::Input,
                .node = event.node,
                .piece = event.piece});
        } else {
          node.delivered.insert({event.piece.request, event.piece.from, *event.piece.tag});
          advance(event.node, event.time, true);
        }
        break;
      case Event::Kind::Answered: answered(event.request, event.time); break;
    }
  }

  /// The thread that moves bytes works for so long; when it is done. What computes on the same core waits.
  double io_work(int n, double now, double seconds) {
    NodeState& node = at(n);
    node.io_free = std::max(node.io_free, now) + seconds;
    if (node.running && about(n).shares_core && seconds > 0) {
      node.running->end += seconds;
      schedule_end(n);
    }
    return node.io_free;
  }

  void schedule_end(int n) {
    Running& running = *at(n).running;
    running.version = order_;
    post({.time = running.end, .kind = Event::Kind::StepEnd, .node = n, .version = running.version});
  }

  /// Begins the next step of the oldest request that can go on, where the core is free.
  void advance(int n, double now, bool woken) {
    NodeState& node = at(n);
    if (node.running) return;
    for (const auto& [request, next] : node.next_step) {
      const SimulatedStep* step = next < program(n).steps.size() ? &program(n).steps[next] : nullptr;
      if (step != nullptr && step->kind == StepKind::Receive && !is_there(node, request, *step)) continue;
      double begin = now;
      if (woken) begin += about(n).messages.wake_s;
      if (about(n).shares_core) begin = std::max(begin, node.io_free);
      if (step != nullptr && begin > node.idle_since) {
        node.wait += begin - node.idle_since;
        if (step->kind == StepKind::Receive) record(n, *step, TracePhase::Wait, node.idle_since, begin);
      }
      double seconds = 0;
      if (step != nullptr) {
        seconds = step->seconds;
        const MessageCost& cost = about(n).messages;
        const auto bytes = static_cast<double>(step->bytes);
        if (step->kind == StepKind::Send) seconds += cost.send_s + bytes * cost.send_copy_byte_s;
        if (step->kind == StepKind::Receive && step->peer != kCaller) {
          // Who waits copies what comes as it comes; the last of it is left then.
          const double copy = bytes * cost.receive_copy_byte_s;
          const double hidden = std::min(begin - node.idle_since, copy);
          seconds += cost.receive_s +
                     std::max(copy - hidden, std::min(bytes, kLeastPiece) * cost.receive_copy_byte_s);
        }
      }
      node.running = Running{request, begin, begin + seconds, 0};
      schedule_end(n);
      return;
    }
  }

  void end_step(int n, double now) {
    NodeState& node = at(n);
    const Running running = *node.running;
    node.running.reset();
    node.idle_since = now;
    std::size_t& next = node.next_step[running.request];
    if (next < program(n).steps.size()) {
      const SimulatedStep& step = program(n).steps[next++];
      const bool computes = step.kind == StepKind::Compute;
      (computes ? node.compute : node.pack) += now - running.start;
      record(n, step,
             computes                         ? TracePhase::Compute
             : step.kind == StepKind::Receive ? TracePhase::Unpack
                                              : TracePhase::Pack,
             running.start, now);
      if (step.kind == StepKind::Receive && step.peer != kCaller)
        node.delivered.erase({running.request, step.peer, step.tag});
      if (step.kind == StepKind::Send) hand_over(n, running.request, step, now);
    }
    if (next >= program(n).steps.size()) {
      node.next_step.erase(running.request);
      post({.time = now + about(n).request_s / 2 +
                    static_cast<double>(program(n).output_bytes) * about(n).request_byte_s,
            .kind = Event::Kind::Answered,
            .node = n,
            .request = running.request});
    }
    advance(n, now, false);
  }

  void hand_over(int n, int request, const SimulatedStep& step, double now) {
    NodeState& node = at(n);
    node.bytes += step.bytes;
    ++node.messages;
    for_pieces({.from = n, .to = step.peer, .request = request, .tag = step.tag},
               static_cast<double>(step.bytes),
               [&](const Piece& piece) { node.egress[static_cast<std::size_t>(piece.to)].push_back(piece); });
    if (!node.sending) send_next(n, now);
  }

  /// Puts the next piece on the wire, of the peers with something queued in turn.
  void send_next(int n, double now) {
    NodeState& node = at(n);
    for (std::size_t k = 0; k < node.egress.size(); ++k) {
      const std::size_t peer = (node.turn + k) % node.egress.size();
      if (node.egress[peer].empty()) continue;
      Piece piece = node.egress[peer].front();
      node.egress[peer].pop_front();
      node.turn = peer + 1;
      const LinkProfile& link = profile_.between(static_cast<std::size_t>(n), peer);
      const double seconds = piece.bytes / link.bytes_per_s;
      double& filled = node.bucket[peer];
      filled = std::max(filled, now - link.burst_bytes / link.bytes_per_s) + seconds;
      // Inputs are the coordinator's to send.
      const MessageCost& cost = about(n).messages;
      const double work =
          piece.tag ? piece.bytes * cost.send_byte_s + (piece.first ? cost.io_send_s : 0.0) : 0.0;
      const double gone = std::max({now, filled, io_work(n, now, work)});
      const double begun = std::max(now, gone - seconds);
      // The receiver's port passes the piece on as it comes, unless others came before.
      NodeState& to = nodes_[peer];
      const double enters = std::max(begun + link.latency_s, to.ingress_free);
      to.ingress_free =
          std::max(enters + (link.burst_bytes > 0 ? gone - begun : seconds), gone + link.latency_s);
      piece.arriving = gone - begun;
      if (options_.trace) record_wire(piece, begun, to.ingress_free);
      node.sending = true;
      post({.time = gone, .kind = Event::Kind::EgressFree, .node = n});
      post({.time = to.ingress_free,
            .kind = Event::Kind::Arrived,
            .node = static_cast<int>(peer),
            .piece = piece});
      return;
    }
  }

  void answered(int request, double now) {
    if (--unanswered_[static_cast<std::size_t>(request)] > 0) return;
    done_.push_back(now);
    latencies_.push_back(now - started_[static_cast<std::size_t>(request)]);
    if (issued_ < requests_) start(now);
  }

  void record(int n, const SimulatedStep& step, TracePhase phase, double start, double end) {
    if (!options_.trace) return;
    const auto ns = [](double seconds) { return static_cast<std::int64_t>(seconds * 1e9); };
    traces_[static_cast<std::size_t>(n)].events.push_back(
        {step.name, step.op, phase, ns(start), ns(end), step.bytes, step.peer});
  }

  void record_wire(const Piece& piece, double begun, double arrived) {
    if (piece.first) {
      std::string name = "inputs";
      for (const SimulatedStep& step : program(piece.from).steps) {
        if (piece.tag && step.kind == StepKind::Send && step.peer == piece.to && step.tag == *piece.tag)
          name = step.name;
      }
      on_wire_[{piece.from, piece.to}] = wire_.size();  // one after another
      wire_.push_back({.from = piece.from, .to = piece.to, .start_s = begun, .name = std::move(name)});
    }
    WireSpan& span = wire_[on_wire_[{piece.from, piece.to}]];
    span.end_s = arrived;
    span.bytes += piece.bytes;
  }

  [[nodiscard]] Error stuck() const {
    for (std::size_t n = 0; n < nodes_.size(); ++n) {
      for (const auto& [request, next] : nodes_[n].next_step) {
        const SimulatedStep& step = programs_[n].steps[next];
        return error(ErrorCode::InvalidArgument,
                     "node {} waits for '{}' (tag {}) of node {}, which never sends it", n, step.name,
                     step.tag, step.peer);
      }
    }
    return error(ErrorCode::Internal, "a simulation that ends before its requests do");
  }

  [[nodiscard]] Simulation report() {
    Simulation result;
    std::sort(latencies_.begin(), latencies_.end());
    result.latency_ms = latencies_[latencies_.size() / 2] * 1e3;
    // The first requests find the nodes idle, and behind the last ones nothing follows.
    const auto skip = static_cast<std::size_t>(options_.concurrency);
    const std::size_t last = done_.size() > 2 * skip ? done_.size() - skip : done_.size() - 1;
    const std::size_t first = std::min(skip - 1, last);
    result.throughput = last > first ? static_cast<double>(last - first) / (done_[last] - done_[first])
                                     : static_cast<double>(done_.size()) / done_.back();
    const auto count = static_cast<double>(requests_);
    for (std::size_t n = 0; n < nodes_.size(); ++n) {
      const NodeState& node = nodes_[n];
      result.nodes.push_back(
          {.compute_ms = node.compute / count * 1e3,
           .pack_ms = node.pack / count * 1e3,
           .wait_ms = node.wait / count * 1e3,
           .busy = (node.compute + node.pack) / done_.back(),
           .bytes_sent = node.bytes / static_cast<std::uint64_t>(requests_),
           .messages_sent = node.messages / static_cast<std::uint64_t>(requests_),
           .memory_bytes = programs_[n].weight_bytes +
                           programs_[n].arena_bytes * static_cast<std::uint64_t>(options_.concurrency)});
    }
    result.concurrency = options_.concurrency;
    result.traces = std::move(traces_);
    result.wire = std::move(wire_);
    return result;
  }

  const std::vector<SimulatedProgram>& programs_;
  const Profile& profile_;
  const SimulationOptions& options_;
  std::vector<NodeState> nodes_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t order_ = 0;
  double piece_ = kLeastPiece;
  int requests_ = 1;
  int issued_ = 0;
  int coordinator_ = -1;
  std::vector<double> started_, done_, latencies_;
  std::vector<int> unanswered_;
  std::vector<NodeTrace> traces_;
  std::vector<WireSpan> wire_;
  std::map<std::pair<int, int>, std::size_t> on_wire_;  // by link, the message that it carries
};

}  // namespace

Result<Simulation> simulate(const std::vector<SimulatedProgram>& programs, const Profile& profile,
                            const SimulationOptions& options) {
  if (programs.empty() || programs.size() > profile.nodes.size()) {
    return error(ErrorCode::InvalidArgument, "{} programs for a cluster of {} nodes", programs.size(),
                 profile.nodes.size());
  }
  if (options.concurrency < 1 || options.requests < 0) {
    return error(ErrorCode::InvalidArgument, "{} requests in flight of {}", options.concurrency,
                 options.requests);
  }
  const int count = static_cast<int>(programs.size());
  for (std::size_t n = 0; n < programs.size(); ++n) {
    for (const SimulatedStep& step : programs[n].steps) {
      if (step.kind == StepKind::Compute || (step.kind == StepKind::Receive && step.peer == kCaller))
        continue;
      if (step.peer < 0 || step.peer >= count || step.peer == static_cast<int>(n)) {
        return error(ErrorCode::InvalidArgument, "node {}: step '{}' is for node {} of {}", n, step.name,
                     step.peer, count);
      }
    }
  }
  return Simulator(programs, profile, options).run();
}

}  // namespace disco
