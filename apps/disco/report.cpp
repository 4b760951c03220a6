// disco report: several artifacts of one model beside each other, as a page and as JSON.

#include "report/report.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "base/file.h"
#include "data_flags.h"
#include "evaluate.h"
#include "graph/onnx.h"

namespace disco::cli {

namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  disco report resnet20.onnx half.onnx fifth.onnx tenth.onnx --data cifar-10-batches-bin -o "
    "report.html\n"
    "  disco report resnet50.onnx sparse*.onnx --data photos/ --preset imagenet -o report.html --json "
    "report.json\n";

struct Flags {
  SplitFlags dense;  ///< model and --shape only
  std::vector<std::string> artifacts;
  DataFlags data;
  TaskFlags task;
  EvaluateOptions evaluate;
  std::string output, json;
};

Status report_one(const Flags& flags, const std::string& file, const DataSet& data, const Task& task,
                  const Answered& dense, Report& report) {
  SplitFlags split_flags = flags.dense;
  split_flags.model = file;
  DISCO_TRY(const InputShapes shapes, split_flags.parsed_shapes());
  DISCO_TRY(Graph model, load_onnx(file));
  resize_inputs(model, shapes.shapes);
  if (!model.metadata.contains(std::string(kPartitionKey))) {
    return error(
        ErrorCode::InvalidArgument,
        "{}: is no artifact: nothing in it says over which nodes it is split; `disco sparsify` and `disco "
        "partition` make artifacts",
        file);
  }
  DISCO_TRY(const InputSlot input, only_input(model, shapes.shapes));
  DISCO_TRY(const SampleSplit sample, split_for_sample(model, split_flags, input, data));
  DISCO_TRY(ArtifactReport artifact, picture_of(sample.split, sample.batch));
  DISCO_TRY(artifact.evaluation,
            evaluate(model, split_flags, input, data, flags.evaluate, sample, task, &dense));
  report.artifacts.push_back(std::move(artifact));
  return {};
}

Status make_report(const Flags& flags) {
  for (const std::string& path : {flags.output, flags.json}) {
    if (!path.empty()) DISCO_CHECK(check_writable(path));
  }
  DISCO_TRY(const InputShapes shapes, flags.dense.parsed_shapes());
  DISCO_TRY(Graph model, load_onnx(flags.dense.model));
  resize_inputs(model, shapes.shapes);
  DISCO_TRY(const InputSlot input, only_input(model, shapes.shapes));
  DISCO_TRY(const std::optional<Task> known, flags.task.task(model));
  DISCO_TRY(const std::unique_ptr<DataSet> data, flags.data.open(input, known));
  DISCO_TRY(const SampleSplit whole, split_for_sample(model, flags.dense, input, *data));
  DISCO_TRY(const Task task, task_for(flags.task, whole.split.graph));
  DISCO_TRY(const Answered dense, answer_unsplit(model, flags.dense, input, *data, flags.evaluate, task));
  Report report;
  report.model = flags.dense.model;
  report.data = data->about();
  report.preset = data->preset() != nullptr ? data->preset()->name : "";
  report.samples = data->size();
  report.dense = dense.measured;
  for (const std::string& file : flags.artifacts)
    DISCO_CHECK(report_one(flags, file, *data, task, dense, report));
  const std::string page = to_html(report);
  DISCO_CHECK(write_file(flags.output, std::as_bytes(std::span(page))));
  if (!flags.json.empty()) {
    const std::string text =
        to_json(report).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    DISCO_CHECK(write_file(flags.json, std::as_bytes(std::span(text))));
  }
  fmt::print("wrote {}{}\n", flags.output, flags.json.empty() ? "" : " and " + flags.json);
  return {};
}

}  // namespace

void add_report(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("report",
                                         "Compares artifacts of one model on a data set: a page to look at.\n"
                                         "The curve of quality against bytes, what each node computes and "
                                         "holds, and what is kept of every layer, "
                                         "from answers over real exchanges.");
  command->footer(kExamples);
  command->add_option("model", flags->dense.model, "the dense model, an ONNX file")->required();
  command->add_option("artifacts", flags->artifacts, "made from it by `disco sparsify` or `disco partition`")
      ->required()
      ->type_name("ARTIFACT");
  command->add_option("-o,--output", flags->output, "where to write the page")
      ->required()
      ->type_name("FILE.html");
  command->add_option("--json", flags->json, "also write all that the page shows, for programs")
      ->type_name("FILE");
  command
      ->add_option("--shape", flags->dense.shapes,
                   "extents of the input, such as input:1,3,64,64, where the model leaves them open")
      ->allow_extra_args(false)
      ->type_name("NAME:EXTENTS");
  flags->data.add_to(*command);
  flags->task.add_to(*command);
  flags->evaluate.add_to(*command);
  command->callback([flags, &action] { action = [flags] { return make_report(*flags); }; });
}

}  // namespace disco::cli
