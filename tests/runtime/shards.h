#pragma once
// Shards built by hand, whose answer follows by arithmetic.

#include <string>
#include <vector>

#include "graph/graph.h"

namespace disco::testing {

/// `rounds` times, every rank r multiplies what it has by r + 1, sends that to all others and adds up what
/// all have. With the input x on every rank, rank 0's output `y` is x · (1 + 2 + … + ranks)^rounds.
inline std::vector<Graph> all_reduce_shards(int ranks, int rounds, std::int64_t elements) {
  std::vector<Graph> shards;
  for (int rank = 0; rank < ranks; ++rank) {
    Graph graph;
    graph.name = "shard" + std::to_string(rank);
    const Shape shape = {1, elements};
    const auto value = [&](const std::string& name) {
      const ValueId id = graph.add_value(name, DataType::Float32);
      graph.value(id).set_shape(shape);
      return id;
    };
    const auto node = [&](const char* op, const char* domain, std::vector<ValueId> inputs,
                          std::vector<ValueId> outputs) {
      Node made;
      made.name = std::string(op) + std::to_string(graph.nodes.size());
      made.op = op;
      made.domain = domain;
      made.inputs = std::move(inputs);
      made.outputs = std::move(outputs);
      graph.nodes.push_back(std::move(made));
      return &graph.nodes.back();
    };
    ValueId have = value("x");
    graph.inputs = {have};
    const ValueId factor =
        graph.add_constant("factor", Tensor::of<float>({1}, {static_cast<float>(rank + 1)}));
    for (int round = 0; round < rounds; ++round) {
      const bool last = round + 1 == rounds;  // only rank 0 needs its sum
      const std::string suffix = "_" + std::to_string(round);
      const ValueId mine = value("mine" + suffix);
      node("Mul", "", {have, factor}, {mine});
      for (int peer = 0; peer < ranks; ++peer) {
        if (peer != rank && (!last || peer == 0)) {
          Node* send = node("Send", "disco", {mine}, {});
          send->attributes["peer"] = std::int64_t{peer};
          send->attributes["tag"] = std::int64_t{round};
          send->attributes["axis"] = std::int64_t{1};
          send->attributes["value"] = "sum" + suffix + "_of_" + std::to_string(rank);
        }
      }
      ValueId sum = mine;
      for (int peer = 0; peer < ranks; ++peer) {
        if (peer != rank && (!last || rank == 0)) {
          const std::string from = suffix + "_of_" + std::to_string(peer);
          const ValueId theirs = value("theirs" + from);
          Node* receive = node("Recv", "disco", {}, {theirs});
          receive->attributes["peer"] = std::int64_t{peer};
          receive->attributes["tag"] = std::int64_t{round};
          receive->attributes["shape"] = std::vector<std::int64_t>(shape);
          receive->attributes["dtype"] = static_cast<std::int64_t>(DataType::Float32);
          receive->attributes["value"] = "sum" + from;
          const ValueId next = value("sum" + from);
          node("Add", "", {sum, theirs}, {next});
          sum = next;
        }
      }
      have = sum;
    }
    if (rank == 0) {
      const ValueId y = value("y");
      const ValueId one = graph.add_constant("one", Tensor::of<float>({1}, {1.0F}));
      node("Mul", "", {have, one}, {y});
      graph.outputs = {y};
    }
    shards.push_back(std::move(graph));
  }
  return shards;
}

/// How many messages the shard sends ("Send") or receives ("Recv") in a run.
inline std::uint64_t messages(const Graph& shard, std::string_view op) {
  std::uint64_t count = 0;
  for (const Node& node : shard.nodes) {
    count += node.is_disco(op) ? 1 : 0;
  }
  return count;
}

inline NamedTensors all_reduce_input(std::int64_t elements, int seed = 0) {
  std::vector<float> values(static_cast<std::size_t>(elements));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>((i * 7 + static_cast<std::size_t>(seed)) % 13) - 6.0F;
  }
  return {{"x", Tensor::of<float>({1, elements}, values)}};
}

/// The index of the first element of `y` that is not exactly what arithmetic says; -1: none. Exact while the
/// numbers stay below 2^24.
inline std::int64_t first_wrong(const NamedTensors& outputs, const NamedTensors& inputs, int ranks,
                                int rounds) {
  const auto found = outputs.find("y");
  if (found == outputs.end() || outputs.size() != 1 || found->second.shape() != inputs.at("x").shape()) {
    return 0;
  }
  float factor = 1;
  for (int round = 0; round < rounds; ++round) {
    factor *= static_cast<float>(ranks * (ranks + 1) / 2);
  }
  for (std::int64_t i = 0; i < found->second.elements(); ++i) {
    if (found->second.data<float>()[i] != inputs.at("x").data<float>()[i] * factor) {
      return i;
    }
  }
  return -1;
}

}  // namespace disco::testing
