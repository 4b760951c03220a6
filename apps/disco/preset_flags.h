#pragma once
// Flags that say how an image becomes a tensor; shared by run and sparsify.

#include <CLI/CLI.hpp>
#include <map>
#include <string>

#include "base/result.h"
#include "data/preset.h"

namespace disco::cli {

struct PresetFlags {
  std::string name;
  std::map<std::string, std::string> keys;  ///< by key of the preset
  std::string save;

  void add_to(CLI::App& command);
  /// The preset with the flags set over it.
  [[nodiscard]] Result<Preset> preset() const;
  /// For models that take uint8: InvalidArgument where a flag would scale the pixels.
  [[nodiscard]] Status check_raw() const;
  /// Whether anything was asked for.
  [[nodiscard]] bool any() const;
  /// Writes what --save-preset asks for, if it does.
  [[nodiscard]] Status save_file(const Preset& preset) const;
};

}  // namespace disco::cli
