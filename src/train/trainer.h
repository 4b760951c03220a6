#pragma once
// Training: a model from seeded weights, or an artifact that learns to do with what it sends.

#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "graph/graph.h"
#include "task/metric.h"
#include "train/augment.h"
#include "train/enlargement_loss.h"
#include "train/objective.h"
#include "train/optimiser.h"
#include "train/parallel.h"

namespace disco::train {

/// How an artifact's keep-sets shrink from everything to the budget while it trains.
enum class Tightening {
  None,        ///< the artifact's keep-sets, fixed
  Cubic,       ///< along a cubic curve, chosen anew on the way (Zhu and Gupta 2017)
  GroupLasso,  ///< everything is sent, but norms of the weights of each feature are paid for; then cut at
               ///< once
};

struct TrainOptions {
  std::int64_t epochs = 10;
  std::int64_t batch = 128;  ///< of every process; a model of a fixed batch has its own
  Optimiser optimiser = Optimiser::Sgd;
  double learning_rate = 0.02;  ///< the highest; then down to zero along a cosine
  double warmup = 0.5;          ///< epochs in which it rises from zero
  double momentum = 0.9;        ///< of SGD, Nesterov's
  double weight_decay = 5e-4;   ///< of weights of two axes and more
  double average = 0.0;         ///< decay a step of an exponential moving average of the weights; 0: none
  std::optional<Task> task{};   ///< what the model does; absent: as task_of() says
  ObjectiveOptions objective{};
  EnlargementOptions enlargement{};  ///< of super-resolution, where labels count
  /// Absent: Blend for a classifier that learns from a teacher alone, else Flip.
  std::optional<Augmentation> augmentation{};
  DataType wire = DataType::Float32;  ///< rounding that training feels; calibrated in the artifact at the end
  bool hold_statistics = false;  ///< batch norms use their running statistics, and leave them as they are
  bool reset = false;            ///< begin with drawn weights in place of the model's
  bool bfloat16 = false;         ///< products in bfloat16, where the device has them
  Tightening tightening = Tightening::None;
  double tighten_epochs = 0.0;            ///< after which the budget is met
  std::optional<double> communication{};  ///< the budget of tightening; absent: what the artifact sends
  double lasso = 1e-4;                    ///< price of the norms
  std::uint64_t seed = 1;
  at::Device device = at::kCPU;
  int loaders = 1;  ///< threads that read and augment
  std::filesystem::path
      checkpoint{};  ///< written at every epoch's end, and every checkpoint_steps; empty: none
  std::int64_t checkpoint_steps = 0;
  bool resume = false;  ///< go on from the checkpoint, if there is one
};

struct EpochReport {
  std::int64_t epoch = 0;  ///< from 1 on
  double learning_rate = 0, loss = 0;
  double train_top1 = -1;              ///< a share; -1: not known
  std::optional<Figure> validation{};  ///< the task's main figure
  double communication = 1;            ///< share of the dense exchange's bytes that the masks let pass
};

/// By the names of its members ("validation_top1", "validation_mAP" and so on); what is not known is left
/// out.
[[nodiscard]] nlohmann::json to_json(const EpochReport& report);

struct Trained {
  Graph model;  ///< the given one, with its weights and its partition changed
  std::vector<EpochReport> history;
};

struct TrainData {
  const DataSet& training;
  const DataSet* validation = nullptr;  ///< looked at after every epoch, never learned from
};

struct TrainWatch {
  std::function<void(const EpochReport&)> on_epoch{};
  std::function<void(std::int64_t epoch, std::int64_t step, std::int64_t steps, double loss)> on_step{};
};

/// Trains `model`. With a partition in its metadata the weights of features that do not travel stay zero.
///
/// @param teacher  the dense model whose answers are learned; may be null where labels count
/// @param group    the processes that share the work; null: this one alone
/// @return the model, or
///   - InvalidArgument  data and model do not go together: several inputs, shapes, labels that are missing or
///   not
///                      among the model's classes, fewer samples than a batch; a checkpoint of another run
///   - InvalidModel     weights that are not finite; the loss became infinite (with the step)
///   - PeerLost         another process is gone; the checkpoint remains
[[nodiscard]] Result<Trained> train(const Graph& model, const Graph* teacher, const TrainData& data,
                                    const TrainOptions& options, Group* group, const TrainWatch& watch);

}  // namespace disco::train
