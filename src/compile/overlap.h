#pragma once
// Hides the network behind computation: graph to graph, before lowering.

#include "graph/graph.h"

namespace disco {

/// Attribute (1) of the Add that joins the two parts of a linear map. Only the part of what was received may
/// run it as its post-operation: the other one would have to wait.
inline constexpr std::string_view kJoin = "disco_join";

/// Splits every linear map that the graph's metadata name under kLocalFirst and that reads a Concat of own
/// and received channels:
///
///     y = W [x_own; x_received] + b   ->   t = W_own x_own + b;  y = W_received x_received + t
///
/// The first product of every map that reads the same message runs before the message is waited for, and all
/// Receives move to just before what reads them. An Add after such a map (a residual sum) joins the first
/// product, so that the second has one summand left, which oneDNN adds in place.
///
/// Sends keep their order, and no Receive comes before a Send that it was behind: what cannot deadlock before
/// cannot after. Batch norms must be folded already (fuse_patterns).
void split_local_first(Graph& graph);

}  // namespace disco
