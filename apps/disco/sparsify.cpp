// disco sparsify: gathers the samples, and hands over to disco-train, which has LibTorch.

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <sstream>

#include "base/file.h"
#include "command.h"
#include "data/dataset.h"
#include "data/npz.h"
#include "data_flags.h"
#include "feed.h"
#include "graph/onnx.h"
#include "preset_flags.h"
#include "sparsify/importance.h"
#include "task/task.h"
#include "trainer.h"

namespace disco::cli {

namespace {

namespace fs = std::filesystem;

constexpr const char* kExamples =
    "Examples:\n"
    "  disco sparsify resnet50.onnx -n 2 --communication 0.2 --calibrate photos/ --preset imagenet -o "
    "sparse.onnx\n"
    "  disco sparsify resnet20.onnx -n 2 -c 0.1 --calibrate cifar-10-batches-bin -o sparse.onnx\n"
    "  disco sparsify model.onnx -n 4 --communication 0.1 --calibrate samples.npz --wire u8 -o sparse.onnx\n"
    "  disco sparsify model.onnx -n 2 --method split-then-aggregate --calibrate samples.npz -o "
    "baseline.onnx\n"
    "  disco sparsify tuned.onnx --wire-only --wire u8 --calibrate photos/ -o tuned-u8.onnx\n"
    "  disco inspect sparse.onnx                               what it sends, computes and holds\n";

struct Flags {
  SplitFlags split;
  PresetFlags preset;
  TaskFlags task;
  std::vector<std::string> samples;
  std::vector<double> weights;
  std::string output, method = "disco", norm = "exact", wire = "fp32", device = "cpu";
  double communication = 0.2;
  std::optional<double> byte_power;
  std::int64_t message_bytes = 0, layer = -1, most = 512;
  std::optional<std::int64_t> distil;
  std::uint64_t seed = 1;
  bool no_refit = false;
  bool wire_only = false;
  bool as_json = false;
};

/// Arrays one behind the other along axis 0.
Tensor stacked(const std::vector<Tensor>& parts) {
  Shape shape = parts.front().shape();
  shape[0] = 0;
  for (const Tensor& part : parts) shape[0] += part.shape()[0];
  Tensor all(parts.front().type(), shape);
  std::byte* at = all.raw();
  for (const Tensor& part : parts) {
    std::memcpy(at, part.raw(), part.bytes());
    at += part.bytes();
  }
  return all;
}

/// Samples of a data set, drawn by the seed from the part that training sees.
Result<NamedTensors> draw(const Flags& flags, const Graph& model, const InputSlot& input) {
  DataSetOptions options{flags.samples.front(), "train"};
  if (flags.preset.any()) {
    DISCO_TRY(options.preset, flags.preset.preset());
  }
  options.limit = flags.most;
  options.seed = flags.seed;
  DISCO_TRY(const std::optional<Task> task, flags.task.task(model));
  if (task) ask_for_truth(*task, options);
  DISCO_TRY(const std::unique_ptr<DataSet> data, open_data_set(options, &input));
  constexpr std::int64_t kStep = 16;
  std::vector<Tensor> parts;
  Progress progress("samples", static_cast<std::size_t>(data->size()));
  for (std::int64_t first = 0; first < data->size(); first += kStep) {
    std::vector<std::int64_t> indices;
    for (std::int64_t i = first; i < std::min(first + kStep, data->size()); ++i) indices.push_back(i);
    DISCO_TRY(Tensor part, read_samples(*data, indices, input.type));
    parts.push_back(std::move(part));
    progress.step(static_cast<std::size_t>(indices.back() + 1));
  }
  NamedTensors samples;
  samples[input.name] = stacked(parts);
  return samples;
}

/// All samples in one array an input.
Result<NamedTensors> gather(const Flags& flags, const Graph& model) {
  DISCO_TRY(const InputShapes shapes, flags.split.parsed_shapes());
  const std::vector<InputSlot> slots = input_slots(model, shapes.shapes);
  // Integers, such as tokens, come as arrays only, which the feed takes as they are.
  const bool takes_images =
      slots.size() == 1 && (slots[0].type == DataType::Float32 || slots[0].type == DataType::UInt8);
  if (takes_images && flags.samples.size() == 1 && names_data_set(flags.samples.front()))
    return draw(flags, model, slots[0]);
  DISCO_TRY(const Preset preset, flags.preset.preset());
  DISCO_TRY(Feed feed, Feed::open(slots, {flags.samples, 0, preset}));
  if (!feed.has_one_shape()) {
    return error(ErrorCode::InvalidArgument,
                 "the images have several sizes; bring them to one with --preset, --resize or --crop");
  }
  std::map<std::string, std::vector<Tensor>> parts;
  std::int64_t count = 0;
  Progress progress("samples", feed.rounds());
  for (std::size_t r = 0; r < feed.rounds() && count < flags.most; ++r) {
    DISCO_TRY(const Round round, feed.round(r));
    const std::int64_t wanted =
        std::min<std::int64_t>(std::max<std::int64_t>(round.samples, 1), flags.most - count);
    for (const auto& [name, tensor] : round.inputs) {
      Shape shape = tensor.shape();
      if (shape.empty()) return error(ErrorCode::InvalidArgument, "input '{}' has no axis of samples", name);
      shape[0] = std::min(shape[0], wanted);
      Tensor part(tensor.type(), shape);
      std::memcpy(part.raw(), tensor.raw(), part.bytes());
      parts[name].push_back(std::move(part));
    }
    count += wanted;
    progress.step(r + 1);
  }
  NamedTensors samples;
  for (const auto& [name, list] : parts) samples[name] = stacked(list);
  return samples;
}

/// Becomes the trainer. The samples go along as an open file without a name, which no end of either program
/// leaves behind.
Status hand_over(const Flags& flags, const fs::path& trainer, const NamedTensors& samples) {
  std::error_code failure;
  const fs::path folder = fs::temp_directory_path(failure);
  const fs::path file = (failure ? fs::path("/tmp") : folder) / fmt::format("disco-samples-{}.npz", getpid());
  DISCO_CHECK(write_npz(file, samples));
  const int descriptor = open(file.c_str(), O_RDONLY);
  unlink(file.c_str());
  if (descriptor < 0)
    return error(ErrorCode::Io, "{}: cannot be opened again: {}", file.string(), std::strerror(errno));
  std::vector<std::string> words = {"sparsify",        flags.split.model,
                                    "--samples",       fmt::format("/proc/self/fd/{}", descriptor),
                                    "--output",        flags.output,
                                    "--method",        flags.method,
                                    "--communication", fmt::format("{}", flags.communication),
                                    "--message-bytes", fmt::format("{}", flags.message_bytes),
                                    "--wire",          flags.wire,
                                    "--device",        flags.device,
                                    "--seed",          fmt::format("{}", flags.seed)};
  const auto add = [&](const char* name, const std::string& value) {
    words.emplace_back(name);
    words.push_back(value);
  };
  DISCO_TRY(const std::vector<double> shares, flags.split.parsed_shares());
  if (!shares.empty()) add("--shares", flags.split.shares);
  const int nodes = flags.split.nodes != 0 ? flags.split.nodes : static_cast<int>(shares.size());
  if (!flags.wire_only) add("--nodes", fmt::format("{}", nodes));
  if (flags.split.bands != 0) add("--bands", fmt::format("{}", flags.split.bands));
  if (flags.byte_power) add("--byte-power", fmt::format("{}", *flags.byte_power));
  if (flags.distil) add("--distil", fmt::format("{}", *flags.distil));
  if (flags.layer >= 0) add("--layer", fmt::format("{}", flags.layer));
  if (!flags.weights.empty()) add("--weights", fmt::format("{}", fmt::join(flags.weights, ",")));
  if (!flags.task.file.empty()) add("--task", flags.task.file);
  if (flags.norm == "local") words.emplace_back("--local-norms");
  if (flags.no_refit) words.emplace_back("--no-refit");
  if (flags.wire_only) words.emplace_back("--wire-only");
  if (flags.as_json) words.emplace_back("--json");
  if (isatty(STDERR_FILENO) == 1) words.emplace_back("--progress");
  return become_trainer(trainer, std::move(words));
}

Status sparsify(const Flags& flags) {
  DISCO_CHECK(check_writable(flags.output));
  DISCO_TRY(const fs::path trainer, find_trainer());
  if (!flags.wire_only && flags.split.nodes == 0 && flags.split.shares.empty()) {
    return error(ErrorCode::InvalidArgument,
                 "sparsify: say over how many nodes, with --nodes N or --shares 3,1");
  }
  if (flags.samples.empty()) {
    return error(ErrorCode::InvalidArgument,
                 "sparsify: give samples of what the model will see, with --calibrate FOLDER or FILE.npz");
  }
  if (flags.wire_only && flags.norm == "local") {
    return error(
        ErrorCode::InvalidArgument,
        "sparsify: --norm local changes what is computed, --wire-only leaves it as it is; give one of them");
  }
  DISCO_TRY(const Graph model, load_onnx(flags.split.model));
  DISCO_TRY(const NamedTensors samples, gather(flags, model));
  return hand_over(flags, trainer, samples);
}

}  // namespace

void add_sparsify(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("sparsify",
                                         "Chooses which features nodes send each other, within a budget, and "
                                         "fits the weights to that; needs samples, no labels");
  command->footer(kExamples);
  flags->split.add_to(*command);
  command
      ->add_option("-c,--communication", flags->communication,
                   "the share of the dense exchange's bytes that may travel, such as 0.2 for a fifth")
      ->type_name("SHARE")
      ->capture_default_str();
  command
      ->add_option(
          "--calibrate", flags->samples,
          "what the model will see: a data set as `disco eval --data` takes it (its train part; no classes "
          "needed), or .npz with an array for each input, first axis = samples; "
          "NAME=FILE for a model of several inputs, once for each")
      ->allow_extra_args(false)
      ->type_name("FILE");
  command->add_option("--samples", flags->most, "use at most so many, drawn with --seed")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("-o,--output", flags->output, "where to write the artifact, which is an ONNX file too")
      ->required()
      ->type_name("FILE");
  command
      ->add_option(
          "--method", flags->method,
          "disco, or what it is compared with: dense, independent, dense-then-split, split-then-aggregate")
      ->check(CLI::IsMember({"disco", "dense", "independent", "dense-then-split", "split-then-aggregate"}))
      ->type_name("METHOD")
      ->capture_default_str();
  command
      ->add_option("--layer", flags->layer,
                   "of dense-then-split and split-then-aggregate: the layer at which they change, in place "
                   "of the budget")
      ->check(CLI::NonNegativeNumber)
      ->type_name("K");
  add_norm(*command, flags->norm);
  command
      ->add_option(
          "--byte-power", flags->byte_power,
          fmt::format("features are kept by what they are worth / bytes^P: 1 for what hurts least at "
                      "once, more for small, deep features first, which refit and training make up for least "
                      "(default: {}, but 1 with --weights)",
                      kBytePower))
      ->check(CLI::Range(0.0, 4.0))
      ->type_name("P");
  command
      ->add_option("--message-bytes", flags->message_bytes,
                   "what a message costs beside its bytes: latency times bandwidth of the link; messages "
                   "that do not earn it are left out")
      ->check(CLI::NonNegativeNumber)
      ->type_name("BYTES")
      ->capture_default_str();
  command
      ->add_option("--weights", flags->weights,
                   "the share of the model's weights that a node may hold: one number for all nodes, or one "
                   "each, such as 0.36 (default: no limit)")
      ->delimiter(',')
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("SHARE[,SHARE]");
  command
      ->add_option("--wire", flags->wire,
                   "how features are written on the wire: fp32, fp16, or u8 with calibrated scales")
      ->check(CLI::IsMember({"fp32", "fp16", "u8"}))
      ->type_name("FORMAT")
      ->capture_default_str();
  command
      ->add_option("--distil", flags->distil,
                   "epochs over the samples in which the weights learn to answer as the dense model does "
                   "(default: what some minutes allow, up to 40, and as much of it as samples held out "
                   "say that helps)")
      ->check(CLI::Range(0, 100000))
      ->type_name("EPOCHS");
  command->add_flag("--no-refit", flags->no_refit, "leave the weights that remain as they are");
  command->add_flag("--wire-only", flags->wire_only,
                    "the model is an artifact: leave its weights and what it sends as they are, and only "
                    "calibrate --wire, such as after training");
  command->add_option("--device", flags->device, "cpu, cuda, or cuda:1 for the second GPU")
      ->type_name("DEVICE")
      ->capture_default_str();
  command->add_option("--seed", flags->seed, "of all that is drawn")
      ->type_name("SEED")
      ->capture_default_str();
  command->add_flag("--json", flags->as_json, "figures, for programs");
  flags->task.add_to(*command);
  flags->preset.add_to(*command);
  command->callback([flags, &action] { action = [flags] { return sparsify(*flags); }; });
}

}  // namespace disco::cli
