#pragma once
// MATLAB's imresize, by which data sets for super-resolution make small images of large ones.

#include <vector>

#include "data/image.h"

namespace disco {

/// The image at another size (extents of at least 1), bicubic as MATLAB's imresize: a = -0.5, the filter
/// grows as it shrinks the image, borders are mirrored, rows are done first and rounded to 8 bits like the
/// result.
[[nodiscard]] Image imresize(const Image& image, int width, int height);

/// The same of one plane of any values, not rounded.
[[nodiscard]] std::vector<double> imresize(const std::vector<double>& plane, int width, int height,
                                           int to_width, int to_height);

/// A large image and what is left of it at 1 / scale of the size.
struct ScaledPair {
  Image small, large;
};

/// Cuts right and bottom off so that both sides are multiples of `scale`, and shrinks.
/// @pre both sides are at least `scale`
[[nodiscard]] ScaledPair degraded(const Image& image, int scale);

}  // namespace disco
