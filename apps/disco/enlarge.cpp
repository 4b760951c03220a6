#include "enlarge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "data/vary.h"
#include "task/pictures.h"
#include "task/tiles.h"

namespace disco::cli {

namespace {

// Larger images are cut where nobody asked for anything: activations of a whole photograph need gigabytes.
constexpr std::int64_t kWholePixels = 512 * 512;
constexpr int kTile = 256;

/// Sides of the tiles of one image.
Result<PixelSize> tile_of(const Enlarge& how, const Image& image) {
  const ImageForm& form = how.feed.form();
  const int asked = how.tiles.side;
  const auto pick = [&](int model, int extent) -> Result<int> {
    if (model > 0) {
      if (asked > 0 && asked != model) {
        return error(ErrorCode::InvalidArgument,
                     "--tile {}: the model takes {} x {} pixels only; leave it out", asked, form.height,
                     form.width);
      }
      return model;
    }
    if (asked > 0) return std::min(asked, extent);
    const bool whole = std::int64_t{image.width} * image.height <= kWholePixels;
    return whole ? extent : std::min(kTile, extent);
  };
  DISCO_TRY(const int height, pick(form.height, image.height));
  DISCO_TRY(const int width, pick(form.width, image.width));
  for (const auto& [tile, extent] : {std::pair{height, image.height}, {width, image.width}}) {
    if (tile < extent && 2 * how.tiles.overlap >= tile) {
      return error(ErrorCode::InvalidArgument,
                   "--tile-overlap {}: leaves nothing of tiles of {} pixels; it must be under {}",
                   how.tiles.overlap, tile, (tile + 1) / 2);
    }
  }
  return PixelSize{height, width};
}

/// The model's answer to one tile.
Result<Image> enlarge_one(const Enlarge& how, const Image& tile) {
  const ImageForm& form = how.feed.form();
  Preset preset = how.feed.preset();
  preset.fit = Fit::None;  // tiles have the right size
  preset.resize.reset();
  preset.crop.reset();
  preset.default_size.reset();
  ImageForm any = form;
  any.height = any.width = 0;
  DISCO_TRY(Tensor tensor, to_tensor(tile, preset, any));
  std::int64_t batch = 1;
  if (form.batched) {
    batch = std::max<std::int64_t>(1, how.feed.batch());
    Shape shape = tensor.shape();
    shape.insert(shape.begin(), batch);
    Tensor whole(tensor.type(), shape);
    for (std::int64_t b = 0; b < batch; ++b)
      std::memcpy(whole.raw() + static_cast<std::size_t>(b) * tensor.bytes(), tensor.raw(), tensor.bytes());
    tensor = std::move(whole);
  }
  DISCO_TRY(const NamedTensors outputs, how.run({{how.input, std::move(tensor)}}));
  DISCO_TRY(Answer answer, read_answer(how.task, outputs, 0, batch, tile.height, tile.width));
  return std::get<Image>(std::move(answer));
}

}  // namespace

void TileFlags::add_to(CLI::App& command) {
  command
      .add_option(
          "--tile", side,
          "super-resolution: enlarge in tiles of so many pixels a side (default: the model's size; where it "
          "takes any, images up to 512 x 512 whole and larger ones in tiles of 256)")
      ->check(CLI::Range(8, 1 << 14))
      ->type_name("PX");
  command
      .add_option(
          "--tile-overlap", overlap,
          "pixels of a tile's border that its neighbours answer for: as far as the network sees, for no "
          "seam at all")
      ->check(CLI::Range(0, 1 << 12))
      ->type_name("PX")
      ->capture_default_str();
}

Status enlarge_all(const Enlarge& how, Answers& answers) {
  Progress progress("enlarge", how.feed.images().size());
  std::size_t done = 0;
  for (const std::filesystem::path& file : how.feed.images()) {
    DISCO_TRY(const Image image, read_image(file));
    DISCO_TRY(const PixelSize tile, tile_of(how, image));
    // A model of a fixed size larger than the image sees the image's border again and again.
    const bool is_small = tile.width > image.width || tile.height > image.height;
    const Image padded =
        extended(image, std::max(tile.width, image.width), std::max(tile.height, image.height));
    const std::vector<Tile> tiles =
        tiles_of(padded.width, padded.height, tile.width, tile.height, how.tiles.overlap);
    auto enlarged = enlarge_by_tiles(padded, tiles, tile.width, tile.height, how.task.scale,
                                     [&](const Image& part) { return enlarge_one(how, part); });
    if (!enlarged) return in_context(file.string(), enlarged.error());
    Image picture =
        is_small ? cut_out(*enlarged, 0, 0, image.width * how.task.scale, image.height * how.task.scale)
                 : std::move(*enlarged);
    if (how.feed.form().channels == ChannelOrder::Grey) picture = with_colours_of(picture, image);
    DISCO_CHECK(answers.add_enlarged(file, image, std::move(picture), tiles.size()));
    progress.step(++done);
  }
  return {};
}

}  // namespace disco::cli
