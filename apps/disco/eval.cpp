// disco eval: how often an artifact is right, and what it sends for that, over real exchanges.

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "data_flags.h"
#include "evaluate.h"
#include "graph/onnx.h"

namespace disco::cli {

namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  disco eval sparse.onnx --data cifar-10-batches-bin --dense resnet20.onnx\n"
    "  disco eval resnet20.onnx --nodes 2 --data cifar-10-batches-bin      a dense exchange\n"
    "  disco eval sparse.onnx --data photos/ --preset imagenet --dense resnet50.onnx\n"
    "                                          without labels: how often it answers as the dense model does\n"
    "  disco eval sparse.onnx --data photos/ --preset imagenet --skip 256 --json\n"
    "                                          without the samples that it was calibrated on\n";

struct Flags {
  SplitFlags split;
  DataFlags data;
  TaskFlags task;
  EvaluateOptions evaluate;
  std::string dense;
  bool as_json = false;
};

std::string percent(double share) { return fmt::format("{:.2f} %", 100 * share); }

constexpr std::size_t kColumns = 3;  // of figures, in the first table

/// Figures that the first table has no room for, such as those of each class.
void print_rest(const Evaluation& evaluation) {
  if (!evaluation.measured || evaluation.measured->figures.size() <= kColumns) return;
  fmt::print("\n");
  Table table({"", "artifact", "dense"});
  for (std::size_t f = kColumns; f < evaluation.measured->figures.size(); ++f) {
    const Figure& figure = evaluation.measured->figures[f];
    table.add({figure.name, to_text(figure), evaluation.dense ? to_text(evaluation.dense->figures[f]) : "-"});
  }
  table.print();
}

void print(const Evaluation& evaluation) {
  fmt::print("{}: {} exchange over {} node{}, {} on the wire\n{} samples of {}\n\n", evaluation.model,
             as_one_line(evaluation.method), evaluation.nodes, evaluation.nodes == 1 ? "" : "s",
             evaluation.wire, evaluation.samples, evaluation.data);
  const auto share = [&](double bytes) {
    return evaluation.dense_bytes > 0 ? fmt::format("{:.4f}", bytes / evaluation.dense_bytes) : "-";
  };
  std::vector<std::string> header = {""};
  std::vector<std::string> artifact = {"artifact"}, dense = {"dense"};
  const auto column = [&](const char* title, std::string one, std::string other) {
    header.emplace_back(title);
    artifact.push_back(std::move(one));
    dense.push_back(std::move(other));
  };
  if (evaluation.measured) {
    const auto& figures = evaluation.measured->figures;
    for (std::size_t f = 0; f < std::min(figures.size(), kColumns); ++f) {
      column(figures[f].name.c_str(), to_text(figures[f]),
             evaluation.dense ? to_text(evaluation.dense->figures[f]) : "-");
    }
  }
  if (evaluation.agreement) column("agreement", percent(*evaluation.agreement), "");
  column("bytes a sample", human_bytes(evaluation.bytes()), human_bytes(evaluation.dense_bytes));
  column("of dense", share(evaluation.bytes()), share(evaluation.dense_bytes));
  Table table(header);
  table.add(artifact);
  table.add(dense);
  table.print();
  if (evaluation.measured && evaluation.measured->samples < evaluation.samples)
    fmt::print("{} samples do not say what is right and do not count\n",
               evaluation.samples - evaluation.measured->samples);
  print_rest(evaluation);
  if (evaluation.nodes == 1) return;
  fmt::print("\n");
  Table nodes({"", "sends a sample"});
  for (std::size_t rank = 0; rank < evaluation.node_bytes.size(); ++rank)
    nodes.add({fmt::format("node {}", rank), human_bytes(evaluation.node_bytes[rank])});
  nodes.print();
}

Status eval(const Flags& flags) {
  DISCO_TRY(const std::vector<NodeConfig> remote, flags.evaluate.cluster.remote_nodes());
  DISCO_TRY(const InputShapes shapes, flags.split.parsed_shapes());
  DISCO_TRY(Graph model, load_onnx(flags.split.model));
  resize_inputs(model, shapes.shapes);
  DISCO_TRY(const InputSlot input, only_input(model, shapes.shapes));
  SplitFlags split_flags = flags.split;
  DISCO_CHECK(check_stored_partition(model, split_flags));
  ClusterFlags::take_shares(model, remote, split_flags);
  DISCO_TRY(const std::optional<Task> known, flags.task.task(model));
  DISCO_TRY(const std::unique_ptr<DataSet> data, flags.data.open(input, known));
  if (data->truth_kind() == TruthKind::None && flags.dense.empty()) {
    return error(
        ErrorCode::InvalidArgument,
        "{}: no sample has a class, so nothing says what is right; give --dense MODEL.onnx to compare with "
        "the dense model, or add classes (see docs/eval.md)",
        flags.data.source);
  }
  DISCO_TRY(const SampleSplit sample, split_for_sample(model, split_flags, input, *data));
  DISCO_TRY(const Task task, task_for(flags.task, sample.split.graph));
  std::optional<Answered> dense;
  if (!flags.dense.empty()) {
    DISCO_TRY(Graph whole, load_onnx(flags.dense));
    resize_inputs(whole, shapes.shapes);
    DISCO_TRY(const InputSlot whole_input, only_input(whole, shapes.shapes));
    SplitFlags named = split_flags;
    named.model = flags.dense;
    DISCO_TRY(dense, answer_unsplit(whole, named, whole_input, *data, flags.evaluate, task));
  }
  DISCO_TRY(const Evaluation evaluation, evaluate(model, split_flags, input, *data, flags.evaluate, sample,
                                                  task, dense ? &*dense : nullptr));
  if (!flags.as_json) {
    print(evaluation);
    return {};
  }
  nlohmann::json document = to_json(evaluation);
  if (data->preset() != nullptr) document["preset"] = data->preset()->name;
  if (!flags.dense.empty()) document["dense_model"] = flags.dense;
  fmt::print("{}\n", document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  return {};
}

}  // namespace

void add_eval(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "eval",
      "Measures an artifact on a data set by its task's own figure, and the bytes that it sends.\n"
      "Nodes run as for `disco run`, and bytes are counted where they are sent. Beside "
      "it, the dense exchange's "
      "bytes, and the dense model's figures where --dense names it.");
  command->footer(kExamples);
  flags->split.add_to(*command);
  flags->data.add_to(*command);
  flags->task.add_to(*command);
  command
      ->add_option("--dense", flags->dense,
                   "the model that the artifact was made from: its figures are shown beside, and how far "
                   "both agree")
      ->type_name("MODEL");
  flags->evaluate.add_to(*command);
  command->add_flag("--json", flags->as_json, "figures, for programs");
  command->callback([flags, &action] { action = [flags] { return eval(*flags); }; });
}

}  // namespace disco::cli
