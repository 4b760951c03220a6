#pragma once
// Letters for pictures.

#include <array>
#include <cstdint>

namespace disco {

inline constexpr int kGlyphWidth = 7, kGlyphHeight = 13;

/// Rows from above; the highest bit is the leftmost pixel.
using Glyph = std::array<std::uint8_t, kGlyphHeight>;

/// Of ASCII; '?' for everything else.
[[nodiscard]] const Glyph& glyph_of(char character);

}  // namespace disco
