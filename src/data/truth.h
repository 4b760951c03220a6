#pragma once
// What is right about a sample: its class, its objects, the class of every pixel, or the image it should
// become.

#include <algorithm>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "data/image.h"

namespace disco {

/// Pixels; right and bottom lie outside, so that widths are differences.
struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
  friend bool operator==(const Box&, const Box&) = default;
};

/// Zero where a side is negative.
[[nodiscard]] constexpr double area_of(const Box& box) {
  const double width = box.right - box.left, height = box.bottom - box.top;
  return width > 0 && height > 0 ? width * height : 0.0;
}

/// Of what two boxes share, and how much that is of both together: 0 (nothing) to 1 (the same box).
[[nodiscard]] constexpr double shared_area(const Box& a, const Box& b) {
  return area_of({std::max(a.left, b.left), std::max(a.top, b.top), std::min(a.right, b.right),
                  std::min(a.bottom, b.bottom)});
}
[[nodiscard]] constexpr double overlap(const Box& a, const Box& b) {
  const double shared = shared_area(a, b), both = area_of(a) + area_of(b) - shared;
  return both > 0 ? shared / both : 0.0;
}

/// Something in a picture.
struct Object {
  Box box;
  std::int64_t label = -1;  ///< class, from 0 on (no class stands for the background)
  bool difficult = false;   ///< VOC: found or not, it does not count
  bool crowd = false;       ///< COCO: a region of many; what is found in it does not count
  double area = 0;          ///< in pixels of the original image, by which COCO tells small from large
};
using Objects = std::vector<Object>;

/// The class of every pixel, row by row.
struct LabelMap {
  static constexpr std::uint8_t kIgnored = 255;
  int width = 0, height = 0;
  std::vector<std::uint8_t> labels{};  ///< classes from 0 on, or kIgnored
};

/// Nothing known, a class, objects, a map of labels, or an image in full resolution.
/// Places are those of the picture that it comes with: of an image in its file, or of the tensor it became.
using Truth = std::variant<std::monostate, std::int64_t, Objects, LabelMap, Image>;

/// What the truths of a data set are.
enum class TruthKind { None, Class, Objects, LabelMap, Image };
[[nodiscard]] inline TruthKind kind_of(const Truth& truth) { return static_cast<TruthKind>(truth.index()); }

/// An image with what is right about it.
struct Picture {
  Image image;
  Truth truth{};
};

}  // namespace disco
