#pragma once
// Images as training shows them: a little different each time.

#include <ATen/ATen.h>

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace disco::train {

enum class Augmentation {
  None,
  Shift,  ///< shifted by up to an eighth of the side, over zeros; nothing is mirrored
  Flip,   ///< shifted, and half of them mirrored: the usual choice for photographs of 32 pixels
  Blend,  ///< as Flip, and half of them mixed with another image: for answers of a teacher, not for labels
};
/// "none", "shift", "flip", "blend".
[[nodiscard]] Result<Augmentation> augmentation_from(std::string_view name);

/// Whether a model's input looks like images: [N, 1 or 3, H, W] of at least 8 pixels a side.
[[nodiscard]] bool is_image(at::IntArrayRef shape);

/// Changes one image [C, H, W] in place; the draw follows from `seed` alone, on every machine.
void augment(at::Tensor image, Augmentation how, std::uint64_t seed);

/// Mixes another image into one [C, H, W], in place: half of the time a rectangle of it (Yun et al. 2019),
/// else a weighted mean (Zhang et al. 2018). For learning from a model that answers for the mixture.
void blend(at::Tensor image, const at::Tensor& other, std::uint64_t seed);

/// One seed of several numbers, well mixed.
[[nodiscard]] std::uint64_t mix_seed(std::uint64_t a, std::uint64_t b, std::uint64_t c);

}  // namespace disco::train
