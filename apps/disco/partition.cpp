// disco partition and disco shard: the artifact, and a file a node.

#include <fmt/format.h>

#include <memory>

#include "command.h"
#include "graph/onnx.h"
#include "partition/cost.h"
#include "partition/local_norm.h"

namespace disco::cli {

namespace {

constexpr const char* kPartitionExamples =
    "Examples:\n"
    "  disco partition resnet50.onnx -n 4 -o split.onnx            four equal nodes\n"
    "  disco partition resnet50.onnx --shares 3,1 -o split.onnx    the first takes three quarters\n"
    "  disco partition deit.onnx -n 2 --norm local -o split.onnx   no round trip for normalisations\n"
    "  disco partition sparse.onnx --bands 2 -o banded.onnx        the same split, maps in two bands\n"
    "  disco run split.onnx --input dog.jpg --preset imagenet      runs on as many nodes as it says";
constexpr const char* kShardExamples =
    "Examples:\n"
    "  disco shard split.onnx -o shards                            as the artifact says\n"
    "  disco shard resnet50.onnx -n 2 -o shards                    split here and now\n"
    "  disco inspect shards/node1.onnx";

}  // namespace

void add_partition(CLI::App& app, Action& action) {
  struct Flags {
    SplitFlags split;
    std::string output, norm = "exact";
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("partition",
                         "Splits a model over nodes and writes the artifact.\n"
                         "It is the same ONNX model with the owner of every channel in its metadata. "
                         "Any ONNX tool still runs it on one machine; run, inspect, bench and shard "
                         "split it as it says.");
  command->footer(kPartitionExamples);
  flags->split.add_to(*command);
  command->add_option("-o,--output", flags->output, "where to write the artifact")
      ->required()
      ->type_name("FILE");
  add_norm(*command, flags->norm);
  command->callback([flags, &action] {
    action = [flags]() -> Status {
      DISCO_TRY(Graph model, load_onnx(flags->split.model));
      const bool says_how = model.metadata.contains(std::string(kPartitionKey)) && flags->split.bands != 0;
      if (flags->split.nodes == 0 && flags->split.shares.empty() && !says_how) {
        return error(ErrorCode::InvalidArgument,
                     "partition: say over how many nodes, with --nodes N or --shares 3,1");
      }
      DISCO_TRY(SplitModel result, split(model, flags->split));
      if (flags->norm == "local") {
        auto local = localise_norms(model, result.graph, result.plan);
        if (!local) return in_context(flags->split.model, local.error());
        model = std::move(*local);
        model.metadata[std::string(kPartitionKey)] = to_json(result.partition);
        SplitFlags as_it_says = flags->split;
        as_it_says.nodes = 0;
        as_it_says.shares.clear();
        DISCO_TRY(result, split(model, as_it_says));
      }
      DISCO_CHECK(save_artifact(std::move(model), result.partition, flags->output));
      const CostTable table = cost_table(result.graph, result.plan, result.shards);
      for (std::size_t r = 0; r < table.nodes.size(); ++r) {
        fmt::print("node {}: {:.3f} of the MACs, {:.3f} of the weights, sends {}\n", r,
                   static_cast<double>(table.nodes[r].macs) /
                       static_cast<double>(std::max<std::int64_t>(1, table.unsplit.macs)),
                   static_cast<double>(table.nodes[r].weight_bytes) /
                       static_cast<double>(std::max<std::int64_t>(1, table.unsplit.weight_bytes)),
                   human_bytes(static_cast<double>(table.nodes[r].bytes_sent)));
      }
      fmt::print("wrote {}\n", flags->output);
      return {};
    };
  });
}

void add_shard(CLI::App& app, Action& action) {
  struct Flags {
    SplitFlags split;
    std::string output;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("shard",
                                         "Writes a file a node: its slices of the weights and its program.\n"
                                         "It is an ONNX model with Send and Recv operators of the domain "
                                         "'disco', so a device that is given its file "
                                         "never sees the whole model. `disco inspect` shows what is in one.");
  command->footer(kShardExamples);
  flags->split.add_to(*command);
  command->add_option("-o,--output", flags->output, "the folder to write node0.onnx, node1.onnx … to")
      ->required()
      ->type_name("FOLDER");
  command->callback([flags, &action] {
    action = [flags]() -> Status {
      DISCO_TRY(const SplitModel model, load_and_split(flags->split));
      if (model.partition.nodes == 1) {
        return error(ErrorCode::InvalidArgument,
                     "{}: holds no partition; make one with `disco partition`, or give --nodes N",
                     flags->split.model);
      }
      DISCO_TRY(const auto files, save_shards(model.shards, flags->output));
      for (std::size_t rank = 0; rank < files.size(); ++rank) {
        fmt::print("wrote {} ({} of weights)\n", files[rank].string(),
                   human_bytes(static_cast<double>(total_cost(model.shards[rank]).weight_bytes)));
      }
      return {};
    };
  });
}

}  // namespace disco::cli
