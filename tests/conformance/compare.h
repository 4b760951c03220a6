#pragma once
// How far two answers are apart, and how an answer comes to be: in one place, split, or by the evaluator.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "partition/plan.h"
#include "reference/evaluate.h"
#include "reference/specialise.h"

namespace disco::testing {

/// |want - got| <= absolute + relative * |want|, for every element; NaN equals NaN. Integers and booleans
/// must be equal.
struct Tolerance {
  double relative = 0.0;
  double absolute = 0.0;
};

inline double element_as_double(const Tensor& tensor, std::int64_t i) {
  return tensor.type() == DataType::Float32 ? static_cast<double>(tensor.data<float>()[i])
                                            : tensor.data<double>()[i];
}

/// What is wrong with `got`, or an empty string.
inline std::string difference(const Tensor& want, const Tensor& got, const Tolerance& tolerance) {
  if (want.type() != got.type())
    return fmt::format("{} instead of {}", to_string(got.type()), to_string(want.type()));
  if (want.shape() != got.shape())
    return fmt::format("shape {} instead of {}", to_string(got.shape()), to_string(want.shape()));
  if (want.type() == DataType::Float32 || want.type() == DataType::Float64) {
    for (std::int64_t i = 0; i < want.elements(); ++i) {
      const double a = element_as_double(want, i);
      const double b = element_as_double(got, i);
      if (a == b || (std::isnan(a) && std::isnan(b))) continue;
      if (!(std::abs(a - b) <= tolerance.absolute + tolerance.relative * std::abs(a)))
        return fmt::format("element {} is {} instead of {}", i, b, a);
    }
    return "";
  }
  for (std::int64_t i = 0; i < want.elements(); ++i) {
    const std::size_t bytes = size_of(want.type());
    const auto at = static_cast<std::size_t>(i) * bytes;
    if (std::memcmp(want.raw() + at, got.raw() + at, bytes) != 0) return fmt::format("element {} differs", i);
  }
  return "";
}

inline std::string difference(const NamedTensors& want, const NamedTensors& got, const Tolerance& tolerance) {
  for (const auto& [name, tensor] : want) {
    const auto found = got.find(name);
    if (found == got.end()) return fmt::format("no output '{}'", name);
    if (const std::string text = difference(tensor, found->second, tolerance); !text.empty())
      return fmt::format("output '{}': {}", name, text);
  }
  return want.size() == got.size() ? "" : fmt::format("{} outputs instead of {}", got.size(), want.size());
}

inline InputShapes shapes_of(const NamedTensors& inputs) {
  InputShapes shapes;
  for (const auto& [name, tensor] : inputs) shapes.shapes[name] = tensor.shape();
  return shapes;
}

/// Runs shards as threads of this process, one OpenMP thread each, twice: what one run leaves behind must not
/// reach the next. Of `inputs` the shards take what they read.
inline Result<NamedTensors> run_shards(std::vector<Graph> shards, const NamedTensors& inputs) {
  DISCO_TRY(const auto cluster, Cluster::start_inproc(std::move(shards), {.threads = 1}));
  NamedTensors read;
  for (const NodeInfo& node : cluster->nodes()) {
    for (const std::string& name : node.inputs) {
      if (const auto found = inputs.find(name); found != inputs.end()) read.insert(*found);
    }
  }
  DISCO_TRY(const RunResult first, cluster->run(read));
  DISCO_TRY(RunResult second, cluster->run(read));
  if (const std::string text = difference(first.outputs, second.outputs, {}); !text.empty())
    return error(ErrorCode::Internal, "the second run differs from the first: {}", text);
  return std::move(second.outputs);
}

}  // namespace disco::testing
