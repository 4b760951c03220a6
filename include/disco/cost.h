#pragma once
// What a split costs: bytes, multiply-accumulates and memory of every node, beside the unsplit model.

#include <cstdint>
#include <string>
#include <vector>

namespace disco {

struct Cost {
  std::int64_t macs = 0;
  std::int64_t weight_bytes = 0;  ///< constants of floating-point type
  std::int64_t bytes_sent = 0;
  std::int64_t bytes_received = 0;
  std::int64_t messages_sent = 0;
  /// By liveness, in the order of the graph; a layer's are those held while it runs.
  std::int64_t peak_activation_bytes = 0;
};

/// One operator of the model, as each node runs it.
struct LayerCost {
  std::string name;
  std::string op;
  std::string form;    ///< how it is split: "linear", "replicated" …, see docs/operators.md
  std::string reason;  ///< why it is replicated although its input is sharded
  Cost unsplit;
  std::vector<Cost> nodes;  ///< by rank; exchanges count where the travelling value is computed
};

struct CostTable {
  Cost unsplit;
  std::vector<Cost> nodes;        ///< by rank
  std::vector<LayerCost> layers;  ///< in the order of the graph
};

}  // namespace disco
