#include "task/segmentation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/label_names.h"
#include "reference/numeric.h"

namespace disco {

namespace {

/// For each position of an enlarged axis: the two positions around it and the second one's weight.
struct Between {
  std::size_t first = 0, second = 0;
  float weight = 0;
};

std::vector<Between> between(std::int64_t from, int to) {
  std::vector<Between> places(static_cast<std::size_t>(to));
  for (std::size_t i = 0; i < places.size(); ++i) {
    const double at = (static_cast<double>(i) + 0.5) * static_cast<double>(from) / to - 0.5;
    const double inside = std::clamp(at, 0.0, static_cast<double>(from - 1));
    const auto first = static_cast<std::size_t>(inside);
    places[i] = {first, std::min(first + 1, static_cast<std::size_t>(from - 1)),
                 static_cast<float>(inside - static_cast<double>(first))};
  }
  return places;
}

/// Scores of one sample, [classes, rows, columns].
struct Scores {
  const float* values = nullptr;
  std::size_t classes = 0, rows = 0, columns = 0;
};

/// The best class of each pixel of a row, from all classes' scores along it.
void best_of_row(const float* scores, std::size_t classes, std::size_t pitch, std::size_t width,
                 std::vector<float>& best, std::uint8_t* labels) {
  std::fill_n(best.begin(), width, -std::numeric_limits<float>::infinity());
  std::fill_n(labels, width, std::uint8_t{0});
  for (std::size_t c = 0; c < classes; ++c, scores += pitch) {
    for (std::size_t x = 0; x < width; ++x) {
      if (scores[x] <= best[x] || std::isnan(scores[x])) continue;
      best[x] = scores[x];
      labels[x] = static_cast<std::uint8_t>(c);
    }
  }
}

LabelMap best_classes(const Scores& scores, int height, int width) {
  LabelMap map{width, height};
  const auto across = static_cast<std::size_t>(width);
  map.labels.resize(static_cast<std::size_t>(height) * across);
  std::vector<float> best(across);
  const std::size_t plane = scores.rows * scores.columns;
  if (scores.rows == static_cast<std::size_t>(height) && scores.columns == across) {
    for (std::size_t y = 0; y < scores.rows; ++y)
      best_of_row(scores.values + y * across, scores.classes, plane, across, best,
                  map.labels.data() + y * across);
    return map;
  }
  const std::vector<Between> rows = between(static_cast<std::int64_t>(scores.rows), height);
  const std::vector<Between> columns = between(static_cast<std::int64_t>(scores.columns), width);
  std::vector<float> line(scores.columns), wide(scores.classes * across);
  for (std::size_t y = 0; y < rows.size(); ++y) {
    for (std::size_t c = 0; c < scores.classes; ++c) {
      const float* upper = scores.values + c * plane + rows[y].first * scores.columns;
      const float* lower = scores.values + c * plane + rows[y].second * scores.columns;
      for (std::size_t x = 0; x < line.size(); ++x)
        line[x] = upper[x] + (lower[x] - upper[x]) * rows[y].weight;
      float* to = wide.data() + c * across;
      for (std::size_t x = 0; x < across; ++x) {
        const Between& at = columns[x];
        to[x] = line[at.first] + (line[at.second] - line[at.first]) * at.weight;
      }
    }
    best_of_row(wide.data(), scores.classes, across, across, best, map.labels.data() + y * across);
  }
  return map;
}

class SegmentationMetric final : public Metric {
 public:
  SegmentationMetric(const Task& task, std::int64_t classes) : names_(task.classes), classes_(classes) {
    const auto columns = static_cast<std::size_t>(classes_);
    counts_.resize(columns * columns);
    counted_.resize(columns, true);
    for (std::size_t c = 0; c < std::min(columns, names_.size()); ++c)
      counted_[c] = !names_no_class(names_[c]);
  }

  Status add(const Answer& answer, const Truth& truth) override {
    if (std::holds_alternative<std::monostate>(truth)) return {};
    const auto* right = std::get_if<LabelMap>(&truth);
    if (right == nullptr) {
      return error(ErrorCode::InvalidArgument,
                   "the model answers with a map of labels, but the data says something else");
    }
    const auto& map = std::get<LabelMap>(answer);
    if (map.width != right->width || map.height != right->height) {
      return error(ErrorCode::InvalidArgument, "the answer has {} x {} pixels, the label map {} x {}",
                   map.width, map.height, right->width, right->height);
    }
    for (std::size_t i = 0; i < map.labels.size(); ++i) {
      const std::uint8_t label = right->labels[i];
      if (label == LabelMap::kIgnored) continue;
      if (label >= classes_) {
        return error(ErrorCode::InvalidArgument,
                     "a pixel has class {}, but the model answers with classes 0 to {}; 255 is ignored",
                     label, classes_ - 1);
      }
      if (counted_[label]) ++counts_[label * static_cast<std::size_t>(classes_) + map.labels[i]];
    }
    ++samples_;
    return {};
  }
  std::int64_t samples() const override { return samples_; }

  std::vector<Figure> figures() const override {
    if (samples_ == 0) return {};
    const auto columns = static_cast<std::size_t>(classes_);
    double overlaps = 0, accuracies = 0;
    std::int64_t right = 0, all = 0, occur = 0, in_truth = 0;
    std::vector<Figure> each;
    for (std::size_t c = 0; c < columns; ++c) {
      std::int64_t truth = 0, answers = 0;
      for (std::size_t other = 0; other < columns; ++other) {
        truth += counts_[c * columns + other];
        answers += counts_[other * columns + c];
      }
      all += truth;
      if (!counted_[c] || truth + answers == 0) continue;
      const std::int64_t hit = counts_[c * columns + c];
      right += hit;
      const double share = static_cast<double>(hit) / static_cast<double>(truth + answers - hit);
      each.push_back({fmt::format("IoU {}", class_name(names_, static_cast<std::int64_t>(c))), share});
      overlaps += share;
      ++occur;
      if (truth == 0) continue;
      accuracies += static_cast<double>(hit) / static_cast<double>(truth);
      ++in_truth;
    }
    const auto mean = [](double sum, std::int64_t count) {
      return count == 0 ? 0.0 : sum / static_cast<double>(count);
    };
    std::vector<Figure> figures = {{"mIoU", mean(overlaps, occur)},
                                   {"pixel_accuracy", mean(static_cast<double>(right), all)},
                                   {"mean_accuracy", mean(accuracies, in_truth)}};
    figures.insert(figures.end(), each.begin(), each.end());
    return figures;
  }

 private:
  std::vector<std::string> names_;
  std::int64_t classes_, samples_ = 0;
  std::vector<std::int64_t> counts_;  // truth by answer
  std::vector<bool> counted_;         // by class
};

}  // namespace

Result<LabelMap> read_label_map(const Task& task, const NamedTensors& outputs, std::int64_t sample,
                                std::int64_t batch, int height, int width) {
  const auto found = outputs.find(task.output);
  if (found == outputs.end())
    return error(ErrorCode::InvalidModel, "the model gave no output '{}'", task.output);
  const Tensor& tensor = found->second;
  const Shape& shape = tensor.shape();
  if (shape.size() != 4 || shape[0] != batch || shape[1] < 2 || shape[1] > LabelMap::kIgnored ||
      tensor.elements() == 0) {
    return error(ErrorCode::InvalidModel,
                 "output '{}' is {}; a map of labels comes from [{}, 2 to 255 classes, rows, columns]",
                 task.output, to_string(shape), batch);
  }
  if (!reference::is_floating(tensor.type()))
    return error(ErrorCode::Unsupported, "output '{}' is {}; scores of classes are floating", task.output,
                 to_string(tensor.type()));
  const std::int64_t count = tensor.elements() / batch;
  Scores scores{nullptr, static_cast<std::size_t>(shape[1]), static_cast<std::size_t>(shape[2]),
                static_cast<std::size_t>(shape[3])};
  std::vector<float> converted;
  if (tensor.type() == DataType::Float32) {
    scores.values = tensor.data<float>() + sample * count;
  } else {
    reference::Doubles values(static_cast<std::size_t>(count));
    reference::convert(tensor, sample * count, count, values.data());
    converted.assign(values.begin(), values.end());
    scores.values = converted.data();
  }
  return best_classes(scores, height, width);
}

std::unique_ptr<Metric> make_segmentation_metric(const Task& task, const MetricOptions& options) {
  return std::make_unique<SegmentationMetric>(task, options.classes);
}

double agreement(const LabelMap& a, const LabelMap& b) {
  if (a.width != b.width || a.height != b.height || a.labels.empty()) return 0.0;
  std::size_t same = 0;
  for (std::size_t i = 0; i < a.labels.size(); ++i) same += a.labels[i] == b.labels[i] ? 1 : 0;
  return static_cast<double>(same) / static_cast<double>(a.labels.size());
}

}  // namespace disco
