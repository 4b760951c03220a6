#pragma once
// Photographs in, pictures out.

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/result.h"

namespace disco {

/// 8-bit RGB, row by row.
struct Image {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb{};
};

/// Decodes a JPEG or PNG, told apart by content. Grey, palette, alpha (over white), CMYK and 16-bit images
/// become RGB; a photograph's EXIF orientation is applied.
///
/// @return NotFound, Io, or InvalidArgument for what is no such image, is cut off, or has over 10^8 pixels
[[nodiscard]] Result<Image> read_image(const std::filesystem::path& path);

/// Whole or not at all.
[[nodiscard]] Status write_png(const std::filesystem::path& path, const Image& image);

enum class Interpolation { Bilinear, Bicubic };

/// The image at another size, filtered over its whole support when shrunk, in the same 8-bit fixed point as
/// Pillow's `Image.resize`, so that networks see what they were trained on.
[[nodiscard]] Image resize(const Image& image, int width, int height, Interpolation interpolation);

}  // namespace disco
