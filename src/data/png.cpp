// PNGs as images and as label maps, and images as PNGs.

#include <png.h>

#include <cstring>

#include "base/file.h"
#include "data/codec.h"
#include "data/label_png.h"

namespace disco {

namespace {

using codec::runs_through;

/// A libpng reader that goes away with its scope, what it reads from, and where its errors jump to.
struct PngReader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::byte> rest;
  std::jmp_buf escape{};
  char message[256]{};

  PngReader() = default;
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
};

/// The same for writing.
struct PngWriter {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::vector<std::byte> bytes;
  std::jmp_buf escape{};
  char message[256]{};

  PngWriter() = default;
  PngWriter(const PngWriter&) = delete;
  PngWriter& operator=(const PngWriter&) = delete;
  ~PngWriter() { png_destroy_write_struct(&png, &info); }
};

extern "C" {

void png_read_failed(png_structp png, png_const_charp what) {
  auto* reader = static_cast<PngReader*>(png_get_error_ptr(png));
  fmt::format_to_n(reader->message, sizeof reader->message - 1, "{}", what);
  std::longjmp(reader->escape, 1);
}

void png_write_failed(png_structp png, png_const_charp what) {
  auto* writer = static_cast<PngWriter*>(png_get_error_ptr(png));
  fmt::format_to_n(writer->message, sizeof writer->message - 1, "{}", what);
  std::longjmp(writer->escape, 1);
}

// About chunks that are not pixels.
void png_warned(png_structp, png_const_charp) {}

void png_fill(png_structp png, png_bytep to, std::size_t count) {
  auto* reader = static_cast<PngReader*>(png_get_io_ptr(png));
  if (count > reader->rest.size()) png_error(png, "it is cut off");
  std::memcpy(to, reader->rest.data(), count);
  reader->rest = reader->rest.subspan(count);
}

void png_take(png_structp png, png_bytep from, std::size_t count) {
  auto* writer = static_cast<PngWriter*>(png_get_io_ptr(png));
  const auto* begin = reinterpret_cast<const std::byte*>(from);
  writer->bytes.insert(writer->bytes.end(), begin, begin + count);
}

void png_done(png_structp) {}

}  // extern "C"

Error damaged(const PngReader& reader, const std::string& where) {
  return error(ErrorCode::InvalidArgument, "{}: a damaged PNG: {}", where, reader.message);
}

/// Reads up to the pixels.
Status read_header(PngReader& reader, std::span<const std::byte> bytes, const std::string& where) {
  reader.rest = bytes;
  const bool has_header = runs_through(reader.escape, [&] {
    reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, png_read_failed, png_warned);
    reader.info = reader.png == nullptr ? nullptr : png_create_info_struct(reader.png);
    if (reader.info == nullptr) return;
    png_set_read_fn(reader.png, &reader, png_fill);
    png_read_info(reader.png, reader.info);
  });
  if (!has_header) return damaged(reader, where);
  if (reader.info == nullptr) return error(ErrorCode::Io, "{}: libpng cannot be set up", where);
  return codec::check_pixels(png_get_image_width(reader.png, reader.info),
                             png_get_image_height(reader.png, reader.info), where);
}

/// Reads the pixels, converted as `convert` sets libpng up, `pixel` bytes each.
template <typename Convert>
Result<std::vector<std::uint8_t>> read_pixels(PngReader& reader, std::size_t pixel, const std::string& where,
                                              const Convert& convert) {
  const std::size_t height = png_get_image_height(reader.png, reader.info);
  const std::size_t pitch = png_get_image_width(reader.png, reader.info) * pixel;
  std::vector<std::uint8_t> pixels(pitch * height);
  std::vector<png_bytep> rows;
  for (std::size_t y = 0; y < height; ++y) rows.push_back(pixels.data() + y * pitch);
  png_bytepp const to = rows.data();
  const bool is_whole = runs_through(reader.escape, [&, to, pitch] {
    convert(reader.png);
    png_set_interlace_handling(reader.png);
    png_read_update_info(reader.png, reader.info);
    if (png_get_rowbytes(reader.png, reader.info) != pitch) png_error(reader.png, "unknown pixels");
    png_read_image(reader.png, to);
    png_read_end(reader.png, nullptr);
  });
  if (!is_whole) return damaged(reader, where);
  return pixels;
}

}  // namespace

namespace codec {

bool is_png(std::span<const std::byte> bytes) {
  constexpr std::string_view magic = "\x89PNG\r\n\x1A\n";
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

/// By libpng's full interface: the simplified one converts by gAMA chunks and takes 16 bits for linear light,
/// which the programs that prepare training images do not.
Result<Image> decode_png(std::span<const std::byte> bytes, const std::string& where) {
  PngReader reader;
  DISCO_CHECK(read_header(reader, bytes, where));
  const std::size_t width = png_get_image_width(reader.png, reader.info);
  const std::size_t height = png_get_image_height(reader.png, reader.info);
  DISCO_TRY(const std::vector<std::uint8_t> rgba, read_pixels(reader, 4, where, [](png_structp png) {
              png_set_expand(png);
              png_set_scale_16(png);
              png_set_gray_to_rgb(png);
              png_set_add_alpha(png, 0xFF, PNG_FILLER_AFTER);
            }));
  Image image{static_cast<int>(width), static_cast<int>(height),
              std::vector<std::uint8_t>(width * height * 3)};
  for (std::size_t i = 0; i < width * height; ++i) {
    const int alpha = rgba[i * 4 + 3];
    for (std::size_t c = 0; c < 3; ++c)
      image.rgb[i * 3 + c] =
          static_cast<std::uint8_t>((rgba[i * 4 + c] * alpha + 255 * (255 - alpha) + 127) / 255);
  }
  return image;
}

Result<ImageExtent> png_extent(std::span<const std::byte> bytes, const std::string& where) {
  PngReader reader;
  DISCO_CHECK(read_header(reader, bytes, where));
  return ImageExtent{static_cast<int>(png_get_image_width(reader.png, reader.info)),
                     static_cast<int>(png_get_image_height(reader.png, reader.info))};
}

}  // namespace codec

Result<LabelMap> decode_label_png(std::span<const std::byte> bytes, const std::string& where) {
  if (!codec::is_png(bytes))
    return error(ErrorCode::InvalidArgument, "{}: no PNG; labels of pixels come as PNGs", where);
  PngReader reader;
  DISCO_CHECK(read_header(reader, bytes, where));
  const png_byte type = png_get_color_type(reader.png, reader.info);
  const bool palette = type == PNG_COLOR_TYPE_PALETTE;
  const bool colours = !palette && (type & PNG_COLOR_MASK_COLOR) != 0;
  const bool wide = png_get_bit_depth(reader.png, reader.info) == 16;
  const std::size_t samples = (colours ? 3 : 1) * (wide ? 2 : 1);
  // Bits are unpacked but not scaled up, and the palette's colours never looked at.
  DISCO_TRY(const std::vector<std::uint8_t> values, read_pixels(reader, samples, where, [&](png_structp png) {
              png_set_packing(png);
              if (!palette) png_set_strip_alpha(png);
            }));
  LabelMap map{static_cast<int>(png_get_image_width(reader.png, reader.info)),
               static_cast<int>(png_get_image_height(reader.png, reader.info))};
  map.labels.resize(values.size() / samples);
  const std::size_t step = wide ? 2 : 1;
  for (std::size_t i = 0; i < map.labels.size(); ++i) {
    const std::uint8_t* value = values.data() + i * samples;
    if (colours &&
        (std::memcmp(value, value + step, step) != 0 || std::memcmp(value, value + 2 * step, step) != 0)) {
      return error(ErrorCode::InvalidArgument,
                   "{}: has colours, not the numbers of classes; write it as a palette or grey PNG whose "
                   "values are the classes",
                   where);
    }
    if (wide && value[0] != 0) {
      return error(ErrorCode::InvalidArgument, "{}: class {}; there are 0 to 254, and 255 for none", where,
                   value[0] * 256 + value[1]);
    }
    map.labels[i] = value[step - 1];
  }
  return map;
}

Result<LabelMap> read_label_png(const std::filesystem::path& path) {
  DISCO_TRY(const std::vector<std::byte> bytes, read_file(path));
  return decode_label_png(bytes, path.string());
}

Result<std::vector<std::byte>> encode_png(const Image& image) {
  PngWriter writer;
  const auto width = static_cast<std::size_t>(image.width);
  if (image.width < 1 || image.height < 1 ||
      image.rgb.size() != width * static_cast<std::size_t>(image.height) * 3)
    return error(ErrorCode::InvalidArgument, "no picture: {} x {} pixels", image.width, image.height);
  const bool is_whole = runs_through(writer.escape, [&] {
    writer.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &writer, png_write_failed, png_warned);
    writer.info = writer.png == nullptr ? nullptr : png_create_info_struct(writer.png);
    if (writer.info == nullptr) return;
    png_set_write_fn(writer.png, &writer, png_take, png_done);
    png_set_IHDR(writer.png, writer.info, static_cast<png_uint_32>(image.width),
                 static_cast<png_uint_32>(image.height), 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(writer.png, writer.info);
    for (std::size_t y = 0; y < static_cast<std::size_t>(image.height); ++y)
      png_write_row(writer.png, image.rgb.data() + y * width * 3);
    png_write_end(writer.png, nullptr);
  });
  if (writer.info == nullptr) return error(ErrorCode::Io, "libpng cannot be set up");
  if (!is_whole) return error(ErrorCode::Io, "the picture cannot be written as a PNG: {}", writer.message);
  return std::move(writer.bytes);
}

Status write_png(const std::filesystem::path& path, const Image& image) {
  auto bytes = encode_png(image);
  if (!bytes) return in_context(path.string(), bytes.error());
  return write_file(path, *bytes);
}

}  // namespace disco
