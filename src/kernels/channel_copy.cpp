#include "kernels/channel_copy.h"

#include <algorithm>
#include <cstring>

#include "kernels/simd.h"

namespace disco::kernels {

ChannelView plain_view(const Shape& shape, int axis) {
  ChannelView view;
  for (int d = 0; d < axis; ++d) view.outer *= shape[static_cast<std::size_t>(d)];
  for (std::size_t d = static_cast<std::size_t>(axis) + 1; d < shape.size(); ++d) view.inner *= shape[d];
  view.channels = view.padded_channels = shape[static_cast<std::size_t>(axis)];
  view.channel_stride = view.inner;
  view.outer_stride = view.inner * view.channels;
  return view;
}

bool is_channels_last_on_wire(const Shape& shape, int axis) { return axis == 1 && shape.size() >= 3; }

ChannelView wire_view(const Shape& shape, int axis) {
  ChannelView view = plain_view(shape, axis);
  if (is_channels_last_on_wire(shape, axis)) {
    view.channel_stride = 1;
    view.inner_stride = view.channels;
  }
  return view;
}

bool view_of(const Desc& desc, int axis, ChannelView& view) {
  BlockedLayout layout;
  if (!describe_layout(desc, layout)) return false;
  const auto rank = static_cast<int>(layout.dims.size());
  if (axis < 0 || axis >= rank) return false;
  if (layout.block_axis >= 0 && layout.block_axis != axis) return false;
  const auto at = [](const Dims& dims, int d) { return dims[static_cast<std::size_t>(d)]; };
  view = {};
  view.block = layout.block_axis == axis ? layout.block : 1;
  view.channels = at(layout.dims, axis);
  view.padded_channels = at(layout.padded_dims, axis);
  view.channel_stride = at(layout.strides, axis);
  // The axes before and after must each collapse to one stride.
  for (int d = 0; d < axis; ++d) {
    view.outer *= at(layout.dims, d);
    if (d + 1 < axis && at(layout.dims, d) > 1 &&
        at(layout.strides, d) != at(layout.strides, d + 1) * at(layout.dims, d + 1))
      return false;
  }
  view.outer_stride = axis > 0 ? at(layout.strides, axis - 1) : 0;
  for (int d = axis + 1; d < rank; ++d) {
    view.inner *= at(layout.dims, d);
    if (d + 1 < rank && at(layout.dims, d) > 1 &&
        at(layout.strides, d) != at(layout.strides, d + 1) * at(layout.dims, d + 1))
      return false;
  }
  view.inner_stride = axis + 1 < rank ? at(layout.strides, rank - 1) : view.block;
  return true;
}

namespace {

std::int64_t offset_of(const ChannelView& view, std::int64_t channel) {
  return channel / view.block * view.channel_stride + channel % view.block;
}

/// Elements between neighbouring channels within a block (or anywhere, unblocked).
std::int64_t step_of(const ChannelView& view) { return view.block > 1 ? 1 : view.channel_stride; }

constexpr std::int64_t kTile = 16;

/// src[s * ss + c * sc] to dst[s * ds + c * dc], through tiles that fit the first-level cache.
void copy_plane(const float* src, std::int64_t ss, std::int64_t sc, float* dst, std::int64_t ds,
                std::int64_t dc, std::int64_t inner, std::int64_t channels) {
  if (ss == 1 && ds == 1) {
    for (std::int64_t c = 0; c < channels; ++c) {
      std::memcpy(dst + c * dc, src + c * sc, static_cast<std::size_t>(inner) * sizeof(float));
    }
    return;
  }
  if (sc == 1 && dc == 1) {
    parallel_runs(inner, channels, [&](std::int64_t first, std::int64_t last) {
      if (ss == channels && ds == channels) {
        std::memcpy(dst + first * ds, src + first * ss,
                    static_cast<std::size_t>((last - first) * channels) * sizeof(float));
        return;
      }
      for (std::int64_t s = first; s < last; ++s) {
        std::memcpy(dst + s * ds, src + s * ss, static_cast<std::size_t>(channels) * sizeof(float));
      }
    });
    return;
  }
  for (std::int64_t s0 = 0; s0 < inner; s0 += kTile) {
    const std::int64_t s1 = std::min(inner, s0 + kTile);
    for (std::int64_t c0 = 0; c0 < channels; c0 += kTile) {
      const std::int64_t c1 = std::min(channels, c0 + kTile);
      if (ds == 1) {
        for (std::int64_t c = c0; c < c1; ++c) {
          for (std::int64_t s = s0; s < s1; ++s) dst[s + c * dc] = src[s * ss + c * sc];
        }
      } else {
        for (std::int64_t s = s0; s < s1; ++s) {
          for (std::int64_t c = c0; c < c1; ++c) dst[s * ds + c * dc] = src[s * ss + c * sc];
        }
      }
    }
  }
}

}  // namespace

ChannelCopy::ChannelCopy(const ChannelView& src, std::vector<std::int32_t> from, const ChannelView& dst,
                         std::vector<std::int32_t> to)
    : src_(src), dst_(dst) {
  for (std::size_t k = 0; k < from.size(); ++k) {
    const bool continues = k > 0 && from[k] == from[k - 1] + 1 && to[k] == to[k - 1] + 1 &&
                           (src.block == 1 || from[k] % src.block != 0) &&
                           (dst.block == 1 || to[k] % dst.block != 0);
    if (continues) {
      ++stretches_.back().count;
    } else {
      stretches_.push_back({offset_of(src, from[k]), offset_of(dst, to[k]), 1});
    }
  }
}

void ChannelCopy::run(const float* src, float* dst) const {
  for (std::int64_t n = 0; n < src_.outer; ++n) {
    const float* src_n = src + n * src_.outer_stride;
    float* dst_n = dst + n * dst_.outer_stride;
    for (const Stretch& stretch : stretches_) {
      copy_plane(src_n + stretch.src, src_.inner_stride, step_of(src_), dst_n + stretch.dst,
                 dst_.inner_stride, step_of(dst_), src_.inner, stretch.count);
    }
  }
}

void zero_padding(const ChannelView& view, float* data) {
  if (view.padded_channels == view.channels) return;
  for (std::int64_t n = 0; n < view.outer; ++n) {
    for (std::int64_t c = view.channels; c < view.padded_channels; ++c) {
      float* at = data + n * view.outer_stride + offset_of(view, c);
      for (std::int64_t s = 0; s < view.inner; ++s) at[s * view.inner_stride] = 0.0F;
    }
  }
}

}  // namespace disco::kernels
