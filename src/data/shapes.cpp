#include "data/shapes.h"

#include "data/figures.h"

namespace disco {

using namespace figures;

const std::vector<std::string>& shape_names() {
  static const std::vector<std::string> names = {"disc",    "ring", "square", "frame",   "triangle",
                                                 "outline", "star", "cross",  "hexagon", "crescent"};
  return names;
}

Image render_shape(std::int64_t kind, int side, std::uint64_t seed) {
  Random random(seed);
  const double pixels = side;
  const Colour ground = any_colour(random), other_ground = mix(ground, any_colour(random), .6);
  const Colour ink = colour_unlike(mix(ground, other_ground, .5), random);
  const Colour other_ink = mix(ink, any_colour(random), .3);
  const Texture coarse(pixels * random.between(.2, .6), random.next());
  const Texture fine(pixels * random.between(.05, .15), random.next());
  const double fineness = random.unit();
  const std::vector<Stroke> strokes = any_strokes(side, side, random);

  Figure shape{.kind = kind, .radius = pixels * random.between(.2, .42)};
  const double free = pixels / 2 - shape.radius * .9;
  shape.centre = {pixels / 2 + free * random.between(-1, 1), pixels / 2 + free * random.between(-1, 1)};
  shape.turn = any_direction(random);
  shape.stretch_way = any_direction(random);
  shape.stretch = random.between(1, 1.25);
  // A pen of two pixels at least, or outlines of small shapes would fade.
  shape.pen = std::max(random.between(.09, .16), 1 / shape.radius);
  const double noise = random.between(.02, .14);

  Image image{side, side,
              std::vector<std::uint8_t>(static_cast<std::size_t>(side) * static_cast<std::size_t>(side) * 3)};
  std::uint8_t* to = image.rgb.data();
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x, to += 3) {
      const Point p{x + .5, y + .5};
      const double grain = coarse.at(p.x, p.y) * (1 - fineness / 2) + fine.at(p.x, p.y) * fineness / 2;
      Colour colour = mix(ground, other_ground, grain);
      for (const Stroke& stroke : strokes) colour = mix(colour, stroke.colour, coverage(stroke.distance(p)));
      colour = mix(colour, mix(ink, other_ink, coarse.at(p.y, p.x)), coverage(shape.distance(p)));
      for (std::size_t c = 0; c < 3; ++c) {
        const double drawn = colour[c] + noise * (random.unit() + random.unit() - 1);
        to[c] = static_cast<std::uint8_t>(std::clamp(drawn * 255 + .5, 0.0, 255.0));
      }
    }
  }
  return image;
}

}  // namespace disco
