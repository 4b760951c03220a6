#pragma once
// A training run as it stands, so that it can go on after a kill.

#include <filesystem>
#include <string>
#include <vector>

#include "train/network.h"

namespace torch::optim {
class Optimizer;
}

namespace disco::train {

struct Progress {
  std::int64_t epoch = 0, step = 0;           ///< the next one to be done
  double loss = 0, correct = 0, counted = 0;  ///< of this epoch, so far
  std::string partition;                      ///< JSON of the masks in force; empty: none
  std::string history;                        ///< JSON of the epochs that are done
};

/// What learns: the model, and a discriminator where there is one.
struct Learner {
  Weights& weights;
  torch::optim::Optimizer& optimiser;
};

/// Writes a checkpoint, whole or not at all. `run` says which run it is of: the model, the data and what else
/// must be the same for it to go on.
[[nodiscard]] Status save_checkpoint(const std::filesystem::path& path, const std::string& run,
                                     const std::vector<Learner>& learners,
                                     const std::map<std::string, at::Tensor>& average,
                                     const Progress& progress);

/// Reads one back into learners and average.
/// @return NotFound; InvalidArgument where it is of another run (both are named) or no checkpoint
[[nodiscard]] Result<Progress> load_checkpoint(const std::filesystem::path& path, const std::string& run,
                                               const std::vector<Learner>& learners,
                                               std::map<std::string, at::Tensor>& average);

}  // namespace disco::train
