#pragma once
// Photographs in, pictures out.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace disco {

/// 8-bit RGB, row by row.
struct Image {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb{};
};

/// Decodes a JPEG or PNG, told apart by content. Grey, palette, alpha (over white), CMYK and 16-bit images
/// become RGB; a photograph's EXIF orientation is applied, colour profiles and gamma are not.
///
/// @return NotFound, Io, or InvalidArgument for what is no such image, is cut off, or has over 10^8 pixels
[[nodiscard]] Result<Image> read_image(const std::filesystem::path& path);

/// The same from memory; `where` names it in messages.
[[nodiscard]] Result<Image> decode_image(std::span<const std::byte> bytes, const std::string& where);

/// Sides in pixels, of what read_image() would give.
struct ImageExtent {
  int width = 0, height = 0;
};
/// Reads no pixels. Errors as read_image(), for what is wrong before them.
[[nodiscard]] Result<ImageExtent> read_image_extent(const std::filesystem::path& path);

/// The image as a PNG, 8-bit RGB.
/// @return InvalidArgument for an image without pixels, or Io
[[nodiscard]] Result<std::vector<std::byte>> encode_png(const Image& image);

/// Writes it to a file, whole or not at all.
[[nodiscard]] Status write_png(const std::filesystem::path& path, const Image& image);

enum class Interpolation { Nearest, Bilinear, Bicubic, Lanczos };

/// The image at another size (extents of at least 1), in the same 8-bit fixed point as Pillow's
/// `Image.resize`, so that networks see what they were trained on.
///
/// @param antialias  whether a filter grows with the factor by which it shrinks the image, as Pillow's do;
///                   without it the filters see their nearest pixels only, as OpenCV's do
[[nodiscard]] Image resize(const Image& image, int width, int height, Interpolation interpolation,
                           bool antialias = true);

}  // namespace disco
