#pragma once
// Where the `disco` program is that a node of this machine runs.

#include <filesystem>

#include "base/result.h"

namespace disco {

/// `chosen` where it is not empty; else the environment's DISCO_EXECUTABLE; else the program that was
/// installed with this library; else the first `disco` in PATH.
///
/// @return NotFound: what was looked for where, and what to do
[[nodiscard]] Result<std::filesystem::path> find_executable(const std::filesystem::path& chosen);

}  // namespace disco
