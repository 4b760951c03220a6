#pragma once
// A network's answers beside the truth, while it trains.

#include "data/dataset.h"
#include "task/metric.h"
#include "train/network.h"

namespace disco::train {

/// Measures a model on a data set by its task's metric, in evaluation mode.
///
/// @param model    of one input; its open extents are bound to each sample's
/// @param weights  by which it answers, in place of the model's own
/// @param batch    samples at once; a model of a fixed batch has its own
/// @return the metric's figures, the main one first; empty where no sample has a truth; or
///   - InvalidArgument  a truth that the model cannot answer (with the sample)
///   - what reading samples gives
[[nodiscard]] Result<std::vector<Figure>> validate(const Graph& model,
                                                   const std::shared_ptr<const Weights>& weights,
                                                   const Task& task, const DataSet& data, std::int64_t batch);

}  // namespace disco::train
