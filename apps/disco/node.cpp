// disco node: one machine's part, waiting for a coordinator.

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <memory>

#include "cluster/node_server.h"
#include "command.h"

namespace disco::cli {

namespace {

int stop_pipe[2] = {-1, -1};

extern "C" void on_stop_signal(int) {
  const char byte = 0;
  [[maybe_unused]] const auto written = write(stop_pipe[1], &byte, 1);
}

}  // namespace

void add_node(CLI::App& app, Action& action) {
  auto options = std::make_shared<NodeServerOptions>();
  CLI::App* command = app.add_subcommand(
      "node", "Waits for a coordinator on this machine, takes a shard and computes it; ends on Ctrl-C");
  command->add_option("--listen", options->listen, "address and port; port 0 takes a free one")
      ->capture_default_str();
  command->add_option("--fabric-port", options->fabric_port, "port for the other nodes (default: a free one)")
      ->check(CLI::Range(0, 65535));
  command
      ->add_option("-t,--threads", options->threads,
                   "threads to compute with (default: the coordinator's choice)")
      ->check(CLI::Range(0, 1024));
  command->add_option("--parent-fd", options->parent_fd, "used by `disco run`")->group("");
  command->callback([options, &action] {
    action = [options]() -> Status {
      if (pipe(stop_pipe) != 0) return error(ErrorCode::Io, "node: cannot make a pipe");
      options->stop_fd = stop_pipe[0];
      std::signal(SIGINT, on_stop_signal);
      std::signal(SIGTERM, on_stop_signal);
      if (options->parent_fd < 0) {
        options->on_ready = [](const std::string& address) {
          fmt::print("disco node: listening on {}\n", address);
          std::fflush(stdout);
        };
      }
      return run_node_server(*options);
    };
  });
}

}  // namespace disco::cli
