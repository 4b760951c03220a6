// disco-train: what needs LibTorch. `disco sparsify` and `disco train` prepare its input and run it; it is
// not meant to be typed.

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "train/commands.h"

int main(int argc, char** argv) {
  CLI::App app{"The part of disco that needs LibTorch; see `disco sparsify --help` and `disco train --help`",
               "disco-train"};
  app.set_version_flag("--version", "disco-train " DISCO_VERSION);
  app.require_subcommand(1);
  disco::cli::Action action;
  disco::cli::add_sparsify(app, action);
  disco::cli::add_train(app, action, {argv + 1, argv + argc});
  CLI11_PARSE(app, argc, argv);
  // Some builds of LibTorch begin with one thread.
  at::set_num_threads(static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
  try {
    if (const disco::Status status = action(); !status) {
      fmt::print(stderr, "disco: {}\n", status.error().message);
      return status.error().code == disco::ErrorCode::InvalidArgument ? 2 : 1;
    }
  } catch (const std::exception& problem) {
    fmt::print(stderr, "disco: internal error: {}; please report it\n", problem.what());
    return 1;
  }
  return EXIT_SUCCESS;
}
