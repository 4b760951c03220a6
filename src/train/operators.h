#pragma once
// Differentiable forms of the graph's operators.

#include <ATen/ATen.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"

namespace disco::train {

/// How a forward pass runs.
struct Mode {
  bool training = false;  ///< batch norm by the batch's statistics, whose running means are updated
  double momentum = 0.1;  ///< of those means
};

/// One node with its fixed shapes. Inputs are by position, undefined where left out; errors of torch are
/// exceptions, which Network catches.
using Operator =
    std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>& inputs, const Mode& mode)>;

/// Makes the operator of one node of `graph`, whose shapes are fixed: extents and constant arguments are read
/// now.
using Maker = Result<Operator> (*)(const Graph& graph, const Node& node);
using Makers = std::map<std::string, Maker, std::less<>>;

void add_elementwise(Makers& makers);  // operators_elementwise.cpp
void add_linear(Makers& makers);       // operators_linear.cpp: products, convolutions, pools, normalisations
void add_movement(Makers& makers);     // operators_movement.cpp: shapes, indexing, reductions, resizing

/// The operator of a node. One without a differentiable form is run by the reference evaluator, and no
/// gradient passes through it; `differentiable` says which it is.
[[nodiscard]] Result<Operator> make_operator(const Graph& graph, const Node& node, bool& differentiable);

}  // namespace disco::train
