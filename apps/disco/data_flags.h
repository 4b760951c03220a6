#pragma once
// Flags that choose a data set; shared by eval and report.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "data/dataset.h"
#include "preset_flags.h"
#include "task/task.h"

namespace disco::cli {

/// What a model does, where it does not say so itself.
struct TaskFlags {
  std::string file;

  void add_to(CLI::App& command);
  /// Of --task, else as task_of(); no value where nothing says it.
  [[nodiscard]] Result<std::optional<Task>> task(const Graph& model) const;
};

struct DataFlags {
  std::string source;
  std::string part = "test";
  PresetFlags preset;
  std::int64_t limit = 0, skip = 0;
  std::uint64_t seed = 1;
  bool no_labels = false;

  void add_to(CLI::App& command);
  /// @param input  the model's only one
  /// @param task   for which the data says what is right, as far as it is known
  [[nodiscard]] Result<std::unique_ptr<DataSet>> open(const InputSlot& input,
                                                      const std::optional<Task>& task) const;
};

/// The only input of a model, or InvalidArgument: data sets feed one.
[[nodiscard]] Result<InputSlot> only_input(const Graph& model, const std::map<std::string, Shape>& shapes);

}  // namespace disco::cli
