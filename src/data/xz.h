#pragma once
// Files of xz's format.

#include <filesystem>
#include <vector>

#include "base/result.h"

namespace disco {

/// The whole of a file, decompressed where it is .xz (told by content), as it is otherwise.
///
/// @param most  bytes that it may hold decompressed
/// @return NotFound, Io, or InvalidArgument: damaged, cut off (the message says after how many bytes), or
/// more
///         than `most`
[[nodiscard]] Result<std::vector<std::byte>> read_maybe_xz(const std::filesystem::path& path,
                                                           std::uint64_t most);

}  // namespace disco
