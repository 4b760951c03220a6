#pragma once
// Accuracy over real exchanges; shared by eval and report.

#include <memory>
#include <string>
#include <vector>

#include "cluster_flags.h"
#include "command.h"
#include "data_flags.h"
#include "report/evaluation.h"

namespace disco::cli {

struct EvaluateOptions {
  ClusterFlags cluster;
  int batch = 0;         ///< samples a run; 0: the model's, else as many as suit the size of a sample
  std::string protocol;  ///< of detection, see MetricOptions

  void add_to(CLI::App& command);
};

/// What a model answers to a data set, and what its nodes sent meanwhile.
struct Answered {
  std::optional<Measured> measured{};  ///< absent where no sample has a truth
  std::vector<Answer> answers;         ///< by sample, where they were to be kept
  std::optional<double> agreement{};   ///< with others' answers, where there were some
  std::vector<double> node_bytes;      ///< by rank, a sample
};

/// What answers are for.
struct Purpose {
  Task task;
  bool keep = false;                            ///< answers, for others to be compared with
  const std::vector<Answer>* others = nullptr;  ///< by sample; may be null
  std::string title;                            ///< of the progress bar
};

/// Runs a split model over a whole data set, and measures its answers.
///
/// @param input  the model's only one
/// @return the answers, or
///   - InvalidArgument  a batch that the model does not take, or a truth that it cannot answer (with the
///   sample)
///   - what reading the samples, starting the nodes or running gives
[[nodiscard]] Result<Answered> answer(const Graph& model, const SplitFlags& split, const InputSlot& input,
                                      const DataSet& data, const EvaluateOptions& options,
                                      const Purpose& purpose);

/// The whole model's answers, kept, from this process.
[[nodiscard]] Result<Answered> answer_unsplit(const Graph& model, SplitFlags split, const InputSlot& input,
                                              const DataSet& data, const EvaluateOptions& options,
                                              const Task& task);

/// An artifact's own split counts: --nodes may only repeat its number.
[[nodiscard]] Status check_stored_partition(const Graph& model, const SplitFlags& split);

/// A model, split for one sample (or the model's fixed batch).
struct SampleSplit {
  SplitModel split;
  std::int64_t batch = 1;  ///< samples that its shapes stand for
  double dense_bytes = 0;  ///< a sample, all nodes, everything sent in fp32; the mean where sizes differ
};
[[nodiscard]] Result<SampleSplit> split_for_sample(const Graph& model, const SplitFlags& split,
                                                   const InputSlot& input, const DataSet& data);

/// What is asked of a model: what its data and its metadata or --task say. The first line of an error names
/// the outputs that nothing explains.
[[nodiscard]] Result<Task> task_for(const TaskFlags& flags, const Graph& fixed);

/// All of it for one artifact. @param dense  what the dense model answers; may be null
[[nodiscard]] Result<Evaluation> evaluate(const Graph& model, const SplitFlags& split, const InputSlot& input,
                                          const DataSet& data, const EvaluateOptions& options,
                                          const SampleSplit& sample, const Task& task, const Answered* dense);

}  // namespace disco::cli
