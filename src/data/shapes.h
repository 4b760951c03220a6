#pragma once
// Pictures of shapes, rendered from a seed.

#include <cstdint>
#include <string>
#include <vector>

#include "data/image.h"

namespace disco {

inline constexpr int kLeastShapeSide = 32, kMostShapeSide = 224;

/// The ten kinds, by class.
[[nodiscard]] const std::vector<std::string>& shape_names();

/// One shape of a kind at a random place, size, angle and stretch, in random colours, before a textured
/// ground with lines and dots that are not it, anti-aliased, with noise over all. The same arguments give the
/// same bytes on every machine.
///
/// @param kind  in [0, shape_names().size())
/// @param side  of the picture in pixels, kLeastShapeSide to kMostShapeSide
[[nodiscard]] Image render_shape(std::int64_t kind, int side, std::uint64_t seed);

}  // namespace disco
