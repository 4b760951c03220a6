// disco zoo: models to try.

#include "zoo/zoo.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "command.h"
#include "graph/onnx.h"

namespace disco::cli {

namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  disco zoo resnet50 -o resnet50.onnx                         as published\n"
    "  disco zoo deit-tiny --size 32 --patch 4 --blocks 6 --classes 10 -o deit.onnx\n"
    "                                                              for CIFAR's images\n"
    "  disco zoo ssd300-mobilenetv2 --size 128 --width 0.5 --classes 3 --stride 8 -o ssd.onnx\n"
    "                                                              small enough to train on two cores\n"
    "  disco zoo deeplabv3plus-mobilenetv2 --size 120x160 --width 0.5 --classes 11 -o deeplab.onnx\n"
    "  disco zoo esrgan --blocks 2 --width 0.5 -o esrgan.onnx";

/// The models, a line each, with the settings that they have.
std::string table() {
  std::string text = "Models and their settings:\n";
  for (const ZooEntry& entry : zoo_entries()) {
    text += fmt::format("  {:<25} {:<29} --{}\n", entry.name, entry.what, fmt::join(entry.settings, " --"));
  }
  return text + '\n';
}

}  // namespace

void add_zoo(CLI::App& app, Action& action) {
  struct Flags {
    std::string name, output, size;
    ZooOptions options;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "zoo",
      "Writes a model to try.\nIts weights are random: it recognises nothing until it is trained, but costs "
      "what "
      "the trained one costs. The same name, settings and seed give the same file on every machine.");
  command->footer(table() + kExamples);
  command->add_option("name", flags->name, "which model; they are listed below")->required();
  command->add_option("-o,--output", flags->output, "where to write it")->required()->type_name("FILE");
  command->add_option("--size", flags->size, "pixels of the input: a side, or rows and columns (120x160)")
      ->type_name("PX");
  command->add_option("--width", flags->options.width, "channels, as a factor of the published ones")
      ->type_name("FACTOR");
  command
      ->add_option("--classes", flags->options.classes,
                   "how many classes; a detector's without background, a segmenter's with it")
      ->type_name("N");
  command->add_option("--blocks", flags->options.blocks, "layers of a transformer, residual blocks of ESRGAN")
      ->type_name("N");
  command->add_option("--patch", flags->options.patch, "a transformer's patches, in pixels a side")
      ->type_name("PX");
  command
      ->add_option("--stride", flags->options.stride,
                   "8 or 16: pixels between positions of a segmenter's deepest map or a detector's finest")
      ->type_name("PX");
  command->add_option("--seed", flags->options.seed, "what the random weights follow from")
      ->check(CLI::NonNegativeNumber)
      ->type_name("S")
      ->capture_default_str();
  command->callback([flags, &action] {
    action = [flags]() -> Status {
      if (!flags->size.empty()) {
        auto size = parse_image_size(flags->size);
        if (!size) return error(size.error().code, "--size: {}", size.error().message);
        flags->options.size = *size;
      }
      DISCO_TRY(const Graph graph, zoo(flags->name, flags->options));
      DISCO_CHECK(save_onnx(graph, flags->output));
      fmt::print("wrote {} ({} with random weights; it recognises nothing)\n", flags->output, flags->name);
      return {};
    };
  });
}

}  // namespace disco::cli
