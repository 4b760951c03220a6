#pragma once
// What the reference tests share: seeded tensors, nodes in one line, comparison that names the first
// difference.

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "reference/evaluate.h"
#include "reference/numeric.h"

namespace disco::reference {

/// Values in [-1, 1), the same for the same seed.
inline Tensor random_tensor(const Shape& shape, unsigned seed, DataType type = DataType::Float32) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  Doubles values(static_cast<std::size_t>(element_count(shape)));
  for (double& value : values) value = uniform(generator);
  return from_doubles(type, shape, values);
}

/// Whole numbers in [-4, 4], which every float type holds exactly.
inline Tensor small_integers(const Shape& shape, unsigned seed, DataType type) {
  std::mt19937 generator(seed);
  std::uniform_int_distribution<int> uniform(is_floating(type) || type == DataType::Int8 ? -4 : 0, 4);
  Doubles values(static_cast<std::size_t>(element_count(shape)));
  for (double& value : values) value = uniform(generator);
  return from_doubles(type, shape, values);
}

using Attributes = std::map<std::string, Attribute, std::less<>>;
using Ints = std::vector<std::int64_t>;

inline Node node_of(std::string op, Attributes attributes = {}, std::size_t outputs = 1,
                    std::string domain = "") {
  Node node;
  node.op = std::move(op);
  node.domain = std::move(domain);
  node.attributes = std::move(attributes);
  for (std::size_t i = 0; i < outputs; ++i) node.outputs.push_back(static_cast<ValueId>(i));
  return node;
}

/// The outputs; an error fails the test with its message and gives none.
inline Outputs outputs_of(const Node& node, const Inputs& inputs) {
  Result<Outputs> outputs = evaluate(node, inputs);
  if (!outputs) {
    ADD_FAILURE() << node.op << ": " << outputs.error().message;
    return Outputs(node.outputs.size());
  }
  return *outputs;
}

/// The first output.
inline Tensor compute(const std::string& op, const Attributes& attributes, const Inputs& inputs,
                      const std::string& domain = "") {
  return outputs_of(node_of(op, attributes, 1, domain), inputs)[0];
}

/// Success where every |got - want| <= tolerance · (1 + |want|); infinities of one sign are equal, and so are
/// NaNs.
inline testing::AssertionResult is_near(const Tensor& got, const Tensor& want, double tolerance) {
  if (got.type() != want.type() || got.shape() != want.shape()) {
    return testing::AssertionFailure() << to_string(got.type()) << to_string(got.shape()) << ", not "
                                       << to_string(want.type()) << to_string(want.shape());
  }
  const Doubles a = to_doubles(got);
  const Doubles b = to_doubles(want);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool same = a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]));
    if (!same && !(std::fabs(a[i] - b[i]) <= tolerance * (1 + std::fabs(b[i])))) {
      return testing::AssertionFailure()
             << "element " << i << " of " << to_string(got.shape()) << " is " << a[i] << ", not " << b[i];
    }
  }
  return testing::AssertionSuccess();
}

}  // namespace disco::reference
