#pragma once
// How each operator is split: from the layouts of its inputs to the layouts of its outputs, and which input
// channels an output channel needs. Correctness rests on these needs alone; ties between channels only save
// bytes.

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"
#include "partition/index_map.h"

namespace disco {

/// How a value lies over the nodes: kReplicate (every node that needs it holds all of it), or the axis whose
/// indices are owned by nodes. The axis is any axis: channels for feature maps, heads inside attention, rows
/// later.
using ShardAxis = int;
inline constexpr ShardAxis kReplicate = -1;

/// What a node needs of one input to compute the output channels that it owns.
enum class UseKind {
  Absent,      ///< an optional input that is left out
  Whole,       ///< all of it
  Mapped,      ///< along `axis`, the channels that `maps` says
  Contracted,  ///< along `axis`, every channel that is kept: the sum over input channels of a linear map
  Owned,       ///< along `axis`, just the channels that the node owns: a summand or statistics are exchanged
               ///< instead
};

struct InputUse {
  UseKind kind = UseKind::Whole;
  ShardAxis axis = kReplicate;
  std::vector<IndexMap> maps{};  ///< Mapped: one an output of the operator
};

/// The form of execution on every node.
enum class Form {
  Replicated,  ///< gathers its inputs and runs whole on every node that needs the result
  Local,       ///< runs on the owned channels alone, once the needed ones are there
  Linear,      ///< y_i = W_ii x_i + sum_j W_ij x_j: weights are blocked over outputs and inputs
  PartialSum,  ///< runs on the owned channels and adds (or takes the maximum of) the nodes' partial results
  LayerNorm,   ///< exchanges (mean, M2) of the owned channels
  Softmax,     ///< exchanges (max, sum of exp) of the owned channels
};

[[nodiscard]] std::string_view to_string(Form form);

struct Rule {
  Form form = Form::Replicated;
  std::vector<InputUse> inputs;
  std::vector<ShardAxis> output_axes;  ///< one an output
  /// Linear: the weight's position among the inputs, and its axes of output and input channels (groups: see
  /// `groups`).
  std::size_t weight = 1;
  int weight_out_axis = 0;
  int weight_in_axis = 1;
  std::int64_t groups = 1;
  std::string reason;  ///< Replicated although an input is sharded: why
};

/// The rule of one node.
///
/// @param graph  shapes fixed (see specialise()); values of unknown extents force Replicated
/// @param axes   the layout of each of the node's inputs, kReplicate for constants
/// @param wanted_axis  of the outputs where the operator leaves a choice: a Reshape, or a linear map, whose
///   results are added up for kReplicate; nullopt takes the default
[[nodiscard]] Rule split_rule(const Graph& graph, const Node& node, const std::vector<ShardAxis>& axes,
                              std::optional<ShardAxis> wanted_axis = std::nullopt);

/// A linear map of every input channel to every output channel by constant weights, input 1: a Conv without
/// groups, a Gemm, a MatMul. Of these a PartialSum is one whose results are added up.
[[nodiscard]] bool is_dense_map(const Graph& graph, const Node& node);

/// Whether the nodes should add up what each makes of its own features with this linear map, in place of
/// sending these: the results of all linear maps that read the value are much smaller than it is (a
/// segmentation head, an image of three channels, a side output), or a few numbers (a classifier, a squeeze),
/// which spares an exchange.
///
/// @param axes  the layout of each value of the graph so far
[[nodiscard]] bool sums_cheaply(const Graph& graph, const Node& node, const std::vector<ShardAxis>& axes);

/// The out axes that a reshape could carry the input's sharding to, best first; empty where none can.
[[nodiscard]] std::vector<ShardAxis> reshape_choices(const Shape& in, const Shape& out, ShardAxis axis);

/// For a reshape between two shapes: which indices of in axis `a` meet each index of out axis `b` at some
/// element. nullopt where the axes are in unrelated factor groups, or sharding would not be a box on both
/// sides.
[[nodiscard]] std::optional<IndexMap> reshape_map(const Shape& in, ShardAxis a, const Shape& out,
                                                  ShardAxis b);

}  // namespace disco
