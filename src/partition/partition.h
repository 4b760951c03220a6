#pragma once
// Which node owns which channel, and which channels travel: data beside the graph, never a rewritten graph.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"
#include "graph/wire_format.h"
#include "partition/index_map.h"
#include "partition/rule.h"

namespace disco {

inline constexpr int kMostNodes = 64;

/// A partition of one model. It names values, so that it holds for every batch size and outlives renumbering.
struct Partition {
  int nodes = 1;
  std::vector<double> shares;    ///< one a node, as given
  std::string method = "dense";  ///< how the keep-sets were chosen

  /// Owner of each channel, for the values where channels begin: outputs of linear maps, and padded channels.
  /// Every other value's owners follow from these through the operators.
  std::map<std::string, std::vector<std::int32_t>> owners;
  /// The axis that carries the sharding of a result, where the operator leaves a choice: a reshape's, and
  /// kReplicate for a linear map whose nodes add up what each makes of its own features (see sums_cheaply).
  std::map<std::string, ShardAxis> chosen_axes;
  /// keep[value][{from, to}]: the channels of `from` that the linear maps of `to` read. An absent value sends
  /// everything.
  std::map<std::string, std::map<std::pair<int, int>, ChannelSet>> keep;
  /// How the features of a value are written on the wire; an absent value travels as it is.
  std::map<std::string, WireFormat> wire;
  /// The linear maps, by the value that they compute, that run in two parts: what needs nothing from the
  /// network while that is on its way, the rest after. nullopt: all of them.
  std::optional<std::set<std::string>> local_first;
  /// In how many bands of rows feature maps are computed and sent (graph/bands.h), where each band of a
  /// message then has so many bytes at least: smaller ones cost more than they hide. 1: whole.
  int bands = 1;
  std::int64_t band_bytes = 16384;
};

struct PartitionOptions {
  int nodes = 1;
  std::vector<double> shares{};  ///< empty: equal
};

/// Splits every channel space of `graph` over `options.nodes` nodes.
///
/// Owners are contiguous runs in proportion to the shares, balanced in every value and in every piece of a
/// concatenation; channels that operators tie (residual sums, batch norm, depthwise convolution, heads) go to
/// one node. Keep-sets are left open: a dense exchange, so that the sharded run equals the unsplit one.
///
/// @param graph    shapes fixed, see specialise()
/// @param options  nodes in [1, 64]; shares positive, of any scale
/// @return the partition, or
///   - InvalidArgument  a share is not positive, their number is not `nodes`, or a node would own nothing
///   (the message
///                      names the widest layer)
///   - Unsupported      no operator can be split; the message names the first three and why
/// Linear in operators and channels. Source: Qin et al., DISCO, WACV 2024.
[[nodiscard]] Result<Partition> partition_channels(const Graph& graph, const PartitionOptions& options);

/// The layout of every value and the rule of every node that a partition's choices of axes give.
struct Layouts {
  std::vector<Rule> rules;      ///< by node
  std::vector<ShardAxis> axes;  ///< by value; kReplicate for constants and inputs
};
[[nodiscard]] Layouts infer_layouts(const Graph& graph, const std::map<std::string, ShardAxis>& chosen_axes);
/// One step of it: appends the node's rule, and sets the layouts of its outputs. The rule is valid until the
/// next step.
const Rule& add_rule(const Graph& graph, const Node& node, std::optional<ShardAxis> wanted, Layouts& layouts);

/// Whether the channels that an operator maps to each other should have one owner. Ties save bytes; a few
/// groups or a few blocks of channels over many nodes would leave nodes idle instead.
[[nodiscard]] bool ties_channels(const Graph& graph, const Node& node, const Rule& rule, int nodes);

/// Whether a node's outputs begin a channel space of their own, so that a partition names their owners.
[[nodiscard]] bool begins_channels(const Graph& graph, const Node& node, const Rule& rule,
                                   const std::vector<ShardAxis>& axes, int nodes);

/// The versioned JSON that artifacts carry in their metadata under "disco.partition"; ranges such as
/// "0-31,40".
[[nodiscard]] std::string to_json(const Partition& partition);
/// InvalidModel for what cannot be, ProtocolMismatch for a version that is newer than this program's.
[[nodiscard]] Result<Partition> partition_from_json(std::string_view json);

inline constexpr std::string_view kPartitionKey = "disco.partition";

}  // namespace disco
