#pragma once
// The program as a process of an MPI job.

#include <CLI/CLI.hpp>

#include "cluster/mpi_job.h"

namespace disco::cli {

/// Whether the parsed command line runs a network over MPI: where mpirun started this process, unless
/// --cluster or
/// --transport say otherwise; or --transport mpi.
[[nodiscard]] bool uses_mpi(const CLI::App& app);

/// The job of this process, once it was started.
[[nodiscard]] std::unique_ptr<MpiJob>& mpi_job();

/// Starts the job. InvalidArgument, with what to type, where no launcher started this process.
[[nodiscard]] Status start_mpi_job();

}  // namespace disco::cli
