// Owners: channels that operators tie are one atom; atoms are dealt to nodes so that every value is balanced.

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "partition/atoms.h"
#include "partition/partition.h"

namespace disco {

namespace {

/// Bytes of weights that each node holds beyond its share, from rounding so far.
using Excess = std::vector<double>;

/// Deals the atoms of one value that have no owner yet, contiguously, so that each node comes to its share.
/// What does not divide is rounded for the nodes that hold less than their share so far: three heads over two
/// nodes are 2 and 1 in one layer, 1 and 2 in the next.
///
/// @param cost  bytes of weights a channel
void deal(ValueId value, std::int64_t channels, double cost, const std::vector<double>& shares,
          const Atoms& atoms, std::vector<std::int32_t>& owner, Excess& excess) {
  std::vector<double> room(shares.size());
  for (std::size_t i = 0; i < shares.size(); ++i) room[i] = shares[i] * static_cast<double>(channels);
  std::vector<std::int32_t> free_atoms;         // in order of their first channel
  std::map<std::int32_t, std::int64_t> weight;  // channels of this value in each
  for (std::int32_t c = 0; c < channels; ++c) {
    const std::int32_t atom = atoms.find(value, c);
    const std::int32_t node = owner[static_cast<std::size_t>(atom)];
    if (node >= 0) {
      room[static_cast<std::size_t>(node)] -= 1.0;
    } else if (weight[atom]++ == 0) {
      free_atoms.push_back(atom);
    }
  }
  if (free_atoms.empty()) return;
  double total_weight = 0.0;
  double largest = 0.0;
  for (const auto& [atom, channels_of_atom] : weight) {
    total_weight += static_cast<double>(channels_of_atom);
    largest = std::max(largest, static_cast<double>(channels_of_atom));
  }
  double total_room = 0.0;
  for (std::size_t i = 0; i < room.size(); ++i) {
    // Less than half an atom: what divides evenly stays even.
    const double rounding = 0.49 * largest;
    if (cost > 0.0) room[i] -= std::clamp(excess[i] / cost, -rounding, rounding);
    total_room += room[i] = std::max(room[i], 0.0);
  }
  // An atom goes to the node in whose stretch of the line its middle lies.
  std::size_t node = 0;
  double stretch_end = room[0] / total_room * total_weight;
  double at = 0.0;
  for (const std::int32_t atom : free_atoms) {
    const double middle = at + static_cast<double>(weight[atom]) / 2.0;
    while (node + 1 < room.size() && (middle > stretch_end || room[node] <= 0.0)) {
      ++node;
      stretch_end += room[node] / total_room * total_weight;
    }
    owner[static_cast<std::size_t>(atom)] = static_cast<std::int32_t>(node);
    at += static_cast<double>(weight[atom]);
    excess[node] += cost * static_cast<double>(weight[atom]);
  }
  for (std::size_t i = 0; i < room.size(); ++i) excess[i] -= cost * total_weight * shares[i];
}

/// Bytes of weights behind each output channel of a linear map; 0 for all else.
double weight_bytes_a_channel(const Graph& graph, const Node& node, const Rule& rule, std::int64_t channels) {
  const Tensor* weight = rule.form == Form::Linear ? graph.constant(node.inputs[rule.weight]) : nullptr;
  return weight == nullptr ? 0.0 : static_cast<double>(weight->bytes()) / static_cast<double>(channels);
}

Status check_options(const PartitionOptions& options) {
  if (options.nodes < 1 || options.nodes > kMostNodes) {
    return error(ErrorCode::InvalidArgument, "{} nodes: the number of nodes must be from 1 to {}",
                 options.nodes, kMostNodes);
  }
  if (!options.shares.empty() && options.shares.size() != static_cast<std::size_t>(options.nodes)) {
    return error(ErrorCode::InvalidArgument,
                 "{} shares were given for {} nodes; give one share a node, such as --shares 3,1",
                 options.shares.size(), options.nodes);
  }
  for (const double share : options.shares) {
    if (!(share > 0.0) || share > 1e12) {
      return error(ErrorCode::InvalidArgument, "a share of {} is not possible: shares are positive numbers",
                   share);
    }
  }
  return {};
}

std::string why_nothing_splits(const Graph& graph, const Layouts& layouts) {
  std::string list;
  int named = 0;
  for (std::size_t n = 0; n < graph.nodes.size() && named < 3; ++n) {
    const std::string& reason = layouts.rules[n].reason;
    list += fmt::format("{}{}{}{}", named++ > 0 ? "; " : "", describe(graph, graph.nodes[n]),
                        reason.empty() ? "" : ": ", reason);
  }
  return list;
}

bool is_reshape(const Node& node) {
  return node.is("Reshape") || node.is("Flatten") || node.is("Squeeze") || node.is("Unsqueeze");
}

/// Fills owners and axes. Returns the reshapes to blame where some node owns nothing ("" where none is), else
/// nothing.
Result<std::vector<std::string>> deal_all(const Graph& graph, const std::vector<double>& shares,
                                          const std::map<std::string, ShardAxis>& axes,
                                          Partition& partition) {
  const int nodes = partition.nodes;
  const auto [layouts, atoms, apart] = tie_layouts(graph, nodes, axes);
  if (atoms.size() == 0 && nodes > 1) {
    return error(ErrorCode::Unsupported, "no operator of this model can be split over nodes: {}",
                 why_nothing_splits(graph, layouts));
  }
  std::vector<std::int32_t> owner(atoms.size(), -1);
  Excess excess(shares.size(), 0.0);
  std::vector<bool> works(static_cast<std::size_t>(nodes), nodes == 1);
  std::vector<std::string> coarse;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    for (const ValueId out : node.outputs) {
      if (out == kNoValue) continue;
      const ShardAxis axis = layouts.axes[static_cast<std::size_t>(out)];
      const std::string& name = graph.value(out).name;
      const bool reshaped = is_reshape(node) && (axis != kReplicate || axes.contains(name));
      const bool summed = layouts.rules[n].form == Form::PartialSum && is_dense_map(graph, node);
      if (reshaped || summed) partition.chosen_axes[name] = axis;
      if (axis == kReplicate) continue;
      const std::int64_t channels = graph.value(out).shape()[static_cast<std::size_t>(axis)];
      deal(out, channels, weight_bytes_a_channel(graph, node, layouts.rules[n], channels), shares, atoms,
           owner, excess);
      std::vector<std::int32_t> owners;
      std::set<std::int32_t> pieces;
      for (std::int32_t c = 0; c < channels; ++c) {
        pieces.insert(atoms.find(out, c));
        owners.push_back(owner[static_cast<std::size_t>(atoms.find(out, c))]);
        works[static_cast<std::size_t>(owners.back())] = true;
      }
      if (is_reshape(node) && static_cast<int>(pieces.size()) < nodes) coarse.push_back(name);
      if (apart[n] || begins_channels(graph, node, layouts.rules[n], layouts.axes, nodes))
        partition.owners[name] = std::move(owners);
    }
  }
  if (std::find(works.begin(), works.end(), false) == works.end()) return std::vector<std::string>{};
  return coarse.empty() ? std::vector<std::string>{""} : coarse;
}

}  // namespace

Result<Partition> partition_channels(const Graph& graph, const PartitionOptions& options) {
  DISCO_CHECK(check_options(options));
  Partition partition;
  partition.nodes = options.nodes;
  partition.shares = options.shares;
  if (partition.shares.empty()) partition.shares.assign(static_cast<std::size_t>(options.nodes), 1.0);
  std::vector<double> shares = partition.shares;
  const double total = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share /= total;

  // Reshapes that leave fewer pieces than nodes tie everything around them to a few nodes; where that would
  // leave a node without any work, they are computed whole instead.
  std::map<std::string, ShardAxis> axes;
  DISCO_TRY(const std::vector<std::string> coarse, deal_all(graph, shares, axes, partition));
  if (coarse.empty()) return partition;
  for (const std::string& name : coarse) axes[name] = kReplicate;
  partition.owners.clear();
  partition.chosen_axes.clear();
  DISCO_TRY(const std::vector<std::string> rest, deal_all(graph, shares, axes, partition));
  if (!rest.empty()) {
    return error(ErrorCode::InvalidArgument,
                 "{} nodes are too many for these shares: one of them would own no channel of any layer; use "
                 "fewer nodes or "
                 "more even shares",
                 options.nodes);
  }
  return partition;
}

}  // namespace disco
