#pragma once
// How good answers are, by the task's own measure.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "task/answer.h"

namespace disco {

enum class Unit {
  Share,  ///< 0..1, shown in percent
  Decibel,
  Number,
};

/// A figure by its name, such as "top1", "mAP", "mIoU" or "psnr".
struct Figure {
  std::string name;
  double value = 0;
  Unit unit = Unit::Share;
};

/// "91.73 %", "32.21 dB", "0.8952".
[[nodiscard]] std::string to_text(const Figure& figure);

/// Sums up answers beside the truth; the first figure is the task's main one.
class Metric {
 public:
  virtual ~Metric() = default;
  Metric() = default;
  Metric(const Metric&) = delete;
  Metric& operator=(const Metric&) = delete;

  /// @pre the answer is one of the metric's task
  /// @return InvalidArgument where the truth is of another kind or does not suit (a class that the model does
  ///         not have, an image of another size). A sample without truth does not count.
  [[nodiscard]] virtual Status add(const Answer& answer, const Truth& truth) = 0;
  /// The same for a model that saw the original image at another size, where the measure asks for sizes in
  /// it, as COCO's does.
  ///
  /// @param pixel_area  of a pixel that the model saw, in pixels of the original
  [[nodiscard]] virtual Status add_resized(const Answer& answer, const Truth& truth, double pixel_area);
  /// Samples that counted.
  [[nodiscard]] virtual std::int64_t samples() const = 0;
  /// Empty where none counted.
  [[nodiscard]] virtual std::vector<Figure> figures() const = 0;
};

/// How a data set's protocol wants it counted.
struct MetricOptions {
  std::int64_t classes = 0;   ///< of the model
  std::string protocol = "";  ///< detection: "voc07", "voc" or "coco" for the main figure; empty: voc
};

[[nodiscard]] std::unique_ptr<Metric> make_metric(const Task& task, const MetricOptions& options);

/// How alike two answers are, 0..1: the same best class; boxes of one class that overlap by half, of all; the
/// share of pixels of one class; 1 - the root mean square difference of two images.
[[nodiscard]] double agreement(const Answer& a, const Answer& b);

}  // namespace disco
