#pragma once
// Runs all ranks' shards in one thread with the reference evaluator: the partition is judged without kernels
// or fabrics.

#include <deque>
#include <map>
#include <tuple>

#include "partition/shard_builder.h"
#include "reference/evaluate.h"

namespace disco::testing {

struct LockstepResult {
  NamedTensors outputs;
  std::vector<std::int64_t> bytes_sent;
};

/// Interprets every rank until it waits, round and round. Internal where all wait: a deadlock.
inline Result<LockstepResult> run_lockstep(const std::vector<Graph>& shards, const NamedTensors& inputs) {
  struct Rank {
    std::size_t at = 0;
    std::map<ValueId, Tensor> values;
  };
  std::vector<Rank> ranks(shards.size());
  std::map<std::tuple<int, int, std::int64_t>, Tensor> messages;  // from, to, tag
  LockstepResult result;
  result.bytes_sent.assign(shards.size(), 0);
  for (std::size_t r = 0; r < shards.size(); ++r) {
    for (const ValueId id : shards[r].inputs) ranks[r].values[id] = inputs.at(shards[r].value(id).name);
  }
  bool moved = true;
  while (moved) {
    moved = false;
    for (std::size_t r = 0; r < shards.size(); ++r) {
      const Graph& shard = shards[r];
      Rank& rank = ranks[r];
      const auto tensor = [&](ValueId id) -> Tensor {
        if (id == kNoValue) return {};
        if (const Tensor* constant = shard.constant(id)) return *constant;
        return rank.values.at(id);
      };
      for (; rank.at < shard.nodes.size(); ++rank.at, moved = true) {
        const Node& node = shard.nodes[rank.at];
        if (node.is_disco("Send")) {
          Tensor sent = tensor(node.inputs[0]);
          const auto channels = node.ints_or("channels", {});
          if (!channels.empty()) sent = take(sent, static_cast<int>(node.int_or("axis", 0)), channels);
          result.bytes_sent[r] += static_cast<std::int64_t>(sent.bytes());
          messages[{static_cast<int>(r), static_cast<int>(node.int_or("peer", -1)), node.int_or("tag", -1)}] =
              sent;
          continue;
        }
        if (node.is_disco("Recv")) {
          const auto found = messages.find(
              {static_cast<int>(node.int_or("peer", -1)), static_cast<int>(r), node.int_or("tag", -1)});
          if (found == messages.end()) break;
          if (found->second.shape() != node.ints_or("shape", {})) {
            return error(ErrorCode::Internal, "rank {}: {} expects {} but {} was sent", r, node.name,
                         to_string(node.ints_or("shape", {})), to_string(found->second.shape()));
          }
          rank.values[node.outputs[0]] = found->second;
          messages.erase(found);
          continue;
        }
        reference::Inputs node_inputs;
        for (const ValueId id : node.inputs) node_inputs.push_back(tensor(id));
        auto outputs = reference::evaluate(node, node_inputs);
        if (!outputs) return in_context(describe(shard, node), outputs.error());
        for (std::size_t o = 0; o < node.outputs.size(); ++o) {
          const ValueId id = node.outputs[o];
          if (id == kNoValue) continue;
          if (shard.value(id).has_shape() && shard.value(id).shape() != outputs->at(o).shape()) {
            return error(ErrorCode::Internal, "rank {}: {} gave {} where the shard says {}", r,
                         describe(shard, node), to_string(outputs->at(o).shape()),
                         to_string(shard.value(id).shape()));
          }
          rank.values[id] = outputs->at(o);
        }
      }
    }
  }
  for (std::size_t r = 0; r < shards.size(); ++r) {
    if (ranks[r].at < shards[r].nodes.size()) {
      return error(ErrorCode::Internal, "deadlock: rank {} waits at {}", r,
                   shards[r].nodes[ranks[r].at].name);
    }
  }
  if (!messages.empty())
    return error(ErrorCode::Internal, "{} messages were sent that nobody reads", messages.size());
  for (const ValueId id : shards[0].outputs) {
    const Tensor* constant = shards[0].constant(id);
    result.outputs[shards[0].value(id).name] = constant != nullptr ? *constant : ranks[0].values.at(id);
  }
  return result;
}

}  // namespace disco::testing
