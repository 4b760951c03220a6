#pragma once
// What is right about an image, on the tensor that the image became.

#include "base/result.h"
#include "data/preset.h"
#include "data/truth.h"

namespace disco {

/// Boxes are scaled, and cut at the tensor's borders; what lies outside altogether is left out. Label maps
/// take the nearest pixel, and padding is ignored. An image to be reached stays as it is.
///
/// @param image  size of what `truth` belongs to
/// @return InvalidArgument: a label map of another size than its image, or an image to be reached whose input
///         the preset resizes or crops
[[nodiscard]] Result<Truth> placed_truth(const Truth& truth, PixelSize image, const Placement& placement);

/// The label of each of an image's pixels, from the map of the tensor that it became; ignored where the
/// preset cut the image off.
[[nodiscard]] LabelMap map_on_image(const LabelMap& map, PixelSize image, const Placement& placement);

/// A box on the image that became the tensor, from one on the tensor; cut at the image's borders.
[[nodiscard]] Box box_on_image(const Box& box, PixelSize image, const Placement& placement);

}  // namespace disco
