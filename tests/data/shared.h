#pragma once
// Data that is too large, or not free enough, to be part of the repository.

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace disco {

/// The folder that DISCO_SHARED names, or `shared` beside the source; no value where it is missing.
inline std::optional<std::filesystem::path> shared_data() {
  const char* const named = std::getenv("DISCO_SHARED");
  const std::filesystem::path folder = named != nullptr
                                           ? std::filesystem::path(named)
                                           : std::filesystem::path(DISCO_SOURCE_DIR) / ".." / "shared";
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder / "data", ignored)) return {};
  return folder / "data";
}

}  // namespace disco
