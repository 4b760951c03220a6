// disco-train train.

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "graph/onnx.h"
#include "train/commands.h"
#include "train/device.h"
#include "train/train_flags.h"
#include "train/trainer.h"

namespace disco::cli {

namespace {

using train::EpochReport;

Result<train::TrainOptions> options_of(const TrainFlags& flags) {
  train::TrainOptions options;
  options.epochs = flags.epochs;
  options.batch = flags.batch;
  options.optimiser = flags.optimiser == "sgd" ? train::Optimiser::Sgd : train::Optimiser::AdamW;
  options.learning_rate = flags.rate;
  options.warmup = flags.warmup;
  options.momentum = flags.momentum;
  options.weight_decay = flags.decay;
  options.average = flags.average;
  const bool taught = !flags.teacher.empty();
  options.objective.distillation = taught ? flags.distillation : 0.0;
  options.objective.labels = flags.labels >= 0.0 ? flags.labels : (taught ? 0.0 : 1.0);
  options.objective.hints = flags.hints;
  options.objective.temperature = flags.temperature;
  options.objective.label_smoothing = flags.smoothing;
  if (!flags.augmentation.empty()) {
    DISCO_TRY(options.augmentation, train::augmentation_from(flags.augmentation));
  }
  options.wire = wire_type_from(flags.wire);
  options.reset = flags.from_scratch;
  options.hold_statistics = flags.hold_statistics;
  if (flags.hold_statistics && flags.from_scratch)
    return error(ErrorCode::InvalidArgument, "--hold-statistics: with --from-scratch there are none to hold");
  options.enlargement.pixels = flags.pixels;
  options.enlargement.features = flags.features;
  options.enlargement.perceptual = flags.perceptual_weight;
  options.enlargement.adversarial = flags.adversarial_weight;
  if (!flags.perceptual.empty()) {
    DISCO_TRY(options.enlargement.classifier, load_onnx(flags.perceptual));
  }
  if (!flags.discriminator.empty()) {
    DISCO_TRY(options.enlargement.discriminator, load_onnx(flags.discriminator));
  }
  options.bfloat16 = flags.precision == "bf16";
  if (flags.tighten > 0.0) {
    options.tightening = flags.schedule == "cubic" ? train::Tightening::Cubic : train::Tightening::GroupLasso;
    options.tighten_epochs = flags.tighten;
    if (flags.tighten >= static_cast<double>(flags.epochs)) {
      return error(ErrorCode::InvalidArgument,
                   "--tighten {} leaves none of the {} epochs to learn with what is sent in the end",
                   flags.tighten, flags.epochs);
    }
  }
  if (flags.communication > 0.0) options.communication = flags.communication;
  options.lasso = flags.lasso;
  options.seed = flags.seed;
  DISCO_TRY(options.device, train::device_from(flags.device));
  options.loaders = flags.loaders;
  options.checkpoint = flags.checkpoint;
  options.checkpoint_steps = flags.checkpoint_steps;
  options.resume = flags.resume;
  if (flags.resume && flags.checkpoint.empty())
    return error(ErrorCode::InvalidArgument, "--resume: from which --checkpoint?");
  if (flags.rank >= flags.processes)
    return error(ErrorCode::InvalidArgument, "--rank {} of --processes {}", flags.rank, flags.processes);
  return options;
}

/// As asked, else NCCL where every process has a GPU of its own.
train::Backend backend_of(const TrainFlags& flags, at::Device device) {
  if (!flags.backend.empty()) return flags.backend == "nccl" ? train::Backend::Nccl : train::Backend::Gloo;
  const bool enough =
      flags.rank >= 0 || flags.processes <= train::gpu_count();  // ranks by hand: one a machine
  return device.is_cuda() && enough && train::has_backend(train::Backend::Nccl) ? train::Backend::Nccl
                                                                                : train::Backend::Gloo;
}

/// Other processes of this machine, which end with this one.
class Helpers {
 public:
  Status start(const TrainFlags& flags, const std::vector<std::string>& words, train::Backend backend) {
    for (int rank = 1; rank < flags.processes; ++rank) {
      std::vector<std::string> line = {"disco-train"};
      line.insert(line.end(), words.begin(), words.end());
      line.insert(line.end(), {"--rank", fmt::format("{}", rank), "--backend",
                               backend == train::Backend::Nccl ? "nccl" : "gloo"});
      if (flags.device == "cuda")
        line.insert(line.end(), {"--device", fmt::format("cuda:{}", rank % train::gpu_count())});
      std::vector<char*> pointers;
      for (std::string& word : line) pointers.push_back(word.data());
      pointers.push_back(nullptr);
      const pid_t parent = getpid();
      const pid_t child = fork();
      if (child < 0) return error(ErrorCode::Io, "cannot start another process: {}", std::strerror(errno));
      if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        execv("/proc/self/exe", pointers.data());
        _exit(127);
      }
      children_.push_back(child);
    }
    return {};
  }
  ~Helpers() {
    for (const pid_t child : children_) kill(child, SIGTERM);
    for (const pid_t child : children_) waitpid(child, nullptr, 0);
  }
  /// Lets them end by themselves.
  void join() {
    for (const pid_t child : children_) waitpid(child, nullptr, 0);
    children_.clear();
  }

 private:
  std::vector<pid_t> children_;
};

std::string to_line(const EpochReport& report, std::int64_t epochs) {
  std::string line = fmt::format("epoch {}/{}  loss {:.4f}", report.epoch, epochs, report.loss);
  if (report.train_top1 >= 0) line += fmt::format("  train {:.2f} %", 100 * report.train_top1);
  if (report.validation)
    line += fmt::format("  validation {} {}", report.validation->name, to_text(*report.validation));
  if (report.communication < 1) line += fmt::format("  sends {:.4f}", report.communication);
  return line;
}

/// The data set and what is looked at after every epoch.
struct Sets {
  std::unique_ptr<DataSet> training, validation;
};

Result<Sets> open_sets(const TrainFlags& flags, const Graph& model, const std::optional<Task>& task) {
  const std::vector<InputSlot> slots = input_slots(model, {});
  if (slots.size() != 1)
    return error(ErrorCode::InvalidArgument, "{}: the model has {} inputs; training takes models of one",
                 flags.model, slots.size());
  DataSetOptions options;
  options.source = flags.data;
  options.part = flags.part;
  options.limit = flags.limit;
  options.skip = flags.skip;
  options.seed = flags.seed;
  if (task) ask_for_truth(*task, options);
  if (flags.preset.any()) {
    DISCO_TRY(options.preset, flags.preset.preset());
  }
  Sets sets;
  DISCO_TRY(sets.training, open_data_set(options, &slots[0]));
  if (flags.validate_part == "none") return sets;
  if (!flags.validate.empty()) options.source = flags.validate;
  options.part = flags.validate_part;
  options.limit = flags.validate_limit;
  options.skip = 0;
  auto validation = open_data_set(options, &slots[0]);
  if (validation) {
    sets.validation = std::move(*validation);
  } else if (!flags.validate.empty()) {
    return validation.error();
  }
  return sets;
}

Status run_train(const TrainFlags& flags, const std::vector<std::string>& words) {
  DISCO_TRY(train::TrainOptions options, options_of(flags));
  DISCO_CHECK(check_writable(flags.output));
  if (!flags.checkpoint.empty()) DISCO_CHECK(check_writable(flags.checkpoint));
  DISCO_TRY(const Graph model, load_onnx(flags.model));
  std::optional<Graph> teacher;
  if (!flags.teacher.empty()) {
    DISCO_TRY(teacher, load_onnx(flags.teacher));
  }
  if (flags.task.empty()) {
    DISCO_TRY(options.task, task_of(model));
  } else {
    DISCO_TRY(options.task, load_task(flags.task));
  }
  DISCO_TRY(const Sets sets, open_sets(flags, model, options.task));
  Helpers helpers;
  std::unique_ptr<train::Group> group;
  if (flags.processes > 1) {
    train::GroupOptions grouping;
    grouping.backend = backend_of(flags, options.device);
    if (flags.rank < 0) DISCO_CHECK(helpers.start(flags, words, grouping.backend));
    grouping.address = flags.join;
    grouping.rank = std::max(flags.rank, 0);
    grouping.size = flags.processes;
    grouping.deadline = std::chrono::seconds(std::max(1L, std::lround(flags.deadline)));
    grouping.device = options.device;
    DISCO_TRY(group, train::join_group(grouping));
  }
  if (flags.threads > 0) at::set_num_threads(flags.threads);
  const bool leads = flags.rank <= 0;

  std::string log;
  const auto record = [&](const std::string& line) -> Status {
    log += line + "\n";
    return flags.log.empty() ? Status() : write_file(flags.log, std::as_bytes(std::span(log)));
  };
  Status logged;
  if (leads) {
    std::string command = "# disco";
    for (const std::string& word : words) command += " " + word;
    DISCO_CHECK(record(command));
  }
  train::TrainWatch watch;
  if (leads) {
    const bool terminal = isatty(STDERR_FILENO) == 1;
    if (terminal) {
      watch.on_step = [](std::int64_t epoch, std::int64_t step, std::int64_t steps, double loss) {
        fmt::print(stderr, "\r\033[Kepoch {} step {}/{} loss {:.4f}", epoch, step, steps, loss);
        std::fflush(stderr);
      };
    }
    watch.on_epoch = [&, terminal](const EpochReport& report) {
      fmt::print(stderr, "{}{}\n", terminal ? "\r\033[K" : "", to_line(report, flags.epochs));
      if (logged) logged = record(to_json(report).dump());
    };
  }
  auto trained = train::train(model, teacher ? &*teacher : nullptr, {*sets.training, sets.validation.get()},
                              options, group.get(), watch);
  if (!trained) return in_context(flags.model, trained.error());
  helpers.join();
  if (!leads) return {};
  DISCO_CHECK(logged);
  DISCO_CHECK(save_onnx(trained->model, flags.output));
  if (flags.as_json) {
    nlohmann::json history = nlohmann::json::array();
    for (const EpochReport& report : trained->history) history.push_back(to_json(report));
    fmt::print("{}\n", nlohmann::json{{"output", flags.output}, {"epochs", history}}.dump(2));
  } else {
    fmt::print("wrote {}\n", flags.output);
  }
  return {};
}

}  // namespace

void add_train(CLI::App& app, Action& action, const std::vector<std::string>& words) {
  auto flags = std::make_shared<TrainFlags>();
  CLI::App* command = app.add_subcommand("train", "Trains a model or an artifact");
  flags->add_to(*command);
  command->callback(
      [flags, &action, words] { action = [flags, words] { return run_train(*flags, words); }; });
}

}  // namespace disco::cli
