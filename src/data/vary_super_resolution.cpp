// Small and large images, varied.

#include <algorithm>

#include "base/random.h"
#include "data/vary.h"

namespace disco {

namespace {

/// Rows become columns.
Image transposed(const Image& image) {
  Image result{image.height, image.width, std::vector<std::uint8_t>(image.rgb.size())};
  const auto width = static_cast<std::size_t>(image.width), height = static_cast<std::size_t>(image.height);
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t x = 0; x < width; ++x) {
      for (std::size_t c = 0; c < 3; ++c)
        result.rgb[(x * height + y) * 3 + c] = image.rgb[(y * width + x) * 3 + c];
    }
  }
  return result;
}

}  // namespace

void vary_image_pair(Picture& picture, std::uint64_t seed) {
  Random random(seed);
  auto& large = std::get<Image>(picture.truth);
  // Mirrored or not, and a transposition: with both, all eight ways to lay an image.
  const bool square = picture.image.width == picture.image.height;
  const std::uint64_t way = random.below(square ? 8 : 4);
  for (Image* image : {&picture.image, &large}) {
    if ((way & 1U) != 0) mirror(*image);
    if ((way & 2U) != 0) {  // top and bottom
      const auto pitch = static_cast<std::ptrdiff_t>(image->width) * 3;
      for (std::ptrdiff_t top = 0, bottom = image->height - 1; top < bottom; ++top, --bottom)
        std::swap_ranges(image->rgb.begin() + top * pitch, image->rgb.begin() + (top + 1) * pitch,
                         image->rgb.begin() + bottom * pitch);
    }
    if ((way & 4U) != 0) *image = transposed(*image);
  }
}

}  // namespace disco
