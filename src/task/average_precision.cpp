#include "task/average_precision.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

namespace disco {

std::vector<Verdict> judge_voc(std::span<const Found> found, std::span<const Object> objects) {
  constexpr double kEnough = .5;
  std::vector<Verdict> verdicts;
  std::vector<bool> taken(objects.size(), false);
  for (const Found& one : found) {
    std::size_t best = objects.size();
    double most = 0;
    for (std::size_t o = 0; o < objects.size(); ++o) {
      const double shared = overlap(one.box, objects[o].box);
      if (shared <= most) continue;
      most = shared;
      best = o;
    }
    Verdict verdict = Verdict::Wrong;
    if (most >= kEnough) {
      const bool counts = !objects[best].difficult && !objects[best].crowd;
      if (!counts) verdict = Verdict::Ignored;
      if (counts && !taken[best]) verdict = Verdict::Right;
      taken[best] = true;
    }
    verdicts.push_back(verdict);
  }
  return verdicts;
}

bool is_in(AreaRange range, double area) {
  constexpr double kSmall = 32.0 * 32, kMedium = 96.0 * 96, kAll = 1e10;
  switch (range) {
    case AreaRange::All: return area <= kAll;
    case AreaRange::Small: return area <= kSmall;
    case AreaRange::Medium: return area >= kSmall && area <= kMedium;
    case AreaRange::Large: return area >= kMedium && area <= kAll;
  }
  return false;
}

namespace {

bool is_ignored(const Object& object, AreaRange range) {
  return object.crowd || object.difficult || !is_in(range, object.area);
}

/// COCO's: of a crowd, how much of the box lies in it.
double coco_share(const Box& found, const Object& object) {
  if (!object.crowd) return overlap(found, object.box);
  const double area = area_of(found);
  return area > 0 ? shared_area(found, object.box) / area : 0.0;
}

}  // namespace

std::array<std::vector<Verdict>, kCocoOverlaps> judge_coco(std::span<const Found> found,
                                                           std::span<const Object> objects, AreaRange range,
                                                           double pixel_area) {
  // Objects that count come first.
  std::vector<std::size_t> order(objects.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto ignored = std::stable_partition(order.begin(), order.end(),
                                             [&](std::size_t o) { return !is_ignored(objects[o], range); });
  const auto counting = static_cast<std::size_t>(ignored - order.begin());
  std::vector<double> shares(found.size() * order.size());
  for (std::size_t d = 0; d < found.size(); ++d) {
    for (std::size_t g = 0; g < order.size(); ++g)
      shares[d * order.size() + g] = coco_share(found[d].box, objects[order[g]]);
  }
  std::array<std::vector<Verdict>, kCocoOverlaps> verdicts;
  for (std::size_t t = 0; t < kCocoOverlaps; ++t) {
    std::vector<bool> taken(order.size(), false);
    for (std::size_t d = 0; d < found.size(); ++d) {
      double most = coco_overlap(t);
      std::size_t best = order.size();
      for (std::size_t g = 0; g < order.size(); ++g) {
        if (g == counting && best < counting) break;  // one that counts is better than one that does not
        if (taken[g] && !objects[order[g]].crowd) continue;
        const double share = shares[d * order.size() + g];
        if (share < most) continue;
        most = share;
        best = g;
      }
      Verdict verdict = Verdict::Right;
      if (best == order.size()) {
        verdict = is_in(range, area_of(found[d].box) * pixel_area) ? Verdict::Wrong : Verdict::Ignored;
      } else {
        taken[best] = true;
        if (best >= counting) verdict = Verdict::Ignored;
      }
      verdicts[t].push_back(verdict);
    }
  }
  return verdicts;
}

double average_precision(std::span<const Verdict> verdicts, std::int64_t positives, CurveSum sum) {
  std::vector<double> recall, precision;
  double right = 0, wrong = 0;
  for (const Verdict verdict : verdicts) {
    if (verdict == Verdict::Ignored) continue;
    ++(verdict == Verdict::Right ? right : wrong);
    recall.push_back(right / static_cast<double>(positives));
    precision.push_back(right / (right + wrong));
  }
  // The best precision that is had at this recall or a higher one.
  for (std::size_t i = precision.size(); i > 1; --i)
    precision[i - 2] = std::max(precision[i - 2], precision[i - 1]);
  if (sum == CurveSum::Area) {
    double area = 0;
    for (std::size_t i = 0; i < recall.size(); ++i)
      area += (recall[i] - (i > 0 ? recall[i - 1] : 0.0)) * precision[i];
    return area;
  }
  const int steps = sum == CurveSum::ElevenPoints ? 10 : 100;
  const double step = sum == CurveSum::ElevenPoints ? .1 : .01;
  double total = 0;
  for (int i = 0; i <= steps; ++i) {
    const auto at = std::lower_bound(recall.begin(), recall.end(), i * step);
    if (at != recall.end()) total += precision[static_cast<std::size_t>(at - recall.begin())];
  }
  return total / (steps + 1);
}

namespace {

constexpr std::size_t kMostJudged = 100;  // COCO's: of an image and a class

/// A box with everything that the protocols say about it.
struct Judged {
  double score = 0;
  Verdict voc = Verdict::Wrong;
  std::size_t rank = 0;  ///< among the image's boxes of its class
  std::array<std::array<Verdict, kCocoOverlaps>, kAreaRanges> coco{};
};

struct ClassRecord {
  std::vector<Judged> judged;
  std::int64_t voc_positives = 0;
  std::array<std::int64_t, kAreaRanges> coco_positives{};
};

/// The mean of what there is.
class Mean {
 public:
  void add_some(std::optional<double> value) {
    if (!value) return;
    sum_ += *value;
    ++count_;
  }
  void add_to(std::vector<Figure>& figures, const std::string& name) const {
    if (count_ > 0) figures.push_back({name, sum_ / count_});
  }

 private:
  double sum_ = 0;
  int count_ = 0;
};

class DetectionMetric final : public Metric {
 public:
  DetectionMetric(std::vector<std::string> names, const MetricOptions& options)
      : names_(std::move(names)), classes_(options.classes), protocol_(options.protocol) {}

  Status add(const Answer& answer, const Truth& truth) override { return add_resized(answer, truth, 1.0); }

  Status add_resized(const Answer& answer, const Truth& truth, double pixel_area) override {
    if (std::holds_alternative<std::monostate>(truth)) return {};
    const auto* objects = std::get_if<Objects>(&truth);
    if (objects == nullptr)
      return error(ErrorCode::InvalidArgument, "the model answers with boxes, but the data says no objects");
    std::map<std::int64_t, Objects> truths;
    for (const Object& object : *objects) {
      if (object.label < 0 || object.label >= classes_) {
        return error(ErrorCode::InvalidArgument,
                     "it has an object of class {}, but the model answers with classes 0 to {}", object.label,
                     classes_ - 1);
      }
      truths[object.label].push_back(object);
    }
    std::map<std::int64_t, Detections> found;
    for (const Found& one : std::get<Detections>(answer)) found[one.label].push_back(one);
    for (const auto& [label, of_class] : truths) found.try_emplace(label);
    for (auto& [label, of_class] : found) judge(of_class, truths[label], pixel_area, records_[label]);
    ++samples_;
    return {};
  }

  std::int64_t samples() const override { return samples_; }

  std::vector<Figure> figures() const override {
    if (samples_ == 0) return {};
    const auto sorted = by_score();
    const std::vector<Figure> voc = voc_figures(sorted), coco = coco_figures(sorted);
    std::vector<Figure> all = protocol_ == "coco" ? coco : voc;
    const std::vector<Figure>& others = protocol_ == "coco" ? voc : coco;
    all.insert(all.end(), others.begin(), others.end());
    for (const auto& [label, record] : sorted) {
      Mean mean;
      if (protocol_ != "coco") mean.add_some(voc_precision(record, sum_of_protocol()));
      if (protocol_ == "coco") {
        for (std::size_t t = 0; t < kCocoOverlaps; ++t) mean.add_some(coco_precision(record, 0, t));
      }
      mean.add_to(all, "AP " + class_name(names_, label));
    }
    return all;
  }

 private:
  static void judge(Detections& found, const Objects& objects, double pixel_area, ClassRecord& record) {
    std::stable_sort(found.begin(), found.end(),
                     [](const Found& a, const Found& b) { return a.score > b.score; });
    const std::vector<Verdict> voc = judge_voc(found, objects);
    const std::size_t first = record.judged.size();
    for (std::size_t i = 0; i < found.size(); ++i)
      record.judged.push_back({.score = found[i].score, .voc = voc[i], .rank = i});
    const std::span<const Found> best = std::span(found).first(std::min(found.size(), kMostJudged));
    for (std::size_t r = 0; r < kAreaRanges; ++r) {
      const auto range = static_cast<AreaRange>(r);
      const auto verdicts = judge_coco(best, objects, range, pixel_area);
      for (std::size_t t = 0; t < kCocoOverlaps; ++t) {
        for (std::size_t i = 0; i < best.size(); ++i) record.judged[first + i].coco[r][t] = verdicts[t][i];
      }
      record.coco_positives[r] += std::count_if(
          objects.begin(), objects.end(), [&](const Object& object) { return !is_ignored(object, range); });
    }
    record.voc_positives += std::count_if(objects.begin(), objects.end(), [](const Object& object) {
      return !object.difficult && !object.crowd;
    });
  }

  using Records = std::map<std::int64_t, ClassRecord>;

  /// The classes' records, with boxes of equal scores in the order of their images.
  Records by_score() const {
    Records sorted = records_;
    for (auto& [label, record] : sorted) {
      std::stable_sort(record.judged.begin(), record.judged.end(),
                       [](const Judged& a, const Judged& b) { return a.score > b.score; });
    }
    return sorted;
  }

  CurveSum sum_of_protocol() const { return protocol_ == "voc07" ? CurveSum::ElevenPoints : CurveSum::Area; }

  /// No value where the class has no object that counts.
  static std::optional<double> voc_precision(const ClassRecord& record, CurveSum sum) {
    if (record.voc_positives == 0) return {};
    std::vector<Verdict> verdicts;
    for (const Judged& judged : record.judged) verdicts.push_back(judged.voc);
    return average_precision(verdicts, record.voc_positives, sum);
  }
  static std::optional<double> coco_precision(const ClassRecord& record, std::size_t range,
                                              std::size_t overlap) {
    if (record.coco_positives[range] == 0) return {};
    return average_precision(coco_verdicts(record, range, overlap, kMostJudged), record.coco_positives[range],
                             CurveSum::Points101);
  }
  /// Of the `most` best boxes of each image.
  static std::optional<double> coco_recall(const ClassRecord& record, std::size_t range, std::size_t overlap,
                                           std::size_t most) {
    if (record.coco_positives[range] == 0) return {};
    const std::vector<Verdict> verdicts = coco_verdicts(record, range, overlap, most);
    return static_cast<double>(std::count(verdicts.begin(), verdicts.end(), Verdict::Right)) /
           static_cast<double>(record.coco_positives[range]);
  }

  std::vector<Figure> voc_figures(const Records& records) const {
    Mean area, points;
    for (const auto& [label, record] : records) {
      area.add_some(voc_precision(record, CurveSum::Area));
      points.add_some(voc_precision(record, CurveSum::ElevenPoints));
    }
    std::vector<Figure> figures;
    if (protocol_ == "voc07") points.add_to(figures, "mAP_voc07");
    area.add_to(figures, "mAP_voc");
    if (protocol_ != "voc07") points.add_to(figures, "mAP_voc07");
    return figures;
  }

  static std::vector<Figure> coco_figures(const Records& records) {
    std::array<Mean, kAreaRanges> precision, recall;
    Mean half, three_quarters, recall_1, recall_10;
    for (const auto& [label, record] : records) {
      for (std::size_t t = 0; t < kCocoOverlaps; ++t) {
        for (std::size_t r = 0; r < kAreaRanges; ++r) {
          precision[r].add_some(coco_precision(record, r, t));
          recall[r].add_some(coco_recall(record, r, t, kMostJudged));
        }
        recall_1.add_some(coco_recall(record, 0, t, 1));
        recall_10.add_some(coco_recall(record, 0, t, 10));
      }
      half.add_some(coco_precision(record, 0, 0));
      three_quarters.add_some(coco_precision(record, 0, kCocoOverlaps / 2));
    }
    constexpr std::array<const char*, kAreaRanges> kNames = {"all", "small", "medium", "large"};
    std::vector<Figure> figures;
    precision[0].add_to(figures, "mAP_coco");
    half.add_to(figures, "AP50_coco");
    three_quarters.add_to(figures, "AP75_coco");
    for (std::size_t r = 1; r < kAreaRanges; ++r)
      precision[r].add_to(figures, fmt::format("AP_{}_coco", kNames[r]));
    recall_1.add_to(figures, "AR1_coco");
    recall_10.add_to(figures, "AR10_coco");
    recall[0].add_to(figures, "AR100_coco");
    for (std::size_t r = 1; r < kAreaRanges; ++r)
      recall[r].add_to(figures, fmt::format("AR_{}_coco", kNames[r]));
    return figures;
  }

  static std::vector<Verdict> coco_verdicts(const ClassRecord& record, std::size_t range, std::size_t overlap,
                                            std::size_t most) {
    std::vector<Verdict> verdicts;
    for (const Judged& judged : record.judged) {
      if (judged.rank < most) verdicts.push_back(judged.coco[range][overlap]);
    }
    return verdicts;
  }

  std::vector<std::string> names_;
  std::int64_t classes_;
  std::string protocol_;
  std::int64_t samples_ = 0;
  Records records_;  // by class, of those that were seen or found
};

}  // namespace

std::unique_ptr<Metric> make_detection_metric(const Task& task, const MetricOptions& options) {
  return std::make_unique<DetectionMetric>(task.classes, options);
}

}  // namespace disco
