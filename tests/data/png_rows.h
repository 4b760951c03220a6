#pragma once
// PNGs of every kind, as other programs write them.

#include <png.h>

#include <cstddef>
#include <vector>

namespace disco {

using Bytes = std::vector<std::byte>;

struct PngOptions {
  int depth = 8;
  int type = PNG_COLOR_TYPE_RGB;
  bool interlaced = false;
  double gamma = 0;                      // of a gAMA chunk; 0: none
  std::vector<png_color> palette;        // of palette images
  std::vector<png_byte> palette_alphas;  // likewise
};

/// A PNG of rows as they are stored in it.
inline Bytes encode_rows(std::vector<std::vector<png_byte>> rows, int width, const PngOptions& options) {
  Bytes bytes;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &bytes,
      [](png_structp writer, png_bytep data, png_size_t size) {
        auto& all = *static_cast<Bytes*>(png_get_io_ptr(writer));
        const auto* begin = reinterpret_cast<const std::byte*>(data);
        all.insert(all.end(), begin, begin + size);
      },
      nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(rows.size()),
               options.depth, options.type, options.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (!options.palette.empty())
    png_set_PLTE(png, info, options.palette.data(), static_cast<int>(options.palette.size()));
  if (!options.palette_alphas.empty())
    png_set_tRNS(png, info, options.palette_alphas.data(), static_cast<int>(options.palette_alphas.size()),
                 nullptr);
  if (options.gamma > 0) png_set_gAMA(png, info, options.gamma);
  std::vector<png_bytep> pointers;
  for (auto& row : rows) pointers.push_back(row.data());
  png_set_rows(png, info, pointers.data());
  png_write_png(png, info, PNG_TRANSFORM_IDENTITY, nullptr);
  png_destroy_write_struct(&png, &info);
  return bytes;
}

}  // namespace disco
