#pragma once
// Which files of a folder are images.

#include <filesystem>
#include <vector>

#include "base/result.h"

namespace disco {

/// The .jpg, .jpeg and .png files of a folder itself, by name.
/// @return NotFound where there is none, or Io
[[nodiscard]] Result<std::vector<std::filesystem::path>> images_in(const std::filesystem::path& folder);

/// The folders in a folder, by name; hidden ones do not count. Empty for what is no folder.
[[nodiscard]] std::vector<std::filesystem::path> folders_in(const std::filesystem::path& folder);

}  // namespace disco
