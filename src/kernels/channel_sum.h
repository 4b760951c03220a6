#pragma once
// Sums and means over everything but the channels: global pools, and reductions over neighbouring axes.

#include "kernels/channel_copy.h"

namespace disco::kernels {

/// out[n * channels + c] = scale * sum over s of in(n, c, s). Partial sums are kept short and added in
/// double, so that a large image loses no more digits than a small one.
void channel_sum(const ChannelView& view, double scale, const float* in, float* out);

}  // namespace disco::kernels
