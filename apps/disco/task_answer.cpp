#include "task_answer.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/placed_truth.h"
#include "task/pictures.h"

namespace disco::cli {

namespace {

using nlohmann::json;

TaskAnswer describe(const ClassAnswer& answer, const Image& image, const TaskAnswerOptions& options) {
  TaskAnswer told;
  told.document["top"] = json::array();
  for (std::size_t k = 0; k < std::min(options.top, answer.best.size()); ++k) {
    const ClassScore& best = answer.best[k];
    const std::string name = class_name(options.names, best.index);
    told.line += fmt::format("{}{} {:.2f}", k == 0 ? "" : ", ", name, best.score);
    told.document["top"].push_back({{"class", best.index}, {"name", name}, {"score", best.score}});
  }
  told.picture = draw_classes(image, answer, options.names, options.top);
  return told;
}

TaskAnswer describe(const Detections& answer, const Image& image, const Placement& placement,
                    const TaskAnswerOptions& options) {
  const PixelSize size{image.height, image.width};
  TaskAnswer told;
  told.document["objects"] = json::array();
  Detections found;
  for (Found one : answer) {
    if (one.score < options.least) continue;
    one.box = box_on_image(one.box, size, placement);
    if (area_of(one.box) > 0) found.push_back(one);
  }
  told.line = fmt::format("{} object{}", found.size(), found.size() == 1 ? "" : "s");
  for (const Found& one : found) {
    const std::string name = class_name(options.names, one.label);
    const Box& box = one.box;
    told.rows.push_back(fmt::format("{:<16} {:.2f}  left {:.0f}, top {:.0f}, right {:.0f}, bottom {:.0f}",
                                    name, one.score, box.left, box.top, box.right, box.bottom));
    told.document["objects"].push_back({{"class", one.label},
                                        {"name", name},
                                        {"score", one.score},
                                        {"box", {box.left, box.top, box.right, box.bottom}}});
  }
  told.picture = draw_detections(image, found, options.names, options.least);
  return told;
}

TaskAnswer describe(const LabelMap& answer, const Image& image, const Placement& placement,
                    const TaskAnswerOptions& options) {
  const LabelMap map = map_on_image(answer, {image.height, image.width}, placement);
  TaskAnswer told;
  told.document["classes"] = json::array();
  for (const auto& [label, share] : label_shares(map)) {
    const std::string name = class_name(options.names, label);
    told.line += fmt::format("{}{} {:.1f} %", told.line.empty() ? "" : ", ", name, 100 * share);
    told.document["classes"].push_back({{"class", label}, {"name", name}, {"share", share}});
  }
  told.picture = draw_labels(image, map, options.names);
  return told;
}

}  // namespace

TaskAnswer describe_answer(const Answer& answer, const Image& image, const Placement& placement,
                           const TaskAnswerOptions& options) {
  if (const auto* classes = std::get_if<ClassAnswer>(&answer)) return describe(*classes, image, options);
  if (const auto* found = std::get_if<Detections>(&answer))
    return describe(*found, image, placement, options);
  if (const auto* map = std::get_if<LabelMap>(&answer)) return describe(*map, image, placement, options);
  const auto& enlarged = std::get<Image>(answer);
  TaskAnswer told;
  told.line = fmt::format("enlarged from {} x {} to {} x {} pixels", image.width, image.height,
                          enlarged.width, enlarged.height);
  told.document = {{"width", enlarged.width}, {"height", enlarged.height}};
  told.picture = enlarged;
  return told;
}

}  // namespace disco::cli
