#pragma once
// Rewrites of a graph of fixed shapes, used by specialise(). Each keeps what the graph computes.

#include "graph/graph.h"

namespace disco {

/// Reshape → Transpose → Reshape that only reorders one axis becomes a Gather of constant indices along it: a
/// channel shuffle. The partitioner can follow a Gather's channels, but not what happens between two
/// reshapes.
void rewrite_shuffles(Graph& graph);

/// The Reshape → Transpose → Reshape that exporters write for a pixel shuffle becomes one DepthToSpace, whose
/// channels the partitioner can follow.
void rewrite_pixel_shuffles(Graph& graph);

/// Pad with zeros → Conv, as TensorFlow's exporters write strides of two, becomes the Conv with these pads: the
/// padded map need not be made.
void rewrite_padded_convolutions(Graph& graph);

/// Flatten → Softmax → Reshape back, the form that opsets below 13 are read in, becomes one Softmax where the
/// flattened part is a single axis.
void rewrite_flat_softmax(Graph& graph);

/// The names that subgraphs of the nodes take from the graph around them, at any depth.
[[nodiscard]] std::vector<std::string> captured_names(const Node& node);

/// Puts the nodes of `branch` (an If's) into the graph that held the If: they are appended to `nodes`,
/// followed by an Identity for each output of the If.
///
/// @return false where a name inside clashes so that it could not be done; the graph then is as before
[[nodiscard]] bool inline_branch(Graph& graph, const Node& node, const Graph& branch,
                                 std::vector<Node>& nodes);

}  // namespace disco
