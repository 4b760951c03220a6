#pragma once
// Prior boxes and offsets from them, as single-shot detectors use them (Liu et al. 2016, "SSD: Single Shot
// MultiBox Detector"). Places here are shares of the image, 0..1, so that they hold for every size.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "task/task.h"

namespace disco {

/// A box by its centre and sides.
struct CentredBox {
  double x = 0, y = 0, width = 0, height = 0;
};
[[nodiscard]] constexpr Box corners_of(const CentredBox& box) {
  return {box.x - box.width / 2, box.y - box.height / 2, box.x + box.width / 2, box.y + box.height / 2};
}

/// The boxes that a head's outputs are about, in the outputs' order; they may reach over the image's borders.
[[nodiscard]] std::vector<CentredBox> priors_of(const DetectorHead& head);

/// How a box differs from a prior: (x, y) of its centre in the prior's sides over the centre's variance, and
/// the logarithms of its sides over the prior's, over the sides' variance.
using Offsets = std::array<float, 4>;
/// @pre both boxes have sides above 0
[[nodiscard]] Offsets offsets_of(const Box& box, const CentredBox& prior, const DetectorHead& head);
/// The box again. Sides grow by e^10 at most, so that nonsense stays finite.
[[nodiscard]] Box box_from(std::span<const float, 4> offsets, const CentredBox& prior,
                           const DetectorHead& head);

/// The object of each prior, by its index, or -1. First every object that overlaps any prior gets the one
/// that it overlaps most, those pairs first that overlap most; then every other prior takes the object that
/// it overlaps most, where that is above `least`.
///
/// Objects times priors.
[[nodiscard]] std::vector<std::int64_t> match_priors(std::span<const Box> objects,
                                                     std::span<const CentredBox> priors, double least = 0.5);

/// What a detector should answer for an image.
struct PriorTargets {
  static constexpr std::int64_t kIgnored = -2;
  std::vector<std::int64_t> columns;  ///< a prior's column of the scores, head.background, or kIgnored
  std::vector<float> offsets;         ///< four a prior; zeros where it has no object
};

/// Priors without an object are to answer with the background (or with nothing, where there is none), but
/// those that lie mostly in a crowd are ignored.
///
/// @param height, width  of the picture in whose pixels the objects' places are
[[nodiscard]] PriorTargets targets_for(const Objects& objects, int height, int width,
                                       const DetectorHead& head, std::span<const CentredBox> priors);

/// Which boxes of one class stay: from the highest score on, each that overlaps none that stays by more than
/// `most`.
///
/// @param boxes  highest score first
/// @return their indices, in order
[[nodiscard]] std::vector<std::size_t> suppress_overlaps(std::span<const Box> boxes, double most);

}  // namespace disco
