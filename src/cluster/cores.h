#pragma once
// A part of this machine's cores for each local node.

#include <cstddef>
#include <vector>

namespace disco {

/// Of the cores that this process may use, one node's part where they are shared evenly; at least 1.
[[nodiscard]] int even_share_of_cores(std::size_t nodes);

/// Deals the cores that this thread may run on to `nodes`, whole cores with all their hardware threads, in
/// turns, so that fast and slow cores of one machine are shared evenly.
///
/// Nodes that wait for each other all the time are otherwise put on one core by the system, which sees that
/// one wakes the other: on two cores a transformer with 74 messages took 25 to 34 ms in place of 19.
///
/// @param threads  that every node computes with
/// @return CPUs by node; empty where there are too few for all the threads, or where OMP_PROC_BIND or
/// OMP_PLACES say that the user has arranged it
[[nodiscard]] std::vector<std::vector<int>> cores_of_nodes(int nodes, int threads);

}  // namespace disco
