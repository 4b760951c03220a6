#include "graph/window.h"

#include <algorithm>

namespace disco {

Window window_along(const Node& node, std::int64_t in, std::int64_t out, std::int64_t kernel, std::size_t d,
                    std::size_t spatial, bool transposed) {
  const std::vector<std::int64_t> ones(spatial, 1);
  Window window;
  window.stride = node.ints_or("strides", ones)[d];
  window.dilation = node.ints_or("dilations", ones)[d];
  window.reach = (kernel - 1) * window.dilation + 1;
  const std::int64_t small = transposed ? out : in;
  const std::int64_t steps = ((transposed ? in : out) - 1) * window.stride;
  const std::int64_t total = steps + window.reach - small;  // padding that makes the extents exact
  const std::string automatic = node.string_or("auto_pad", "NOTSET");
  window.pad_begin = node.ints_or("pads", std::vector<std::int64_t>(2 * spatial, 0))[d];
  if (automatic == "SAME_UPPER") window.pad_begin = std::max<std::int64_t>(0, total) / 2;
  if (automatic == "SAME_LOWER") window.pad_begin = (std::max<std::int64_t>(0, total) + 1) / 2;
  if (automatic == "VALID") window.pad_begin = 0;
  if (transposed && node.has("output_shape") && automatic == "NOTSET")
    window.pad_begin = std::max<std::int64_t>(0, total) / 2;
  window.pad_end = total - window.pad_begin;
  return window;
}

}  // namespace disco
