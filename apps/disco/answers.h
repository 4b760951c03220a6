#pragma once
// What `disco run` found out: outputs of all rounds put together, and what to say about each sample.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/classification.h"
#include "feed.h"
#include "task_answer.h"

namespace disco::cli {

struct AnswerOptions {
  int top = 0;                     ///< classes to name; 0: summaries only
  std::optional<Labels> labels{};  ///< of the classes
  std::filesystem::path labels_file{};
  bool keep_outputs = false;        ///< for outputs()
  std::optional<Task> task{};       ///< by which images are answered; absent: outputs are summed up
  std::filesystem::path picture{};  ///< where to draw answers: a file, or a folder with a file for each image
  double least = 0.3;               ///< boxes below this score are neither drawn nor listed
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

  /// An answer that no round gave as it is: an image that was enlarged tile by tile.
  Status add_enlarged(const std::filesystem::path& file, const Image& image, Image enlarged,
                      std::size_t tiles);

  [[nodiscard]] nlohmann::json to_json() const;
  void print() const;

 private:
  struct Sample {
    std::string file;
    std::int64_t row = -1;  // of an array; -1: the file is the sample
    std::vector<ClassScore> top;
    std::optional<std::int64_t> right;  // its class, where the labels say so
    nlohmann::json summary;
    std::optional<TaskAnswer> answer;  // of the task
    std::string picture;               // the file that shows it
  };
  struct Stack {
    std::vector<Tensor> parts;
    bool has_batch = true;
  };

  Status choose_scores(const Round& round, const NamedTensors& outputs);
  Status answer(const Feed& feed, const Round& round, const NamedTensors& outputs, std::int64_t sample,
                const std::filesystem::path& file, Sample& to) const;
  /// Writes a picture, if one is asked for.
  Status draw(const Image& picture, Sample& sample) const;
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
