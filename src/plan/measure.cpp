#include "plan/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <thread>
#include <tuple>

#include "cluster/palette.h"
#include "plan/other_work.h"
#include "plan/probe_graph.h"
#include "plan/quantile.h"
#include "zoo/inputs.h"

namespace disco {

namespace {

constexpr int kRuns = 5;
constexpr int kPings = 40;
constexpr int kBig = 16;
constexpr int kPauses = 4;
constexpr int kRelays = 16;
constexpr int kRequests = 25;
constexpr std::int64_t kFedExtent = 512;
constexpr std::int64_t kWorkNumbers = 1 << 22;  // more than a core has caches for
constexpr std::chrono::milliseconds kBetweenRequests{2};

/// The lower quartile: what else a machine does comes on top of a time.
double typical(std::vector<double> values) { return quantile(std::move(values), 0.25); }

double seconds(const TraceEvent& event) { return static_cast<double>(event.end_ns - event.start_ns) * 1e-9; }

struct SpeedLayer {
  std::string name;
  WorkClass work;
  double amount;
};

void add_speed_sample(Speeds& speeds, WorkClass work, double amount, double time) {
  auto& list = speeds[static_cast<std::size_t>(work)];
  list.push_back({amount, std::max(time, 1e-8)});
  std::sort(list.begin(), list.end(),
            [](const SpeedSample& a, const SpeedSample& b) { return a.work < b.work; });
}

/// The layers that speeds are taken from, in `graph`, which may be null.
std::vector<SpeedLayer> speed_layers(ProbeGraph* graph) {
  std::vector<SpeedLayer> layers;
  const auto name_of = [](WorkClass work, double amount) {
    return fmt::format("{}/{:.0f}", to_string(work), amount);
  };
  const auto convolution = [&](std::int64_t channels, std::int64_t extent, std::int64_t kernel,
                               bool depthwise) {
    const WorkClass work = depthwise ? WorkClass::Depthwise : WorkClass::Convolution;
    const std::int64_t inputs = depthwise ? 1 : channels;
    const auto amount = static_cast<double>(channels * inputs * kernel * kernel * extent * extent);
    const std::string name = name_of(work, amount);
    layers.push_back({name, work, amount});
    if (graph == nullptr) return;
    const ValueId x = graph->filled(name + "/x", {1, channels, extent, extent});
    const ValueId weight = graph->constant(name + "/weight", {channels, inputs, kernel, kernel});
    graph->keep(graph->conv(name, x, weight, depthwise ? channels : 1), name + "/kept");
  };
  convolution(16, 32, 3, false);
  convolution(128, 28, 1, false);
  convolution(64, 28, 3, false);
  convolution(256, 14, 3, false);
  convolution(128, 56, 3, false);
  convolution(32, 28, 3, true);
  convolution(144, 56, 3, true);
  for (const auto& [rows, inner, columns] : {std::tuple{1, 512, 1000}, std::tuple{64, 192, 192},
                                             std::tuple{197, 192, 768}, std::tuple{197, 768, 768}}) {
    const double amount = 1.0 * rows * inner * columns;
    const std::string name = name_of(WorkClass::MatMul, amount);
    layers.push_back({name, WorkClass::MatMul, amount});
    if (graph == nullptr) continue;
    const ValueId x = graph->filled(name + "/x", {rows, inner});
    graph->keep(
        graph->op(name, "MatMul", {x, graph->constant(name + "/weight", {inner, columns})}, {rows, columns}),
        name + "/kept");
  }
  for (const std::int64_t numbers : {4096, 65536, 1 << 20}) {
    const auto amount = static_cast<double>(numbers * 12);  // two read, one written
    const std::string name = name_of(WorkClass::Memory, amount);
    layers.push_back({name, WorkClass::Memory, amount});
    if (graph == nullptr) continue;
    const ValueId a = graph->filled(name + "/a", {1, numbers});
    const ValueId b = graph->filled(name + "/b", {1, numbers});
    graph->keep(graph->op(name, "Add", {a, b}, {1, numbers}), name + "/kept");
  }
  for (const std::int64_t numbers : {4096, 65536, 262144}) {
    // Concatenations copy with the kernel that packs.
    const auto amount = static_cast<double>(numbers * 4);
    const std::string name = name_of(WorkClass::Pack, amount);
    layers.push_back({name, WorkClass::Pack, amount});
    if (graph == nullptr) continue;
    const ValueId a = graph->filled(name + "/a", {1, numbers / 4});
    const ValueId b = graph->filled(name + "/b", {1, numbers - numbers / 4});
    graph->keep(graph->op(name, "Concat", {a, b}, {1, numbers}, {{"axis", std::int64_t{1}}}), name + "/kept");
  }
  return layers;
}

/// What one pair's program measures, on its first node.
struct PairProgram {
  std::int64_t big_numbers = 0;     ///< of each message of the stream
  std::int64_t hidden_numbers = 0;  ///< of those that travel while their node computes
  std::int64_t burst_numbers = 0;   ///< of a message after a pause
  int pause_layers = 0;             ///< of computing that makes the pause
  int relay_layers = 0;             ///< of computing between two messages that take turns
  int layers = 0;                   ///< of each stretch of computing; a multiple of kBig, or 0
};

/// Both nodes run this; only who begins differs.
Graph pair_graph(int rank, const PairProgram& plan) {
  const int peer = 1 - rank;
  ProbeGraph graph(fmt::format("link{}", rank), "x");
  const Shape small = {1, 16};
  ValueId ball = graph.filled("small", small);
  const ValueId tiny = ball;
  for (int i = 0; i < kPings; ++i) {
    if (rank == 0) graph.send("ping", ball, peer);
    ball = graph.receive("ping", small, peer);
    if (rank == 1) graph.send("ping", ball, peer);
  }
  if (rank == 0) graph.keep(ball, "ball");
  const Shape large = {1, plan.big_numbers};
  const std::vector<std::int64_t> many_big(kBig, plan.big_numbers);
  const ValueId big = graph.filled("large", large);
  const ValueId weight = graph.constant("weight", {64, 64, 3, 3});
  ValueId x = graph.filled("features", {1, 64, 28, 28});
  const auto compute = [&](const char* name, int layers) {
    for (int i = 0; i < layers; ++i) x = graph.conv(name, x, weight, 1);
  };
  // Both are here, and in step, once a message went each way.
  const auto meet = [&] {
    graph.send("meet", tiny, peer);
    graph.receive_all("meet", {16}, peer);
  };
  meet();
  for (int i = 0; i < kBig; ++i) graph.send("stream", big, peer);
  graph.receive_all("stream", many_big, peer);
  if (plan.layers > 0) {
    // Shapers let something pass at once after a pause. The other node waits meanwhile.
    const Shape burst = {1, plan.burst_numbers};
    const ValueId whole = graph.filled("burst", burst);
    for (int i = 0; i < kPauses; ++i) {
      for (const bool large : {true, false}) {
        const char* name = large ? "burst" : "paced";
        if (rank == 0) {
          compute("pause", plan.pause_layers);
          graph.send(name, large ? whole : tiny, peer);
          graph.receive_all(name, {16}, peer);
        } else {
          graph.receive_all(name, {large ? plan.burst_numbers : 16}, peer);
          graph.send(name, tiny, peer);
        }
      }
    }
    meet();
    compute("warm", plan.layers);
    meet();
    compute("alone", plan.layers);
    meet();
    // In turns: one computes while the other sleeps, which takes longer to wake from than from a moment's
    // wait.
    for (int i = 0; i < kRelays; ++i) {
      if (rank == 1) graph.receive_all("relay", {16}, peer);
      compute("relayed", plan.relay_layers);
      graph.send("relay", tiny, peer);
      if (rank == 0) graph.receive_all("relay", {16}, peer);
    }
    meet();
    // As layers do: each sends what it has, and computes while that travels.
    const ValueId features = graph.filled("hidden", {1, plan.hidden_numbers});
    const auto beside = [&](const char* name, const char* computing, int layers, ValueId id,
                            std::int64_t numbers) {
      std::vector<ValueId> received;
      for (int i = 0; i < kBig; ++i) {
        graph.send(name, id, peer);
        compute(computing, layers);
        received.push_back(graph.receive(name, {1, numbers}, peer));
      }
      graph.keep_received(name, std::move(received));
    };
    beside("tiny", "with_tiny", plan.layers / kBig, tiny, 16);
    meet();
    beside("behind", "with_big", plan.layers / kBig, features, plan.hidden_numbers);
    meet();
    beside("close", "with_close", 1, tiny, 16);
  }
  graph.keep(x, fmt::format("y{}", rank));
  return graph.take();
}

double sum_of(const NodeTrace& trace, std::string_view name) {
  double sum = 0;
  for (const TraceEvent& event : trace.events) {
    // Named alike, they are told apart by a suffix.
    if (event.phase == TracePhase::Compute && event.name.starts_with(name)) sum += seconds(event);
  }
  return sum;
}

std::vector<const TraceEvent*> events_of(const NodeTrace& trace, std::string_view name, TracePhase phase) {
  std::vector<const TraceEvent*> events;
  for (const TraceEvent& event : trace.events) {
    if (event.phase == phase && event.name == name) events.push_back(&event);
  }
  return events;
}

/// All runs' figures, in seconds, by what is measured.
using Figures = std::map<std::string, std::vector<double>>;

void read_figures(const NodeTrace& trace, const PairProgram& plan, Figures& figures) {
  const auto pings = events_of(trace, "ping", TracePhase::Unpack);
  for (std::size_t i = 1; i < pings.size(); ++i)
    figures["round_trip"].push_back(static_cast<double>(pings[i]->end_ns - pings[i - 1]->end_ns) * 1e-9);
  const double bytes = static_cast<double>(plan.big_numbers) * 4;
  // The ends of the waits tell when each came.
  const auto stream = events_of(trace, "stream", TracePhase::Wait);
  const double streamed = static_cast<double>(stream.back()->end_ns - stream.front()->end_ns) * 1e-9;
  figures["stream_byte"].push_back(std::max(streamed, 1e-7) / (bytes * (kBig - 1)));
  if (plan.layers == 0) return;
  for (const char* name : {"burst", "paced", "relay"}) {  // of the one that begins; the other's say nothing
    const auto sent = events_of(trace, name, TracePhase::Pack);
    const auto came = events_of(trace, name, TracePhase::Unpack);
    // The first is also packed.
    for (std::size_t i = 1; i < sent.size(); ++i)
      figures[name].push_back(static_cast<double>(came[i]->end_ns - sent[i]->start_ns) * 1e-9);
  }
  figures["relayed"].push_back(sum_of(trace, "relayed") / kRelays);
  const auto add_all = [&](const char* figure, const char* name, TracePhase phase) {
    const auto events = events_of(trace, name, phase);
    for (std::size_t i = 1; i < events.size(); ++i)  // the first one of a value is also packed
      figures[figure].push_back(seconds(*events[i]));
  };
  // A message after another costs less than one after some milliseconds of computing, which leave nothing of
  // the transport in the caches. In networks a layer or two lie between.
  add_all("send", "close", TracePhase::Pack);
  add_all("send_after_long", "tiny", TracePhase::Pack);
  add_all("send_warm", "ping", TracePhase::Pack);
  add_all("send_big", "behind", TracePhase::Pack);
  // What came while the node computed is only fetched.
  add_all("receive", "close", TracePhase::Wait);
  add_all("receive_after_long", "tiny", TracePhase::Wait);
  add_all("receive_big", "behind", TracePhase::Wait);
  const double alone = sum_of(trace, "alone");
  figures["alone"].push_back(alone);
  figures["with_tiny"].push_back(sum_of(trace, "with_tiny"));
  figures["with_big"].push_back(sum_of(trace, "with_big"));
}

/// Runs one program on pairs that share no node, and gathers what each end saw.
Result<std::map<std::size_t, Figures>> run_pairs(
    const std::vector<std::pair<std::size_t, std::size_t>>& pairs, const std::vector<PairProgram>& plans,
    const StartCluster& start, int runs) {
  std::map<std::size_t, Figures> figures;
  std::vector<Status> failed(pairs.size());
  std::vector<std::array<Figures, 2>> seen(pairs.size());
  std::vector<std::thread> threads;
  for (std::size_t p = 0; p < pairs.size(); ++p) {
    threads.emplace_back([&, p] {
      failed[p] = [&]() -> Status {
        std::vector<Graph> shards;
        for (int rank = 0; rank < 2; ++rank) shards.push_back(pair_graph(rank, plans[p]));
        DISCO_TRY(const std::unique_ptr<Cluster> cluster,
                  start({pairs[p].first, pairs[p].second}, std::move(shards)));
        const NamedTensors inputs = {{"x", Tensor::of<float>({1}, {1.0F})}};
        for (int run = -1; run < runs; ++run) {
          DISCO_TRY(const RunResult result, cluster->run(inputs, {.trace = true}));
          if (run < 0) continue;
          for (std::size_t end = 0; end < 2; ++end) read_figures(result.traces[end], plans[p], seen[p][end]);
        }
        return {};
      }();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t p = 0; p < pairs.size(); ++p) {
    DISCO_CHECK(failed[p]);
    figures[pairs[p].first] = std::move(seen[p][0]);
    figures[pairs[p].second] = std::move(seen[p][1]);
  }
  return figures;
}

/// Rounds of pairs in which every node meets every other one once (the circle method).
std::vector<std::vector<std::pair<std::size_t, std::size_t>>> tournament(std::size_t nodes) {
  std::vector<std::vector<std::pair<std::size_t, std::size_t>>> rounds;
  const std::size_t seats = nodes + nodes % 2;
  for (std::size_t round = 0; round + 1 < seats; ++round) {
    auto& pairs = rounds.emplace_back();
    // One sits still, and the others go around.
    const std::size_t others = seats - 1;
    for (std::size_t k = 0; k < seats / 2; ++k) {
      const std::size_t a = k == 0 ? others : (round + k) % others;
      const std::size_t b = (round + others - k) % others;
      if (std::max(a, b) < nodes) pairs.emplace_back(std::min(a, b), std::max(a, b));
    }
  }
  return rounds;
}

Status measure_node(NodeProfile& node, std::size_t index, const StartCluster& start) {
  std::vector<Graph> shards;
  shards.push_back(speed_graph());
  DISCO_TRY(const std::unique_ptr<Cluster> cluster, start({index}, std::move(shards)));
  node.memory_total = cluster->memory(0).total;
  node.memory_free = cluster->memory(0).free;
  const NamedTensors inputs = {{"x", Tensor::of<float>({1}, {1.0F})}};
  std::map<std::string, std::vector<double>> times;
  for (int run = -1; run < kRuns; ++run) {
    DISCO_TRY(const RunResult result, cluster->run(inputs, {.trace = true}));
    if (run < 0) continue;
    for (const TraceEvent& event : result.traces[0].events) times[event.name].push_back(seconds(event));
  }
  for (const SpeedLayer& layer : speed_layers(nullptr))
    add_speed_sample(node.speeds, layer.work, layer.amount, typical(times[layer.name]));
  return {};
}

/// A program that takes in an image of so many pixels a side and has used up the caches once it answers.
Graph request_graph(std::int64_t extent) {
  ProbeGraph graph("requests", "one");
  graph.keep(graph.fed("x", {1, 1, extent, extent}), "sum");
  graph.keep(graph.filled("work", {1, kWorkNumbers}), "worked");
  return graph.take();
}

/// Seconds that a run takes beside the node's own work, and of them those until it is asked for.
struct RequestTime {
  double beside = 0;
  double asked = 0;
};

/// Requests come now and then, so each finds threads asleep and caches full of something else; when they come
/// one behind another, they cost a third of that.
Result<RequestTime> time_request(Cluster& cluster, const NamedTensors& inputs) {
  OtherWork other_work;
  const auto after_other_work = [&] {
    other_work.run();
    std::this_thread::sleep_for(kBetweenRequests);
    return Clock::now();
  };
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  std::vector<double> beside, submitted, packed;
  for (int run = 0; run < kRequests; ++run) {
    // Whoever asks several nodes packs an image once.
    auto start = after_other_work();
    for (const auto& [name, tensor] : inputs) std::ignore = palette::pack(tensor);
    packed.push_back(since(start));
    start = after_other_work();
    if (const auto request = cluster.submit(inputs); !request) return request.error();
    submitted.push_back(since(start));
    DISCO_TRY(const Cluster::Completed completed, cluster.next());
    if (!completed.result) return completed.result.error();
    beside.push_back((completed.result->total_ms - completed.result->statistics[0].compute_ms -
                      completed.result->statistics[0].pack_ms) *
                     1e-3);
  }
  return RequestTime{median(std::move(beside)), median(std::move(submitted)) - median(std::move(packed))};
}

/// What runs cost on a node: with a little input, and with a larger one that travels as images do.
Status measure_requests(NodeProfile& node, std::size_t index, const StartCluster& start) {
  std::array<RequestTime, 2> times{};
  std::array<double, 2> bytes{};
  for (std::size_t large = 0; large < 2; ++large) {
    std::vector<Graph> shards;
    shards.push_back(request_graph(large == 1 ? kFedExtent : 1));
    const NamedTensors inputs = random_inputs(shards[0]);
    bytes[large] = static_cast<double>(palette::wire_size(inputs.at("x")));
    DISCO_TRY(const std::unique_ptr<Cluster> cluster, start({index}, std::move(shards)));
    DISCO_TRY(times[large], time_request(*cluster, inputs));
  }
  const auto a_byte = [&](double little, double much) {
    return std::max(0.0, much - little) / (bytes[1] - bytes[0]);
  };
  node.request_s = times[0].beside;
  node.request_byte_s = a_byte(times[0].beside, times[1].beside);
  // A node on the coordinator's core may take it, and answer before the coordinator goes on.
  node.ask_s = std::clamp(times[0].asked, 0.0, node.request_s / 2);
  node.ask_byte_s = std::min(a_byte(times[0].asked, times[1].asked), node.request_byte_s / 2);
  return {};
}

/// Takes from a pair's figures what they say about the node, beside the link.
void learn_messages(const Figures& figures, const PairProgram& plan, NodeProfile& node) {
  const auto middle = [&](const char* name) { return typical(figures.at(name)); };
  MessageCost& cost = node.messages;
  cost.send_s = middle("send");
  cost.receive_s = middle("receive");
  const double alone = middle("alone");
  const double tiny = std::clamp((middle("with_tiny") - alone) / kBig, 0.0, 10e-6);
  cost.io_receive_s = tiny;
  cost.io_send_s = 0;  // in send_s, as far as it takes the core
  const double bytes = static_cast<double>(plan.hidden_numbers) * 4;
  const auto a_byte = [&](double seconds) { return std::clamp(seconds / bytes, 0.0, 1e-8); };
  cost.send_copy_byte_s = a_byte(middle("send_big") - middle("send_after_long"));
  cost.receive_copy_byte_s = a_byte(middle("receive_big") - middle("receive_after_long"));
  // What computing loses beside that goes to both directions, which no clock tells apart.
  const double beside = a_byte((middle("with_big") - alone) / kBig - tiny);
  cost.send_byte_s = cost.receive_byte_s = beside / 2;
}

/// What a message takes to a node that has slept while the other computed, without what both processors do
/// for it: half of the time that two take, less what the first of a pair waits for the second's computing.
double one_way_asleep(const Figures& first, const Figures& second, const MessageCost& first_cost,
                      const MessageCost& second_cost) {
  const double both = median(first.at("relay")) - median(second.at("relayed"));
  return (both - first_cost.send_s - first_cost.receive_s - second_cost.send_s - second_cost.receive_s) / 2;
}

/// What passes at once after a pause, up to the size that was tried; 0 where that is next to nothing.
double burst_of(const Figures& figures, const PairProgram& plan, double bytes_per_s) {
  const double bytes = static_cast<double>(plan.burst_numbers) * 4;
  const double passed = bytes_per_s * (typical(figures.at("burst")) - typical(figures.at("paced")));
  const double burst = bytes - std::max(passed, 0.0);
  return burst < 0.15 * bytes ? 0.0 : burst;
}

}  // namespace

Graph speed_graph() {
  ProbeGraph graph("speeds", "x");
  speed_layers(&graph);
  return graph.take();
}

Result<Speeds> measure_speeds(int threads) {
  ClusterOptions options;
  options.threads = std::max(1, threads);
  const StartCluster start = [&](const std::vector<std::size_t>&, std::vector<Graph> shards) {
    return Cluster::start_inproc(std::move(shards), options);
  };
  NodeProfile here;
  DISCO_CHECK(measure_node(here, 0, start));
  return here.speeds;
}

Result<Profile> measure_cluster(std::vector<NodeProfile> nodes, const StartCluster& start,
                                const MeasureOptions& options) {
  Profile profile;
  const auto rounds = tournament(nodes.size());
  const std::size_t total = 2 * nodes.size() + rounds.size();
  std::size_t done = 0;
  const auto step = [&] {
    if (options.on_progress) options.on_progress(++done, total);
  };
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    DISCO_CHECK(measure_node(nodes[n], n, start));
    step();
    DISCO_CHECK(measure_requests(nodes[n], n, start));
    step();
  }
  std::vector<bool> known(nodes.size(), false);
  std::vector<double> wake_asleep(nodes.size(), 1e-3);
  double slowest = 1e15, longest = 0;
  for (const auto& pairs : rounds) {
    // A short look first, so that slow links are not kept busy for long, and fast ones are.
    DISCO_TRY(const auto looks,
              run_pairs(pairs, std::vector<PairProgram>(pairs.size(), {.big_numbers = 4096}), start, 2));
    std::vector<PairProgram> plans;
    for (const auto& [a, b] : pairs) {
      const double rough =
          1.0 / std::max(typical(looks.at(a).at("stream_byte")), typical(looks.at(b).at("stream_byte")));
      PairProgram plan;
      const double bytes = std::clamp(rough * options.link_seconds / 2 / kBig, 16384.0, 2e6);
      plan.big_numbers = static_cast<std::int64_t>(bytes / 4);
      const double layer =
          std::max(seconds_of(nodes[a].speeds[0], 28901376.0), seconds_of(nodes[b].speeds[0], 28901376.0));
      // Some milliseconds of computing a message, and a third of that on the wire.
      plan.layers = kBig * static_cast<int>(std::clamp(0.06 / kBig / layer, 1.0, 12.0));
      const double hidden = std::clamp(rough * layer * plan.layers / kBig / 3, 4096.0, 262144.0);
      plan.hidden_numbers = static_cast<std::int64_t>(hidden / 4);
      plan.burst_numbers = static_cast<std::int64_t>(std::clamp(rough * 0.6e-3, 4096.0, 262144.0) / 4);
      plan.pause_layers = static_cast<int>(std::clamp(0.003 / layer, 1.0, 20.0));
      plan.relay_layers = static_cast<int>(std::clamp(0.0003 / layer, 1.0, 10.0));
      plans.push_back(plan);
    }
    DISCO_TRY(const auto figures, run_pairs(pairs, plans, start, kRuns));
    for (std::size_t p = 0; p < pairs.size(); ++p) {
      const auto& [a, b] = pairs[p];
      for (const std::size_t n : {a, b}) {
        if (known[n]) continue;
        learn_messages(figures.at(n), plans[p], nodes[n]);
        known[n] = true;
      }
    }
    for (std::size_t p = 0; p < pairs.size(); ++p) {
      const auto& [a, b] = pairs[p];
      // One way: half of a round trip, without what both processors do for it.
      double way = typical(figures.at(a).at("round_trip")) / 2;
      for (const std::size_t n : {a, b})
        way -= (typical(figures.at(n).at("send_warm")) + nodes[n].messages.io_receive_s) / 2;
      way = std::max(way, 2e-6);
      for (const std::size_t n : {a, b})
        nodes[n].messages.wake_s = std::min(nodes[n].messages.wake_s, 0.7 * way);
      way -= (nodes[a].messages.wake_s + nodes[b].messages.wake_s) / 2;
      const double asleep =
          std::clamp(one_way_asleep(figures.at(a), figures.at(b), nodes[a].messages, nodes[b].messages) -
                         std::max(way, 0.0),
                     0.0, 1e-3);
      for (const std::size_t n : {a, b}) wake_asleep[n] = std::min(wake_asleep[n], asleep);
      for (const auto& [from, to] : {std::pair{a, b}, std::pair{b, a}}) {
        LinkProfile link;
        link.bytes_per_s = 1.0 / typical(figures.at(to).at("stream_byte"));
        link.latency_s = std::max(way, 0.0);
        link.burst_bytes = burst_of(figures.at(a), plans[p], link.bytes_per_s);
        slowest = std::min(slowest, link.bytes_per_s);
        longest = std::max(longest, link.latency_s);
        profile.links[{nodes[from].name, nodes[to].name}] = link;
      }
    }
    step();
  }
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    if (known[n]) nodes[n].messages.wake_s = std::max(nodes[n].messages.wake_s, wake_asleep[n]);
  }
  const auto home = std::find_if(nodes.begin(), nodes.end(), [&](const NodeProfile& node) {
    return !options.coordinator.empty() && node.name == options.coordinator;
  });
  if (home != nodes.end()) {
    // Inputs of the others are counted on this machine's link then.
    profile.coordinator = home->name;
    for (NodeProfile& node : nodes) {
      if (node.name == home->name) continue;
      const LinkProfile& link = profile.links.at({home->name, node.name});
      node.request_byte_s = std::max(0.0, node.request_byte_s - 1.0 / link.bytes_per_s);
      node.request_s = std::max(0.0, node.request_s - 2 * link.latency_s);
    }
  }
  if (!profile.links.empty()) profile.link = {.bytes_per_s = slowest, .latency_s = longest};
  profile.nodes = std::move(nodes);
  return profile;
}

}  // namespace disco
