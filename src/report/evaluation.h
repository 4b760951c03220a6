#pragma once
// How well an artifact answers, and what it sends for that.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "partition/partition.h"

namespace disco {

/// The five best classes of one sample, best first; -1 where there are fewer.
struct Prediction {
  static constexpr std::size_t kBest = 5;
  std::int64_t best[kBest] = {-1, -1, -1, -1, -1};
};

/// How often predictions are right, of the samples that have a class.
struct Accuracy {
  double top1 = 0;
  double top5 = 0;
  std::int64_t samples = 0;  ///< that have a class; others do not count
};

/// @param labels  by sample; -1 where it has none
/// @return no value where no sample has a class
[[nodiscard]] std::optional<Accuracy> accuracy_of(const std::vector<Prediction>& predictions,
                                                  const std::vector<std::int64_t>& labels);

/// The share of samples whose best class is the same; both of one length, at least 1.
[[nodiscard]] double agreement_of(const std::vector<Prediction>& a, const std::vector<Prediction>& b);

/// What `disco eval` finds out. Bytes are those of one sample.
struct Evaluation {
  std::string model;
  std::string data;
  std::string method;
  std::string wire;  ///< "fp32", "fp16", "u8", or "mixed"
  int nodes = 1;
  std::int64_t samples = 0;
  std::int64_t classes = 0;  ///< of the model
  std::optional<Accuracy> accuracy{};
  std::optional<Accuracy> dense_accuracy{};  ///< of the dense model, where one was given
  std::optional<double> agreement{};         ///< with the dense model
  std::vector<double> node_bytes;            ///< sent, by rank, counted on the wire
  double dense_bytes = 0;  ///< all nodes, of the same split where everything is sent in fp32

  [[nodiscard]] double bytes() const;
};

/// "fp32", "fp16", "u8", or "mixed" where values travel in several formats.
[[nodiscard]] std::string wire_of(const Partition& partition);

/// {metric, value, top5, samples, agreement, bytes_per_inference, dense_bytes_per_inference, …}; what is not
/// known is absent. docs/eval.md explains the keys.
[[nodiscard]] nlohmann::json to_json(const Evaluation& evaluation);

}  // namespace disco
