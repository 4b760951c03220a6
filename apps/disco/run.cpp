// disco run: one answer, or one for each image of a folder, from a model that is split over nodes.

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "answers.h"
#include "base/file.h"
#include "cluster_flags.h"
#include "command.h"
#include "data/npz.h"
#include "data_flags.h"
#include "difference.h"
#include "engine.h"
#include "enlarge.h"
#include "feed.h"
#include "graph/onnx.h"
#include "preset_flags.h"
#include "samples.h"

namespace disco::cli {

namespace {

using nlohmann::json;

constexpr const char* kExamples =
    "Examples:\n"
    "  disco run resnet50.onnx --nodes 2 --input dog.jpg --preset imagenet --top 5 --labels labels.txt\n"
    "  disco run resnet50.onnx --nodes 4 --input photos/ --preset imagenet --batch 8 --output scores.npz\n"
    "  disco run model.onnx --shares 3,1 --input x.npz --output y.npz --verify\n"
    "  disco run bert.onnx --nodes 2 --input input_ids=ids.npy --input attention_mask=mask.npy\n"
    "  disco run mobilenet.onnx --input cat.png --resize 256 --crop 224 --scale 1/127.5 --mean 1 --std 1\n"
    "  disco run ssd.onnx --nodes 2 --input street.jpg --picture found.png\n"
    "  disco run esrgan.onnx --nodes 2 --input small.png --picture large.png\n"
    "  disco run resnet50.onnx --cluster cluster.toml --input dog.jpg --preset my.toml --json\n";

struct Flags {
  SplitFlags split;
  ClusterFlags cluster;
  PresetFlags preset;
  std::vector<std::string> inputs;
  int batch = 0;
  std::string output;
  int top = 0;
  std::string labels;
  bool verify = false;
  bool as_json = false;
  std::string trace;
  TaskFlags task;
  TileFlags tiles;
  std::string picture;
  double least = 0.3;
};

std::string to_text(const Difference& difference) {
  return fmt::format("max |difference| from the unsplit run {:.2e}, {:.2e} of max |{}| = {:.6g}",
                     difference.absolute, difference.relative, difference.output, difference.largest);
}

void print(const Answers& answers, const Samples& samples) {
  answers.print();
  const std::size_t nodes = samples.statistics.front().size();
  const std::string on = fmt::format("on {} node{}", nodes, nodes == 1 ? "" : "s");
  const std::size_t runs = samples.latency.size();
  if (runs == 1) {
    fmt::print("\nlatency {:.2f} ms {}\n", samples.latency.front(), on);
  } else {
    fmt::print("\nlatency of {} runs {}: median {:.2f} ms, p95 {:.2f} ms, min {:.2f} ms\n", runs, on,
               quantile(samples.latency, 0.5), quantile(samples.latency, 0.95),
               quantile(samples.latency, 0.0));
  }
  Table table({runs == 1 ? "" : "a run", "compute", "pack", "wait", "sent", "messages", "peak memory"});
  for (std::size_t r = 0; r < nodes; ++r) {
    const auto ms = [&](double RunStatistics::*field) {
      return fmt::format("{:.2f} ms", samples.median_of(r, field));
    };
    const RunStatistics& last = samples.statistics.back()[r];
    table.add({fmt::format("node {}", r), ms(&RunStatistics::compute_ms), ms(&RunStatistics::pack_ms),
               ms(&RunStatistics::wait_ms), human_bytes(static_cast<double>(last.bytes_sent)),
               fmt::format("{}", last.messages_sent), human_bytes(static_cast<double>(last.peak_rss_bytes))});
  }
  table.print();
}

json to_json(const Difference& difference) {
  return {{"max_abs_difference", difference.absolute},
          {"max_rel_difference", difference.relative},
          {"max_abs_output", difference.largest},
          {"output", difference.output},
          {"tolerance", kTolerance},
          {"ok", difference.is_rounding()}};
}

Result<AnswerOptions> options_of(const Flags& flags) {
  AnswerOptions options;
  options.top = flags.top;
  options.keep_outputs = !flags.output.empty();
  options.picture = flags.picture;
  options.least = flags.least;
  if (flags.labels.empty()) return options;
  DISCO_TRY(options.labels, load_labels(flags.labels));
  options.labels_file = flags.labels;
  if (options.top == 0) options.top = 5;
  return options;
}

/// Whether the artifact's features travel in fewer bits, so that the split answer is a rounded one.
bool is_rounded_on_wire(const Graph& model, const SplitFlags& split) {
  if (!split.shares.empty()) return false;
  const auto partition = stored_partition(model, split.nodes);
  return partition && *partition && !(*partition)->wire.empty();
}

/// What all runs together found out.
struct Report {
  Answers answers;
  Samples samples;
  Difference difference;
};

/// The task by which images are answered: classifiers without a picture are told by --top and --labels.
Result<std::optional<Task>> task_of_run(const Flags& flags, const Graph& model, const Feed& feed) {
  DISCO_TRY(std::optional<Task> task, flags.task.task(model));
  const bool images = !feed.images().empty();
  if (!flags.picture.empty()) {
    if (!images) {
      return error(ErrorCode::InvalidArgument, "--picture {}: shows images, but the input is an array",
                   flags.picture);
    }
    if (!task) {
      return error(ErrorCode::InvalidArgument,
                   "--picture {}: nothing says what the model's answers mean; see --task", flags.picture);
    }
  }
  const bool told = images && task && (task->kind != TaskKind::Classification || !flags.picture.empty());
  if (!told) return std::optional<Task>();
  return task;
}

/// A folder for the pictures of several images, or a file for that of one.
Status prepare_pictures(const Flags& flags, const Feed& feed) {
  if (flags.picture.empty()) return {};
  std::error_code problem;
  const bool several = feed.images().size() > 1;
  if (several || flags.picture.ends_with('/')) {
    std::filesystem::create_directories(flags.picture, problem);
    if (!std::filesystem::is_directory(flags.picture)) {
      return error(ErrorCode::InvalidArgument, "--picture {}: {} images need a folder{}", flags.picture,
                   feed.images().size(), problem ? ": " + problem.message() : "");
    }
  }
  return std::filesystem::is_directory(flags.picture, problem) ? Status() : check_writable(flags.picture);
}

/// A run whose outputs somebody else puts together.
Result<NamedTensors> run_one(const Flags& flags, const NamedTensors& inputs, Engine& engine, Report& report) {
  DISCO_TRY(RunResult result, engine.run(inputs, /*trace=*/!flags.trace.empty(), /*last_shape=*/false));
  report.samples.add(result);
  if (flags.verify) {
    DISCO_TRY(const NamedTensors want, engine.run_whole(inputs));
    report.difference.add(want, result.outputs);
  }
  if (!flags.trace.empty()) DISCO_CHECK(write_trace(flags.trace, result.traces));
  return std::move(result.outputs);
}

/// Runs everything that the feed gives.
Status run_rounds(const Flags& flags, Feed& feed, Engine& engine, Report& report) {
  Progress progress("run", feed.rounds());
  for (std::size_t number = 0; number < feed.rounds(); ++number) {
    DISCO_TRY(const Round round, feed.round(number));
    const bool is_last = number + 1 == feed.rounds();
    const bool trace = !flags.trace.empty() && is_last;
    DISCO_TRY(const RunResult result, engine.run(round.inputs, trace, is_last || feed.has_one_shape()));
    report.samples.add(result);
    DISCO_CHECK(report.answers.add(feed, round, result.outputs));
    if (flags.verify) {
      DISCO_TRY(const NamedTensors want, engine.run_whole(round.inputs));
      report.difference.add(want, result.outputs);
    }
    if (trace) DISCO_CHECK(write_trace(flags.trace, result.traces));
    progress.step(number + 1);
  }
  return {};
}

Status run(const Flags& flags) {
  DISCO_TRY(AnswerOptions answers_wanted, options_of(flags));
  DISCO_TRY(const Preset preset, flags.preset.preset());
  DISCO_TRY(const std::vector<NodeConfig> remote, flags.cluster.remote_nodes());
  DISCO_TRY(const InputShapes shapes, flags.split.parsed_shapes());
  // A run can take long: what cannot be written in the end is better said in the beginning.
  for (const std::string& path : {flags.output, flags.trace, flags.preset.save}) {
    if (!path.empty()) DISCO_CHECK(check_writable(path));
  }
  DISCO_TRY(Graph model, load_onnx(flags.split.model));
  resize_inputs(model, shapes.shapes);
  DISCO_TRY(Feed feed, Feed::open(input_slots(model, shapes.shapes), {flags.inputs, flags.batch, preset}));
  if (feed.takes_raw_pixels()) DISCO_CHECK(flags.preset.check_raw());
  DISCO_TRY(answers_wanted.task, task_of_run(flags, model, feed));
  DISCO_CHECK(prepare_pictures(flags, feed));
  const std::optional<Task> task = answers_wanted.task;
  SplitFlags split_flags = flags.split;
  ClusterFlags::take_shares(model, remote, split_flags);
  const std::string input = model.inputs.empty() ? "" : model.value(model.inputs.front()).name;
  std::vector<std::string> output_names;
  for (const ValueId id : model.outputs) output_names.push_back(model.value(id).name);

  const bool rounded = is_rounded_on_wire(model, split_flags);
  Report report{Answers(std::move(answers_wanted), std::move(output_names)), {}, {}};
  Engine engine(std::move(model), std::move(split_flags), flags.cluster, flags.verify);
  // Arrays of answers hold what the network said to whole images.
  const bool by_tiles = task && task->kind == TaskKind::SuperResolution && flags.output.empty();
  if (by_tiles) {
    const auto run_tile = [&](const NamedTensors& inputs) { return run_one(flags, inputs, engine, report); };
    DISCO_CHECK(enlarge_all({*task, feed, flags.tiles, input, run_tile}, report.answers));
  } else {
    DISCO_CHECK(run_rounds(flags, feed, engine, report));
  }

  const bool is_right = !flags.verify || rounded || report.difference.is_rounding();
  if (is_right && !flags.output.empty()) DISCO_CHECK(write_npz(flags.output, report.answers.outputs()));
  DISCO_CHECK(flags.preset.save_file(preset));
  const bool has_images = !feed.images().empty();
  if (flags.as_json) {
    json document = report.answers.to_json();
    document.update(report.samples.to_json());
    document["runs"] = report.samples.latency.size();
    if (task) document["task"] = to_string(task->kind);
    document["model"] = flags.split.model;
    if (has_images) document["preset"] = preset.name;
    if (flags.verify) document["verify"] = to_json(report.difference);
    fmt::print("{}\n", document.dump(2, ' ', false, json::error_handler_t::replace));
  } else {
    print(report.answers, report.samples);
    if (has_images && !flags.preset.any())
      fmt::print("images became tensors by the preset unit, as none was given; see --preset\n");
    if (flags.verify) {
      fmt::print("verified: {}{}\n", to_text(report.difference),
                 rounded ? "; the artifact rounds features on the wire" : "");
    }
    if (is_right && !flags.output.empty()) fmt::print("wrote {}\n", flags.output);
  }
  if (is_right) return {};
  return error(ErrorCode::Internal, "the split answer is wrong: {}, {:.0e} is allowed{}; please report it",
               to_text(report.difference), kTolerance,
               flags.output.empty() ? "" : fmt::format("; {} was not written", flags.output));
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "run", "Splits a model over nodes, runs it on arrays or images, and shows or writes the answers");
  command->footer(kExamples);
  flags->split.add_to(*command);
  command
      ->add_option("-i,--input", flags->inputs,
                   "an image (.jpg, .png), a folder of images, .npy, or .npz with an array for each input; "
                   "NAME=FILE for a model of several inputs, once for each")
      ->allow_extra_args(false)
      ->type_name("FILE");
  command
      ->add_option(
          "-o,--output", flags->output,
          "write an .npz with an array for each output; those of a folder are stacked in file-name order")
      ->type_name("FILE");
  command
      ->add_option(
          "--batch", flags->batch,
          "images, or rows of arrays, in one run (default: the model's; where it is open, one image, "
          "or all rows)")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("B");
  command->add_option("--top", flags->top, "show the K best classes (default: 5 with --labels)")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("K");
  command
      ->add_option(
          "--labels", flags->labels,
          "names of the classes, one a line; or lines of image file, class and name with tabs between "
          "them: then the accuracy on a folder is shown too")
      ->type_name("FILE");
  command->add_flag(
      "--verify", flags->verify,
      "also run the unsplit model in this process, and fail where max |difference| is over 1e-4 "
      "of max |output|");
  command
      ->add_option(
          "--picture", flags->picture,
          "draw the answer on the image: boxes with names, colours of classes with a legend, the enlarged "
          "image, or the best classes; a .png, or a folder for several images")
      ->type_name("FILE.png");
  command->add_option("--least", flags->least, "leave out boxes of a lower score")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("SCORE")
      ->capture_default_str();
  flags->tiles.add_to(*command);
  flags->task.add_to(*command);
  command->add_flag("--json", flags->as_json, "answers and figures, for programs");
  command->add_option("--trace", flags->trace, "write the last run as Chrome trace JSON (opens in Perfetto)")
      ->type_name("FILE");
  flags->preset.add_to(*command);
  flags->cluster.add_to(*command);
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace disco::cli
