#include "report/evaluation.h"

#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

namespace disco {

double Evaluation::bytes() const { return std::accumulate(node_bytes.begin(), node_bytes.end(), 0.0); }

std::string wire_of(const Partition& partition) {
  std::set<DataType> types;
  for (const auto& [value, format] : partition.wire) types.insert(format.type);
  if (types.empty()) return "fp32";
  return types.size() == 1 ? std::string(wire_type_name(*types.begin())) : "mixed";
}

Figure quality_of(const Evaluation& evaluation) {
  if (evaluation.measured) return evaluation.measured->figures.front();
  return {"agreement", evaluation.agreement.value_or(0)};
}

nlohmann::json to_json(const Evaluation& evaluation) {
  nlohmann::json document = {{"model", evaluation.model},
                             {"task", evaluation.task},
                             {"data", evaluation.data},
                             {"samples", evaluation.samples},
                             {"nodes", evaluation.nodes},
                             {"method", evaluation.method},
                             {"wire", evaluation.wire},
                             {"bytes_per_inference", evaluation.bytes()},
                             {"dense_bytes_per_inference", evaluation.dense_bytes},
                             {"node_bytes_per_inference", evaluation.node_bytes}};
  const auto add = [&](const Measured& measured, const std::string& prefix) {
    document[prefix + "value"] = measured.figures.front().value;
    for (std::size_t f = 1; f < measured.figures.size(); ++f)
      document[prefix + measured.figures[f].name] = measured.figures[f].value;
  };
  if (evaluation.measured) {
    document["metric"] = evaluation.measured->figures.front().name;
    document["labelled"] = evaluation.measured->samples;
    add(*evaluation.measured, "");
  } else if (evaluation.agreement) {
    document["metric"] = "agreement";
    document["value"] = *evaluation.agreement;
  }
  if (evaluation.dense) add(*evaluation.dense, "dense_");
  if (evaluation.agreement) document["agreement"] = *evaluation.agreement;
  return document;
}

}  // namespace disco
