#include "api/executable.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace disco {
namespace {

bool is_program(const std::filesystem::path& path) {
  std::error_code failure;
  return std::filesystem::is_regular_file(path, failure) && access(path.c_str(), X_OK) == 0;
}

/// The folder of programs of the prefix that this library was installed to, wherever that has been moved.
std::filesystem::path installed_programs() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&installed_programs), &info) == 0 || info.dli_fname == nullptr) {
    return {};
  }
  std::error_code failure;
  const auto library = std::filesystem::weakly_canonical(info.dli_fname, failure);
  return failure ? std::filesystem::path() : (library.parent_path() / DISCO_LIB_TO_BIN).lexically_normal();
}

}  // namespace

Result<std::filesystem::path> find_executable(const std::filesystem::path& chosen) {
  if (!chosen.empty()) {
    if (is_program(chosen)) return chosen;
    return error(ErrorCode::NotFound, "{}: no program; SessionOptions::executable names the `disco` program",
                 chosen.string());
  }
  if (const char* named = std::getenv("DISCO_EXECUTABLE"); named != nullptr && *named != '\0') {
    if (is_program(named)) return std::filesystem::path(named);
    return error(ErrorCode::NotFound, "{}: no program; DISCO_EXECUTABLE should name the `disco` program",
                 named);
  }
  const std::filesystem::path programs = installed_programs();
  if (!programs.empty() && is_program(programs / "disco")) return programs / "disco";
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (!folder.empty() && is_program(std::filesystem::path(folder) / "disco")) {
      return std::filesystem::path(folder) / "disco";
    }
  }
  return error(
      ErrorCode::NotFound,
      "no `disco` program in {} nor in PATH, and nodes that are processes run it; install it, name it "
      "in DISCO_EXECUTABLE or SessionOptions::executable, or use Transport::Threads",
      programs.string());
}

}  // namespace disco
