#pragma once
// What the subcommands share: how they are added, how they load a model, how they print.

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"
#include "partition/split.h"
#include "reference/specialise.h"

namespace disco::cli {

/// What a parsed command line asks for; run after parsing.
using Action = std::function<Status()>;

void add_run(CLI::App& app, Action& action);
void add_partition(CLI::App& app, Action& action);
void add_shard(CLI::App& app, Action& action);
void add_sparsify(CLI::App& app, Action& action);
/// @param words  the command line behind the program's name
void add_train(CLI::App& app, Action& action, const std::vector<std::string>& words);
void add_eval(CLI::App& app, Action& action);
void add_report(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_profile(CLI::App& app, Action& action);
void add_simulate(CLI::App& app, Action& action);
void add_plan(CLI::App& app, Action& action);
void add_tune(CLI::App& app, Action& action);
void add_zoo(CLI::App& app, Action& action);
void add_node(CLI::App& app, Action& action);
void add_keys(CLI::App& app, Action& action);

/// Flags that choose a model and how it is split.
struct SplitFlags {
  std::string model;
  int nodes = 0;  ///< 0: what the artifact says, or 1
  std::string shares;
  std::vector<std::string> shapes;
  int bands = 0;  ///< 0: what the artifact says, or one

  void add_to(CLI::App& command);
  [[nodiscard]] Result<std::vector<double>> parsed_shares() const;
  [[nodiscard]] Result<InputShapes> parsed_shapes() const;
};

/// Gives inputs the extents of --shape, also where the model has others: exporters fix extents that many
/// networks leave open. Where operators insist on them, inferring shapes says so.
void resize_inputs(Graph& model, const std::map<std::string, Shape>& shapes);

/// --norm exact|local of a command that writes artifacts.
void add_norm(CLI::App& command, std::string& norm);

/// Loads, fixes shapes (`given` wins over --shape), takes the artifact's partition or makes one.
[[nodiscard]] Result<SplitModel> load_and_split(const SplitFlags& flags,
                                                const std::map<std::string, Shape>& given = {});
/// The same from a model that is already loaded.
[[nodiscard]] Result<SplitModel> split(const Graph& model, const SplitFlags& flags,
                                       const std::map<std::string, Shape>& given = {});

/// A table of text columns; the first is aligned left, the others right.
class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void print() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// "1.23 MB", powers of 1000.
[[nodiscard]] std::string human_bytes(double bytes);
/// "4.09 G".
[[nodiscard]] std::string human_count(double count);

/// A bar on standard error while it is a terminal; silence otherwise.
class Progress {
 public:
  Progress(std::string what, std::size_t total);
  ~Progress();
  void step(std::size_t done);

 private:
  std::string what_;
  std::size_t total_;
  bool shown_;
};

}  // namespace disco::cli
