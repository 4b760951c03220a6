#pragma once
// Large images in pieces of one size, for networks that enlarge them.

#include <functional>
#include <vector>

#include "base/result.h"
#include "data/image.h"

namespace disco {

/// A piece of an image, and the part of it that is taken from its answer.
struct Tile {
  int left = 0, top = 0;                           ///< in the image; its size is that of all
  int from_x = 0, from_y = 0, to_x = 0, to_y = 0;  ///< in the image: what this tile answers for
};

/// Tiles of one size that cover an image, each pixel answered for by one tile and, where there is image, at
/// least `overlap` pixels from that tile's border.
///
/// @param tile_width, tile_height  at most the image's
/// @param overlap  under half of a tile's sides
[[nodiscard]] std::vector<Tile> tiles_of(int width, int height, int tile_width, int tile_height, int overlap);

/// The image with its right and lower border repeated, up to a size that is at least its own.
[[nodiscard]] Image extended(const Image& image, int width, int height);

/// Enlarges an image tile by tile.
///
/// @param enlarge  answers a tile with an image `scale` times as large
/// @return what `enlarge` fails with, or Internal where its image has another size
[[nodiscard]] Result<Image> enlarge_by_tiles(const Image& image, const std::vector<Tile>& tiles,
                                             int tile_width, int tile_height, int scale,
                                             const std::function<Result<Image>(const Image&)>& enlarge);

}  // namespace disco
