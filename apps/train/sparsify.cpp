// disco-train sparsify: chooses what to send, refits and distils.

#include "train/sparsify.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "data/npz.h"
#include "graph/onnx.h"
#include "graph/wire_format.h"
#include "partition/cost.h"
#include "reference/specialise.h"
#include "task/task.h"
#include "train/commands.h"
#include "train/device.h"

namespace disco::cli {

namespace {

struct Flags {
  std::string model, samples, output, task, method = "disco", wire = "fp32", device = "cpu";
  std::vector<double> shares, weights;
  int nodes = 2;
  double communication = 0.2;
  std::optional<double> byte_power;
  int bands = 0;
  std::int64_t message_bytes = 0, layer = -1, batch = 16;
  std::optional<std::int64_t> distil;
  std::uint64_t seed = 1;
  bool no_refit = false, wire_only = false, local_norms = false;
  bool progress = false;
  bool as_json = false;
};

/// What the artifact costs for one of the samples, beside the dense model.
Status report(const Flags& flags, const train::Sparsified& made, const NamedTensors& samples) {
  InputShapes shapes;
  for (const ValueId id : made.model.inputs) {
    const Value& value = made.model.value(id);
    Shape shape = samples.at(value.name).shape();
    shape[0] = value.dims && !value.dims->empty() && (*value.dims)[0].known() ? (*value.dims)[0].extent : 1;
    shapes.shapes[value.name] = shape;
  }
  DISCO_TRY(const Graph fixed, specialise(made.model, shapes));
  DISCO_TRY(const SplitPlan plan, plan_split(fixed, made.partition));
  DISCO_TRY(const std::vector<Graph> shards, make_shards(fixed, made.partition));
  const Cost whole = total_cost(fixed);
  const auto share = [](std::int64_t part, std::int64_t all) {
    return all == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(all);
  };
  nlohmann::json nodes = nlohmann::json::array();
  std::string lines;
  for (std::size_t rank = 0; rank < shards.size(); ++rank) {
    const Cost cost = total_cost(shards[rank]);
    nodes.push_back({{"macs", cost.macs},
                     {"weight_bytes", cost.weight_bytes},
                     {"bytes_sent", cost.bytes_sent},
                     {"messages_sent", cost.messages_sent}});
    lines +=
        fmt::format("node {}: {:.3f} of the MACs, {:.3f} of the weights, sends {} bytes in {} messages\n",
                    rank, share(cost.macs, whole.macs), share(cost.weight_bytes, whole.weight_bytes),
                    cost.bytes_sent, cost.messages_sent);
  }
  const double communication = share(made.bytes, made.dense_bytes);
  const train::Distilled& distilled = made.distilled;
  if (distilled.held_out > 0) {
    lines += fmt::format("distilled in {} epochs: {} held-out samples are answered ", distilled.epochs,
                         distilled.held_out);
    lines +=
        distilled.part > 0.0
            ? fmt::format("{:.4g} from the dense model, {:.4g} before{}\n", distilled.after, distilled.before,
                          distilled.part < 1.0
                              ? fmt::format(", with {:.0f} % of what was learnt", 100 * distilled.part)
                              : "")
            : fmt::format(
                  "no closer to the dense model than before ({:.4g}), so the weights stay as the "
                  "refit left them\n",
                  distilled.before);
  }
  if (flags.as_json) {
    const nlohmann::json document = {{"output", flags.output},
                                     {"method", flags.method},
                                     {"bytes_per_inference", made.bytes},
                                     {"dense_bytes_per_inference", made.dense_bytes},
                                     {"communication", communication},
                                     {"macs", whole.macs},
                                     {"weight_bytes", whole.weight_bytes},
                                     {"nodes", nodes},
                                     {"distillation",
                                      {{"epochs", distilled.epochs},
                                       {"part", distilled.epochs > 0 ? distilled.part : 0.0},
                                       {"held_out", distilled.held_out},
                                       {"distance_before", distilled.before},
                                       {"distance_after", distilled.after}}}};
    fmt::print("{}\n", document.dump(2));
  } else {
    fmt::print("{} of {} bytes travel for one inference: {:.4f}\n{}wrote {}\n", made.bytes, made.dense_bytes,
               communication, lines, flags.output);
  }
  return {};
}

Status run_sparsify(const Flags& flags) {
  train::SparsifyOptions options;
  options.nodes = flags.nodes;
  options.shares = flags.shares;
  DISCO_TRY(options.method, method_from(flags.method));
  options.budget = {flags.communication, flags.message_bytes};
  options.byte_power = flags.byte_power;
  options.bands = flags.bands;
  options.weight_shares = flags.weights;
  if (flags.layer >= 0) options.layer = flags.layer;
  options.refit = !flags.no_refit;
  options.local_norms = flags.local_norms;
  options.wire_only = flags.wire_only;
  options.distil_epochs = flags.distil;
  options.wire = wire_type_from(flags.wire);
  options.batch = flags.batch;
  options.seed = flags.seed;
  DISCO_TRY(options.device, train::device_from(flags.device));
  if (flags.progress) {
    options.progress = [](const std::string& stage, std::size_t done, std::size_t total) {
      fmt::print(stderr, "\r\033[K{} {}/{}", stage, done, total);
      std::fflush(stderr);
    };
  }
  DISCO_TRY(Graph model, load_onnx(flags.model));
  if (!flags.task.empty()) {
    // The artifact says it from then on.
    DISCO_TRY(Task task, load_task(flags.task));
    if (const Status suits = check_task(task, model); !suits) return in_context(flags.task, suits.error());
    model.metadata[std::string(kTaskKey)] = to_json(task);
  }
  DISCO_TRY(const NamedTensors samples, read_npz(flags.samples));
  auto made = train::sparsify(model, samples, options);
  if (flags.progress) fmt::print(stderr, "\r\033[K");
  if (!made) return in_context(flags.model, made.error());
  DISCO_CHECK(save_onnx(made->model, flags.output));
  return report(flags, *made, samples);
}

}  // namespace

void add_sparsify(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("sparsify", "Chooses what to send, and refits");
  command->add_option("model", flags->model, "ONNX file")->required();
  command->add_option("--samples", flags->samples, ".npz with an array a model input, first axis = samples")
      ->required();
  command->add_option("-o,--output", flags->output, "the artifact")->required();
  command->add_option("--task", flags->task, "what the outputs mean, where the model does not say it");
  command->add_option("--nodes", flags->nodes)->check(CLI::Range(1, kMostNodes));
  command->add_option("--shares", flags->shares)->delimiter(',');
  command->add_option("--weights", flags->weights)->delimiter(',');
  command->add_option("--method", flags->method);
  command->add_option("--communication", flags->communication);
  command->add_option("--message-bytes", flags->message_bytes)->check(CLI::NonNegativeNumber);
  command->add_option("--bands", flags->bands)->check(CLI::Range(1, kMostChosenBands));
  command->add_option("--byte-power", flags->byte_power)->check(CLI::Range(0.0, 4.0));
  command->add_option("--layer", flags->layer);
  command->add_option("--distil", flags->distil)->check(CLI::NonNegativeNumber);
  command->add_option("--batch", flags->batch)->check(CLI::PositiveNumber);
  command->add_option("--wire", flags->wire)->check(CLI::IsMember({"fp32", "fp16", "u8"}));
  command->add_option("--device", flags->device);
  command->add_option("--seed", flags->seed);
  command->add_flag("--no-refit", flags->no_refit);
  command->add_flag("--local-norms", flags->local_norms);
  command->add_flag("--wire-only", flags->wire_only);
  command->add_flag("--progress", flags->progress);
  command->add_flag("--json", flags->as_json);
  command->callback([flags, &action] { action = [flags] { return run_sparsify(*flags); }; });
}

}  // namespace disco::cli
