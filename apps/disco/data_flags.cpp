#include "data_flags.h"

#include <fmt/format.h>

namespace disco::cli {

void TaskFlags::add_to(CLI::App& command) {
  command
      .add_option("--task", file,
                  "what the model's outputs mean, where it does not say so itself: see docs/tasks.md")
      ->type_name("FILE.json");
}

Result<std::optional<Task>> TaskFlags::task(const Graph& model) const {
  if (file.empty()) return task_of(model);
  DISCO_TRY(Task task, load_task(file));
  const Status suits = check_task(task, model);
  if (!suits) return in_context(file, suits.error());
  return std::optional(std::move(task));
}

void DataFlags::add_to(CLI::App& command) {
  command
      .add_option(
          "--data", source,
          "a folder or file of CIFAR's binary batches (also .xz), a folder of images with a folder for "
          "each class or a labels.txt, a folder in VOC's or COCO's layout, an .npz with an array of samples "
          "and `labels`, shapes[:SIZE] or scenes[:SIZE]")
      ->required()
      ->type_name("SOURCE");
  command.add_option("--part", part, "train or test, where the source has both")
      ->check(CLI::IsMember({"train", "test"}))
      ->type_name("PART")
      ->capture_default_str();
  command.add_option("--limit", limit, "so many samples, drawn with --seed (default: all)")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  command
      .add_option("--skip", skip,
                  "leave out the first N that --seed draws: those that `disco sparsify --samples N` saw")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N");
  command.add_option("--seed", seed, "of that draw")->type_name("SEED")->capture_default_str();
  command.add_flag("--no-labels", no_labels,
                   "the data's classes are not the model's: compare with --dense only");
  preset.add_to(command);
}

Result<std::unique_ptr<DataSet>> DataFlags::open(const InputSlot& input,
                                                 const std::optional<Task>& task) const {
  DataSetOptions options{source, part};
  if (preset.any()) {
    DISCO_TRY(options.preset, preset.preset());
  }
  options.limit = limit;
  options.skip = skip;
  options.seed = seed;
  options.labels = !no_labels;
  if (task) ask_for_truth(*task, options);
  return open_data_set(options, &input);
}

Result<InputSlot> only_input(const Graph& model, const std::map<std::string, Shape>& shapes) {
  std::vector<InputSlot> slots = input_slots(model, shapes);
  if (slots.size() == 1) return std::move(slots.front());
  return error(ErrorCode::InvalidArgument, "a data set feeds a model of one input; this one takes {}",
               slots.empty() ? "none" : describe(slots));
}

}  // namespace disco::cli
