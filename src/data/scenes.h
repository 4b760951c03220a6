#pragma once
// Pictures of several shapes, rendered from a seed, with what is right about them: boxes and a map of labels.

#include <cstdint>
#include <string>
#include <vector>

#include "data/truth.h"

namespace disco {

inline constexpr int kLeastSceneSide = 48, kMostSceneSide = 1024;

/// The kinds of shapes in scenes: what Object::label counts.
[[nodiscard]] const std::vector<std::string>& scene_object_names();
/// "background", then the kinds: what labels of pixels count, so that an object's pixels have its label + 1.
[[nodiscard]] const std::vector<std::string>& scene_label_names();

struct Scene {
  Image image;
  /// From the farthest to the nearest; boxes and areas are of what is to be seen. One that others hide for
  /// the most part is difficult; one of which next to nothing is left is no object.
  Objects objects;
  LabelMap labels;
};

/// One to eight shapes of different sizes, angles and shades that may hide parts of each other, before a dull
/// textured ground with lines and dots of any colour that are none of them, anti-aliased, with noise over
/// all. Every kind leans to a colour of its own. The same arguments give the same bytes on every machine.
///
/// @param height, width  pixels, kLeastSceneSide to kMostSceneSide
[[nodiscard]] Scene render_scene(int height, int width, std::uint64_t seed);

}  // namespace disco
