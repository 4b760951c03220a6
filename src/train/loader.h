#pragma once
// Batches of a data set, read and augmented ahead of the trainer.

#include <ATen/ATen.h>

#include <future>

#include "data/dataset.h"
#include "train/augment.h"
#include "train/task_loss.h"

namespace disco::train {

struct Batch {
  at::Tensor inputs;                ///< [batch, sample shape...], float32 on the CPU
  std::vector<at::Tensor> targets;  ///< of the task, each [batch, ...]; none without a task
};

struct LoaderOptions {
  std::int64_t batch = 128;
  bool shuffle = true;
  bool drop_last = true;  ///< whether an incomplete batch at the end is left out
  Augmentation augmentation = Augmentation::None;
  std::uint64_t seed = 1;
  const TaskLoss* task = nullptr;  ///< what truths are read for, if at all
  int rank = 0, ranks = 1;  ///< of the processes that share each batch: every one reads `batch` of its own
  int threads = 1;          ///< that read and augment, besides the caller's
};

/// The order of an epoch and what augmentation does follow from (seed, epoch, sample) alone, so that a run
/// that goes on from a checkpoint sees what it would have seen.
class Loader {
 public:
  /// @param set  kept by reference; at least one batch a process
  Loader(const DataSet& set, const LoaderOptions& options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  [[nodiscard]] std::int64_t steps() const { return steps_; }
  /// Turns to the batches of an epoch, from `step` on.
  void start(std::int64_t epoch, std::int64_t step = 0);
  /// The next batch; its samples may be fewer than `batch` at the end without drop_last.
  [[nodiscard]] Result<Batch> next();

 private:
  [[nodiscard]] Result<Batch> load(std::int64_t step) const;
  /// Writes one sample's input, mixed where asked; its targets, where a task is given and nothing is mixed.
  [[nodiscard]] Result<std::vector<at::Tensor>> load_one(std::int64_t index, at::Tensor input) const;
  /// Writes one sample's input, varied as the seed says; returns what is true of it.
  [[nodiscard]] Result<Truth> read_varied(std::int64_t index, std::uint64_t seed, at::Tensor input) const;
  void prefetch();

  const DataSet& set_;
  LoaderOptions options_;
  std::int64_t steps_ = 0;
  std::int64_t epoch_ = 0, step_ = 0;
  std::vector<std::int64_t> order_;
  std::future<Result<Batch>> ahead_;
};

}  // namespace disco::train
