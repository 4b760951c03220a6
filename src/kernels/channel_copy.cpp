#include "kernels/channel_copy.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

#include "kernels/simd.h"
#include "kernels/wire_codes.h"

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

/// What is gathered before it is converted, or converted before it is scattered: well within the first-level
/// cache.
constexpr std::int64_t kTileElements = 2048;

/// dst[s * ds + c * dc] = src[s * ss + c * sc], through tiles that fit the first-level cache.
void copy_plane(const float* src, std::int64_t ss, std::int64_t sc, float* dst, std::int64_t ds,
                std::int64_t dc, std::int64_t inner, std::int64_t channels) {
  constexpr std::int64_t kTile = 16;
  const auto line = [](const float* from, float* to, std::int64_t count) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
  };
  if (ss == 1 && ds == 1) {
    for (std::int64_t c = 0; c < channels; ++c) line(src + c * sc, dst + c * dc, inner);
    return;
  }
  if (sc == 1 && dc == 1) {
    parallel_runs(inner, channels, [&](std::int64_t first, std::int64_t last) {
      if (ss == channels && ds == channels) {
        line(src + first * ss, dst + first * ds, (last - first) * channels);
        return;
      }
      for (std::int64_t s = first; s < last; ++s) line(src + s * ss, dst + s * ds, channels);
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

/// to[i * ts] = convert(from[i * fs]).
template <typename From, typename To, typename Convert>
void convert_line(const From* from, std::int64_t fs, To* to, std::int64_t ts, std::int64_t count,
                  const Convert& convert) {
  if (fs == 1 && ts == 1) return convert(from, to, count);
  std::array<From, kTileElements> read;
  std::array<To, kTileElements> written;
  for (std::int64_t done = 0; done < count; done += kTileElements) {
    const std::int64_t part = std::min(kTileElements, count - done);
    for (std::int64_t i = 0; i < part; ++i) read[static_cast<std::size_t>(i)] = from[(done + i) * fs];
    convert(read.data(), written.data(), part);
    for (std::int64_t i = 0; i < part; ++i) to[(done + i) * ts] = written[static_cast<std::size_t>(i)];
  }
}

/// dst[s][k] = src[s * stride + offsets[k]]. One element at a time: the machine's own gathers are slower.
void gather_rows(const float* __restrict src, std::int64_t stride, const std::vector<std::int32_t>& offsets,
                 float* __restrict dst, std::int64_t rows) {
  const std::int32_t* __restrict at = offsets.data();
  const auto channels = static_cast<std::int64_t>(offsets.size());
  for (std::int64_t s = 0; s < rows; ++s, src += stride, dst += channels) {
    for (std::int64_t k = 0; k < channels; ++k) dst[k] = src[at[k]];
  }
}

/// Whether the channels of `list` are all that a position of this view holds, side by side and in order.
bool is_dense(const ChannelView& view, const std::vector<std::int32_t>& list) {
  if (view.block != 1 || view.channel_stride != 1 ||
      (view.inner > 1 && view.inner_stride != static_cast<std::int64_t>(list.size())))
    return false;
  for (std::size_t k = 0; k < list.size(); ++k) {
    if (list[k] != static_cast<std::int32_t>(k)) return false;
  }
  return true;
}

}  // namespace

ChannelCopy::ChannelCopy(const ChannelView& src, std::vector<std::int32_t> from, const ChannelView& dst,
                         std::vector<std::int32_t> to)
    : channels_(static_cast<std::int64_t>(from.size())), src_(src), dst_(dst) {
  if (src.inner == 1 && dst.inner == 1) {  // channels innermost: what is outside them are the positions
    for (ChannelView* view : {&src_, &dst_}) {
      view->inner = std::exchange(view->outer, 1);
      view->inner_stride = view->outer_stride;
    }
  }
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
  src_is_dense_ = is_dense(src_, from);
  dst_is_dense_ = is_dense(dst_, to);
  constexpr std::size_t kLongStretch = 8;
  if (dst_is_dense_ && stretches_.size() * kLongStretch > from.size()) {
    for (const std::int32_t channel : from) {
      const std::int64_t offset = offset_of(src, channel);
      if (offset >= (std::int64_t{1} << 31)) {
        gather_.clear();
        break;
      }
      gather_.push_back(static_cast<std::int32_t>(offset));
    }
  }
}

void ChannelCopy::copy(const float* src, std::int64_t src_stride, float* dst, std::int64_t dst_stride,
                       std::int64_t positions) const {
  if (!gather_.empty()) return gather_rows(src, src_stride, gather_, dst, positions);
  for (const Stretch& stretch : stretches_) {
    copy_plane(src + stretch.src, src_stride, step_of(src_), dst + stretch.dst, dst_stride, step_of(dst_),
               positions, stretch.count);
  }
}

void ChannelCopy::run(const float* src, float* dst) const {
  for (std::int64_t n = 0; n < src_.outer; ++n) {
    const float* from = src + n * src_.outer_stride;
    float* to = dst + n * dst_.outer_stride;
    if (gather_.empty()) {
      copy(from, src_.inner_stride, to, dst_.inner_stride, src_.inner);
      continue;
    }
    parallel_runs(src_.inner, channels_, [&](std::int64_t first, std::int64_t last) {
      copy(from + first * src_.inner_stride, src_.inner_stride, to + first * dst_.inner_stride,
           dst_.inner_stride, last - first);
    });
  }
}

template <typename From, typename To, typename Convert>
void ChannelCopy::run_as(const From* src, To* dst, const Convert& convert) const {
  constexpr bool packs = std::is_same_v<From, float>;
  const bool wire_is_dense = packs ? dst_is_dense_ : src_is_dense_;
  const std::int64_t rows_of_tile =
      std::max<std::int64_t>(1, kTileElements / std::max<std::int64_t>(1, channels_));
  for (std::int64_t n = 0; n < src_.outer; ++n) {
    const From* from = src + n * src_.outer_stride;
    To* to = dst + n * dst_.outer_stride;
    if (src_is_dense_ && dst_is_dense_) {
      parallel_runs(src_.inner * channels_, 1, [&](std::int64_t first, std::int64_t last) {
        convert(from + first, to + first, last - first);
      });
      continue;
    }
    if (!wire_is_dense) {
      for (const Stretch& stretch : stretches_) {
        for (std::int64_t c = 0; c < stretch.count; ++c) {
          convert_line(from + stretch.src + c * step_of(src_), src_.inner_stride,
                       to + stretch.dst + c * step_of(dst_), dst_.inner_stride, src_.inner, convert);
        }
      }
      continue;
    }
    parallel_runs(src_.inner, channels_, [&](std::int64_t first, std::int64_t last) {
      const auto memory =
          std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(rows_of_tile * channels_));
      float* tile = memory.get();
      const From* in = from + first * src_.inner_stride;
      To* out = to + first * dst_.inner_stride;
      for (std::int64_t rows = 0; first < last; first += rows) {
        rows = std::min(rows_of_tile, last - first);
        if constexpr (packs) {
          copy(in, src_.inner_stride, tile, channels_, rows);
          convert(tile, out, rows * channels_);
        } else {
          convert(in, tile, rows * channels_);
          copy(tile, channels_, out, dst_.inner_stride, rows);
        }
        in += rows * src_.inner_stride;
        out += rows * dst_.inner_stride;
      }
    });
  }
}

void ChannelCopy::pack(const float* src, std::byte* dst, const WireFormat& format) const {
  switch (format.type) {
    case DataType::Float16: return run_as(src, reinterpret_cast<std::uint16_t*>(dst), to_halves);
    case DataType::UInt8:
      return run_as(src, reinterpret_cast<std::uint8_t*>(dst),
                    [inverse = 1.0F / format.scale, zero = static_cast<float>(format.zero_point)](
                        const float* from, std::uint8_t* to, std::int64_t count) {
                      to_codes(from, to, count, inverse, zero);
                    });
    default: return run(src, reinterpret_cast<float*>(dst));
  }
}

void ChannelCopy::unpack(const std::byte* src, float* dst, const WireFormat& format) const {
  switch (format.type) {
    case DataType::Float16: return run_as(reinterpret_cast<const std::uint16_t*>(src), dst, from_halves);
    case DataType::UInt8:
      return run_as(reinterpret_cast<const std::uint8_t*>(src), dst,
                    [scale = format.scale, zero = format.zero_point](const std::uint8_t* from, float* to,
                                                                     std::int64_t count) {
                      from_codes(from, to, count, scale, zero);
                    });
    default: return run(reinterpret_cast<const float*>(src), dst);
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
