#include "report/evaluation.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

namespace disco {

std::optional<Accuracy> accuracy_of(const std::vector<Prediction>& predictions,
                                    const std::vector<std::int64_t>& labels) {
  Accuracy accuracy;
  std::int64_t first = 0, among = 0;
  for (std::size_t i = 0; i < predictions.size(); ++i) {
    if (labels[i] < 0) continue;
    const auto* const best = predictions[i].best;
    ++accuracy.samples;
    first += best[0] == labels[i] ? 1 : 0;
    among += std::find(best, best + Prediction::kBest, labels[i]) != best + Prediction::kBest ? 1 : 0;
  }
  if (accuracy.samples == 0) return {};
  accuracy.top1 = static_cast<double>(first) / static_cast<double>(accuracy.samples);
  accuracy.top5 = static_cast<double>(among) / static_cast<double>(accuracy.samples);
  return accuracy;
}

double agreement_of(const std::vector<Prediction>& a, const std::vector<Prediction>& b) {
  std::int64_t same = 0;
  for (std::size_t i = 0; i < a.size(); ++i) same += a[i].best[0] == b[i].best[0] ? 1 : 0;
  return static_cast<double>(same) / static_cast<double>(a.size());
}

double Evaluation::bytes() const { return std::accumulate(node_bytes.begin(), node_bytes.end(), 0.0); }

std::string wire_of(const Partition& partition) {
  std::set<DataType> types;
  for (const auto& [value, format] : partition.wire) types.insert(format.type);
  if (types.empty()) return "fp32";
  return types.size() == 1 ? std::string(wire_type_name(*types.begin())) : "mixed";
}

nlohmann::json to_json(const Evaluation& evaluation) {
  nlohmann::json document = {{"model", evaluation.model},
                             {"data", evaluation.data},
                             {"samples", evaluation.samples},
                             {"nodes", evaluation.nodes},
                             {"method", evaluation.method},
                             {"wire", evaluation.wire},
                             {"bytes_per_inference", evaluation.bytes()},
                             {"dense_bytes_per_inference", evaluation.dense_bytes},
                             {"node_bytes_per_inference", evaluation.node_bytes}};
  const bool has_top5 = evaluation.classes > static_cast<std::int64_t>(Prediction::kBest);
  if (evaluation.accuracy) {
    document["metric"] = "top1";
    document["value"] = evaluation.accuracy->top1;
    document["labelled"] = evaluation.accuracy->samples;
    if (has_top5) document["top5"] = evaluation.accuracy->top5;
  } else if (evaluation.agreement) {
    document["metric"] = "agreement";
    document["value"] = *evaluation.agreement;
  }
  if (evaluation.dense_accuracy) {
    document["dense_value"] = evaluation.dense_accuracy->top1;
    if (has_top5) document["dense_top5"] = evaluation.dense_accuracy->top5;
  }
  if (evaluation.agreement) document["agreement"] = *evaluation.agreement;
  return document;
}

}  // namespace disco
