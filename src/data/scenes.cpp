#include "data/scenes.h"

#include <array>
#include <cstddef>

#include "data/figures.h"
#include "data/shapes.h"

namespace disco {

using namespace figures;

namespace {

/// Of shape_names(): those that differ in more than a line's width.
constexpr std::array<std::size_t, 6> kKinds = {0, 1, 2, 4, 6, 7};
/// What each leans to in colour, as things do: by shape alone a small network tells them apart after days
/// only.
constexpr std::array<Colour, kKinds.size()> kColours = {
    {{.9, .15, .1}, {.1, .25, .9}, {.1, .7, .2}, {.95, .85, .1}, {.8, .1, .8}, {.1, .85, .9}}};
constexpr Colour kGrey = {.5, .5, .5};
constexpr std::size_t kMostFigures = 8;
/// An object of which less is to be seen is difficult, and below the least pixels none.
constexpr double kVisibleShare = .4;
constexpr std::int64_t kLeastPixels = 12;

struct Placed {
  Figure figure;
  std::int64_t label = 0;
  Colour ink, other_ink;
  Box reach;  ///< holds all of it
  std::int64_t pixels = 0, visible = 0;
  Box seen;
};

Placed any_figure(double width, double height, double farthest, double nearest, Random& random) {
  Placed placed;
  placed.label = static_cast<std::int64_t>(random.below(kKinds.size()));
  Figure& figure = placed.figure;
  figure.kind = static_cast<std::int64_t>(kKinds[static_cast<std::size_t>(placed.label)]);
  // Small ones are more frequent: the square of an even share.
  const double share = random.unit();
  figure.radius = farthest + (nearest - farthest) * share * share;
  // Up to a fifth of it may lie outside of the picture.
  const double margin = figure.radius * .8;
  figure.centre = {random.between(margin, width - margin), random.between(margin, height - margin)};
  figure.turn = any_direction(random);
  figure.stretch_way = any_direction(random);
  figure.stretch = random.between(1, 1.25);
  figure.pen = std::max(random.between(.14, .22), 1 / figure.radius);
  const double reach = figure.radius * 1.3 + 2;
  placed.reach = {figure.centre.x - reach, figure.centre.y - reach, figure.centre.x + reach,
                  figure.centre.y + reach};
  return placed;
}

/// Whether a new figure would hide too much of another, going by squares around their centres.
bool crowds(const Placed& figure, const std::vector<Placed>& others) {
  for (const Placed& other : others) {
    const double side = std::min(figure.figure.radius, other.figure.radius) * 2;
    const double sum = figure.figure.radius + other.figure.radius;
    const double across = sum - std::abs(figure.figure.centre.x - other.figure.centre.x);
    const double down = sum - std::abs(figure.figure.centre.y - other.figure.centre.y);
    if (across <= 0 || down <= 0) continue;
    if (std::min(across, side) * std::min(down, side) > .5 * side * side) return true;
  }
  return false;
}

std::vector<Placed> any_figures(int width, int height, Random& random) {
  const double side = std::min(width, height);
  const std::size_t count = 1 + static_cast<std::size_t>(random.below(kMostFigures));
  std::vector<Placed> figures;
  for (std::size_t tries = 0; tries < count * 4 && figures.size() < count; ++tries) {
    Placed placed = any_figure(width, height, side * .07, side * .3, random);
    const Colour& own = kColours[static_cast<std::size_t>(placed.label)];
    placed.ink = mix(own, any_colour(random), random.between(0, .35));
    placed.other_ink = mix(placed.ink, any_colour(random), .3);
    if (!crowds(placed, figures)) figures.push_back(placed);
  }
  return figures;
}

bool holds(const Box& box, Point p) {
  return p.x >= box.left && p.x < box.right && p.y >= box.top && p.y < box.bottom;
}

void see(Placed& placed, int x, int y) {
  Box& box = placed.seen;
  if (placed.visible++ == 0) box = {x + 0.0, y + 0.0, x + 1.0, y + 1.0};
  box.left = std::min(box.left, x + 0.0);
  box.right = std::max(box.right, x + 1.0);
  box.bottom = y + 1.0;  // rows come from above
}

Objects objects_of(const std::vector<Placed>& figures) {
  Objects objects;
  for (const Placed& placed : figures) {
    if (placed.visible < kLeastPixels) continue;
    const double share = static_cast<double>(placed.visible) / static_cast<double>(placed.pixels);
    objects.push_back({.box = placed.seen,
                       .label = placed.label,
                       .difficult = share < kVisibleShare,
                       .area = static_cast<double>(placed.visible)});
  }
  return objects;
}

}  // namespace

const std::vector<std::string>& scene_object_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> of_kinds;
    for (const std::size_t kind : kKinds) of_kinds.push_back(shape_names()[kind]);
    return of_kinds;
  }();
  return names;
}

const std::vector<std::string>& scene_label_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> with_background{"background"};
    with_background.insert(with_background.end(), scene_object_names().begin(), scene_object_names().end());
    return with_background;
  }();
  return names;
}

Scene render_scene(int height, int width, std::uint64_t seed) {
  Random random(seed);
  const double side = std::min(width, height);
  // Dull, so that no object is lost in it.
  const Colour ground = mix(kGrey, any_colour(random), .5), other_ground = mix(kGrey, any_colour(random), .5);
  const Texture coarse{side * random.between(.2, .6), random.next()};
  const Texture fine{side * random.between(.04, .12), random.next()};
  const double fineness = random.unit();
  const std::vector<Stroke> strokes = any_strokes(width, height, random);
  std::vector<Placed> figures = any_figures(width, height, random);
  const double noise = random.between(.02, .1);

  const std::size_t pixels = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  Scene scene{.image = {width, height, std::vector<std::uint8_t>(pixels * 3)},
              .labels = {width, height, std::vector<std::uint8_t>(pixels)}};
  std::uint8_t* to = scene.image.rgb.data();
  std::uint8_t* label = scene.labels.labels.data();
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x, to += 3, ++label) {
      const Point p{x + .5, y + .5};
      const double coarse_grain = coarse.at(p.x, p.y);
      const double grain = coarse_grain * (1 - fineness / 2) + fine.at(p.x, p.y) * fineness / 2;
      Colour colour = mix(ground, other_ground, grain);
      for (const Stroke& stroke : strokes) colour = mix(colour, stroke.colour, coverage(stroke.distance(p)));
      Placed* nearest = nullptr;
      for (Placed& placed : figures) {
        if (!holds(placed.reach, p)) continue;
        const double border = placed.figure.distance(p);
        colour = mix(colour, mix(placed.ink, placed.other_ink, 1 - coarse_grain), coverage(border));
        if (border > 0) continue;
        ++placed.pixels;
        nearest = &placed;
      }
      if (nearest != nullptr) {
        see(*nearest, x, y);
        *label = static_cast<std::uint8_t>(nearest->label + 1);
      }
      for (std::size_t c = 0; c < 3; ++c) {
        const double drawn = colour[c] + noise * (random.unit() + random.unit() - 1);
        to[c] = static_cast<std::uint8_t>(std::clamp(drawn * 255 + .5, 0.0, 255.0));
      }
    }
  }
  scene.objects = objects_of(figures);
  return scene;
}

}  // namespace disco
