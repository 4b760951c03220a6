#pragma once
// The geometry that convolutions and pools share: a kernel of up to three axes sliding over a padded input.

#include <array>
#include <optional>

#include "base/result.h"
#include "graph/graph.h"

namespace disco::reference {

/// One spatial axis.
struct WindowAxis {
  std::int64_t in = 1;
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t dilation = 1;
  std::int64_t begin = 0;  ///< padding before the first element
  std::int64_t end = 0;    ///< padding after the last
  std::int64_t out = 1;

  /// The input position under kernel tap `tap` of output `position`; may lie in the padding.
  [[nodiscard]] std::int64_t source(std::int64_t position, std::int64_t tap) const {
    return position * stride + tap * dilation - begin;
  }
  /// Elements from the first to the last tap.
  [[nodiscard]] std::int64_t span() const { return (kernel - 1) * dilation + 1; }
  /// Outputs [first, last) whose tap `tap` lies inside the input; empty as first >= last.
  [[nodiscard]] std::pair<std::int64_t, std::int64_t> inside(std::int64_t tap) const;
  /// Taps [first, last) of output `position` that lie inside the input.
  [[nodiscard]] std::pair<std::int64_t, std::int64_t> taps(std::int64_t position) const;
};

/// Three axes; the leading ones of a 1-D or 2-D window are trivial.
struct Window {
  std::array<WindowAxis, 3> axes;
  std::size_t rank = 0;  ///< spatial axes of the operator itself

  [[nodiscard]] std::int64_t in() const { return axes[0].in * axes[1].in * axes[2].in; }
  [[nodiscard]] std::int64_t out() const { return axes[0].out * axes[1].out * axes[2].out; }
  [[nodiscard]] std::int64_t kernel() const { return axes[0].kernel * axes[1].kernel * axes[2].kernel; }
  /// [batch, channels, spatial extents…] of the result.
  [[nodiscard]] Shape out_shape(std::int64_t batch, std::int64_t channels) const;
};

/// Reads kernel_shape (unless `kernel` gives it), strides, dilations, pads and auto_pad for an input [N, C,
/// spatial…] without computing extents of the result.
///
///   - Unsupported    other than 1 to 3 spatial axes
///   - InvalidModel   an attribute of the wrong length or outside its range
///   - ShapeMismatch  extents too large to compute with
[[nodiscard]] Result<Window> read_window(const Node& node, const Shape& input, std::optional<Shape> kernel);

/// read_window, and the padding and extents of a convolution's or pool's result. With `ceil_mode` a window
/// may reach over the end, but must start inside the input or its leading padding (as opset 19 and PyTorch
/// clarify).
///
///   - ShapeMismatch  the kernel is larger than the padded input, or the result is too large
[[nodiscard]] Result<Window> slide_window(const Node& node, const Shape& input, std::optional<Shape> kernel,
                                          bool ceil_mode);

}  // namespace disco::reference
