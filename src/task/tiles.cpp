#include "task/tiles.h"

#include <algorithm>
#include <cstring>

#include "data/vary.h"

namespace disco {

namespace {

/// One axis: where tiles begin, and where each one's part ends.
struct Cut {
  int begin, from, to;
};

std::vector<Cut> cuts_of(int extent, int tile, int overlap) {
  std::vector<Cut> cuts;
  if (tile >= extent) return {{0, 0, extent}};
  const int step = std::max(1, tile - 2 * overlap);
  for (int begin = 0;; begin += step) {
    const bool last = begin + tile >= extent;
    if (last) begin = extent - tile;
    const int from = cuts.empty() ? 0 : cuts.back().to;
    cuts.push_back({begin, from, last ? extent : begin + tile - overlap});
    if (last) return cuts;
  }
}

}  // namespace

std::vector<Tile> tiles_of(int width, int height, int tile_width, int tile_height, int overlap) {
  std::vector<Tile> tiles;
  const std::vector<Cut> columns = cuts_of(width, tile_width, overlap);
  for (const Cut& row : cuts_of(height, tile_height, overlap)) {
    for (const Cut& column : columns)
      tiles.push_back({column.begin, row.begin, column.from, row.from, column.to, row.to});
  }
  return tiles;
}

Image extended(const Image& image, int width, int height) {
  Image whole{width, height};
  whole.rgb.reserve(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  for (int y = 0; y < height; ++y) {
    const auto row =
        static_cast<std::size_t>(std::min(y, image.height - 1)) * static_cast<std::size_t>(image.width);
    for (int x = 0; x < width; ++x) {
      const std::size_t at = 3 * (row + static_cast<std::size_t>(std::min(x, image.width - 1)));
      whole.rgb.insert(whole.rgb.end(), image.rgb.begin() + static_cast<std::ptrdiff_t>(at),
                       image.rgb.begin() + static_cast<std::ptrdiff_t>(at) + 3);
    }
  }
  return whole;
}

Result<Image> enlarge_by_tiles(const Image& image, const std::vector<Tile>& tiles, int tile_width,
                               int tile_height, int scale,
                               const std::function<Result<Image>(const Image&)>& enlarge) {
  Image whole{image.width * scale, image.height * scale};
  whole.rgb.resize(static_cast<std::size_t>(whole.width) * static_cast<std::size_t>(whole.height) * 3);
  for (const Tile& tile : tiles) {
    DISCO_TRY(const Image part, enlarge(cut_out(image, tile.left, tile.top, tile_width, tile_height)));
    if (part.width != tile_width * scale || part.height != tile_height * scale) {
      return error(ErrorCode::Internal,
                   "a tile of {} x {} pixels became {} x {}, {} times as large was asked", tile_width,
                   tile_height, part.width, part.height, scale);
    }
    const auto bytes = static_cast<std::size_t>((tile.to_x - tile.from_x) * scale) * 3;
    for (int y = tile.from_y * scale; y < tile.to_y * scale; ++y) {
      const auto from =
          static_cast<std::size_t>(y - tile.top * scale) * static_cast<std::size_t>(part.width) +
          static_cast<std::size_t>((tile.from_x - tile.left) * scale);
      const auto to = static_cast<std::size_t>(y) * static_cast<std::size_t>(whole.width) +
                      static_cast<std::size_t>(tile.from_x * scale);
      std::memcpy(whole.rgb.data() + 3 * to, part.rgb.data() + 3 * from, bytes);
    }
  }
  return whole;
}

}  // namespace disco
