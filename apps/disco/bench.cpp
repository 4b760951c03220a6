// disco bench: how long a split run takes, beside one node.

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/file.h"
#include "cluster_flags.h"
#include "command.h"
#include "graph/onnx.h"
#include "mpi.h"
#include "samples.h"
#include "zoo/inputs.h"

namespace disco::cli {

namespace {

using nlohmann::json;

constexpr const char* kExamples =
    "Examples:\n"
    "  disco bench resnet50.onnx -n 2                          two processes on this machine\n"
    "  disco bench resnet50.onnx --cluster cluster.toml        the machines of a cluster\n"
    "  disco bench resnet50.onnx -n 2 -t 1 --runs 100 --json   one thread a node; figures for programs\n"
    "  disco bench resnet50.onnx -n 2 --key disco.key          encrypted, beside the same in the clear\n"
    "  disco bench resnet50.onnx -n 2 --concurrency 4          also throughput, four requests in flight\n"
    "  disco bench resnet50.onnx -n 2 --trace trace.json       also a picture of who waited for whom";

/// Requests that overlap: what comes out a second, and how busy that keeps the nodes.
struct Throughput {
  int concurrency = 1;
  double per_second = 0;     ///< requests; times the batch for samples
  std::vector<double> busy;  ///< by node: the share of the time in which it computed, packed or unpacked
  Samples samples;

  [[nodiscard]] json to_json(std::int64_t batch) const {
    json document = samples.to_json();
    document["concurrency"] = concurrency;
    document["requests_per_second"] = per_second;
    document["samples_per_second"] = per_second * static_cast<double>(batch);
    document["busy"] = busy;
    return document;
  }
};

/// Keeps `concurrency` requests in flight until `runs` are answered. Those that are under way at the
/// beginning and at the end are left out of the count of time.
Result<Throughput> measure_throughput(Cluster& cluster, const NamedTensors& inputs, const RunOptions& options,
                                      int concurrency, int runs) {
  Throughput result;
  result.concurrency = concurrency;
  int submitted = 0;
  int answered = 0;
  Clock::time_point begin{};
  Clock::time_point end{};
  const int total = runs + 2 * concurrency;  // fill, steady, drain
  while (answered < total) {
    while (submitted < total && submitted - answered < concurrency) {
      DISCO_CHECK(cluster.submit(inputs, options));
      ++submitted;
    }
    DISCO_TRY(const Cluster::Completed completed, cluster.next());
    if (!completed.result) return completed.result.error();
    ++answered;
    if (answered == concurrency) begin = Clock::now();
    if (answered > concurrency && answered <= concurrency + runs) {
      result.samples.add(*completed.result);
      end = Clock::now();
    }
  }
  const double seconds = std::chrono::duration<double>(end - begin).count();
  result.per_second = runs / seconds;
  const std::size_t nodes = result.samples.statistics.front().size();
  for (std::size_t node = 0; node < nodes; ++node) {
    double worked = 0;
    for (const auto& run : result.samples.statistics) worked += run[node].compute_ms + run[node].pack_ms;
    result.busy.push_back(std::min(1.0, worked / (seconds * 1e3)));
  }
  return result;
}

/// The extents that inputs get for this many samples a request.
Result<std::map<std::string, Shape>> batched(const Graph& model, std::int64_t batch) {
  std::map<std::string, Shape> shapes;
  for (const ValueId id : model.inputs) {
    const Value& input = model.value(id);
    if (!input.dims || input.dims->empty()) {
      return error(ErrorCode::InvalidArgument, "--batch: the input '{}' has no batch axis", input.name);
    }
    Shape shape = {batch};
    for (std::size_t d = 1; d < input.dims->size(); ++d) {
      const Dimension& dimension = (*input.dims)[d];
      if (!dimension.known()) {
        return error(ErrorCode::InvalidArgument,
                     "--batch: the model leaves extent {} of '{}' open; give all of them with --shape", d,
                     input.name);
      }
      shape.push_back(dimension.extent);
    }
    shapes[input.name] = std::move(shape);
  }
  return shapes;
}

void print(const Throughput& throughput, std::int64_t batch, const char* what) {
  std::vector<std::string> busy;
  for (const double share : throughput.busy) busy.push_back(fmt::format("{:.0f} %", share * 100));
  fmt::print(
      "{}, {} in flight: {:.2f} requests a second{}, latency {:.2f} ms, nodes busy {}\n", what,
      throughput.concurrency, throughput.per_second,
      batch > 1 ? fmt::format(" ({:.1f} samples)", throughput.per_second * static_cast<double>(batch)) : "",
      quantile(throughput.samples.latency, 0.5), fmt::join(busy, ", "));
}

/// @param clear  the same split in the clear, where `split` is encrypted and that was timed; or null
void print(const Samples& one, const Samples& split, const Samples* clear) {
  Table table({"", "median", "p95", "min", "compute", "pack", "wait", "sent", "messages", "peak memory"});
  const auto add = [&](const std::string& name, const Samples& samples) {
    const auto ms = [](double value) { return fmt::format("{:.2f} ms", value); };
    table.add({name, ms(quantile(samples.latency, 0.5)), ms(quantile(samples.latency, 0.95)),
               ms(quantile(samples.latency, 0.0))});
    for (std::size_t r = 0; r < samples.statistics.front().size(); ++r) {
      const RunStatistics& last = samples.statistics.back()[r];
      table.add({fmt::format("  node {}", r), "", "", "",
                 ms(samples.median_of(r, &RunStatistics::compute_ms)),
                 ms(samples.median_of(r, &RunStatistics::pack_ms)),
                 ms(samples.median_of(r, &RunStatistics::wait_ms)),
                 human_bytes(static_cast<double>(last.bytes_sent)), fmt::format("{}", last.messages_sent),
                 human_bytes(static_cast<double>(last.peak_rss_bytes))});
    }
  };
  add("one node", one);
  if (clear != nullptr) add("split, in the clear", *clear);
  add(clear != nullptr ? "split, encrypted" : "split", split);
  table.print();
  const double ratio = quantile(split.latency, 0.5) / quantile(one.latency, 0.5);
  fmt::print("\nthe split run takes {:.3f}x of one node's time{}\n", ratio,
             ratio >= 1.0 ? ": on this network one node alone is faster" : "");
  if (clear != nullptr) {
    fmt::print("encryption makes that {:.3f}x of what it takes in the clear\n",
               quantile(split.latency, 0.5) / quantile(clear->latency, 0.5));
  }
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  struct Flags {
    SplitFlags split;
    ClusterFlags cluster;
    int runs = 30;
    int warmup = 3;
    int concurrency = 1;
    std::int64_t batch = 0;
    std::string trace;
    bool as_json = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "bench",
      "Times a split model beside one node.\n"
      "In interleaved runs on random input, after a warm-up: latency as the caller sees it; per node the "
      "time in "
      "kernels, packing and waiting, the bytes and messages it sends a run, and its peak resident memory.");
  command->footer(kExamples);
  flags->split.add_to(*command);
  flags->cluster.add_to(*command);
  command->add_option("--runs", flags->runs, "timed runs of each")
      ->check(CLI::Range(1, 100000))
      ->type_name("K")
      ->capture_default_str();
  command->add_option("--warmup", flags->warmup, "runs before them")
      ->check(CLI::Range(0, 1000))
      ->type_name("K")
      ->capture_default_str();
  command
      ->add_option(
          "--concurrency", flags->concurrency,
          "also the throughput with so many requests in flight, which share each node's one computing thread")
      ->check(CLI::Range(1, static_cast<int>(Cluster::kMostInFlight)))
      ->type_name("K")
      ->capture_default_str();
  command->add_option("--batch", flags->batch, "samples a request (default: the model's, or 1)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{100000}))
      ->type_name("B");
  command
      ->add_option(
          "--trace", flags->trace,
          "write what every node did in the last run as Chrome trace JSON, for https://ui.perfetto.dev")
      ->type_name("FILE");
  command->add_flag("--json", flags->as_json, "the figures, for programs");
  command->callback([flags, &action] {
    action = [flags]() -> Status {
      if (!flags->trace.empty()) DISCO_CHECK(check_writable(flags->trace));
      DISCO_TRY(const std::vector<NodeConfig> remote, flags->cluster.remote_nodes());
      DISCO_TRY(Graph loaded, load_onnx(flags->split.model));
      flags->cluster.take_shares(loaded, remote, flags->split);
      std::map<std::string, Shape> shapes;
      if (flags->batch > 0) {
        DISCO_TRY(shapes, batched(loaded, flags->batch));
        resize_inputs(loaded, shapes);
      }
      DISCO_TRY(SplitModel model, split(loaded, flags->split, shapes));
      DISCO_CHECK(flags->cluster.check_number(remote, model.shards.size()));
      const NamedTensors inputs = random_inputs(model.graph);
      DISCO_TRY(const ClusterOptions options, flags->cluster.options());
      // One node, where rank 0 is: on the first machine of the cluster, or beside the local nodes.
      std::vector<Graph> whole;
      whole.push_back(model.graph);
      const std::vector<NodeConfig> first(remote.begin(), remote.begin() + (remote.empty() ? 0 : 1));
      DISCO_TRY(std::unique_ptr<Cluster> one, flags->cluster.start(first, std::move(whole), options));
      // With keys, also how long it takes without; a remote node with keys does nothing in the clear.
      std::unique_ptr<Cluster> clear;
      if (options.keys && remote.empty()) {
        ClusterOptions in_the_clear = options;
        in_the_clear.keys = nullptr;
        DISCO_TRY(clear, flags->cluster.start(remote, model.shards, in_the_clear));
      }
      const bool shared_machine = !remote.empty();
      Samples one_samples;
      Samples split_samples;
      Samples clear_samples;
      RunResult last;
      Progress progress("bench", static_cast<std::size_t>(flags->runs));
      const auto sample = [&](Cluster& cluster, Samples& samples, int run, bool trace) -> Status {
        DISCO_TRY(RunResult result, cluster.run(inputs, flags->cluster.run_options(trace)));
        if (run >= flags->warmup) samples.add(result);
        if (trace) last = std::move(result);
        return {};
      };
      std::optional<Throughput> one_throughput;
      std::optional<Throughput> split_throughput;
      const auto overlap = [&](Cluster& cluster, std::optional<Throughput>& result) -> Status {
        if (flags->concurrency == 1) return {};
        DISCO_TRY(result, measure_throughput(cluster, inputs, flags->cluster.run_options(false),
                                             flags->concurrency, flags->runs));
        return {};
      };
      const int total = flags->warmup + flags->runs;
      if (shared_machine) {
        // A remote node serves one coordinator at a time, so the two are timed one after the other.
        for (int run = 0; run < total; ++run) DISCO_CHECK(sample(*one, one_samples, run, false));
        DISCO_CHECK(overlap(*one, one_throughput));
        one->shutdown();
        one.reset();
      }
      DISCO_TRY(std::unique_ptr<Cluster> cluster,
                flags->cluster.start(remote, std::move(model.shards), options));
      for (int run = 0; run < total; ++run) {
        if (one) DISCO_CHECK(sample(*one, one_samples, run, false));
        if (clear) DISCO_CHECK(sample(*clear, clear_samples, run, false));
        DISCO_CHECK(sample(*cluster, split_samples, run, run + 1 == total && !flags->trace.empty()));
        progress.step(static_cast<std::size_t>(std::max(0, run + 1 - flags->warmup)));
      }
      if (one) DISCO_CHECK(overlap(*one, one_throughput));
      DISCO_CHECK(overlap(*cluster, split_throughput));
      const std::int64_t batch = std::max<std::int64_t>(1, flags->batch);
      if (!flags->trace.empty()) DISCO_CHECK(write_trace(flags->trace, last.traces));
      if (flags->as_json) {
        json document = split_samples.to_json();
        document["runs"] = flags->runs;
        document["encrypted"] = options.keys != nullptr && !mpi_job();  // MPI encrypts nothing
        if (clear) document["in_the_clear"] = clear_samples.to_json();
        document["one_node"] = one_samples.to_json();
        if (split_throughput) {
          document["throughput"] = split_throughput->per_second;
          document["in_flight"] = split_throughput->to_json(batch);
          document["one_node"]["in_flight"] = one_throughput->to_json(batch);
        }
        document["ratio"] = quantile(split_samples.latency, 0.5) / quantile(one_samples.latency, 0.5);
        fmt::print("{}\n", document.dump(2));
      } else {
        print(one_samples, split_samples, clear ? &clear_samples : nullptr);
        if (split_throughput) {
          print(*one_throughput, batch, "one node");
          print(*split_throughput, batch, "split");
        }
      }
      return {};
    };
  });
}

}  // namespace disco::cli
