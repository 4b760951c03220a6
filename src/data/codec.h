#pragma once
// What the decoders of image.cpp and png.cpp share; not for others.

#include <csetjmp>
#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"
#include "data/image.h"

namespace disco::codec {

inline constexpr std::uint64_t kMostPixels = 100'000'000;

[[nodiscard]] inline Status check_pixels(std::uint64_t width, std::uint64_t height,
                                         const std::string& where) {
  if (width * height <= kMostPixels) return {};
  return error(ErrorCode::InvalidArgument, "{}: {} x {} pixels, more than {}; make it smaller", where, width,
               height, kMostPixels);
}

/// Runs `step`; false where something in it jumped to `escape`, as libjpeg and libpng do on errors. What is
/// alive in `step` then must have no destructor, and what it changed must belong to the caller.
template <typename Step>
[[gnu::noinline]] bool runs_through(std::jmp_buf& escape, const Step& step) {
  if (setjmp(escape) != 0) return false;  // NOLINT(cert-err52-cpp): the libraries' way
  step();
  return true;
}

/// Whether bytes begin as a PNG does.
[[nodiscard]] bool is_png(std::span<const std::byte> bytes);
/// @pre is_png(bytes)
[[nodiscard]] Result<Image> decode_png(std::span<const std::byte> bytes, const std::string& where);

[[nodiscard]] Result<ImageExtent> png_extent(std::span<const std::byte> bytes, const std::string& where);

}  // namespace disco::codec
