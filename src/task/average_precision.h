#pragma once
// How good a detector is: average precision as VOC and COCO define it.
//
// Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge" (11 points until 2009, the area
// under the curve since 2010); Lin et al. 2014, "Microsoft COCO". Counted as VOCdevkit's VOCevaldet.m and
// pycocotools' COCOeval count. VOC's inclusive pixels (x from 1, both ends belong to a box) are what Box has
// with left = xmin - 1 and right = xmax, so overlaps are those of the devkit.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "task/metric.h"

namespace disco {

/// Whether a detection that was judged counts.
enum class Verdict : std::uint8_t { Wrong, Right, Ignored };

/// VOC's verdict on one image's boxes of one class. A box is right where the object that it overlaps most
/// reaches one half and is not yet found; difficult objects are ignored, and a crowd counts as difficult.
///
/// @param found  highest score first
[[nodiscard]] std::vector<Verdict> judge_voc(std::span<const Found> found, std::span<const Object> objects);

/// COCO's overlaps that count as found: .50, .55, … .95.
inline constexpr std::size_t kCocoOverlaps = 10;
[[nodiscard]] constexpr double coco_overlap(std::size_t t) { return .5 + .05 * static_cast<double>(t); }
/// Areas in pixels of the original image: all, small (below 32 x 32), medium, large (above 96 x 96).
enum class AreaRange : std::uint8_t { All, Small, Medium, Large };
inline constexpr std::size_t kAreaRanges = 4;
[[nodiscard]] bool is_in(AreaRange range, double area);

/// COCO's verdict on one image's boxes of one class, at each overlap. Each box takes the free object that it
/// overlaps most, where that is enough; one of another size or a crowd (of which the overlap is the share of
/// the box) only where there is no other, and then the box is ignored, as are wrong boxes of another size.
///
/// @param found        highest score first, at most 100
/// @param pixel_area   of a pixel in which places are, in pixels of the original image
[[nodiscard]] std::array<std::vector<Verdict>, kCocoOverlaps> judge_coco(std::span<const Found> found,
                                                                         std::span<const Object> objects,
                                                                         AreaRange range, double pixel_area);

/// Precision over recall, summed up in one number.
enum class CurveSum {
  ElevenPoints,  ///< VOC 2007: the mean of the best precision at recall 0, 0.1, … 1
  Area,          ///< VOC 2010: the area below the best precision
  Points101,     ///< COCO: the mean over recall 0, 0.01, … 1
};

/// @param verdicts   by score, highest first; ignored ones count as if they were not there
/// @param positives  objects that count, at least 1
[[nodiscard]] double average_precision(std::span<const Verdict> verdicts, std::int64_t positives,
                                       CurveSum sum);

/// Figures of both protocols, those of `options.protocol` first:
///   - mAP_voc, mAP_voc07            the mean over classes of VOC's average precision
///   - mAP_coco, AP50_coco, AP75_coco, AP_small_coco, AP_medium_coco, AP_large_coco, and the recalls
///   AR1_coco,
///     AR10_coco, AR100_coco, AR_small_coco, AR_medium_coco, AR_large_coco: COCO's twelve
///   - "AP NAME"                     of each class, by the protocol
/// Classes without an object that counts are left out, and figures without any class.
[[nodiscard]] std::unique_ptr<Metric> make_detection_metric(const Task& task, const MetricOptions& options);

}  // namespace disco
