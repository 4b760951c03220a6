#include "fabric/mpi.h"

#include <dlfcn.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace disco {
namespace {

namespace fs = std::filesystem;

std::optional<int> number_of(const char* variable) {
  const char* text = std::getenv(variable);
  int value = 0;
  if (text == nullptr) return std::nullopt;
  const char* end = text + std::strlen(text);
  const auto [stop, failure] = std::from_chars(text, end, value);
  return failure == std::errc() && stop == end && value >= 0 ? std::optional(value) : std::nullopt;
}

Result<fs::path> find_plugin() {
  if (const char* named = std::getenv("DISCO_MPI"); named != nullptr && *named != '\0')
    return fs::path(named);
  std::error_code failure;
  const fs::path here = fs::read_symlink("/proc/self/exe", failure).parent_path();
  for (const fs::path& folder : {here, here / DISCO_BIN_TO_LIB / "disco"}) {
    if (fs::exists(folder / "disco-mpi.so", failure)) return folder / "disco-mpi.so";
  }
  return error(
      ErrorCode::NotFound,
      "there is no disco-mpi.so with this program; it is built where MPI is installed (libopenmpi-dev), "
      "or name it in DISCO_MPI");
}

}  // namespace

std::optional<MpiLaunch> mpi_launch() {
  constexpr std::pair<const char*, const char*> kLaunchers[] = {
      {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},  // Open MPI's mpirun
      {"PMI_RANK", "PMI_SIZE"},                          // MPICH's, and srun --mpi=pmi2
      {"PMIX_RANK", "SLURM_NTASKS"},                     // srun --mpi=pmix
  };
  for (const auto& [rank_variable, size_variable] : kLaunchers) {
    const auto rank = number_of(rank_variable);
    const auto size = number_of(size_variable);
    if (rank && size && *rank < *size) return MpiLaunch{*rank, *size};
  }
  return std::nullopt;
}

Result<std::unique_ptr<MpiWorld>> open_mpi() {
  DISCO_TRY(const fs::path path, find_plugin());
  // Global, since MPI's own plug-ins look for its symbols there.
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  void* const symbol = library != nullptr ? dlsym(library, "disco_open_mpi") : nullptr;
  if (symbol == nullptr) {
    const char* reason = dlerror();
    return error(ErrorCode::Io, "{}: cannot be loaded: {}", path.string(), reason != nullptr ? reason : "?");
  }
  Error failure;
  MpiWorld* world = reinterpret_cast<OpenMpi*>(symbol)(failure);
  if (world == nullptr) return failure;
  return std::unique_ptr<MpiWorld>(world);
}

}  // namespace disco
