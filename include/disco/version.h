#pragma once
// The library's version. CMake reads these lines too.

#define DISCO_VERSION_MAJOR 0
#define DISCO_VERSION_MINOR 1
#define DISCO_VERSION_PATCH 0

#include <string_view>

namespace disco {

/// Of the library that runs, "0.1.0"; the macros are those of the headers that were compiled against.
[[nodiscard]] std::string_view version();

}  // namespace disco
