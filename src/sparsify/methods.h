#pragma once
// The methods that the literature compares, each as a choice of keep-sets over the same graph.

#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sparsify/allocate.h"

namespace disco {

enum class Method {
  Disco,               ///< the features of highest score per byte, in every layer; Qin et al. 2024
  Dense,               ///< everything
  Independent,         ///< nothing but what operators other than linear maps need
  DenseThenSplit,      ///< everything in the first layers, nothing from layer k on; SplitNet, Kim et al. 2017
  SplitThenAggregate,  ///< nothing in the first k layers, everything after; LCP, Hadidi et al. 2020
};

/// "disco", "dense", "independent", "dense-then-split", "split-then-aggregate".
[[nodiscard]] std::string_view to_string(Method method);
[[nodiscard]] Result<Method> method_from(std::string_view name);

/// The keep-sets of a method that looks at no scores (all but Disco). Layers are Traffic::values in the order
/// of the graph.
///
/// @param budget  DenseThenSplit and SplitThenAggregate without `layer`: k is chosen so that the bytes come
/// closest from
///                below, and the layer at the border keeps its first channels as far as the budget goes
/// @param layer   k, instead of the budget
/// @return the choice, or InvalidArgument: a budget that cannot be met, or a layer that the model does not
/// have
[[nodiscard]] Result<Allocation> keep_by_layer(const Traffic& traffic, Method method, const Budget& budget,
                                               std::optional<std::int64_t> layer = std::nullopt);

}  // namespace disco
