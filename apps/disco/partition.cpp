// disco partition and disco shard: the artifact, and a file a node.

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "graph/onnx.h"
#include "partition/cost.h"

namespace disco::cli {

void add_partition(CLI::App& app, Action& action) {
  struct Flags {
    SplitFlags split;
    std::string output;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("partition",
                                         "Splits a model over nodes and writes the artifact: the same ONNX "
                                         "model, with the owners in its metadata");
  flags->split.add_to(*command);
  command->add_option("-o,--output", flags->output, "where to write the artifact")->required();
  command->callback([flags, &action] {
    action = [flags]() -> Status {
      if (flags->split.nodes == 0 && flags->split.shares.empty()) {
        return error(ErrorCode::InvalidArgument,
                     "partition: say over how many nodes, with --nodes N or --shares 3,1");
      }
      DISCO_TRY(Graph model, load_onnx(flags->split.model));
      DISCO_TRY(const SplitModel result, split(model, flags->split));
      // The artifact is the user's model with its own symbolic shapes, not the specialised copy.
      model.metadata[std::string(kPartitionKey)] = to_json(result.partition);
      DISCO_CHECK(save_onnx(model, flags->output));
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
  CLI::App* command = app.add_subcommand(
      "shard",
      "Writes a file a node: its slices of the weights and its program, with Send and Recv operators");
  flags->split.add_to(*command);
  command->add_option("-o,--output", flags->output, "the folder to write node0.onnx, node1.onnx … to")
      ->required();
  command->callback([flags, &action] {
    action = [flags]() -> Status {
      DISCO_TRY(const SplitModel model, load_and_split(flags->split));
      if (model.partition.nodes == 1) {
        return error(ErrorCode::InvalidArgument,
                     "{}: holds no partition; make one with `disco partition`, or give --nodes N",
                     flags->split.model);
      }
      std::error_code problem;
      std::filesystem::create_directories(flags->output, problem);
      if (problem)
        return error(ErrorCode::Io, "{}: cannot make the folder: {}", flags->output, problem.message());
      for (std::size_t rank = 0; rank < model.shards.size(); ++rank) {
        Graph shard = model.shards[rank];
        shard.metadata["disco.shard"] =
            nlohmann::json({{"rank", rank}, {"nodes", model.shards.size()}}).dump();
        const auto path = std::filesystem::path(flags->output) / fmt::format("node{}.onnx", rank);
        DISCO_CHECK(save_onnx(shard, path));
        fmt::print("wrote {} ({} of weights)\n", path.string(),
                   human_bytes(static_cast<double>(total_cost(shard).weight_bytes)));
      }
      return {};
    };
  });
}

}  // namespace disco::cli
