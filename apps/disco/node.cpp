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
  CLI::App* command =
      app.add_subcommand("node",
                         "Waits on this machine for a coordinator, takes its part and computes it.\n"
                         "One coordinator (`disco run` or `disco bench` with --cluster) is served at a time. "
                         "Nothing on the wire is "
                         "encrypted or authenticated: listen on a network that you trust. Ends on Ctrl-C.");
  command->footer(
      "Examples:\n"
      "  disco node --listen 0.0.0.0:7001                    on every machine of the cluster\n"
      "  disco node --listen 0.0.0.0:7001 --fabric-port 7002 where a firewall lets two ports through\n"
      "\n"
      "On the machine that asks, cluster.toml names them in order of rank; only addresses are needed:\n"
      "  [[node]]\n"
      "  address = \"10.0.0.7:7001\"\n"
      "  share = 3\n"
      "  [[node]]\n"
      "  address = \"10.0.0.8:7001\"");
  command->add_option("--listen", options->listen, "where coordinators connect; port 0 takes a free one")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  command
      ->add_option("--fabric-port", options->fabric_port,
                   "where the other nodes connect (default: a free one)")
      ->check(CLI::Range(0, 65535))
      ->type_name("PORT");
  command
      ->add_option("-t,--threads", options->threads,
                   "threads to compute with (default: the coordinator's choice)")
      ->check(CLI::Range(0, 1024))
      ->type_name("T");
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
