#pragma once
// Answers as pictures.

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "task/answer.h"

namespace disco {

using Rgb = std::array<std::uint8_t, 3>;

/// Of a class: bright, and unlike that of the classes near it.
[[nodiscard]] Rgb class_colour(std::int64_t label);
/// Black or white, whichever is easier to read on a colour.
[[nodiscard]] Rgb ink_on(Rgb ground);

/// Draws on an image. What lies outside of it is not drawn.
class Canvas {
 public:
  explicit Canvas(Image image) : image_(std::move(image)) {}

  /// @param share  how much of the colour there is in what was there, 0..1
  void fill(int left, int top, int width, int height, Rgb colour, double share = 1.0);
  /// A rectangle's border, inwards, with a dark line on either side so that it can be seen on any ground.
  void frame(const Box& box, Rgb colour, int thickness);
  /// ASCII; '?' for other characters. @param scale  of letters, whole
  void text(int left, int top, std::string_view line, Rgb colour, int scale = 1);
  /// Text on a plain ground of its colour, moved so that it lies in the image where it can.
  void tag(int left, int top, std::string_view line, Rgb colour, int scale = 1);

  [[nodiscard]] const Image& image() const { return image_; }
  [[nodiscard]] Image take() { return std::move(image_); }

  /// Of text in pixels.
  [[nodiscard]] static int width_of(std::string_view line, int scale = 1);
  [[nodiscard]] static int height_of(int scale = 1);
  /// The size of a tag around text.
  [[nodiscard]] static int tag_height(int scale = 1) { return height_of(scale) + 2 * scale; }

 private:
  void set(int x, int y, Rgb colour);
  Image image_;
};

/// The image with a frame and "dog 93%" for each box of a score from `least` on; small images are enlarged
/// first (a whole number of times), so that names can be read.
///
/// @param found  places are the image's pixels
[[nodiscard]] Image draw_detections(const Image& image, const Detections& found,
                                    const std::vector<std::string>& names, double least = 0.3);

}  // namespace disco
