#include "mpi.h"

namespace disco::cli {

bool uses_mpi(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  if (commands.empty()) return false;
  const CLI::Option* const transport = commands.front()->get_option_no_throw("--transport");
  const CLI::Option* const cluster = commands.front()->get_option_no_throw("--cluster");
  if (transport == nullptr || cluster == nullptr || cluster->count() > 0) return false;
  return transport->count() > 0 ? transport->as<std::string>() == "mpi" : mpi_launch().has_value();
}

std::unique_ptr<MpiJob>& mpi_job() {
  static std::unique_ptr<MpiJob> job;
  return job;
}

Status start_mpi_job() {
  if (!mpi_launch()) {
    return error(ErrorCode::InvalidArgument,
                 "--transport mpi: no MPI launcher started this process; type mpirun -n 2 disco …");
  }
  DISCO_TRY(mpi_job(), MpiJob::start());
  return {};
}

}  // namespace disco::cli
