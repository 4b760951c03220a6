#pragma once
// What several artifacts of one model send and how well they answer, as JSON and as a page to look at.

#include <disco/cost.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "partition/split.h"
#include "report/evaluation.h"

namespace disco {

/// One value that nodes exchange: who owns its channels, and which of them travel.
struct ExchangePicture {
  std::string name;
  std::vector<std::int32_t> owner;  ///< by channel
  std::vector<double> sent;         ///< by channel: the share of the other nodes that get it, 0..1
  double kept = 1;                  ///< the share of channels for other nodes that travels
  double bytes = 0;                 ///< of one sample, all nodes
  double dense_bytes = 0;           ///< the same where everything is sent in fp32
};

struct ArtifactReport {
  Evaluation evaluation;
  Cost unsplit;                            ///< of one sample
  std::vector<Cost> nodes;                 ///< likewise, by rank
  std::vector<ExchangePicture> exchanges;  ///< in the order of the graph
};

struct Report {
  std::string model;   ///< the dense one's file
  std::string data;    ///< DataSet::about()
  std::string preset;  ///< empty where samples are no images
  std::int64_t samples = 0;
  std::optional<Measured> dense{};  ///< no value where nothing says what is right
  std::vector<ArtifactReport> artifacts;
};

/// Costs and pictures of one artifact; the evaluation is left for the caller to fill in.
///
/// @param batch  samples that the split's shapes stand for
[[nodiscard]] Result<ArtifactReport> picture_of(const SplitModel& split, std::int64_t batch);

/// Everything that the page shows; docs/eval.md explains the keys.
[[nodiscard]] nlohmann::json to_json(const Report& report);

/// One page that needs nothing else: style and pictures are inside. @pre at least one artifact
[[nodiscard]] std::string to_html(const Report& report);

}  // namespace disco
