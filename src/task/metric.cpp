#include "task/metric.h"

#include <fmt/format.h>

#include <algorithm>

#include "task/average_precision.h"
#include "task/detection.h"
#include "task/segmentation.h"
#include "task/super_resolution.h"

namespace disco {

namespace {

/// How often the right class is the best one, and among the best five.
class ClassMetric final : public Metric {
 public:
  explicit ClassMetric(std::int64_t classes) : classes_(classes) {}

  Status add(const Answer& answer, const Truth& truth) override {
    if (std::holds_alternative<std::monostate>(truth)) return {};
    const auto* label = std::get_if<std::int64_t>(&truth);
    if (label == nullptr)
      return error(ErrorCode::InvalidArgument, "the model answers with classes, but the data says no class");
    if (*label < 0) return {};
    if (*label >= classes_) {
      return error(ErrorCode::InvalidArgument, "it has class {}, but the model answers with classes 0 to {}",
                   *label, classes_ - 1);
    }
    const auto& best = std::get<ClassAnswer>(answer).best;
    const auto is_right = [&](const ClassScore& score) { return score.index == *label; };
    ++samples_;
    first_ += !best.empty() && is_right(best.front()) ? 1 : 0;
    among_ += std::any_of(best.begin(), best.end(), is_right) ? 1 : 0;
    return {};
  }
  std::int64_t samples() const override { return samples_; }
  std::vector<Figure> figures() const override {
    if (samples_ == 0) return {};
    const auto share = [&](std::int64_t count) {
      return static_cast<double>(count) / static_cast<double>(samples_);
    };
    std::vector<Figure> figures = {{"top1", share(first_)}};
    if (classes_ > static_cast<std::int64_t>(ClassAnswer::kBest)) figures.push_back({"top5", share(among_)});
    return figures;
  }

 private:
  std::int64_t classes_, samples_ = 0, first_ = 0, among_ = 0;
};

double same_class(const ClassAnswer& a, const ClassAnswer& b) {
  const bool same = !a.best.empty() && !b.best.empty() && a.best.front().index == b.best.front().index;
  return same ? 1.0 : 0.0;
}

}  // namespace

std::string to_text(const Figure& figure) {
  switch (figure.unit) {
    case Unit::Share: return fmt::format("{:.2f} %", 100 * figure.value);
    case Unit::Decibel: return fmt::format("{:.2f} dB", figure.value);
    case Unit::Number: break;
  }
  return fmt::format("{:.4f}", figure.value);
}

Status Metric::add_resized(const Answer& answer, const Truth& truth, double) { return add(answer, truth); }

std::unique_ptr<Metric> make_metric(const Task& task, const MetricOptions& options) {
  switch (task.kind) {
    case TaskKind::Classification: return std::make_unique<ClassMetric>(options.classes);
    case TaskKind::Detection: return make_detection_metric(task, options);
    case TaskKind::Segmentation: return make_segmentation_metric(task, options);
    case TaskKind::SuperResolution: return make_super_resolution_metric(task);
  }
  return nullptr;
}

double agreement(const Answer& a, const Answer& b) {
  if (a.index() != b.index()) return 0.0;
  if (const auto* classes = std::get_if<ClassAnswer>(&a))
    return same_class(*classes, std::get<ClassAnswer>(b));
  if (const auto* found = std::get_if<Detections>(&a)) return agreement(*found, std::get<Detections>(b));
  if (const auto* map = std::get_if<LabelMap>(&a)) return agreement(*map, std::get<LabelMap>(b));
  return agreement(std::get<Image>(a), std::get<Image>(b));
}

}  // namespace disco
