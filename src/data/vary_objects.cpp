// Pictures with objects, varied.

#include <algorithm>
#include <array>
#include <cmath>

#include "base/random.h"
#include "data/vary.h"

namespace disco {

namespace {

/// How far a picture may shrink: to a quarter as SSD does, but objects keep a tenth of the picture's sides on
/// the mean, for small networks learn nothing from specks.
double most_zoom(const Image& image, const Objects& objects) {
  constexpr double kMost = 4, kLeastSide = .1;
  double sides = 0;
  for (const Object& object : objects)
    sides +=
        std::sqrt(area_of(object.box) / image.width / image.height) / static_cast<double>(objects.size());
  return objects.empty() ? kMost : std::clamp(sides / kLeastSide, 1.0, kMost);
}

/// Shows the picture at a share of its size somewhere on a plain ground of its own size.
void zoom_out(Picture& picture, double share, Random& random) {
  Image& image = picture.image;
  const int width = std::max(1, static_cast<int>(image.width * share));
  const int height = std::max(1, static_cast<int>(image.height * share));
  const auto left = static_cast<int>(random.below(static_cast<std::uint64_t>(image.width - width) + 1));
  const auto top = static_cast<int>(random.below(static_cast<std::uint64_t>(image.height - height) + 1));
  const Image small = resize(image, width, height, Interpolation::Bilinear);
  std::array<std::uint8_t, 3> ground{};
  for (std::uint8_t& channel : ground) channel = static_cast<std::uint8_t>(96 + random.below(64));
  for (std::size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = ground[i % 3];
  for (int row = 0; row < height; ++row) {
    std::copy_n(small.rgb.begin() + std::ptrdiff_t{row} * width * 3, width * 3,
                image.rgb.begin() + (std::ptrdiff_t{top + row} * image.width + left) * 3);
  }
  const double across = static_cast<double>(width) / image.width;
  const double down = static_cast<double>(height) / image.height;
  for (Object& object : std::get<Objects>(picture.truth)) {
    object.box = {object.box.left * across + left, object.box.top * down + top,
                  object.box.right * across + left, object.box.bottom * down + top};
  }
}

bool holds_centre(const Box& window, const Box& box) {
  const double x = (box.left + box.right) / 2, y = (box.top + box.bottom) / 2;
  return x > window.left && x < window.right && y > window.top && y < window.bottom;
}

/// A window of a third of the sides at least, of proportions from 1:2 to 2:1, with a centre of an object in
/// it, and with one that overlaps it by `least`. No value where tries were in vain.
std::optional<Box> any_window(const Image& image, const Objects& objects, double least, Random& random) {
  constexpr int kTries = 50;
  for (int i = 0; i < kTries; ++i) {
    const double width = std::max(1.0, std::floor(image.width * random.between(.3, 1)));
    const double height = std::max(1.0, std::floor(image.height * random.between(.3, 1)));
    if (width > 2 * height || height > 2 * width) continue;
    const double left = std::floor((image.width - width) * random.unit());
    const double top = std::floor((image.height - height) * random.unit());
    const Box window{left, top, left + width, top + height};
    const auto is_in = [&](const Object& object) { return holds_centre(window, object.box); };
    const auto is_enough = [&](const Object& object) { return overlap(window, object.box) >= least; };
    if (std::any_of(objects.begin(), objects.end(), is_in) &&
        std::any_of(objects.begin(), objects.end(), is_enough))
      return window;
  }
  return {};
}

void cut_to(Picture& picture, const Box& window) {
  picture.image =
      cut_out(picture.image, static_cast<int>(window.left), static_cast<int>(window.top),
              static_cast<int>(window.right - window.left), static_cast<int>(window.bottom - window.top));
  Objects& objects = std::get<Objects>(picture.truth);
  std::erase_if(objects, [&](const Object& object) { return !holds_centre(window, object.box); });
  for (Object& object : objects) {
    object.box = {std::max(object.box.left, window.left) - window.left,
                  std::max(object.box.top, window.top) - window.top,
                  std::min(object.box.right, window.right) - window.left,
                  std::min(object.box.bottom, window.bottom) - window.top};
  }
}

}  // namespace

void vary_objects(Picture& picture, std::uint64_t seed) {
  // The overlap that a window is to have with an object.
  constexpr std::array<double, 6> kLeast = {.1, .3, .5, .7, .9, 0};
  Random random(seed);
  if (random.below(4) == 0) {
    const double zoom = most_zoom(picture.image, std::get<Objects>(picture.truth));
    zoom_out(picture, 1 / random.between(1, zoom), random);
  }
  if (random.below(2) == 0) {
    const double least = kLeast[random.below(kLeast.size())];
    const auto window = any_window(picture.image, std::get<Objects>(picture.truth), least, random);
    if (window) cut_to(picture, *window);
  }
  if (random.below(2) == 0) {
    mirror(picture.image);
    const double width = picture.image.width;
    for (Object& object : std::get<Objects>(picture.truth)) {
      const double left = width - object.box.right;
      object.box.right = width - object.box.left;
      object.box.left = left;
    }
  }
  vary_colours(picture.image, random.next());
}

}  // namespace disco
