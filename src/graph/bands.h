#pragma once
// Feature maps in bands of rows, so that the first can be sent, and computed with, before the last is there.

#include <cstdint>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace disco {

/// Rows before which the bands of a feature map [1, C, H, W] end, but for the last: ascending, in (0, H).
/// Empty: it is one.
using Bands = std::vector<std::int64_t>;

/// A tag's upper bits tell which band of a value a message holds.
inline constexpr int kMostBands = 255, kBandShift = 24;
/// More never pay: each band is a message.
inline constexpr int kMostChosenBands = 16;
[[nodiscard]] inline std::uint32_t band_tag(std::uint32_t tag, std::size_t band) {
  return tag | static_cast<std::uint32_t>(band) << kBandShift;
}

[[nodiscard]] inline std::size_t band_of_tag(std::uint32_t tag) { return tag >> kBandShift; }

/// What a Send or Recv says of its message: it travels in these bands.
[[nodiscard]] inline Bands named_bands(const Node& exchange) { return exchange.ints_or("bands", {}); }

/// Whether a value may lie in bands: fp32, of one image, with rows.
[[nodiscard]] bool has_rows(const Value& value);
/// Whether these are bands of such a value.
[[nodiscard]] bool are_bands_of(const Bands& bands, const Value& value);

/// Rows [first, second) of a band of a map of shape [1, C, H, W].
[[nodiscard]] std::pair<std::int64_t, std::int64_t> range_of_band(const Shape& shape, const Bands& bands,
                                                                  std::size_t band);
/// Those rows, copied: [1, C, rows, W].
[[nodiscard]] Tensor rows_of_band(const Tensor& map, const Bands& bands, std::size_t band);

/// The bands of a node's first output that follow from those of its inputs: a band is what can be computed
/// once the same number of bands of all inputs is there, so windows make the first ones smaller. Empty where
/// an input is one, where a band would be, or where the operator needs all rows at once.
/// @param bands  by value
[[nodiscard]] Bands bands_after(const Graph& graph, const Node& node, const std::vector<Bands>& bands);

/// `count` bands of so many rows, the first larger than the others: windows take from the first bands what
/// they give to the last. Empty where one would be.
[[nodiscard]] Bands cut_rows(std::int64_t rows, int count);

/// Bands of all values of a model whose feature maps should travel in `count` bands: those that follow from
/// the inputs', cut anew where they have become too uneven to be of use. By value.
[[nodiscard]] std::vector<Bands> choose_bands(const Graph& graph, int count);

}  // namespace disco
