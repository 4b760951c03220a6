#include "task/pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace disco {

namespace {

constexpr int kReadable = 320;  // pixels a side: in smaller images letters would hide everything
constexpr double kInk = 0.55;   // of a class's colour over the image

/// By a whole factor, so that pixels stay pixels.
int factor_for(const Image& image) {
  return std::max(
      1, (kReadable + std::max(image.width, image.height) - 1) / std::max({1, image.width, image.height}));
}

int text_scale(const Image& image) { return std::max(1, std::min(image.width, image.height) / 400); }

Image enlarged(const Image& image, int factor) {
  return factor == 1 ? image
                     : resize(image, image.width * factor, image.height * factor, Interpolation::Nearest);
}

/// The image with a white strip below.
Image with_strip(const Image& image, int height) {
  Image whole{image.width, image.height + height, image.rgb};
  whole.rgb.resize(static_cast<std::size_t>(whole.width) * static_cast<std::size_t>(whole.height) * 3, 255);
  return whole;
}

}  // namespace

std::vector<LabelShare> label_shares(const LabelMap& map) {
  std::int64_t counts[256] = {};
  for (const std::uint8_t label : map.labels) ++counts[label];
  const auto known = static_cast<double>(map.labels.size()) - static_cast<double>(counts[LabelMap::kIgnored]);
  std::vector<LabelShare> shares;
  for (int label = 0; label < LabelMap::kIgnored; ++label) {
    if (counts[label] > 0) shares.push_back({label, static_cast<double>(counts[label]) / known});
  }
  std::stable_sort(shares.begin(), shares.end(), [](auto& a, auto& b) { return a.share > b.share; });
  return shares;
}

Image draw_labels(const Image& image, const LabelMap& map, const std::vector<std::string>& names) {
  Image tinted = image;
  for (std::size_t i = 0; i < map.labels.size(); ++i) {
    if (map.labels[i] == LabelMap::kIgnored || class_name(names, map.labels[i]) == "background") continue;
    const Rgb colour = class_colour(map.labels[i]);
    for (std::size_t c = 0; c < 3; ++c) {
      std::uint8_t& pixel = tinted.rgb[3 * i + c];
      pixel = static_cast<std::uint8_t>(std::lround(kInk * colour[c] + (1 - kInk) * pixel));
    }
  }
  tinted = enlarged(tinted, factor_for(tinted));
  const int scale = text_scale(tinted);
  const int line = Canvas::tag_height(scale) + 4 * scale, box = Canvas::height_of(scale);
  // Entries from left to right, in as many lines as they take.
  struct Entry {
    int x, y;
    Rgb colour;
    std::string text;
  };
  std::vector<Entry> entries;
  int x = line / 2, y = line / 4;
  for (const auto& [label, share] : label_shares(map)) {
    if (class_name(names, label) == "background") continue;
    std::string text = fmt::format("{} {:.1f}%", class_name(names, label), 100 * share);
    const int width = box + 4 * scale + Canvas::width_of(text, scale) + line;
    if (x > line / 2 && x + width > tinted.width) {
      x = line / 2;
      y += line;
    }
    entries.push_back({x, y, class_colour(label), std::move(text)});
    x += width;
  }
  const int below = tinted.height;
  Canvas canvas(with_strip(tinted, y + line + line / 4));
  for (const Entry& entry : entries) {
    canvas.fill(entry.x, below + entry.y, box, box, entry.colour);
    canvas.text(entry.x + box + 4 * scale, below + entry.y, entry.text, {20, 20, 20}, scale);
  }
  return canvas.take();
}

Image draw_classes(const Image& image, const ClassAnswer& answer, const std::vector<std::string>& names,
                   std::size_t most) {
  Canvas canvas(enlarged(image, factor_for(image)));
  const int scale = text_scale(canvas.image());
  int y = 2 * scale;
  for (std::size_t k = 0; k < std::min(most, answer.best.size()); ++k) {
    const ClassScore& best = answer.best[k];
    canvas.tag(2 * scale, y, fmt::format("{} {:.2f}", class_name(names, best.index), best.score),
               class_colour(best.index), scale);
    y += Canvas::tag_height(scale) + scale;
  }
  return canvas.take();
}

Image with_colours_of(const Image& luma, const Image& image) {
  Image result = resize(image, luma.width, luma.height, Interpolation::Bicubic);
  for (std::size_t i = 0; i + 2 < result.rgb.size(); i += 3) {
    // Adding to all channels alike moves luma (BT.601) and leaves colour differences as they are.
    const double was = 0.299 * result.rgb[i] + 0.587 * result.rgb[i + 1] + 0.114 * result.rgb[i + 2];
    const double more = luma.rgb[i] - was;
    for (std::size_t c = 0; c < 3; ++c)
      result.rgb[i + c] =
          static_cast<std::uint8_t>(std::lround(std::clamp(result.rgb[i + c] + more, 0.0, 255.0)));
  }
  return result;
}

}  // namespace disco
