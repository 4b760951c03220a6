#include "trainer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>

namespace disco::cli {

namespace fs = std::filesystem;

namespace {

bool is_program(const fs::path& path) {
  std::error_code failure;
  return fs::is_regular_file(path, failure) && access(path.c_str(), X_OK) == 0;
}

}  // namespace

Result<fs::path> find_trainer() {
  if (const char* named = std::getenv("DISCO_TRAIN"); named != nullptr && *named != '\0') {
    if (is_program(named)) return fs::path(named);
    return error(ErrorCode::NotFound, "{}: no program; DISCO_TRAIN should name the `disco-train` program",
                 named);
  }
  std::error_code failure;
  const fs::path here = fs::read_symlink("/proc/self/exe", failure).parent_path();
  for (const fs::path& path : {here / "disco-train", here / ".." / "train" / "disco-train"}) {
    if (is_program(path)) return path;
  }
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (!folder.empty() && is_program(fs::path(folder) / "disco-train"))
      return fs::path(folder) / "disco-train";
  }
  return error(
      ErrorCode::NotFound,
      "there is no `disco-train` program beside this one or in PATH; it is built where LibTorch is installed "
      "(libtorch-dev), or name it in DISCO_TRAIN");
}

Status become_trainer(const fs::path& trainer, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), trainer.string());
  std::vector<char*> pointers;
  for (std::string& word : arguments) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  // Threads that spin while they wait take the core from the one that reads the next samples.
  setenv("OMP_WAIT_POLICY", "PASSIVE", 0);
  std::fflush(stdout);
  execv(trainer.c_str(), pointers.data());
  return error(ErrorCode::Io, "{}: cannot be started: {}", trainer.string(), std::strerror(errno));
}

}  // namespace disco::cli
