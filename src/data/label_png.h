#pragma once
// Label maps as data sets have them: PNGs whose pixels are numbers of classes.

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "data/truth.h"

namespace disco {

/// Reads a PNG as numbers of classes: the index of a palette image, whatever its colours; the value of a grey
/// one, as it is at 1, 2, 4, 8 or 16 bits. Alpha is left out; RGB is taken where all of it is grey.
///
/// @return NotFound, Io, or InvalidArgument: no PNG, damaged, colours in place of numbers, a number over 255
[[nodiscard]] Result<LabelMap> read_label_png(const std::filesystem::path& path);

/// The same from memory; `where` names it in messages.
[[nodiscard]] Result<LabelMap> decode_label_png(std::span<const std::byte> bytes, const std::string& where);

}  // namespace disco
