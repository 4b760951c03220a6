#pragma once
// Accuracy over real exchanges; shared by eval and report.

#include <memory>
#include <string>
#include <vector>

#include "cluster_flags.h"
#include "command.h"
#include "data/dataset.h"
#include "report/evaluation.h"

namespace disco::cli {

struct EvaluateOptions {
  ClusterFlags cluster;
  int batch = 0;  ///< samples a run; 0: the model's, else as many as suit the size of a sample

  void add_to(CLI::App& command);
};

/// What a model answers to every sample of a data set, and what its nodes sent meanwhile.
struct Answered {
  std::vector<Prediction> predictions;
  std::int64_t classes = 0;
  std::vector<double> node_bytes;  ///< by rank, a sample
};

/// Runs a split model over a whole data set.
///
/// @param input  the model's only one
/// @param title  of the progress bar
/// @return the answers, or
///   - InvalidArgument  no output has one score a class, or a batch that the model does not take
///   - what reading the samples, starting the nodes or running gives
[[nodiscard]] Result<Answered> answer(const Graph& model, const SplitFlags& split, const InputSlot& input,
                                      const DataSet& data, const EvaluateOptions& options,
                                      const std::string& title);

/// The same for the whole model, in this process.
[[nodiscard]] Result<Answered> answer_unsplit(const Graph& model, SplitFlags split, const InputSlot& input,
                                              const DataSet& data, const EvaluateOptions& options,
                                              const std::string& title);

/// The classes of all samples; InvalidArgument for one that is no class of the model (names the sample).
[[nodiscard]] Result<std::vector<std::int64_t>> labels_for(const DataSet& data, std::int64_t classes);

/// An artifact's or model's own split: the partition in it counts, and --nodes may only repeat its number.
[[nodiscard]] Status keep_stored_partition(const Graph& model, SplitFlags& split);

/// A model, split for one sample (or the model's fixed batch).
struct SampleSplit {
  SplitModel split;
  std::int64_t batch = 1;  ///< samples that its shapes stand for
  double dense_bytes = 0;  ///< a sample, all nodes, everything sent in fp32
};
[[nodiscard]] Result<SampleSplit> split_for_sample(const Graph& model, const SplitFlags& split,
                                                   const InputSlot& input, const DataSet& data);

/// All of it for one artifact. @param dense  what the dense model answers; may be null
[[nodiscard]] Result<Evaluation> evaluate(const Graph& model, const SplitFlags& split, const InputSlot& input,
                                          const DataSet& data, const EvaluateOptions& options,
                                          const SampleSplit& sample, const Answered* dense);

}  // namespace disco::cli
