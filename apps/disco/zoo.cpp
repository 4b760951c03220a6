// disco zoo: models to try.

#include "zoo/zoo.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "command.h"
#include "graph/onnx.h"

namespace disco::cli {

void add_zoo(CLI::App& app, Action& action) {
  struct Flags {
    std::string name, output;
    std::uint64_t seed = 1;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "zoo", "Writes a model with seeded random weights: " + fmt::format("{}", fmt::join(zoo_names(), ", ")));
  command->add_option("name", flags->name, "which model")->required();
  command->add_option("-o,--output", flags->output, "where to write it")->required();
  command->add_option("--seed", flags->seed, "of the weights")->capture_default_str();
  command->callback([flags, &action] {
    action = [flags]() -> Status {
      DISCO_TRY(const Graph graph, zoo(flags->name, {flags->seed}));
      DISCO_CHECK(save_onnx(graph, flags->output));
      fmt::print("wrote {} ({} with random weights; it recognises nothing)\n", flags->output, flags->name);
      return {};
    };
  });
}

}  // namespace disco::cli
