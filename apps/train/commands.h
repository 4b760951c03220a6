#pragma once
// The subcommands of disco-train.

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace disco::cli {

using Action = std::function<Status()>;

void add_sparsify(CLI::App& app, Action& action);
/// @param words  the command line behind the program's name, for processes that are started alike
void add_train(CLI::App& app, Action& action, const std::vector<std::string>& words);

}  // namespace disco::cli
