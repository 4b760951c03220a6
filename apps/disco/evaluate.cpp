#include "evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <map>

#include "engine.h"
#include "partition/cost.h"

namespace disco::cli {

namespace {

constexpr std::int64_t kBatchElements = 1'000'000, kMostBatch = 100;  // of a batch that nobody asked for

/// How samples are put together for one run.
struct Batching {
  bool has_axis = true;
  std::int64_t batch = 1;
};

Result<Batching> batching_of(const InputSlot& input, const DataSet& data, int asked) {
  Batching batching;
  const std::size_t rank = data.sample_shape().size();
  batching.has_axis = !input.shape || input.shape->size() == rank + 1;
  const std::int64_t fixed = !batching.has_axis ? 1 : input.shape ? input.shape->front() : -1;
  if (asked > 0 && fixed > 0 && asked != fixed) {
    return error(ErrorCode::InvalidArgument, "--batch {}: the model's batch is fixed at {}; leave it out",
                 asked, fixed);
  }
  const std::int64_t suits = std::clamp<std::int64_t>(
      kBatchElements / std::max<std::int64_t>(1, element_count(data.sample_shape())), 1, kMostBatch);
  batching.batch = fixed > 0               ? fixed
                   : !data.has_one_shape() ? 1
                   : asked > 0             ? std::min<std::int64_t>(asked, data.size())
                                           : std::min(suits, data.size());
  return batching;
}

/// Some samples as one input.
struct Read {
  Tensor batch;
  std::vector<Truth> truths;
  std::vector<double> pixel_areas;
  int height = 0, width = 0;  // of an image
};

/// Samples from `first` on; beyond the end the last one again.
Result<Read> read_batch(const InputSlot& input, const DataSet& data, const Batching& batching,
                        std::int64_t first) {
  Read read;
  for (std::int64_t i = 0; i < batching.batch && first + i < data.size(); ++i) {
    DISCO_TRY(Sample sample, data.sample(first + i));
    Shape shape = sample.tensor.shape();
    if (shape.size() == 3) {
      const bool planes = !input.shape || shape[0] == 1 || shape[0] == 3;
      read.height = static_cast<int>(shape[planes ? 1 : 0]);
      read.width = static_cast<int>(shape[planes ? 2 : 1]);
    }
    const std::int64_t row = sample.tensor.elements();
    if (i == 0) {
      if (batching.has_axis) shape.insert(shape.begin(), batching.batch);
      read.batch = Tensor(input.type == DataType::UInt8 ? DataType::UInt8 : DataType::Float32, shape);
    }
    const std::int64_t copies = first + i + 1 == data.size() ? batching.batch - i : 1;
    for (std::int64_t c = i; c < i + copies; ++c) {
      if (input.type == DataType::UInt8) {
        std::copy_n(sample.tensor.data<float>(), row, read.batch.data<std::uint8_t>() + c * row);
      } else {
        std::copy_n(sample.tensor.data<float>(), row, read.batch.data<float>() + c * row);
      }
    }
    read.truths.push_back(std::move(sample.truth));
    read.pixel_areas.push_back(sample.pixel_area);
  }
  return read;
}

std::string shapes_of(const Graph& model) {
  std::string list;
  for (const ValueId id : model.outputs) {
    const Value& value = model.value(id);
    list += fmt::format("{}'{}' {}", list.empty() ? "" : ", ", value.name,
                        value.has_shape() ? to_string(value.shape()) : "of unknown shape");
  }
  return list;
}

/// Bytes of a sample where everything is sent in fp32.
Result<double> dense_bytes_of(const SplitModel& split) {
  Partition dense = split.partition;
  dense.keep.clear();
  dense.wire.clear();
  DISCO_TRY(const std::vector<Graph> shards, make_shards(split.graph, dense));
  double bytes = 0;
  for (const Graph& shard : shards) bytes += static_cast<double>(total_cost(shard).bytes_sent);
  return bytes;
}

}  // namespace

Result<Task> task_for(const TaskFlags& flags, const Graph& fixed) {
  DISCO_TRY(std::optional<Task> task, flags.task(fixed));
  if (task) return std::move(*task);
  return error(
      ErrorCode::InvalidArgument,
      "nothing says what the model's answers mean: no output has one score a class; it answers {}; say "
      "so with --task FILE.json (see docs/tasks.md)",
      shapes_of(fixed));
}

void EvaluateOptions::add_to(CLI::App& command) {
  command
      .add_option("--batch", batch,
                  "samples in one run (default: the model's; where it is open, up to 100 small ones)")
      ->check(CLI::Range(1, 1 << 16))
      ->type_name("B");
  command
      .add_option("--protocol", protocol,
                  "how detections are counted: voc (the default), voc07 with its eleven points, or coco")
      ->check(CLI::IsMember({"voc", "voc07", "coco"}))
      ->type_name("NAME");
  cluster.add_to(command);
}

Result<Answered> answer(const Graph& model, const SplitFlags& split, const InputSlot& input,
                        const DataSet& data, const EvaluateOptions& options, const Purpose& purpose) {
  DISCO_TRY(const Batching batching, batching_of(input, data, options.batch));
  const std::int64_t rounds = (data.size() + batching.batch - 1) / batching.batch;
  Engine engine(model, split, options.cluster, /*verify=*/false);
  Answered answered;
  std::unique_ptr<Metric> metric;
  double agreed = 0;
  std::int64_t done = 0;
  Progress progress(purpose.title, static_cast<std::size_t>(rounds));
  // The next batch is read while the nodes work on this one.
  const auto read = [&](std::int64_t round) {
    return std::async(std::launch::async,
                      [&, round] { return read_batch(input, data, batching, round * batching.batch); });
  };
  std::future<Result<Read>> next = read(0);
  for (std::int64_t round = 0; round < rounds; ++round) {
    DISCO_TRY(Read batch, next.get());
    if (round + 1 < rounds) next = read(round + 1);
    DISCO_TRY(const RunResult result,
              engine.run({{input.name, std::move(batch.batch)}}, /*trace=*/false, data.has_one_shape()));
    if (!metric) {
      DISCO_TRY(const std::int64_t classes, answered_classes(purpose.task, result.outputs, batching.batch));
      metric = make_metric(purpose.task, {classes, options.protocol});
    }
    for (std::size_t s = 0; s < batch.truths.size(); ++s, ++done) {
      DISCO_TRY(Answer one, read_answer(purpose.task, result.outputs, static_cast<std::int64_t>(s),
                                        batching.batch, batch.height, batch.width));
      const Status added = metric->add_resized(one, batch.truths[s], batch.pixel_areas[s]);
      if (!added) return in_context(fmt::format("{}: sample {}", data.about(), done), added.error());
      if (purpose.others != nullptr)
        agreed += agreement(one, (*purpose.others)[static_cast<std::size_t>(done)]);
      if (purpose.keep) answered.answers.push_back(std::move(one));
    }
    answered.node_bytes.resize(result.statistics.size());
    for (std::size_t rank = 0; rank < result.statistics.size(); ++rank)
      answered.node_bytes[rank] += static_cast<double>(result.statistics[rank].bytes_sent);
    progress.step(static_cast<std::size_t>(round + 1));
  }
  for (double& bytes : answered.node_bytes) bytes /= static_cast<double>(rounds * batching.batch);
  if (metric->samples() > 0) answered.measured = Measured{metric->figures(), metric->samples()};
  if (purpose.others != nullptr) answered.agreement = agreed / static_cast<double>(data.size());
  return answered;
}

Result<Answered> answer_unsplit(const Graph& model, SplitFlags split, const InputSlot& input,
                                const DataSet& data, const EvaluateOptions& options, const Task& task) {
  split.nodes = 1;
  split.shares.clear();
  EvaluateOptions here = options;
  here.cluster.cluster_file.clear();
  here.cluster.transport = "threads";
  return answer(model, split, input, data, here, {task, /*keep=*/true, nullptr, split.model});
}

Status check_stored_partition(const Graph& model, const SplitFlags& split) {
  const auto stored = stored_partition(model, 0);
  if (!stored) return in_context(split.model, stored.error());
  if (*stored && ((split.nodes != 0 && split.nodes != (*stored)->nodes) || !split.shares.empty())) {
    return error(ErrorCode::InvalidArgument,
                 "{}: was made for {} nodes and sends only what those need; leave --nodes and --shares out",
                 split.model, (*stored)->nodes);
  }
  return {};
}

Result<SampleSplit> split_for_sample(const Graph& model, const SplitFlags& flags, const InputSlot& input,
                                     const DataSet& data) {
  DISCO_TRY(const Batching batching, batching_of(input, data, 0));
  Shape shape = data.sample_shape();
  SampleSplit sample;
  const bool is_fixed = batching.has_axis && input.shape && input.shape->front() > 0;
  sample.batch = is_fixed ? batching.batch : 1;
  if (batching.has_axis) shape.insert(shape.begin(), sample.batch);
  DISCO_TRY(sample.split, split(model, flags, {{input.name, shape}}));
  if (data.has_one_shape()) {
    DISCO_TRY(sample.dense_bytes, dense_bytes_of(sample.split));
    sample.dense_bytes /= static_cast<double>(sample.batch);
    return sample;
  }
  std::map<Shape, std::int64_t> counts;
  for (std::int64_t i = 0; i < data.size(); ++i) {
    DISCO_TRY(const Sample read, data.sample(i));
    ++counts[read.tensor.shape()];
  }
  for (const auto& [size, count] : counts) {
    Shape whole = size;
    if (batching.has_axis) whole.insert(whole.begin(), sample.batch);
    DISCO_TRY(const SplitModel other, split(model, flags, {{input.name, whole}}));
    DISCO_TRY(const double bytes, dense_bytes_of(other));
    sample.dense_bytes += bytes * static_cast<double>(count) / static_cast<double>(data.size());
  }
  return sample;
}

Result<Evaluation> evaluate(const Graph& model, const SplitFlags& flags, const InputSlot& input,
                            const DataSet& data, const EvaluateOptions& options, const SampleSplit& sample,
                            const Task& task, const Answered* dense) {
  const Partition& partition = sample.split.partition;
  DISCO_TRY(Answered answered,
            answer(model, flags, input, data, options,
                   {task, /*keep=*/false, dense == nullptr ? nullptr : &dense->answers, flags.model}));
  Evaluation evaluation;
  evaluation.model = flags.model;
  evaluation.data = data.about();
  evaluation.task = to_string(task.kind);
  evaluation.method = partition.method;
  evaluation.wire = wire_of(partition);
  evaluation.nodes = partition.nodes;
  evaluation.samples = data.size();
  evaluation.measured = std::move(answered.measured);
  evaluation.agreement = answered.agreement;
  evaluation.node_bytes = std::move(answered.node_bytes);
  evaluation.dense_bytes = sample.dense_bytes;
  if (dense != nullptr) evaluation.dense = dense->measured;
  return evaluation;
}

}  // namespace disco::cli
