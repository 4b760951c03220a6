#pragma once
// The sums behind Conv, ConvInteger and QLinearConv.

#include "reference/numeric.h"
#include "reference/window.h"

namespace disco::reference {

/// Checks that weights [M, C/group, kernel…] fit an input [N, C, spatial…] and resolves padding and extents.
[[nodiscard]] Result<Window> convolution_window(const Node& node, const Shape& x, const Shape& w);

/// The convolution of x (converted, of shape `x_shape`) without bias, as doubles of shape [N, M, out…].
[[nodiscard]] Doubles convolve(const Doubles& x, const Shape& x_shape, const Tensor& w, std::int64_t groups,
                               Window window);

/// The values less a scalar zero point; ShapeMismatch for a zero point of more elements.
[[nodiscard]] Result<Doubles> centred_activations(const Node& node, const Tensor& x, const Tensor& zero);
/// The weights less their zero point (a scalar, or one an output channel), as float64.
[[nodiscard]] Result<Tensor> centred_weights(const Node& node, const Tensor& w, const Tensor& zero);

}  // namespace disco::reference
