#pragma once
// Flags that choose a data set; shared by eval and report.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "data/dataset.h"
#include "preset_flags.h"

namespace disco::cli {

struct DataFlags {
  std::string source;
  std::string part = "test";
  PresetFlags preset;
  std::int64_t limit = 0, skip = 0;
  std::uint64_t seed = 1;
  bool no_labels = false;

  void add_to(CLI::App& command);
  /// @param input  the model's only one
  [[nodiscard]] Result<std::unique_ptr<DataSet>> open(const InputSlot& input) const;
};

/// The only input of a model, or InvalidArgument: data sets feed one.
[[nodiscard]] Result<InputSlot> only_input(const Graph& model, const std::map<std::string, Shape>& shapes);

}  // namespace disco::cli
