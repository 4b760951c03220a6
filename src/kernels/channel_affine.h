#pragma once
// Scale, shift and slope by channel: batch normalisation that could not be folded, PRelu, and both in one
// pass.

#include <vector>

#include "kernels/channel_copy.h"

namespace disco::kernels {

/// y = x * scale[c] + shift[c], and y * slope[c] where that is negative.
class ChannelAffine {
 public:
  /// An empty list stands for ones (scale, slope) or zeros (shift); else one number a channel of `view`.
  ChannelAffine(const ChannelView& view, std::vector<float> scale, std::vector<float> shift,
                std::vector<float> slope);
  /// `in` and `out` lie as the view says and may be the same. Channels that pad a block stay 0.
  void run(const float* in, float* out) const;
  [[nodiscard]] std::size_t bytes() const { return 3 * scale_.size() * sizeof(float); }

 private:
  ChannelView view_;
  std::vector<float> scale_, shift_, slope_;  // padded to whole blocks with zeros
};

}  // namespace disco::kernels
