// disco keys: who a node or a coordinator is.

#include "fabric/keys.h"

#include <fmt/format.h>

#include <memory>

#include "command.h"

namespace disco::cli {

namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  disco keys new                                     disco.key and disco.key.pub in this folder\n"
    "  disco keys new -o ~/.config/disco/pi1.key          and pi1.key.pub beside it\n"
    "  disco keys show pi1.key                            the public key of a secret one\n"
    "\n"
    "One pair for every node and one for whoever coordinates. On each node, the coordinator's public\n"
    "key is a line of the file of --authorised; in cluster.toml, each node has its public_key.\n"
    "docs/security.md says what this protects, and what it does not.";

}  // namespace

void add_keys(CLI::App& app, Action& action) {
  CLI::App* keys =
      app.add_subcommand("keys",
                         "Makes and shows the keys that encrypt the links of a cluster.\n"
                         "A pair is a secret file, which stays on its machine and only its owner "
                         "may read, and a public key, which names it to the others.");
  keys->footer(kExamples);
  keys->require_subcommand(1);

  struct New {
    std::string out = ".";
    bool force = false;
  };
  auto flags = std::make_shared<New>();
  CLI::App* make = keys->add_subcommand("new", "Makes a pair, and prints the public key.");
  make->add_option("-o,--output", flags->out,
                   "file for the secret key, or a folder, in which it becomes disco.key; the public one "
                   "gets .pub behind that name")
      ->type_name("DIR|FILE")
      ->capture_default_str();
  make->add_flag("--force", flags->force, "replace what is there; a key that is replaced is lost");
  make->callback([flags, &action] {
    action = [flags]() -> Status {
      std::filesystem::path file = flags->out;
      std::error_code failure;
      if (std::filesystem::is_directory(file, failure)) file /= "disco.key";
      DISCO_TRY(const KeyPair::Shared pair, KeyPair::make());
      DISCO_CHECK(pair->save(file, flags->force));
      fmt::print("{}\n", pair->public_key().text());
      return {};
    };
  });

  auto secret = std::make_shared<std::string>();
  CLI::App* show = keys->add_subcommand("show", "Prints the public key of a secret key.");
  show->add_option("FILE", *secret, "the secret key")->required()->type_name("");
  show->callback([secret, &action] {
    action = [secret]() -> Status {
      DISCO_TRY(const KeyPair::Shared pair, KeyPair::load(*secret));
      fmt::print("{}\n", pair->public_key().text());
      return {};
    };
  });
}

}  // namespace disco::cli
