// disco node: one machine's part, waiting for a coordinator.

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <memory>

#include "cluster/node_server.h"
#include "cluster/process.h"
#include "command.h"

namespace disco::cli {

namespace {

int stop_pipe[2] = {-1, -1};

extern "C" void on_stop_signal(int) {
  const char byte = 0;
  [[maybe_unused]] const auto written = write(stop_pipe[1], &byte, 1);
}

struct KeyFiles {
  std::string key;
  std::string authorised;
  bool from_parent = false;
};

Status take_keys(const KeyFiles& files, NodeServerOptions& options) {
  if (files.from_parent) {
    DISCO_TRY(const NodeIdentity identity, identity_from_parent(options.parent_fd));
    options.keys = identity.keys;
    options.judge = only({identity.coordinator}, "not that of the process that started this node");
  } else if (!files.key.empty()) {
    DISCO_TRY(options.keys, KeyPair::load(files.key));
    DISCO_TRY(const std::vector<PublicKey> keys, load_authorised(files.authorised));  // mistakes are told now
    options.judge = only_those_in(files.authorised);
  }
  return {};
}

}  // namespace

void add_node(CLI::App& app, Action& action) {
  auto options = std::make_shared<NodeServerOptions>();
  CLI::App* command =
      app.add_subcommand("node",
                         "Waits on this machine for a coordinator, takes its part and computes it.\n"
                         "One coordinator (`disco run` or `disco bench` with --cluster) is served at a time. "
                         "With --key and "
                         "--authorised it speaks encrypted, and only with those that are named there; "
                         "without, whoever reaches the port may use it. Ends on Ctrl-C.");
  command->footer(
      "Examples:\n"
      "  disco node --listen 0.0.0.0:7001                    on every machine of the cluster\n"
      "  disco node --listen 0.0.0.0:7001 --fabric-port 7002 where a firewall lets two ports through\n"
      "  disco node --listen 0.0.0.0:7001 --key disco.key --authorised authorised.txt\n"
      "                                                      encrypted: see `disco keys`\n"
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
  auto files = std::make_shared<KeyFiles>();
  auto* key = command->add_option("--key", files->key, "this node's secret key (`disco keys new` makes one)")
                  ->type_name("FILE");
  auto* authorised =
      command
          ->add_option("--authorised", files->authorised,
                       "public keys of those who may use this node, one a line with a comment behind it; "
                       "read anew for every connection")
          ->type_name("FILE");
  key->needs(authorised);
  authorised->needs(key);
  command->add_option("--parent-fd", options->parent_fd, "used by `disco run`")->group("");
  command->add_option("--parent-keys", files->from_parent, "used by `disco run`")->group("");
  command->callback([options, files, &action] {
    action = [options, files]() -> Status {
      DISCO_CHECK(take_keys(*files, *options));
      if (pipe(stop_pipe) != 0) return error(ErrorCode::Io, "node: cannot make a pipe");
      options->stop_fd = stop_pipe[0];
      std::signal(SIGINT, on_stop_signal);
      std::signal(SIGTERM, on_stop_signal);
      if (options->parent_fd < 0) {
        options->on_ready = [](const std::string& address) {
          fmt::print("disco node: listening on {}\n", address);
          std::fflush(stdout);
        };
        options->on_refusal = [](const std::string& line) {
          fmt::print(stderr, "disco node: {}\n", as_one_line(line));
        };
      }
      return run_node_server(*options);
    };
  });
}

}  // namespace disco::cli
