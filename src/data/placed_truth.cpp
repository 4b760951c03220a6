#include "data/placed_truth.h"

#include <algorithm>
#include <cmath>

namespace disco {

namespace {

Box cut(const Box& box, double width, double height) {
  return {std::clamp(box.left, 0.0, width), std::clamp(box.top, 0.0, height),
          std::clamp(box.right, 0.0, width), std::clamp(box.bottom, 0.0, height)};
}

Objects placed(const Objects& objects, const Placement& p) {
  Objects result;
  for (Object object : objects) {
    object.box = cut({object.box.left * p.scale_x + p.left, object.box.top * p.scale_y + p.top,
                      object.box.right * p.scale_x + p.left, object.box.bottom * p.scale_y + p.top},
                     p.tensor.width, p.tensor.height);
    if (area_of(object.box) > 0) result.push_back(object);
  }
  return result;
}

/// The pixel of an image whose centre is nearest to the centre of each of a tensor's; -1 outside.
std::vector<int> nearest(int count, double scale, double offset, int size) {
  std::vector<int> source(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    const double at = std::floor((i + 0.5 - offset) / scale);
    source[static_cast<std::size_t>(i)] = at < 0 || at >= size ? -1 : static_cast<int>(at);
  }
  return source;
}

/// A map of which rows and columns were picked; -1: ignored.
LabelMap picked(const LabelMap& map, const std::vector<int>& rows, const std::vector<int>& columns) {
  LabelMap result{static_cast<int>(columns.size()), static_cast<int>(rows.size())};
  result.labels.reserve(columns.size() * rows.size());
  for (const int row : rows) {
    for (const int column : columns) {
      const auto at = static_cast<std::size_t>(row) * static_cast<std::size_t>(map.width) +
                      static_cast<std::size_t>(column);
      result.labels.push_back(row < 0 || column < 0 ? LabelMap::kIgnored : map.labels[at]);
    }
  }
  return result;
}

LabelMap placed(const LabelMap& map, const Placement& p) {
  return picked(map, nearest(p.tensor.height, p.scale_y, p.top, map.height),
                nearest(p.tensor.width, p.scale_x, p.left, map.width));
}

}  // namespace

LabelMap map_on_image(const LabelMap& map, PixelSize image, const Placement& p) {
  // The same the other way: x_image = (x_tensor - left) / scale.
  return picked(map, nearest(image.height, 1 / p.scale_y, -p.top / p.scale_y, map.height),
                nearest(image.width, 1 / p.scale_x, -p.left / p.scale_x, map.width));
}

Result<Truth> placed_truth(const Truth& truth, PixelSize image, const Placement& p) {
  if (const auto* objects = std::get_if<Objects>(&truth)) return Truth(placed(*objects, p));
  if (const auto* map = std::get_if<LabelMap>(&truth)) {
    if (map->width != image.width || map->height != image.height) {
      return error(ErrorCode::InvalidArgument, "the image has {} x {} pixels, its label map {} x {}",
                   image.width, image.height, map->width, map->height);
    }
    return Truth(placed(*map, p));
  }
  const bool same = p.scale_x == 1 && p.scale_y == 1 && p.left == 0 && p.top == 0 && p.tensor == image;
  if (std::holds_alternative<Image>(truth) && !same) {
    return error(ErrorCode::InvalidArgument,
                 "an image of {} x {} pixels would become {} x {} before the model enlarges it; leave resize "
                 "and crop out, and give the model an open size: --shape NAME:1,3,{},{}",
                 image.width, image.height, p.tensor.width, p.tensor.height, image.height, image.width);
  }
  return truth;
}

Box box_on_image(const Box& box, PixelSize image, const Placement& p) {
  return cut({(box.left - p.left) / p.scale_x, (box.top - p.top) / p.scale_y,
              (box.right - p.left) / p.scale_x, (box.bottom - p.top) / p.scale_y},
             image.width, image.height);
}

}  // namespace disco
