#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "partition/shard_builder.h"

namespace disco {

Tensor take(const Tensor& tensor, int axis, const ChannelSet& channels) {
  return take(tensor, axis, std::vector<std::int64_t>(channels.begin(), channels.end()));
}

ShardBuilder::ShardBuilder(const Graph& whole, const SplitPlan& plan, int rank)
    : whole_(whole), plan_(plan), rank_(rank), producers_(whole.producers()) {
  shard_.name = whole.name;
  shard_.metadata = whole.metadata;
  for (const ValueId id : whole.inputs) {
    // An input that no operator reads is still the model's: rank 0 takes it.
    const std::vector<bool>& readers = plan_of(id).whole;
    const bool unread = std::find(readers.begin(), readers.end(), true) == readers.end();
    if (!readers[static_cast<std::size_t>(rank)] && !(unread && rank == 0)) continue;
    const ValueId local = add_local(whole.value(id).name, id, kReplicate, 0);
    shard_.inputs.push_back(local);
    whole_values_[id] = local;
  }
}

ValueId ShardBuilder::add_local(const std::string& name, ValueId of, ShardAxis axis, std::int64_t count) {
  const Value& like = whole_.value(of);
  const ValueId id = shard_.add_value(name, like.type);
  shard_.value(id).dims = like.dims;
  if (axis != kReplicate) (*shard_.value(id).dims)[static_cast<std::size_t>(axis)] = {count, {}};
  return id;
}

Node& ShardBuilder::add_node(const Node& like, std::vector<ValueId> inputs, std::vector<ValueId> outputs) {
  Node node = like;
  if (node.name.empty() && !like.outputs.empty() && like.outputs[0] != kNoValue)
    node.name = whole_.value(like.outputs[0]).name;
  node.inputs = std::move(inputs);
  node.outputs = std::move(outputs);
  shard_.nodes.push_back(std::move(node));
  return shard_.nodes.back();
}

Node& ShardBuilder::add_node(std::string name, std::string op, std::vector<ValueId> inputs,
                             std::vector<ValueId> outputs) {
  Node node;
  node.name = std::move(name);
  node.op = std::move(op);
  node.inputs = std::move(inputs);
  node.outputs = std::move(outputs);
  shard_.nodes.push_back(std::move(node));
  return shard_.nodes.back();
}

ValueId ShardBuilder::add_ints(const std::string& name, const std::vector<std::int64_t>& values) {
  return shard_.add_constant(name,
                             Tensor::of<std::int64_t>({static_cast<std::int64_t>(values.size())}, values));
}

ValueId ShardBuilder::select(const Held& held, ShardAxis axis, const ChannelSet& list, ValueId of) {
  if (held.channels == list) return held.id;
  const std::vector<std::int64_t> at = positions(held.channels, list);
  const std::pair<ValueId, ChannelSet> key{held.id, ChannelSet(at.begin(), at.end())};
  if (const auto found = selections_.find(key); found != selections_.end()) return found->second;
  const std::string name = shard_.value(held.id).name + "/selected";
  // The channels come from a value of the same kind, but it may have another number of them.
  const ValueId local = add_local(name, of, axis, static_cast<std::int64_t>(list.size()));
  bool run = true;
  for (std::size_t i = 1; i < at.size(); ++i) run = run && at[i] == at[i - 1] + 1;
  if (run && !at.empty()) {
    add_node(name, "Slice",
             {held.id, add_ints(name + "/start", {at.front()}), add_ints(name + "/end", {at.back() + 1}),
              add_ints(name + "/axis", {axis})},
             {local});
  } else {
    Node& node = add_node(name, "Gather", {held.id, add_ints(name + "/indices", at)}, {local});
    node.attributes["axis"] = static_cast<std::int64_t>(axis);
  }
  selections_[key] = local;
  return local;
}

ValueId ShardBuilder::whole_value(ValueId id) {
  if (const auto found = whole_values_.find(id); found != whole_values_.end()) return found->second;
  ValueId local = kNoValue;
  if (const Tensor* constant = whole_.constant(id)) {
    local = shard_.add_constant(whole_.value(id).name, *constant);
  } else {
    const ValuePlan& value = plan_of(id);
    const auto extent = whole_.value(id).shape()[static_cast<std::size_t>(value.axis)];
    local = select(assembled(id), value.axis, all_channels(extent), id);
  }
  whole_values_[id] = local;
  return local;
}

ValueId ShardBuilder::channels(ValueId id, ShardAxis axis, const ChannelSet& list) {
  if (const Tensor* constant = whole_.constant(id)) {
    const ValueId local =
        whole_.value(id).shape()[static_cast<std::size_t>(axis)] == static_cast<std::int64_t>(list.size()) &&
                list == all_channels(static_cast<std::int64_t>(list.size()))
            ? whole_value(id)
            : shard_.add_constant(fmt::format("{}@{}", whole_.value(id).name, rank_),
                                  take(*constant, axis, list));
    return local;
  }
  const ValuePlan& value = plan_of(id);
  if (value.axis != axis) {
    const auto extent = whole_.value(id).shape()[static_cast<std::size_t>(axis)];
    return select({whole_value(id), all_channels(extent)}, axis, list, id);
  }
  ChannelSet sorted = list;
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  if (own_.contains(id) && subtract(sorted, owned(id)).empty()) return select(own_[id], axis, list, id);
  return select(assembled(id), axis, list, id);
}

Held ShardBuilder::contracted(ValueId id, ShardAxis axis) {
  const ValuePlan& value = plan_of(id);
  if (whole_.value(id).is_constant() || value.axis != axis) {
    return {whole_value(id), all_channels(whole_.value(id).shape()[static_cast<std::size_t>(axis)])};
  }
  return assembled(id);
}

const Held& ShardBuilder::part_of_peer(ValueId id, int peer) {
  if (const auto found = peers_.find({id, peer}); found != peers_.end()) return found->second;
  const ValuePlan& value = plan_of(id);
  Held part;
  part.channels =
      intersect(value.needed[static_cast<std::size_t>(rank_)], value.owned[static_cast<std::size_t>(peer)]);
  if (!part.channels.empty() && value.derived) {
    const auto n = static_cast<std::size_t>(producers_[static_cast<std::size_t>(id)]);
    part.id = derive(*this, whole_.nodes[n], plan_.node_plans[n], peer, part.channels);
  } else if (!part.channels.empty()) {
    Shape shape = whole_.value(id).shape();
    shape[static_cast<std::size_t>(value.axis)] = static_cast<std::int64_t>(part.channels.size());
    part.id = add_receive(peer, value.tag, whole_.value(id).name, shape, whole_.value(id).type);
    shard_.nodes.back().attributes["axis"] = static_cast<std::int64_t>(value.axis);
    value.wire.write_to(shard_.nodes.back());
    write_bands(shard_.nodes.back(), id, part.channels.size());
  }
  return peers_[{id, peer}] = std::move(part);
}

ValueId ShardBuilder::channels_of_peer(ValueId id, int peer, ShardAxis axis, const ChannelSet& list) {
  if (whole_.value(id).is_constant()) return channels(id, axis, list);
  return select(part_of_peer(id, peer), axis, list, id);
}

const Held& ShardBuilder::assembled(ValueId id) {
  if (const auto found = assembled_.find(id); found != assembled_.end()) return found->second;
  const ValuePlan& value = plan_of(id);
  const std::string& name = whole_.value(id).name;
  Held result;
  std::vector<ValueId> parts;
  for (int from = 0; from < plan_.nodes; ++from) {
    if (from == rank_) {
      if (const auto own = own_.find(id); own != own_.end()) {
        parts.push_back(own->second.id);
        result.channels.insert(result.channels.end(), own->second.channels.begin(),
                               own->second.channels.end());
      }
      continue;
    }
    const Held& part = part_of_peer(id, from);
    if (part.id == kNoValue) continue;
    parts.push_back(part.id);
    result.channels.insert(result.channels.end(), part.channels.begin(), part.channels.end());
  }
  if (parts.size() == 1) {
    result.id = parts[0];
  } else if (!parts.empty()) {
    result.id = add_local(name + "@all", id, value.axis, static_cast<std::int64_t>(result.channels.size()));
    Node& node = add_node(name + "@all", "Concat", parts, {result.id});
    node.attributes["axis"] = static_cast<std::int64_t>(value.axis);
  }
  return assembled_[id] = std::move(result);
}

void ShardBuilder::publish(ValueId id, ValueId local) {
  const ValuePlan& value = plan_of(id);
  own_[id] = {local, owned(id)};
  for (int to = 0; to < plan_.nodes; ++to) {
    const ChannelSet channels = value.exchanged(rank_, to);
    if (channels.empty()) continue;
    add_send(local, to, value.tag, whole_.value(id).name);
    Node& send = shard_.nodes.back();
    send.attributes["axis"] = static_cast<std::int64_t>(value.axis);
    value.wire.write_to(send);
    write_bands(send, id, channels.size());
    if (channels != owned(id)) send.attributes["channels"] = positions(owned(id), channels);
  }
}

std::vector<ValueId> ShardBuilder::exchange(ValueId own, const std::vector<int>& from,
                                            const std::vector<int>& to, std::uint32_t tag,
                                            const std::string& name, const std::vector<Shape>& shapes,
                                            DataType type) {
  if (own != kNoValue) {
    for (const int peer : to) {
      if (peer != rank_) add_send(own, peer, tag, name);
    }
  }
  std::vector<ValueId> parts;
  const bool receives = std::find(to.begin(), to.end(), rank_) != to.end();
  for (std::size_t i = 0; receives && i < from.size(); ++i) {
    parts.push_back(from[i] == rank_ ? own : add_receive(from[i], tag, name, shapes[i], type));
  }
  return parts;
}

void ShardBuilder::write_bands(Node& exchange, ValueId id, std::size_t channels) const {
  const ValuePlan& value = plan_of(id);
  if (value.bands.empty() || value.axis != 1) return;
  const Shape shape = whole_.value(id).shape();
  const auto bytes = static_cast<std::int64_t>(channels * size_of(value.wire.type)) * shape[2] * shape[3];
  if (bytes >= plan_.band_bytes * static_cast<std::int64_t>(value.bands.size() + 1))
    exchange.attributes["bands"] = value.bands;
}

void ShardBuilder::add_send(ValueId local, int peer, std::uint32_t tag, const std::string& name) {
  Node& node = add_node(fmt::format("{}->{}", name, peer), "Send", {local}, {});
  node.domain = kDiscoDomain;
  node.attributes["peer"] = static_cast<std::int64_t>(peer);
  node.attributes["tag"] = static_cast<std::int64_t>(tag);
  node.attributes["axis"] = static_cast<std::int64_t>(0);
  node.attributes["value"] = name;
}

ValueId ShardBuilder::add_receive(int peer, std::uint32_t tag, const std::string& name, const Shape& shape,
                                  DataType type) {
  const ValueId id = shard_.add_value(fmt::format("{}@{}", name, peer), type);
  shard_.value(id).set_shape(shape);
  Node& node = add_node(fmt::format("{}<-{}", name, peer), "Recv", {}, {id});
  node.domain = kDiscoDomain;
  node.attributes["peer"] = static_cast<std::int64_t>(peer);
  node.attributes["tag"] = static_cast<std::int64_t>(tag);
  node.attributes["axis"] = static_cast<std::int64_t>(0);
  node.attributes["shape"] = shape;
  node.attributes["dtype"] = static_cast<std::int64_t>(type);
  node.attributes["value"] = name;
  return id;
}

namespace {

void replicate(ShardBuilder& builder, const Node& node) {
  std::vector<ValueId> inputs;
  for (const ValueId id : node.inputs) inputs.push_back(id == kNoValue ? kNoValue : builder.whole_value(id));
  for (const auto& [key, attribute] : node.attributes) {
    const auto* subgraph = std::get_if<std::shared_ptr<const Graph>>(&attribute);
    if (subgraph == nullptr) continue;
    for (const std::string& name : (*subgraph)->captures) {
      const ValueId id = builder.whole().find_value(name);
      if (id == kNoValue) continue;
      // Subgraphs read outer values by their names.
      const ValueId local = builder.whole_value(id);
      if (builder.shard().value(local).name == name || builder.shard().find_value(name) != kNoValue) continue;
      builder.add_node(name, "Identity", {local}, {builder.add_local(name, id, kReplicate, 0)});
    }
  }
  std::vector<ValueId> outputs;
  for (const ValueId id : node.outputs) {
    outputs.push_back(id == kNoValue ? kNoValue
                                     : builder.add_local(builder.whole().value(id).name, id, kReplicate, 0));
  }
  builder.add_node(node, inputs, outputs);
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    if (outputs[o] != kNoValue) builder.publish_whole(node.outputs[o], outputs[o]);
  }
}

}  // namespace

Result<Graph> make_shard(const Graph& graph, const SplitPlan& plan, int rank) {
  ShardBuilder builder(graph, plan, rank);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const NodePlan& node = plan.node_plans[n];
    const bool sums = node.rule.form == Form::PartialSum;  // also for who only receives the sum
    if (!node.runs[static_cast<std::size_t>(rank)] && !sums) continue;
    if (node.rule.form == Form::Replicated) {
      replicate(builder, graph.nodes[n]);
    } else {
      localise(builder, graph.nodes[n], node);
    }
  }
  if (rank == 0) {
    for (const ValueId id : graph.outputs) {
      Graph& shard = builder.shard();
      ValueId local = builder.whole_value(id);
      const std::string& name = graph.value(id).name;
      if (shard.value(local).name != name) {
        const ValueId named = builder.add_local(name, id, kReplicate, 0);
        builder.add_node(name, "Identity", {local}, {named});
        local = named;
      }
      shard.outputs.push_back(local);
    }
  }
  Graph shard = std::move(builder.shard());
  if (!builder.local_first().empty())
    shard.metadata[std::string(kLocalFirst)] = nlohmann::json(builder.local_first()).dump();
  shard.remove_dead();
  return shard;
}

}  // namespace disco
