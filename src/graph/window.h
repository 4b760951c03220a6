#pragma once
// How a sliding window of a convolution or a pool lies over one axis.

#include "graph/graph.h"

namespace disco {

struct Window {
  std::int64_t stride = 1, dilation = 1;
  std::int64_t reach = 1;                   ///< from its first tap to its last, in elements
  std::int64_t pad_begin = 0, pad_end = 0;  ///< what makes the extents exact; the end's may be negative

  /// How many outputs, from the first, follow from this many inputs, from the first; never negative.
  [[nodiscard]] std::int64_t outputs_of(std::int64_t inputs) const {
    const std::int64_t room = inputs + pad_begin - reach;
    return room < 0 ? 0 : room / stride + 1;
  }
};

/// Along spatial axis `d` (0: the first after the channels), with auto_pad resolved.
/// @param in, out  extents of that axis; @param kernel  taps; @param spatial  how many such axes there are
[[nodiscard]] Window window_along(const Node& node, std::int64_t in, std::int64_t out, std::int64_t kernel,
                                  std::size_t d, std::size_t spatial, bool transposed);

}  // namespace disco
