#pragma once
// The program that needs LibTorch, and how this one becomes it.

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace disco::cli {

/// disco-train: named by DISCO_TRAIN, beside this program (as installed and as built), or in PATH. NotFound
/// says how to get it.
[[nodiscard]] Result<std::filesystem::path> find_trainer();

/// Becomes the trainer with these arguments; returns only where it cannot be started.
[[nodiscard]] Status become_trainer(const std::filesystem::path& trainer, std::vector<std::string> arguments);

}  // namespace disco::cli
