#include "evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <numeric>

#include "data/classification.h"
#include "engine.h"
#include "partition/cost.h"
#include "reference/numeric.h"

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
  batching.batch = fixed > 0   ? fixed
                   : asked > 0 ? std::min<std::int64_t>(asked, data.size())
                               : std::min(suits, data.size());
  return batching;
}

/// Samples from `first` on; beyond the end the last one again.
Result<Tensor> batch_at(const InputSlot& input, const DataSet& data, const Batching& batching,
                        std::int64_t first) {
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < batching.batch; ++i) indices.push_back(std::min(first + i, data.size() - 1));
  DISCO_TRY(Tensor batch, read_samples(data, indices, input.type));
  return batching.has_axis ? batch : batch.reshaped(data.sample_shape());
}

/// Classes, where a tensor holds scores of them: all extents behind the batch but one are 1.
std::int64_t classes_of(const Tensor& tensor, std::int64_t batch) {
  if (tensor.elements() % batch != 0) return 0;
  const std::int64_t count = tensor.elements() / batch;
  if (count < 2 || (tensor.shape().front() != batch && batch > 1)) return 0;
  const auto& shape = tensor.shape();
  return std::find(shape.begin() + (batch > 1 ? 1 : 0), shape.end(), count) != shape.end() ? count : 0;
}

/// The model's first output that holds scores, and for how many classes.
Result<std::pair<std::string, std::int64_t>> scores_of(const Graph& model, const NamedTensors& outputs,
                                                       std::int64_t batch) {
  std::string shapes;
  for (const ValueId id : model.outputs) {
    const std::string& name = model.value(id).name;
    const auto found = outputs.find(name);
    if (found == outputs.end())
      return error(ErrorCode::Internal, "no node answered with the output '{}'", name);
    if (const std::int64_t classes = classes_of(found->second, batch); classes > 0)
      return std::pair{name, classes};
    shapes += fmt::format("{}'{}' {}", shapes.empty() ? "" : ", ", name, to_string(found->second.shape()));
  }
  return error(ErrorCode::InvalidArgument,
               "the model is no classifier: no output has one score a class; it answers {}", shapes);
}

}  // namespace

void EvaluateOptions::add_to(CLI::App& command) {
  command
      .add_option("--batch", batch,
                  "samples in one run (default: the model's; where it is open, up to 100 small ones)")
      ->check(CLI::Range(1, 1 << 16))
      ->type_name("B");
  cluster.add_to(command);
}

Result<Answered> answer(const Graph& model, const SplitFlags& split, const InputSlot& input,
                        const DataSet& data, const EvaluateOptions& options, const std::string& title) {
  DISCO_TRY(const Batching batching, batching_of(input, data, options.batch));
  const std::int64_t rounds = (data.size() + batching.batch - 1) / batching.batch;
  Engine engine(model, split, options.cluster, /*verify=*/false);
  Answered answered;
  std::string scores;
  Progress progress(title, static_cast<std::size_t>(rounds));
  // The next batch is read while the nodes work on this one.
  const auto read = [&](std::int64_t round) {
    return std::async(std::launch::async,
                      [&, round] { return batch_at(input, data, batching, round * batching.batch); });
  };
  std::future<Result<Tensor>> next = read(0);
  for (std::int64_t round = 0; round < rounds; ++round) {
    DISCO_TRY(Tensor batch, next.get());
    if (round + 1 < rounds) next = read(round + 1);
    DISCO_TRY(const RunResult result,
              engine.run({{input.name, std::move(batch)}}, /*trace=*/false, /*last_shape=*/true));
    if (scores.empty()) {
      DISCO_TRY(std::tie(scores, answered.classes), scores_of(model, result.outputs, batching.batch));
    }
    const Tensor& tensor = result.outputs.at(scores);
    const std::int64_t count = std::min(batching.batch, data.size() - round * batching.batch);
    for (std::int64_t s = 0; s < count; ++s) {
      reference::Doubles values(static_cast<std::size_t>(answered.classes));
      reference::convert(tensor, s * answered.classes, answered.classes, values.data());
      Prediction prediction;
      std::size_t place = 0;
      for (const ClassScore& best : top_classes(values, Prediction::kBest))
        prediction.best[place++] = best.index;
      answered.predictions.push_back(prediction);
    }
    answered.node_bytes.resize(result.statistics.size());
    for (std::size_t rank = 0; rank < result.statistics.size(); ++rank)
      answered.node_bytes[rank] += static_cast<double>(result.statistics[rank].bytes_sent);
    progress.step(static_cast<std::size_t>(round + 1));
  }
  for (double& bytes : answered.node_bytes) bytes /= static_cast<double>(rounds * batching.batch);
  return answered;
}

Result<Answered> answer_unsplit(const Graph& model, SplitFlags split, const InputSlot& input,
                                const DataSet& data, const EvaluateOptions& options,
                                const std::string& title) {
  split.nodes = 1;
  split.shares.clear();
  EvaluateOptions here = options;
  here.cluster.cluster_file.clear();
  here.cluster.transport = "threads";
  return answer(model, split, input, data, here, title);
}

Result<std::vector<std::int64_t>> labels_for(const DataSet& data, std::int64_t classes) {
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < data.size(); ++i) {
    labels.push_back(data.label(i));
    if (labels.back() >= classes) {
      return error(ErrorCode::InvalidArgument,
                   "{}: sample {} has class {}, but the model answers with classes 0 to {}", data.about(), i,
                   labels.back(), classes - 1);
    }
  }
  return labels;
}

Status keep_stored_partition(const Graph& model, SplitFlags& split) {
  const auto stored = model.metadata.find(std::string(kPartitionKey));
  if (stored == model.metadata.end()) return {};
  auto partition = partition_from_json(stored->second);
  if (!partition) return in_context(split.model, partition.error());
  if ((split.nodes != 0 && split.nodes != partition->nodes) || !split.shares.empty()) {
    return error(ErrorCode::InvalidArgument,
                 "{}: was made for {} nodes and sends only what those need; leave --nodes and --shares out",
                 split.model, partition->nodes);
  }
  split.nodes = 0;
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
  Partition dense = sample.split.partition;
  dense.keep.clear();
  dense.wire.clear();
  DISCO_TRY(const std::vector<Graph> shards, make_shards(sample.split.graph, dense));
  for (const Graph& shard : shards) sample.dense_bytes += static_cast<double>(total_cost(shard).bytes_sent);
  sample.dense_bytes /= static_cast<double>(sample.batch);
  return sample;
}

Result<Evaluation> evaluate(const Graph& model, const SplitFlags& flags, const InputSlot& input,
                            const DataSet& data, const EvaluateOptions& options, const SampleSplit& sample,
                            const Answered* dense) {
  const Partition& partition = sample.split.partition;
  DISCO_TRY(const Answered answered, answer(model, flags, input, data, options, flags.model));
  DISCO_TRY(const std::vector<std::int64_t> labels, labels_for(data, answered.classes));
  Evaluation evaluation;
  evaluation.model = flags.model;
  evaluation.data = data.about();
  evaluation.method = partition.method;
  evaluation.wire = wire_of(partition);
  evaluation.nodes = partition.nodes;
  evaluation.samples = data.size();
  evaluation.classes = answered.classes;
  evaluation.accuracy = accuracy_of(answered.predictions, labels);
  evaluation.node_bytes = answered.node_bytes;
  evaluation.dense_bytes = sample.dense_bytes;
  if (dense == nullptr) return evaluation;
  evaluation.dense_accuracy = accuracy_of(dense->predictions, labels);
  evaluation.agreement = agreement_of(answered.predictions, dense->predictions);
  return evaluation;
}

}  // namespace disco::cli
