#pragma once
// What a classifier's scores mean: names of classes, the best ones, and how often they are right.

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace disco {

/// Names of classes, and where the file says so, the class of each image file.
struct Labels {
  std::vector<std::string> names;             ///< by class; empty where the file does not name one
  std::map<std::string, std::int64_t> files;  ///< class by file name; empty for a plain list
};

/// Reads a list of names, one a line, class 0 first; or a table of file TAB class TAB name (told apart by the
/// first line). Blank lines at the end do not count.
///
/// @return NotFound, Io, or InvalidArgument with file:line
[[nodiscard]] Result<Labels> load_labels(const std::filesystem::path& path);

/// InvalidArgument where a list's length, or a class of a table, does not suit `classes` scores.
[[nodiscard]] Status check_labels(const Labels& labels, std::int64_t classes,
                                  const std::filesystem::path& path);

struct ClassScore {
  std::int64_t index = 0;
  double score = 0;
};

/// The `count` highest scores (or all, if there are fewer), highest first; of equal ones the lower class
/// first, and NaN last.
[[nodiscard]] std::vector<ClassScore> top_classes(std::span<const double> scores, std::size_t count);

}  // namespace disco
