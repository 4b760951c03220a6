#include "plan/costs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <numeric>
#include <utility>

#include "cluster/palette.h"
#include "compile/program.h"
#include "kernels/simd.h"
#include "plan/other_work.h"
#include "plan/quantile.h"
#include "runtime/executor.h"
#include "zoo/inputs.h"

namespace disco {

namespace {

/// Steps of one key cost the same.
std::string key_of(const Step& step, int threads) {
  return fmt::format("{},{},{},{},{},{},{}", threads, static_cast<int>(step.kind), step.op, step.macs,
                     step.bytes, step.wire_bytes, step.kernel->implementation());
}

/// Runs until nothing has become faster for this many runs.
constexpr int kSettled = 4;
constexpr std::chrono::milliseconds kLongest{3000};

/// Seconds of each step's kernel. Steps run in order, with messages of zeros, after other work, so that each
/// finds the caches as it would. They are run until they become no faster; then of all runs the median
/// counts, since that is what whoever measures latency takes, too: the shortest times add up to a run that
/// never happens.
Result<std::vector<double>> measure(const Program& program, const NamedTensors& inputs, int runs) {
  const std::vector<Step>& steps = program.steps();
  std::vector<std::vector<std::byte>> messages(steps.size());
  for (std::size_t s = 0; s < steps.size(); ++s) {
    if (steps[s].kind == StepKind::Receive) messages[s].resize(steps[s].wire_bytes);
  }
  std::vector<std::vector<double>> times(steps.size());
  std::vector<double> shortest(steps.size(), 1e30);
  Workspace workspace(program);
  OtherWork other_work;
  const auto start = Clock::now();
  double sum = 1e30;
  for (int run = -1, settled = 0; run < runs || settled < kSettled; ++run) {  // the first warms up
    if (run > 2 && Clock::now() - start > kLongest) break;
    other_work.run();
    for (const auto& [name, tensor] : inputs) DISCO_CHECK(workspace.set_input(name, tensor));
    auto mark = Clock::now();
    for (std::size_t s = 0; s < steps.size(); ++s) {
      if (steps[s].kind == StepKind::Receive) {
        // As a message that has just come: in the caches as far as it fits.
        std::memset(messages[s].data(), 0, messages[s].size());
        workspace.set_message(s, messages[s]);
        mark = Clock::now();
      }
      if (const Status status = steps[s].kernel->run(workspace); !status) {
        return error(status.error().code, "step '{}' ({}): {}", steps[s].name, steps[s].op,
                     status.error().message);
      }
      const auto now = Clock::now();
      const double time = std::chrono::duration<double>(now - mark).count();
      mark = now;
      if (run < 0) continue;
      times[s].push_back(time);
      shortest[s] = std::min(shortest[s], time);
    }
    if (run < 0) continue;
    const double now = std::accumulate(shortest.begin(), shortest.end(), 0.0);
    settled = now < 0.99 * sum ? 0 : settled + 1;
    sum = std::min(sum, now);
  }
  std::vector<double> seconds;
  for (std::vector<double>& of_step : times) seconds.push_back(median(std::move(of_step)));
  return seconds;
}

/// What the coordinator sends for a request, by message.
void add_input_bytes(const Program& program, const NamedTensors& inputs, SimulatedProgram& result) {
  for (const auto& [name, tensor] : inputs) {
    const BandedInput* in_bands = program.banded_input(name);
    if (in_bands == nullptr) {
      result.input_bytes += palette::wire_size(tensor);
      continue;
    }
    const Bands& bands = in_bands->bands;
    result.input_bytes += palette::wire_size(rows_of_band(tensor, bands, 0));
    result.more_input_bytes.resize(std::max(result.more_input_bytes.size(), bands.size()));
    for (std::size_t b = 0; b < bands.size(); ++b)
      result.more_input_bytes[b] += palette::wire_size(rows_of_band(tensor, bands, b + 1));
  }
}

}  // namespace

std::map<std::string, WorkClass> work_classes(const Graph& graph) {
  std::map<std::string, WorkClass> classes;
  for (const Node& node : graph.nodes) {
    WorkClass work = WorkClass::Memory;
    if (node.is("Conv") || node.is("ConvTranspose")) {
      work = node.int_or("group", 1) > 1 ? WorkClass::Depthwise : WorkClass::Convolution;
    } else if (node.is("Gemm") || node.is("MatMul")) {
      work = WorkClass::MatMul;
    }
    classes.emplace(name_of(graph, node), work);
  }
  return classes;
}

Status StepCosts::measure_steps(const Program& program, const NamedTensors& inputs, int threads) {
  const std::vector<Step>& steps = program.steps();
  const bool all_known = std::all_of(steps.begin(), steps.end(), [&](const Step& step) {
    return measured_.contains(key_of(step, threads));
  });
  if (all_known) return {};
  DISCO_TRY(const std::vector<double> seconds, measure(program, inputs, options_.runs));
  // Of steps that are alike, such as the blocks of one stage, the mean.
  std::map<std::string, std::pair<double, int>> sums;
  for (std::size_t s = 0; s < steps.size(); ++s) {
    auto& [sum, count] = sums[key_of(steps[s], threads)];
    sum += seconds[s];
    ++count;
  }
  for (const auto& [key, sum] : sums) measured_.try_emplace(key, sum.first / sum.second);
  return {};
}

Result<SimulatedProgram> StepCosts::of(Graph shard, const NodeProfile& node, InputRoute inputs_come) {
  const std::map<std::string, WorkClass> classes = work_classes(shard);
  NamedTensors inputs = random_inputs(shard);
  SimulatedProgram result;
  for (const ValueId id : shard.outputs) {
    const Value& value = shard.value(id);
    if (value.has_shape())
      result.output_bytes += static_cast<std::uint64_t>(element_count(value.shape())) * size_of(value.type);
  }
  const kernels::ThreadScope threads(node.threads);
  DISCO_TRY(const Program program, compile(std::move(shard), {.inputs = std::move(inputs_come)}));
  add_input_bytes(program, inputs, result);
  for (const BandedInput& input : program.banded_inputs()) inputs.erase(input.name);
  result.weight_bytes = program.weight_bytes();
  result.arena_bytes = program.arena_bytes();
  const std::vector<Step>& steps = program.steps();
  if (!options_.estimate) {
    DISCO_CHECK(measure_steps(program, inputs, node.threads));
  }
  std::array<double, kWorkClasses> slower{};
  for (std::size_t c = 0; c < kWorkClasses; ++c) slower[c] = slowness(node, here_, static_cast<WorkClass>(c));
  for (const Step& step : steps) {
    const auto known = classes.find(step.name);
    WorkClass work = WorkClass::Memory;
    if (step.kind != StepKind::Compute) {
      work = WorkClass::Pack;
    } else if (step.macs > 0) {
      work = known != classes.end() && known->second != WorkClass::Memory ? known->second : WorkClass::MatMul;
    }
    const auto c = static_cast<std::size_t>(work);
    double seconds = 0;
    if (!options_.estimate) {
      seconds = measured_.at(key_of(step, node.threads)) * slower[c];
    } else {
      const double amount = static_cast<double>(step.kind != StepKind::Compute ? step.wire_bytes
                                                : step.macs > 0 ? static_cast<std::size_t>(step.macs)
                                                                : step.bytes);
      const bool own = !node.speeds[c].empty();
      if (!own && here_[c].empty()) {
        return error(ErrorCode::InvalidArgument,
                     "an estimate for {} needs the speed of {} steps; give a profile of `disco profile`",
                     node.name, to_string(work));
      }
      seconds = node.step_overhead_s +
                seconds_of(own ? node.speeds[c] : here_[c], amount) * (own ? 1.0 : slower[c]);
    }
    result.steps.push_back({step.kind, step.name, step.op, seconds, step.peer, step.tag, step.wire_bytes});
  }
  return result;
}

}  // namespace disco
