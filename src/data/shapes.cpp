// Only +, -, *, / and sqrt are used on floating-point numbers, which IEEE 754 rounds alike everywhere (this
// file is built without fused multiply-add): no sine, no hypot. So pictures are the same on every machine.

#include "data/shapes.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/random.h"

namespace disco {

namespace {

struct Point {
  double x = 0, y = 0;
  friend Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
  friend Point operator*(Point a, double f) { return {a.x * f, a.y * f}; }
};
double dot(Point a, Point b) { return a.x * b.x + a.y * b.y; }
double length(Point a) { return std::sqrt(dot(a, a)); }

using Colour = std::array<double, 3>;  // 0..1
Colour mix(const Colour& a, const Colour& b, double share) {
  Colour c;
  for (std::size_t i = 0; i < 3; ++i) c[i] = a[i] + (b[i] - a[i]) * share;
  return c;
}

enum Kind { kDisc, kRing, kSquare, kFrame, kTriangle, kTriangleOutline, kStar, kCross, kHexagon, kCrescent };

using Polygon = std::vector<Point>;
const Polygon kSquareCorners = {{-.8, -.8}, {.8, -.8}, {.8, .8}, {-.8, .8}};
const Polygon kTriangleCorners = {{0, 1}, {-.866025404, -.5}, {.866025404, -.5}};
const Polygon kStarCorners = {{0, 1},
                              {-.270381216, .372147819},
                              {-.951056516, .309016994},
                              {-.437485991, -.142147817},
                              {-.587785252, -.809016994},
                              {0, -.46},
                              {.587785252, -.809016994},
                              {.437485991, -.142147817},
                              {.951056516, .309016994},
                              {.270381216, .372147819}};
const Polygon kCrossCorners = {{-.3, -1}, {.3, -1}, {.3, -.3}, {1, -.3}, {1, .3},   {.3, .3},
                               {.3, 1},   {-.3, 1}, {-.3, .3}, {-1, .3}, {-1, -.3}, {-.3, -.3}};
const Polygon kHexagonCorners = {{1, 0},  {.5, .866025404},   {-.5, .866025404},
                                 {-1, 0}, {-.5, -.866025404}, {.5, -.866025404}};

/// Signed, negative inside.
double distance(const Polygon& corners, Point p) {
  double nearest = dot(p - corners[0], p - corners[0]);
  bool inside = false;
  for (std::size_t i = 0, j = corners.size() - 1; i < corners.size(); j = i++) {
    const Point edge = corners[j] - corners[i];
    const Point to = p - corners[i];
    const Point off = to - edge * std::clamp(dot(to, edge) / dot(edge, edge), 0.0, 1.0);
    nearest = std::min(nearest, dot(off, off));
    if ((corners[i].y > p.y) != (corners[j].y > p.y) &&
        p.x < (corners[j].x - corners[i].x) * (p.y - corners[i].y) / (corners[j].y - corners[i].y) +
                  corners[i].x)
      inside = !inside;
  }
  return inside ? -std::sqrt(nearest) : std::sqrt(nearest);
}

/// To the border of a kind of radius 1, negative inside. @param pen  half the width of outlines
double distance(std::int64_t kind, Point p, double pen) {
  switch (kind) {
    case kDisc: return length(p) - .95;
    case kRing: return std::abs(length(p) - .85) - pen;
    case kSquare: return distance(kSquareCorners, p);
    case kFrame: return std::abs(distance(kSquareCorners, p) + .1) - pen;
    case kTriangle: return distance(kTriangleCorners, p);
    case kTriangleOutline: return std::abs(distance(kTriangleCorners, p) + .08) - pen;
    case kStar: return distance(kStarCorners, p);
    case kCross: return distance(kCrossCorners, p);
    case kHexagon: return distance(kHexagonCorners, p);
    default: return std::max(length(p) - .95, .8 - length(p - Point{.45, 0}));
  }
}

Colour any_colour(Random& random) { return {random.unit(), random.unit(), random.unit()}; }

/// A colour that can be told from another one.
Colour colour_unlike(const Colour& other, Random& random) {
  while (true) {
    const Colour colour = any_colour(random);
    double square = 0;
    for (std::size_t i = 0; i < 3; ++i) square += (colour[i] - other[i]) * (colour[i] - other[i]);
    if (square > .35 * .35) return colour;
  }
}

/// A direction, by the half-angle formula.
Point any_direction(Random& random) {
  const double t = random.between(-1, 1);
  const double below = 1 + t * t;
  Point way{(1 - t * t) / below, 2 * t / below};
  return random.below(2) == 0 ? way : way * -1.0;
}

/// Smooth noise in 0..1 that changes over `cell` pixels.
class Texture {
 public:
  Texture(double cell, std::uint64_t seed) : cell_(cell), seed_(seed) {}
  double at(double x, double y) const {
    const double u = x / cell_, v = y / cell_;
    const double left = std::floor(u), top = std::floor(v);
    const double fx = smooth(u - left), fy = smooth(v - top);
    const auto i = static_cast<std::int64_t>(left), j = static_cast<std::int64_t>(top);
    const double upper = knot(i, j) + (knot(i + 1, j) - knot(i, j)) * fx;
    const double lower = knot(i, j + 1) + (knot(i + 1, j + 1) - knot(i, j + 1)) * fx;
    return upper + (lower - upper) * fy;
  }

 private:
  static double smooth(double f) { return f * f * (3 - 2 * f); }
  double knot(std::int64_t i, std::int64_t j) const {
    const std::uint64_t h = Random::mix(seed_ + static_cast<std::uint64_t>(i) * 0x9E3779B97F4A7C15ULL +
                                        static_cast<std::uint64_t>(j) * 0xC2B2AE3D27D4EB4FULL);
    return static_cast<double>(h >> 11U) * 0x1p-53;
  }
  double cell_;
  std::uint64_t seed_;
};

/// A line, or a dot where it has no length.
struct Stroke {
  Point from, along;
  double half_width = 1;
  Colour colour;
  double distance(Point p) const {
    const Point to = p - from;
    const double square = dot(along, along);
    const double at = square > 0 ? std::clamp(dot(to, along) / square, 0.0, 1.0) : 0.0;
    return length(to - along * at) - half_width;
  }
};

/// How much of a pixel lies inside of a border that is `distance` pixels away.
double coverage(double distance) { return std::clamp(.5 - distance, 0.0, 1.0); }

std::vector<Stroke> any_strokes(int side, Random& random) {
  std::vector<Stroke> strokes(2 + random.below(4));
  for (Stroke& stroke : strokes) {
    stroke.from = {random.between(0, side), random.between(0, side)};
    const bool is_dot = random.below(2) == 0;
    if (!is_dot) stroke.along = any_direction(random) * (side * random.between(.15, .5));
    stroke.half_width = side * (is_dot ? random.between(.02, .06) : random.between(.012, .03));
    stroke.colour = any_colour(random);
  }
  return strokes;
}

}  // namespace

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
  const std::vector<Stroke> strokes = any_strokes(side, random);

  const double radius = pixels * random.between(.2, .42);
  const double free = pixels / 2 - radius * .9;
  const Point centre{pixels / 2 + free * random.between(-1, 1), pixels / 2 + free * random.between(-1, 1)};
  const Point turn = any_direction(random), stretch_way = any_direction(random);
  const double stretch = random.between(1, 1.25);
  // A pen of two pixels at least, or outlines of small shapes would fade.
  const double pen = std::max(random.between(.09, .16), 1 / radius);
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
      // Into the shape's own system: shrunk along one direction, turned, of radius 1.
      Point q = p - centre;
      q = q - stretch_way * (dot(q, stretch_way) * (1 - 1 / stretch));
      q = Point{dot(q, turn), turn.x * q.y - turn.y * q.x} * (1 / radius);
      const double border = distance(kind, q, pen) * radius;
      colour = mix(colour, mix(ink, other_ink, coarse.at(p.y, p.x)), coverage(border));
      for (std::size_t c = 0; c < 3; ++c) {
        const double drawn = colour[c] + noise * (random.unit() + random.unit() - 1);
        to[c] = static_cast<std::uint8_t>(std::clamp(drawn * 255 + .5, 0.0, 255.0));
      }
    }
  }
  return image;
}

}  // namespace disco
