#pragma once
// Pictures as training shows them: a little different each time, together with what is right about them.

#include <cstdint>

#include "data/truth.h"

namespace disco {

/// Changes a picture as suits its truth; pictures with a class or none stay as they are. What is drawn
/// follows from `seed` alone.
void vary(Picture& picture, std::uint64_t seed);

/// As SSD is trained (Liu et al. 2016), only that pictures keep their size more often, for small networks see
/// fewer of them: in other colours; a quarter of the time small on a plain ground (no smaller than leaves
/// objects a tenth of the sides on the mean); half of the time a window in which some object lies to a share
/// of 0.1 to 0.9, or any; mirrored half of the time. An object stays, cut at the borders, where its centre is
/// in the window.
/// @pre the truth is Objects
void vary_objects(Picture& picture, std::uint64_t seed);

/// As segmenters are trained: enlarged up to twice or shown at three quarters of the size on a plain ground
/// that has no class, from anywhere; mirrored half of the time; in other colours. Proportions stay.
/// @pre the truth is a LabelMap
void vary_label_map(Picture& picture, std::uint64_t seed);

/// A small image and the large one that it should become, together: mirrored and turned by right angles
/// (where it is no square, by none or two).
/// @pre the truth is an Image
void vary_image_pair(Picture& picture, std::uint64_t seed);

/// In other colours: brighter or darker, of more or less contrast, saturated, of another hue; half of the
/// time each.
void vary_colours(Image& image, std::uint64_t seed);

/// The image seen in a mirror, left and right exchanged.
void mirror(Image& image);

/// What lies in a window of an image. @pre the window lies in the image and is not empty
[[nodiscard]] Image cut_out(const Image& image, int left, int top, int width, int height);

}  // namespace disco
