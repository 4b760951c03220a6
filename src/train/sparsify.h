#pragma once
// From a model, samples and a budget to an artifact that sends only that.

#include <functional>
#include <optional>
#include <string>

#include "sparsify/importance.h"
#include "sparsify/methods.h"
#include "train/distil.h"
#include "train/refit.h"

namespace disco::train {

struct SparsifyOptions {
  int nodes = 2;
  std::vector<double> shares{};  ///< empty: equal
  Method method = Method::Disco;
  Budget budget{};
  /// Of Method::Disco, see weigh_by_size(). Absent: kBytePower, but 1 where weights are limited, since deep
  /// features are read with many of them, and bytes would remain unused.
  std::optional<double> byte_power{};
  int bands = 0;  ///< Partition::bands; 0: as a plan in the model says, else one
  /// The most that each node may hold, as a share of the model's weights; one number for all, or one a node.
  std::vector<double> weight_shares{};
  std::optional<std::int64_t>
      layer{};  ///< k of dense-then-split and split-then-aggregate, instead of the budget
  bool refit = true;
  /// LayerNormalization over each node's own channels alone, see localise_norms(); the budget stays a share
  /// of what the dense exchange sends with exact ones.
  bool local_norms = false;
  /// The model is an artifact: its weights and keep-sets stay as they are, only `wire` is calibrated anew.
  bool wire_only = false;
  /// Over the samples, after the refit. Absent: four to forty over some thousand samples at most, but fewer
  /// of both, or none, where they would take long; an eighth of these samples then judges whether it helped.
  std::optional<std::int64_t> distil_epochs{};
  DataType wire = DataType::Float32;  ///< or Float16, UInt8 with scales from the samples' ranges
  std::int64_t batch = 16;            ///< samples at a time, where the model leaves it open
  std::uint64_t seed = 1;
  at::Device device = at::kCPU;
  /// What is being done, and how far it is.
  std::function<void(const std::string& stage, std::size_t done, std::size_t total)> progress{};
};

struct Sparsified {
  Graph model;  ///< the given one with its weights changed, and the partition in its metadata
  Partition partition;
  std::int64_t bytes = 0;        ///< per inference of one sample, all nodes, on the wire
  std::int64_t dense_bytes = 0;  ///< of the dense exchange in fp32
  Distilled distilled{};         ///< of no epochs where it was left out
};

/// Scores, searches owners, spends the budget, refits and distils; no labels.
///
/// @param model    as read
/// @param samples  one array a model input, by name; first axis: samples
/// @return the artifact, or
///   - InvalidArgument  samples that are missing, of another name, shape or type, not finite, or fewer than
///   the model's
///                      batch; a budget that cannot be met
///   - InvalidModel     weights that are not finite, or a partition that does not fit
///   - Unsupported      no operator can be split, or none has a gradient
[[nodiscard]] Result<Sparsified> sparsify(const Graph& model, const NamedTensors& samples,
                                          const SparsifyOptions& options);

}  // namespace disco::train
