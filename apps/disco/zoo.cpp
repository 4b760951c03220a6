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
      "zoo", fmt::format("Writes a model to try:\n{}\nwith random weights, so that it recognises nothing, "
                         "but costs what the "
                         "trained one costs. The same seed gives the\nsame file on every machine.",
                         fmt::join(zoo_names(), ", ")));
  command->footer(
      "Examples:\n  disco zoo resnet50 -o resnet50.onnx\n  disco zoo deit-tiny --seed 7 -o deit.onnx");
  command->add_option("name", flags->name, fmt::format("{}", fmt::join(zoo_names(), ", ")))->required();
  command->add_option("-o,--output", flags->output, "where to write it")->required()->type_name("FILE");
  command->add_option("--seed", flags->seed, "what the random weights follow from")
      ->check(CLI::NonNegativeNumber)
      ->type_name("S")
      ->capture_default_str();
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
