#pragma once
// An answer to a task about one image: in words, as JSON, and as a picture.

#include <nlohmann/json.hpp>
#include <string>

#include "data/preset.h"
#include "task/answer.h"

namespace disco::cli {

struct TaskAnswer {
  std::string line;               ///< "3 objects: dog 0.98, cat 0.91, cat 0.55"
  std::vector<std::string> rows;  ///< one for each thing that was found
  nlohmann::json document;        ///< places are the image's pixels
  Image picture;
};

struct TaskAnswerOptions {
  std::vector<std::string> names;  ///< of classes
  std::size_t top = 5;             ///< of classes
  double least = 0.3;              ///< boxes below this score are left out
};

/// @param answer     places are pixels of the tensor
/// @param image      that became the tensor
/// @param placement  how
[[nodiscard]] TaskAnswer describe_answer(const Answer& answer, const Image& image, const Placement& placement,
                                         const TaskAnswerOptions& options);

}  // namespace disco::cli
