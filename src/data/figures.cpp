#include "data/figures.h"

namespace disco::figures {

namespace {

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

}  // namespace

Colour any_colour(Random& random) { return {random.unit(), random.unit(), random.unit()}; }

Colour colour_unlike(const Colour& other, Random& random) {
  while (true) {
    const Colour colour = any_colour(random);
    double square = 0;
    for (std::size_t i = 0; i < 3; ++i) square += (colour[i] - other[i]) * (colour[i] - other[i]);
    if (square > .35 * .35) return colour;
  }
}

Point any_direction(Random& random) {
  const double t = random.between(-1, 1);
  const double below = 1 + t * t;
  Point way{(1 - t * t) / below, 2 * t / below};
  return random.below(2) == 0 ? way : way * -1.0;
}

double Figure::distance(Point p) const {
  // Into the shape's own system: shrunk along one direction, turned, of radius 1.
  Point q = p - centre;
  q = q - stretch_way * (dot(q, stretch_way) * (1 - 1 / stretch));
  q = Point{dot(q, turn), turn.x * q.y - turn.y * q.x} * (1 / radius);
  return figures::distance(kind, q, pen) * radius;
}

std::vector<Stroke> any_strokes(int width, int height, Random& random) {
  const int side = std::min(width, height);
  std::vector<Stroke> strokes(2 + random.below(4));
  for (Stroke& stroke : strokes) {
    stroke.from = {random.between(0, width), random.between(0, height)};
    const bool is_dot = random.below(2) == 0;
    if (!is_dot) stroke.along = any_direction(random) * (side * random.between(.15, .5));
    stroke.half_width = side * (is_dot ? random.between(.02, .06) : random.between(.012, .03));
    stroke.colour = any_colour(random);
  }
  return strokes;
}

}  // namespace disco::figures
