#pragma once
// What folders call their parts and how their files belong together; not for others than the sources behind
// open_data_set.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace disco::sources {

/// What folders of a part are called, likeliest first.
[[nodiscard]] inline std::vector<std::string> part_names(std::string_view part) {
  if (part == "train") return {"train", "training", "trainval"};
  return {"test", "testing", "val", "valid", "validation"};
}

/// A file name without its extension and without one of these endings.
[[nodiscard]] inline std::string stem_without(const std::filesystem::path& file,
                                              const std::vector<std::string_view>& endings) {
  std::string stem = file.stem().string();
  for (const std::string_view ending : endings) {
    if (stem.size() > ending.size() && stem.ends_with(ending)) {
      stem.resize(stem.size() - ending.size());
      break;
    }
  }
  return stem;
}

}  // namespace disco::sources
