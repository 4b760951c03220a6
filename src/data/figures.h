#pragma once
// What rendered pictures are made of: shapes, textures and strokes; not for others than shapes and scenes.
//
// Only +, -, *, / and sqrt are used on floating-point numbers, which IEEE 754 rounds alike everywhere (the
// files that include this are built without fused multiply-add): no sine, no hypot. So pictures are the same
// on every machine.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "base/random.h"

namespace disco::figures {

struct Point {
  double x = 0, y = 0;
  friend Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
  friend Point operator*(Point a, double f) { return {a.x * f, a.y * f}; }
};
inline double dot(Point a, Point b) { return a.x * b.x + a.y * b.y; }
inline double length(Point a) { return std::sqrt(dot(a, a)); }

using Colour = std::array<double, 3>;  // 0..1
inline Colour mix(const Colour& a, const Colour& b, double share) {
  Colour c;
  for (std::size_t i = 0; i < 3; ++i) c[i] = a[i] + (b[i] - a[i]) * share;
  return c;
}

[[nodiscard]] Colour any_colour(Random& random);
/// A colour that can be told from another one.
[[nodiscard]] Colour colour_unlike(const Colour& other, Random& random);
/// A direction, by the half-angle formula.
[[nodiscard]] Point any_direction(Random& random);

/// A shape of one of the kinds of shape_names(), placed.
struct Figure {
  std::int64_t kind = 0;
  Point centre;
  double radius = 1;                    ///< pixels
  Point turn{1, 0}, stretch_way{1, 0};  ///< directions
  double stretch = 1;                   ///< along stretch_way, at least 1
  double pen = .1;                      ///< half the width of outlines, in radii
  /// From a pixel's centre to the border, in pixels (but for the stretch); negative inside.
  [[nodiscard]] double distance(Point p) const;
};

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
inline double coverage(double distance) { return std::clamp(.5 - distance, 0.0, 1.0); }

/// Lines and dots somewhere on a picture.
[[nodiscard]] std::vector<Stroke> any_strokes(int width, int height, Random& random);

}  // namespace disco::figures
