#include "task/canvas.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "task/font.h"

namespace disco {

namespace {

/// Characters as they are drawn: one for each of UTF-8.
std::string drawable(std::string_view line) {
  std::string characters;
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0U) != 0x80U) characters += byte < 0x80U ? c : '?';
  }
  return characters;
}

constexpr Rgb kDark = {16, 16, 16}, kLight = {255, 255, 255};

}  // namespace

Rgb class_colour(std::int64_t label) {
  // Hues by the golden ratio: any number of them in a row lie far apart.
  const double turn = static_cast<double>(label) * 0.618033988749895 + 0.33;
  const double hue = (turn - std::floor(turn)) * 6;
  const double value = label % 3 == 2 ? 190 : 255, least = label % 2 == 0 ? 0.1 : 0.35;
  const auto channel = [&](double at) {
    const double away = std::abs(std::fmod(hue + at, 6.0) - 3);
    const double full = std::clamp(away - 1, 0.0, 1.0);
    return static_cast<std::uint8_t>(value * (least + (1 - least) * full));
  };
  return {channel(0), channel(4), channel(2)};
}

Rgb ink_on(Rgb ground) {
  const double bright = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2];
  return bright > 128 ? kDark : kLight;
}

void Canvas::set(int x, int y, Rgb colour) {
  if (x < 0 || y < 0 || x >= image_.width || y >= image_.height) return;
  const std::size_t at =
      (static_cast<std::size_t>(y) * static_cast<std::size_t>(image_.width) + static_cast<std::size_t>(x)) *
      3;
  std::copy(colour.begin(), colour.end(), image_.rgb.begin() + static_cast<std::ptrdiff_t>(at));
}

void Canvas::fill(int left, int top, int width, int height, Rgb colour, double share) {
  const int right = std::min(left + width, image_.width), bottom = std::min(top + height, image_.height);
  for (int y = std::max(top, 0); y < bottom; ++y) {
    for (int x = std::max(left, 0); x < right; ++x) {
      std::uint8_t* rgb = &image_.rgb[(static_cast<std::size_t>(y) * static_cast<std::size_t>(image_.width) +
                                       static_cast<std::size_t>(x)) *
                                      3];
      for (std::size_t c = 0; c < 3; ++c)
        rgb[c] = static_cast<std::uint8_t>(rgb[c] + (colour[c] - rgb[c]) * share + .5);
    }
  }
}

void Canvas::frame(const Box& box, Rgb colour, int thickness) {
  const int left = static_cast<int>(std::lround(box.left)), right = static_cast<int>(std::lround(box.right));
  const int top = static_cast<int>(std::lround(box.top)), bottom = static_cast<int>(std::lround(box.bottom));
  const auto border = [&](int inset, int width, Rgb ink, double share) {
    const int l = left + inset, t = top + inset, w = right - left - 2 * inset, h = bottom - top - 2 * inset;
    if (w <= 0 || h <= 0) return;
    fill(l, t, w, std::min(width, h), ink, share);
    fill(l, t + h - std::min(width, h), w, std::min(width, h), ink, share);
    fill(l, t + width, std::min(width, w), h - 2 * width, ink, share);
    fill(l + w - std::min(width, w), t + width, std::min(width, w), h - 2 * width, ink, share);
  };
  border(-1, 1, kDark, .6);
  border(thickness, 1, kDark, .6);
  border(0, thickness, colour, 1);
}

void Canvas::text(int left, int top, std::string_view line, Rgb colour, int scale) {
  for (const char character : drawable(line)) {
    const Glyph& glyph = glyph_of(character);
    for (int y = 0; y < kGlyphHeight * scale; ++y) {
      for (int x = 0; x < kGlyphWidth * scale; ++x) {
        if (((glyph[static_cast<std::size_t>(y / scale)] << static_cast<unsigned>(x / scale)) & 0x80) != 0)
          set(left + x, top + y, colour);
      }
    }
    left += kGlyphWidth * scale;
  }
}

void Canvas::tag(int left, int top, std::string_view line, Rgb colour, int scale) {
  const int width = width_of(line, scale) + 4 * scale, height = tag_height(scale);
  left = std::max(0, std::min(left, image_.width - width));
  top = std::max(0, std::min(top, image_.height - height));
  fill(left, top, width, height, colour);
  text(left + 2 * scale, top + scale, line, ink_on(colour), scale);
}

int Canvas::width_of(std::string_view line, int scale) {
  return static_cast<int>(drawable(line).size()) * kGlyphWidth * scale;
}
int Canvas::height_of(int scale) { return kGlyphHeight * scale; }

Image draw_detections(const Image& image, const Detections& found, const std::vector<std::string>& names,
                      double least) {
  constexpr int kLeastSide = 320;
  const int side = std::min(image.width, image.height);
  const int factor = std::max(1, (kLeastSide + side - 1) / side);
  const int scale = std::max(1, static_cast<int>(std::lround(side / 720.0)));  // of lines and letters
  Canvas canvas(factor == 1
                    ? image
                    : resize(image, image.width * factor, image.height * factor, Interpolation::Bicubic));
  const auto first_below =
      std::find_if(found.begin(), found.end(), [&](const Found& one) { return one.score < least; });
  const std::vector<Found> shown(std::make_reverse_iterator(first_below), found.rend());  // the best on top
  const auto enlarged = [&](const Box& box) {
    return Box{box.left * factor, box.top * factor, box.right * factor, box.bottom * factor};
  };
  for (const Found& one : shown) canvas.frame(enlarged(one.box), class_colour(one.label), 2 * scale);
  for (const Found& one : shown) {
    const Box box = enlarged(one.box);
    const int left = static_cast<int>(std::lround(box.left)), top = static_cast<int>(std::lround(box.top));
    const bool fits_above = top >= Canvas::tag_height(scale);
    canvas.tag(left, fits_above ? top - Canvas::tag_height(scale) : top,
               fmt::format("{} {:.0f}%", class_name(names, one.label), 100 * one.score),
               class_colour(one.label), scale);
  }
  return canvas.take();
}

}  // namespace disco
