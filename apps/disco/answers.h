#pragma once
// What `disco run` found out: outputs of all rounds put together, and what to say about each sample.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/classification.h"
#include "feed.h"

namespace disco::cli {

struct AnswerOptions {
  int top = 0;                     ///< classes to name; 0: summaries only
  std::optional<Labels> labels{};  ///< of the classes
  std::filesystem::path labels_file{};
  bool keep_outputs = false;  ///< for outputs()
};

class Answers {
 public:
  Answers(AnswerOptions options, std::vector<std::string> output_names)
      : options_(std::move(options)), output_names_(std::move(output_names)) {}

  /// Takes the outputs of the next round.
  ///
  /// @return InvalidArgument where classes are asked for but no output has one score a class, or where the
  ///         labels do not suit; ShapeMismatch where outputs that are kept cannot be put together
  Status add(const Feed& feed, const Round& round, const NamedTensors& outputs);

  /// One array an output: rounds along axis 0. Those without batch, of several rounds, get a new axis 0: one
  /// a round.
  [[nodiscard]] NamedTensors outputs() const;

  [[nodiscard]] nlohmann::json to_json() const;
  void print() const;

 private:
  struct Sample {
    std::string file;
    std::int64_t row = -1;  // of an array; -1: the file is the sample
    std::vector<ClassScore> top;
    std::optional<std::int64_t> right;  // its class, where the labels say so
    nlohmann::json summary;
  };
  struct Stack {
    std::vector<Tensor> parts;
    bool has_batch = true;
  };

  Status choose_scores(const Round& round, const NamedTensors& outputs);
  Status keep(const Feed& feed, const Round& round, const NamedTensors& outputs);
  [[nodiscard]] std::string class_name(std::int64_t index) const;
  [[nodiscard]] double accuracy(std::size_t among) const;
  [[nodiscard]] std::size_t known() const;

  AnswerOptions options_;
  std::vector<std::string> output_names_;
  std::string scores_;  // the output that holds them
  std::vector<Sample> samples_;
  std::map<std::string, Stack> stacks_;
};

}  // namespace disco::cli
