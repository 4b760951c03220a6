// disco train: explains and checks the flags, and hands over to disco-train, which has LibTorch.

#include <memory>

#include "base/file.h"
#include "command.h"
#include "train/train_flags.h"
#include "trainer.h"

namespace disco::cli {

void add_train(CLI::App& app, Action& action, const std::vector<std::string>& words) {
  auto flags = std::make_shared<TrainFlags>();
  CLI::App* command = app.add_subcommand(
      "train",
      "Trains a model, or an artifact with what it sends, from labels or from a dense model's answers");
  flags->add_to(*command);
  command->callback([flags, &action, words] {
    action = [flags, words]() -> Status {
      DISCO_CHECK(check_writable(flags->output));
      DISCO_TRY(const std::filesystem::path trainer, find_trainer());
      return become_trainer(trainer, words);
    };
  });
}

}  // namespace disco::cli
