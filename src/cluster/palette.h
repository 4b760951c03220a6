#pragma once
// Images as bytes: a fp32 tensor that was made of 8-bit samples, a quarter of its size and exact.

#include <disco/tensor.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"

namespace disco::palette {

/// Element i of a tensor belongs to plane (i / run) % planes. Channels of an image are planes, since each has
/// its own mean and standard deviation; every plane has a table of 256 values.
struct Layout {
  std::uint64_t planes = 1;
  std::uint64_t run = 1;
};

struct Packed {
  Layout layout;
  std::vector<std::byte> bytes;  ///< the planes' tables, then a byte an element
};

/// The tensor as a byte an element and the tables, or nullopt where a plane takes more than 256 values (bit
/// by bit, so that zeros keep their sign) or nothing would be won. Planes are the channels of axis 1, or of
/// the last axis where that is 4 or less. What is no image is found out after a few hundred elements.
[[nodiscard]] std::optional<Packed> pack(const Tensor& tensor);

/// Rows [begin, end) of a packed tensor of this shape [1, C, H, W].
[[nodiscard]] Packed rows_of(const Packed& packed, const Shape& shape, std::int64_t begin, std::int64_t end);

/// The bytes of a packed tensor of so many elements.
[[nodiscard]] std::uint64_t packed_size(const Layout& layout, std::uint64_t elements);

/// The bytes in which an input travels: packed, or else as it is.
[[nodiscard]] std::uint64_t wire_size(const Tensor& tensor);

/// Fills `tensor`, of fp32, exactly as it was. ProtocolMismatch where the sizes do not fit each other.
Status unpack(const Layout& layout, std::span<const std::byte> bytes, Tensor& tensor);

}  // namespace disco::palette
