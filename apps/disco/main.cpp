// The command line: one file a subcommand, see command.h.

#include <fmt/format.h>

#include <cstdlib>
#include <exception>

#include "command.h"

namespace {

constexpr const char* kAbout =
    "Runs one neural network over several small machines: the channels of every layer are split over the "
    "nodes.\n\n"
    "  disco zoo resnet50 -o resnet50.onnx                     a model to try\n"
    "  disco run resnet50.onnx --nodes 2 --input dog.jpg --preset imagenet --verify\n"
    "  disco inspect resnet50.onnx --nodes 2                   what each node computes, holds and sends\n"
    "  disco bench resnet50.onnx --nodes 2                     how long it takes, beside one node\n";

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{kAbout, "disco"};
  app.set_version_flag("--version", "disco " DISCO_VERSION);
  app.require_subcommand(1);
  app.failure_message([](const CLI::App*, const CLI::Error& problem) {
    return fmt::format("disco: {}; see --help\n", problem.what());
  });
  disco::cli::Action action;
  disco::cli::add_run(app, action);
  disco::cli::add_partition(app, action);
  disco::cli::add_shard(app, action);
  disco::cli::add_inspect(app, action);
  disco::cli::add_bench(app, action);
  disco::cli::add_zoo(app, action);
  disco::cli::add_node(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    return app.exit(problem) == 0 ? EXIT_SUCCESS : 2;
  }
  try {
    if (const disco::Status status = action(); !status) {
      fmt::print(stderr, "disco: {}\n", status.error().message);
      return status.error().code == disco::ErrorCode::InvalidArgument ? 2 : 1;
    }
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "disco: out of memory\n");
    return 1;
  } catch (const std::exception& problem) {
    fmt::print(stderr, "disco: internal error: {}; please report it\n", problem.what());
    return 1;
  }
  return EXIT_SUCCESS;
}
