#pragma once
// Answers as pictures that need no explanation.

#include "task/canvas.h"

namespace disco {

/// The image under the colours of its pixels' classes, and below it a legend of the classes that occur, with
/// their shares of the pixels that have one. Small images are enlarged first (a whole number of times).
///
/// @pre map has the image's size
[[nodiscard]] Image draw_labels(const Image& image, const LabelMap& map,
                                const std::vector<std::string>& names);

/// The image with the best classes and their scores written on it, at most `most`.
[[nodiscard]] Image draw_classes(const Image& image, const ClassAnswer& answer,
                                 const std::vector<std::string>& names, std::size_t most);

/// The share of each class that occurs, of the pixels that have one; most first.
struct LabelShare {
  std::int64_t label = 0;
  double share = 0;
};
[[nodiscard]] std::vector<LabelShare> label_shares(const LabelMap& map);

/// An enlarged grey image in the colours of the image that it was made of, enlarged bicubically: networks
/// that answer with luma see no colours.
[[nodiscard]] Image with_colours_of(const Image& luma, const Image& image);

}  // namespace disco
