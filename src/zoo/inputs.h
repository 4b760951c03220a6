#pragma once
// Inputs for networks whose answers nobody reads: benchmarks and profiles.

#include <cstdint>

#include "graph/graph.h"

namespace disco {

/// Values for every fp32 input of a graph of fixed shapes, zeros for the others; the same ones on every
/// machine. What looks like an image (four axes, one or three channels) gets random 8-bit pixels, of mean 0
/// and about variance 1 as normalised photographs are, since that is what networks are given and how it
/// travels; others get normal values.
[[nodiscard]] NamedTensors random_inputs(const Graph& graph, std::uint64_t seed = 1);

}  // namespace disco
