#include "kernels/channel_affine.h"

#include <utility>

#include "kernels/simd.h"

namespace disco::kernels {

namespace {

/// Relu of minus infinity is 0, not NaN.
inline float bent(float x, float slope) { return slope == 0.0F ? 0.0F : x * slope; }

/// `count` rows of `width` neighbouring channels, `pitch` elements apart.
DISCO_MULTIVERSION
void affine_rows(const float* in, float* out, std::int64_t count, std::int64_t width, std::int64_t pitch,
                 const float* scale, const float* shift, const float* slope) {
  for (std::int64_t r = 0; r < count; ++r) {
    const float* x = in + r * pitch;
    float* y = out + r * pitch;
    for (std::int64_t c = 0; c < width; ++c) {
      const float v = x[c] * scale[c] + shift[c];
      y[c] = v < 0.0F ? bent(v, slope[c]) : v;
    }
  }
}

/// One channel's elements, `stride` apart.
DISCO_MULTIVERSION
void affine_line(const float* in, float* out, std::int64_t count, std::int64_t stride, float scale,
                 float shift, float slope) {
  if (stride == 1) {
    for (std::int64_t i = 0; i < count; ++i) {
      const float v = in[i] * scale + shift;
      out[i] = v < 0.0F ? bent(v, slope) : v;
    }
    return;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const float v = in[i * stride] * scale + shift;
    out[i * stride] = v < 0.0F ? bent(v, slope) : v;
  }
}

std::vector<float> padded(std::vector<float> list, const ChannelView& view, float neutral) {
  if (list.empty()) list.assign(static_cast<std::size_t>(view.channels), neutral);
  list.resize(static_cast<std::size_t>(view.padded_channels), 0.0F);
  return list;
}

}  // namespace

ChannelAffine::ChannelAffine(const ChannelView& view, std::vector<float> scale, std::vector<float> shift,
                             std::vector<float> slope)
    : view_(view),
      scale_(padded(std::move(scale), view, 1.0F)),
      shift_(padded(std::move(shift), view, 0.0F)),
      slope_(padded(std::move(slope), view, 1.0F)) {}

void ChannelAffine::run(const float* in, float* out) const {
  const ChannelView& v = view_;
  if (v.block == 1 && v.channel_stride == 1 && (v.outer == 1 || v.outer_stride == v.inner * v.inner_stride)) {
    // Channels-last: all rows are alike.
    parallel_runs(v.outer * v.inner, v.channels, [&](std::int64_t first, std::int64_t last) {
      affine_rows(in + first * v.inner_stride, out + first * v.inner_stride, last - first, v.channels,
                  v.inner_stride, scale_.data(), shift_.data(), slope_.data());
    });
    return;
  }
  const std::int64_t blocks = v.padded_channels / v.block;
  parallel_runs(v.outer * blocks, v.inner * v.block, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const std::int64_t at = i / blocks * v.outer_stride + i % blocks * v.channel_stride;
      const auto c = static_cast<std::size_t>(i % blocks * v.block);
      if (v.block > 1) {
        affine_rows(in + at, out + at, v.inner, v.block, v.inner_stride, &scale_[c], &shift_[c], &slope_[c]);
      } else {
        affine_line(in + at, out + at, v.inner, v.inner_stride, scale_[c], shift_[c], slope_[c]);
      }
    }
  });
}

}  // namespace disco::kernels
