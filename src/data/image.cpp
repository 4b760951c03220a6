#include "data/image.h"

#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <cstdio>  // jpeglib.h needs it
#include <cstring>
#include <span>

#include "base/file.h"
#include "data/codec.h"

namespace disco {

namespace {

using codec::runs_through;

// A progressive file of a few bytes a scan, each of which costs a pass over the image, could keep us for
// hours.
constexpr int kMostScans = 500;

/// A decompressor that goes away with its scope, and where its errors jump to.
struct JpegReader {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf escape{};
  char message[JMSG_LENGTH_MAX]{};

  JpegReader() = default;
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;
  ~JpegReader() { jpeg_destroy_decompress(&info); }
};

extern "C" {

void jpeg_failed(j_common_ptr info) {
  auto* reader = static_cast<JpegReader*>(info->client_data);
  info->err->format_message(info, reader->message);
  std::longjmp(reader->escape, 1);
}

void jpeg_warned(j_common_ptr info, int level) {
  // A negative level is corrupt data that libjpeg papers over, grey where pixels are missing; but some of it
  // costs no pixels, and photographs that every other program opens have it.
  const int code = info->err->msg_code;
  const bool harmless = code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR;
  if (level < 0 && !harmless) jpeg_failed(info);
}

void jpeg_progressed(j_common_ptr info) {
  auto* reader = static_cast<JpegReader*>(info->client_data);
  if (reader->info.input_scan_number <= kMostScans) return;
  fmt::format_to_n(reader->message, sizeof reader->message - 1, "more than {} scans", kMostScans);
  std::longjmp(reader->escape, 1);
}

}  // extern "C"

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

Error damaged(const JpegReader& reader, const std::string& where) {
  return error(ErrorCode::InvalidArgument, "{}: a damaged JPEG: {}", where, reader.message);
}

/// Reads up to the pixels.
Status read_header(JpegReader& reader, std::span<const std::byte> bytes, const std::string& where) {
  jpeg_decompress_struct& info = reader.info;
  info.err = jpeg_std_error(&reader.errors);
  info.client_data = &reader;
  reader.errors.error_exit = jpeg_failed;
  reader.errors.emit_message = jpeg_warned;
  reader.progress.progress_monitor = jpeg_progressed;
  const bool has_header = runs_through(reader.escape, [&] {
    jpeg_create_decompress(&info);
    info.progress = &reader.progress;
    jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    jpeg_save_markers(&info, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(&info, TRUE);
  });
  if (!has_header) return damaged(reader, where);
  return codec::check_pixels(info.image_width, info.image_height, where);
}

Result<ImageExtent> jpeg_extent(std::span<const std::byte> bytes, const std::string& where) {
  JpegReader reader;
  DISCO_CHECK(read_header(reader, bytes, where));
  const auto width = static_cast<int>(reader.info.image_width);
  const auto height = static_cast<int>(reader.info.image_height);
  const bool swaps = orientation_of(reader.info) >= 5;
  return swaps ? ImageExtent{height, width} : ImageExtent{width, height};
}

Result<Image> decode_jpeg(std::span<const std::byte> bytes, const std::string& where) {
  JpegReader reader;
  DISCO_CHECK(read_header(reader, bytes, where));
  jpeg_decompress_struct& info = reader.info;
  const bool cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  info.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  const bool inverted = info.saw_Adobe_marker != 0;
  const int orientation = orientation_of(info);  // now: libjpeg forgets the markers when it finishes
  const std::size_t width = info.image_width;
  Image image{static_cast<int>(info.image_width), static_cast<int>(info.image_height),
              std::vector<std::uint8_t>(width * info.image_height * 3)};
  std::vector<std::uint8_t> inks(cmyk ? width * 4 : 0);
  std::uint8_t* const pixels = image.rgb.data();
  std::uint8_t* const four = inks.data();
  const bool is_whole = runs_through(reader.escape, [&, pixels, four] {
    jpeg_start_decompress(&info);
    while (info.output_scanline < info.output_height) {
      std::uint8_t* to = pixels + info.output_scanline * width * 3;
      JSAMPROW rows[1] = {cmyk ? four : to};
      jpeg_read_scanlines(&info, rows, 1);
      for (std::size_t x = 0; cmyk && x < width; ++x) {
        const int k = inverted ? four[x * 4 + 3] : 255 - four[x * 4 + 3];
        for (std::size_t c = 0; c < 3; ++c)
          to[x * 3 + c] =
              static_cast<std::uint8_t>((inverted ? four[x * 4 + c] : 255 - four[x * 4 + c]) * k / 255);
      }
    }
    jpeg_finish_decompress(&info);
  });
  if (!is_whole) return damaged(reader, where);
  return oriented(std::move(image), orientation);
}

}  // namespace

Result<Image> read_image(const std::filesystem::path& path) {
  DISCO_TRY(const std::vector<std::byte> bytes, read_file(path));
  return decode_image(bytes, path.string());
}

namespace {

bool is_jpeg(std::span<const std::byte> bytes) {
  constexpr std::string_view magic = "\xFF\xD8\xFF";
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

Error neither(const std::string& where) {
  return error(ErrorCode::InvalidArgument, "{}: neither JPEG nor PNG; convert it to one of them", where);
}

}  // namespace

Result<Image> decode_image(std::span<const std::byte> bytes, const std::string& where) {
  if (is_jpeg(bytes)) return decode_jpeg(bytes, where);
  if (codec::is_png(bytes)) return codec::decode_png(bytes, where);
  return neither(where);
}

Result<ImageExtent> read_image_extent(const std::filesystem::path& path) {
  // A PNG begins with it; a JPEG may have much else before.
  DISCO_TRY(const std::uint64_t size, size_of_file(path));
  std::vector<std::byte> bytes(std::min<std::uint64_t>(size, 64));
  DISCO_CHECK(read_file_range(path, 0, bytes));
  if (is_jpeg(bytes)) {
    DISCO_TRY(bytes, read_file(path));
    return jpeg_extent(bytes, path.string());
  }
  if (!codec::is_png(bytes)) return neither(path.string());
  // Chunks before the pixels may be longer.
  const auto extent = codec::png_extent(bytes, path.string());
  if (extent) return extent;
  DISCO_TRY(bytes, read_file(path));
  return codec::png_extent(bytes, path.string());
}

}  // namespace disco
