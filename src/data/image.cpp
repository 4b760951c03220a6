#include "data/image.h"

#include <jpeglib.h>
#include <png.h>

#include <csetjmp>
#include <cstring>

#include "base/file.h"

namespace disco {

namespace {

constexpr std::uint64_t kMostPixels = 100'000'000;

/// libjpeg's errors jump back to the decoder.
struct JpegErrors {
  jpeg_error_mgr base;
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
};

extern "C" void jpeg_failed(j_common_ptr info) {
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  info->err->format_message(info, errors->message);
  std::longjmp(errors->escape, 1);
}

extern "C" void jpeg_warned(j_common_ptr info, int level) {
  // A negative level is corrupt data that libjpeg would paper over.
  if (level < 0) jpeg_failed(info);
}

/// EXIF orientation, 1 to 8; 1 where there is none.
int orientation_of(const jpeg_decompress_struct& info) {
  for (const jpeg_saved_marker_ptr* at = &info.marker_list; *at != nullptr; at = &(*at)->next) {
    const jpeg_saved_marker_ptr marker = *at;
    const std::uint8_t* data = marker->data;
    const std::size_t size = marker->data_length;
    if (marker->marker != JPEG_APP0 + 1 || size < 14 || std::memcmp(data, "Exif\0\0", 6) != 0) continue;
    const std::uint8_t* tiff = data + 6;
    const std::size_t length = size - 6;
    const bool little = tiff[0] == 'I';
    const auto u16 = [&](std::size_t o) -> std::uint32_t {
      if (o + 2 > length) return 0;
      return little ? tiff[o] | tiff[o + 1] << 8U : tiff[o] << 8U | tiff[o + 1];
    };
    const auto u32 = [&](std::size_t o) {
      return little ? u16(o) | u16(o + 2) << 16U : u16(o) << 16U | u16(o + 2);
    };
    const std::size_t directory = u32(4);
    if (directory >= length) return 1;
    const std::uint32_t entries = u16(directory);
    for (std::uint32_t e = 0; e < entries && e < 512; ++e) {
      const std::size_t entry = directory + 2 + std::size_t{e} * 12;
      if (entry + 12 > length) return 1;
      if (u16(entry) == 0x0112) {
        const auto value = static_cast<int>(u16(entry + 8));
        return value >= 1 && value <= 8 ? value : 1;
      }
    }
  }
  return 1;
}

Image oriented(Image image, int orientation) {
  if (orientation == 1) return image;
  const bool swaps = orientation >= 5;
  Image result{swaps ? image.height : image.width, swaps ? image.width : image.height,
               std::vector<std::uint8_t>(image.rgb.size())};
  for (int y = 0; y < result.height; ++y) {
    for (int x = 0; x < result.width; ++x) {
      int sx = swaps ? y : x;
      int sy = swaps ? x : y;
      if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8)
        sx = image.width - 1 - sx;
      if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7)
        sy = image.height - 1 - sy;
      std::memcpy(result.rgb.data() + (static_cast<std::size_t>(y) * static_cast<std::size_t>(result.width) +
                                       static_cast<std::size_t>(x)) *
                                          3,
                  image.rgb.data() + (static_cast<std::size_t>(sy) * static_cast<std::size_t>(image.width) +
                                      static_cast<std::size_t>(sx)) *
                                         3,
                  3);
    }
  }
  return result;
}

Result<Image> decode_jpeg(const std::vector<std::byte>& bytes, const std::string& where) {
  jpeg_decompress_struct info;
  JpegErrors errors;
  info.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = jpeg_failed;
  errors.base.emit_message = jpeg_warned;
  Image image;  // outlives the jump: only trivially destructible locals follow it
  std::vector<std::uint8_t> row;
  volatile bool too_large = false;
  if (setjmp(errors.escape) != 0) {  // NOLINT(cert-err52-cpp): libjpeg's way
    jpeg_destroy_decompress(&info);
    if (too_large) return error(ErrorCode::InvalidArgument, "{}: more than {} pixels", where, kMostPixels);
    return error(ErrorCode::InvalidArgument, "{}: a damaged JPEG: {}", where, errors.message);
  }
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_save_markers(&info, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(&info, TRUE);
  if (std::uint64_t{info.image_width} * info.image_height > kMostPixels) {
    too_large = true;
    std::longjmp(errors.escape, 1);
  }
  const bool cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  info.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  const bool inverted = info.saw_Adobe_marker != 0;
  jpeg_start_decompress(&info);
  image.width = static_cast<int>(info.output_width);
  image.height = static_cast<int>(info.output_height);
  const std::size_t pixels = std::size_t{info.output_width};
  image.rgb.resize(pixels * info.output_height * 3);
  row.resize(pixels * 4);
  while (info.output_scanline < info.output_height) {
    std::uint8_t* to = image.rgb.data() + info.output_scanline * pixels * 3;
    JSAMPROW rows[1] = {cmyk ? row.data() : to};
    jpeg_read_scanlines(&info, rows, 1);
    for (std::size_t x = 0; cmyk && x < pixels; ++x) {
      const int k = inverted ? row[x * 4 + 3] : 255 - row[x * 4 + 3];
      for (std::size_t c = 0; c < 3; ++c)
        to[x * 3 + c] =
            static_cast<std::uint8_t>((inverted ? row[x * 4 + c] : 255 - row[x * 4 + c]) * k / 255);
    }
  }
  const int orientation = orientation_of(info);
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  return oriented(std::move(image), orientation);
}

Result<Image> decode_png(const std::vector<std::byte>& bytes, const std::string& where) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_memory(&png, bytes.data(), bytes.size()) == 0) {
    return error(ErrorCode::InvalidArgument, "{}: a damaged PNG: {}", where, png.message);
  }
  if (std::uint64_t{png.width} * png.height > kMostPixels) {
    png_image_free(&png);
    return error(ErrorCode::InvalidArgument, "{}: more than {} pixels", where, kMostPixels);
  }
  png.format = PNG_FORMAT_RGB;
  Image image{static_cast<int>(png.width), static_cast<int>(png.height),
              std::vector<std::uint8_t>(PNG_IMAGE_SIZE(png))};
  const png_color white = {255, 255, 255};
  if (png_image_finish_read(&png, &white, image.rgb.data(), 0, nullptr) == 0 || png.warning_or_error > 1) {
    const std::string fault = png.message;
    png_image_free(&png);
    return error(ErrorCode::InvalidArgument, "{}: a damaged PNG: {}", where, fault);
  }
  return image;
}

}  // namespace

Result<Image> read_image(const std::filesystem::path& path) {
  DISCO_TRY(const std::vector<std::byte> bytes, read_file(path));
  const auto starts = [&](std::string_view magic) {
    return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
  };
  if (starts("\xFF\xD8\xFF")) return decode_jpeg(bytes, path.string());
  if (starts("\x89PNG\r\n\x1A\n")) return decode_png(bytes, path.string());
  return error(ErrorCode::InvalidArgument, "{}: neither JPEG nor PNG; convert it to one of them",
               path.string());
}

Status write_png(const std::filesystem::path& path, const Image& image) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  if (png_image_write_to_memory(&png, nullptr, &size, 0, image.rgb.data(), 0, nullptr) == 0)
    return error(ErrorCode::Io, "{}: {}", path.string(), png.message);
  std::vector<std::byte> bytes(size);
  if (png_image_write_to_memory(&png, bytes.data(), &size, 0, image.rgb.data(), 0, nullptr) == 0)
    return error(ErrorCode::Io, "{}: {}", path.string(), png.message);
  return write_file(path, std::span(bytes).first(size));
}

}  // namespace disco
