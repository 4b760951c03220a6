// Pictures with label maps, varied.

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "data/vary.h"

namespace disco {

namespace {

/// A window of a picture that may reach beyond it: there lies a plain grey that has no class.
Picture window_of(const Picture& picture, int left, int top, int width, int height) {
  const Image& image = picture.image;
  const auto& map = std::get<LabelMap>(picture.truth);
  constexpr std::uint8_t kGround = 127;
  Image part{width, height,
             std::vector<std::uint8_t>(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3,
                                       kGround)};
  LabelMap labels{
      width, height,
      std::vector<std::uint8_t>(static_cast<std::size_t>(width) * static_cast<std::size_t>(height),
                                LabelMap::kIgnored)};
  const int first = std::max(0, -left), last = std::min(width, image.width - left);
  for (int y = std::max(0, -top); y < std::min(height, image.height - top) && first < last; ++y) {
    const std::ptrdiff_t from = std::ptrdiff_t{top + y} * image.width + left + first;
    const std::ptrdiff_t to = std::ptrdiff_t{y} * width + first;
    std::copy_n(image.rgb.begin() + from * 3, (last - first) * 3, part.rgb.begin() + to * 3);
    std::copy_n(map.labels.begin() + from, last - first, labels.labels.begin() + to);
  }
  return {std::move(part), std::move(labels)};
}

void mirror(LabelMap& map) {
  for (int y = 0; y < map.height; ++y) {
    const auto row = map.labels.begin() + std::ptrdiff_t{y} * map.width;
    std::reverse(row, row + map.width);
  }
}

}  // namespace

void vary_label_map(Picture& picture, std::uint64_t seed) {
  const auto& map = std::get<LabelMap>(picture.truth);
  // One that does not suit is left for placing it to say so.
  if (map.width != picture.image.width || map.height != picture.image.height) return;
  Random random(seed);
  const double scale = random.between(0.75, 2.0);
  const auto side = [&](int extent) { return std::max(1, static_cast<int>(std::lround(extent / scale))); };
  const int width = side(map.width), height = side(map.height);
  // Anywhere inside, or with the whole picture anywhere in it.
  const auto offset = [&](int extent, int window) {
    const int room = extent - window;
    const auto drawn = static_cast<int>(random.below(static_cast<std::uint64_t>(std::abs(room)) + 1));
    return room < 0 ? -drawn : drawn;
  };
  const int left = offset(map.width, width), top = offset(map.height, height);
  picture = window_of(picture, left, top, width, height);
  if (random.below(2) == 0) {
    mirror(picture.image);
    mirror(std::get<LabelMap>(picture.truth));
  }
  vary_colours(picture.image, random.next());
}

}  // namespace disco
