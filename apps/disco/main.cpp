// The command line: one file a subcommand, see command.h.

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <system_error>

#include "cluster/process.h"
#include "command.h"
#include "help.h"
#include "mpi.h"

namespace {

constexpr const char* kAbout =
    "Runs one neural network over several machines, exactly.\n"
    "The channels of every layer are split over the nodes, and the answer is that of the unsplit model. "
    "Models "
    "are ONNX files.";

constexpr const char* kExamples =
    "Examples:\n"
    "  disco zoo resnet50 -o resnet50.onnx                     a model to try, with random weights\n"
    "  disco run resnet50.onnx -n 2 --input dog.jpg --preset imagenet --verify\n"
    "                                                          over 2 local nodes, and how exact it is\n"
    "  disco run resnet50.onnx --cluster cluster.toml --input dog.jpg --preset imagenet\n"
    "                                                          over machines that run `disco node`\n"
    "  disco eval sparse.onnx --data cifar10/ --dense resnet20.onnx\n"
    "                                                          how often it is right, and what it sends\n"
    "  disco inspect resnet50.onnx -n 2                        what each node computes, holds and sends\n"
    "  disco bench resnet50.onnx -n 2                          how long it takes, beside one node\n"
    "\n"
    "disco COMMAND --help says more. An error is one line on standard error; the exit status is 2 for a\n"
    "wrong command line, 1 for everything else that went wrong.";

/// What there is to say about a command line, the first process of an MPI job says; and it alone fails, since
/// the first one that does ends all, whether or not they have had their say.
bool is_quiet() {
  const auto launch = disco::mpi_launch();
  return launch && launch->rank > 0;
}

int complain(std::string_view message, int status) {
  fmt::print(stderr, "disco: {}\n", disco::as_one_line(message));
  return status;
}

/// What the command line asks for. In an MPI job the first process does it, with the others as its nodes.
disco::Status perform(const CLI::App& app, const disco::cli::Action& action) {
  if (!disco::cli::uses_mpi(app)) return action();
  disco::Status status = disco::cli::start_mpi_job();
  auto& job = disco::cli::mpi_job();
  if (status) status = job->rank() == 0 ? action() : job->serve();
  job.reset();
  return status;
}

/// Results that could not be written (a full disk behind a pipe's end) must not look like success.
disco::Status flush_results() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return {};
  return disco::error(disco::ErrorCode::Io, "cannot write to standard output: {}", std::strerror(errno));
}

}  // namespace

int main(int argc, char** argv) {
  for (const std::string_view computes :
       {"node", "run", "eval", "report", "bench", "profile", "simulate", "plan"}) {
    if (argc > 1 && argv[1] == computes) disco::restart_with_short_waits(argv);
  }
  CLI::App app{kAbout, "disco"};
  app.formatter(std::make_shared<disco::cli::HelpFormatter>());
  app.footer(kExamples);
  app.set_help_flag("-h,--help", "say what it does and how");
  app.set_version_flag("--version", "disco " DISCO_VERSION, "say which version this is");
  app.require_subcommand(1);
  disco::cli::Action action;
  disco::cli::add_run(app, action);
  disco::cli::add_partition(app, action);
  disco::cli::add_shard(app, action);
  disco::cli::add_sparsify(app, action);
  disco::cli::add_train(app, action, {argv + 1, argv + argc});
  disco::cli::add_eval(app, action);
  disco::cli::add_report(app, action);
  disco::cli::add_inspect(app, action);
  disco::cli::add_bench(app, action);
  disco::cli::add_profile(app, action);
  disco::cli::add_simulate(app, action);
  disco::cli::add_plan(app, action);
  disco::cli::add_tune(app, action);
  disco::cli::add_zoo(app, action);
  disco::cli::add_node(app, action);
  disco::cli::add_keys(app, action);
  // `disco help run` is `disco run --help`.
  std::vector<char*> words(argv, argv + argc);
  std::string help = "--help";
  if (argc > 1 && std::string_view(argv[1]) == "help") {
    words.erase(words.begin() + 1);
    words.push_back(help.data());
  }
  if (words.size() > 1) {
    const std::string complaint = disco::cli::unknown_command(app, words[1]);
    if (!complaint.empty()) return is_quiet() ? EXIT_SUCCESS : complain(complaint, 2);
  }
  try {
    app.parse(static_cast<int>(words.size()), words.data());
  } catch (const CLI::Success& wish) {
    if (is_quiet()) return EXIT_SUCCESS;
    app.exit(wish);  // --help and --version
    std::cout.flush();
    if (std::cout) return EXIT_SUCCESS;
    return complain(fmt::format("cannot write to standard output: {}", std::strerror(errno)), 1);
  } catch (const CLI::ParseError& problem) {
    return is_quiet() ? EXIT_SUCCESS : complain(disco::cli::explain(app, problem), 2);
  }
  try {
    disco::Status status = perform(app, action);
    if (status) status = flush_results();
    if (!status) {
      return complain(status.error().message,
                      status.error().code == disco::ErrorCode::InvalidArgument ? 2 : 1);
    }
  } catch (const std::system_error& problem) {  // fmt::print's
    return complain(fmt::format("cannot write to standard output: {}", problem.code().message()), 1);
  } catch (const std::bad_alloc&) {
    return complain("out of memory", 1);
  } catch (const std::exception& problem) {
    return complain(fmt::format("internal error: {}; please report it", problem.what()), 1);
  }
  return EXIT_SUCCESS;
}
