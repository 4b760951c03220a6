#pragma once
// How well an artifact answers, and what it sends for that.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "partition/partition.h"
#include "task/metric.h"

namespace disco {

/// What a metric said in the end.
struct Measured {
  std::vector<Figure> figures;  ///< the main one first; at least one
  std::int64_t samples = 0;     ///< that have a truth; others do not count
};

/// What `disco eval` finds out. Bytes are those of one sample.
struct Evaluation {
  std::string model;
  std::string data;
  std::string method;
  std::string wire;  ///< "fp32", "fp16", "u8", or "mixed"
  int nodes = 1;
  std::int64_t samples = 0;
  std::string task;                    ///< to_string(TaskKind)
  std::optional<Measured> measured{};  ///< absent where no sample has a truth
  std::optional<Measured> dense{};     ///< the dense model, where one was given
  std::optional<double> agreement{};   ///< with the dense model, see agreement() of answers
  std::vector<double> node_bytes;      ///< sent, by rank, counted on the wire
  double dense_bytes = 0;              ///< all nodes, of the same split where everything is sent in fp32

  [[nodiscard]] double bytes() const;
};

/// "fp32", "fp16", "u8", or "mixed" where values travel in several formats.
[[nodiscard]] std::string wire_of(const Partition& partition);

/// The main figure, or agreement with the dense model where nothing says what is right.
[[nodiscard]] Figure quality_of(const Evaluation& evaluation);

/// {task, metric, value, the other figures by name, samples, agreement, bytes_per_inference,
/// dense_bytes_per_inference, …}; what is not known is absent. docs/eval.md explains the keys.
[[nodiscard]] nlohmann::json to_json(const Evaluation& evaluation);

}  // namespace disco
