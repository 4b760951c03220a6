#pragma once
// A model's input as data meets it: name, type and what is known of the shape.

#include <disco/tensor.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace disco {

/// A model's input before its open extents are fixed.
struct InputSlot {
  std::string name;
  DataType type = DataType::Undefined;
  std::optional<Shape> shape{};  ///< -1 where open; no value where not even the rank is known
};

/// The inputs of a model, with open extents taken from `shapes` where it names them.
[[nodiscard]] std::vector<InputSlot> input_slots(const Graph& model,
                                                 const std::map<std::string, Shape>& shapes);

/// "'data' float32 [?, 3, 224, 224]".
[[nodiscard]] std::string describe(const InputSlot& slot);
/// All of them, with "; " in between.
[[nodiscard]] std::string describe(const std::vector<InputSlot>& slots);

}  // namespace disco
