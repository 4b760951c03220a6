#include "kernels/channel_copy.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

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

/// IEEE half, rounded to nearest even; what is too large becomes infinite.
std::uint16_t to_half(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = bits >> 16U & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude >= 0x7F800000U)
    return static_cast<std::uint16_t>(sign | (magnitude > 0x7F800000U ? 0x7E00U : 0x7C00U));
  if (magnitude >= 0x477FF000U) return static_cast<std::uint16_t>(sign | 0x7C00U);
  if (magnitude < 0x38800000U) {
    // Subnormal: adding 0.5 lines the fraction up with the last bits of the sum, rounded by the addition.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000U));
  }
  const std::uint32_t odd = magnitude >> 13U & 1U;
  return static_cast<std::uint16_t>(sign | (magnitude - 0x38000000U + 0xFFFU + odd) >> 13U);
}

float from_half(std::uint16_t h) {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000U) << 16U;
  const std::uint32_t exponent = h >> 10U & 0x1FU;
  const std::uint32_t fraction = h & 0x3FFU;
  if (exponent == 0) {
    const float value = static_cast<float>(fraction) * 0x1.0p-24F;
    return sign != 0 ? -value : value;
  }
  const std::uint32_t wide = exponent == 31 ? 0xFFU : exponent + 112U;
  return std::bit_cast<float>(sign | wide << 23U | fraction << 13U);
}

struct Same {
  float operator()(float x) const { return x; }
};

/// dst[s * ds + c * dc] = convert(src[s * ss + c * sc]), through tiles that fit the first-level cache.
template <typename From, typename To, typename Convert>
void copy_plane(const From* src, std::int64_t ss, std::int64_t sc, To* dst, std::int64_t ds, std::int64_t dc,
                std::int64_t inner, std::int64_t channels, Convert convert) {
  const auto line = [&](const From* from, To* to, std::int64_t count) {
    if constexpr (std::is_same_v<Convert, Same>) {
      std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
    } else {
      for (std::int64_t i = 0; i < count; ++i) to[i] = convert(from[i]);
    }
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
          for (std::int64_t s = s0; s < s1; ++s) dst[s + c * dc] = convert(src[s * ss + c * sc]);
        }
      } else {
        for (std::int64_t s = s0; s < s1; ++s) {
          for (std::int64_t c = c0; c < c1; ++c) dst[s * ds + c * dc] = convert(src[s * ss + c * sc]);
        }
      }
    }
  }
}

/// The code of x: NaN compares false and becomes the lowest.
inline std::uint8_t to_code(float x, float inverse, float zero) {
  const float q = x * inverse + zero + 0.5F;
  const float low = q > 0.0F ? q : 0.0F;
  return static_cast<std::uint8_t>(static_cast<std::int32_t>(low < 255.0F ? low : 255.0F));
}

// dst[s][k] = src[s * stride + offsets[k]] for `rows` positions, as fp32 and as codes.
DISCO_MULTIVERSION void gather_rows(const float* __restrict src, std::int64_t stride,
                                    const std::int32_t* __restrict offsets, std::int64_t channels,
                                    float* __restrict dst, std::int64_t rows) {
  for (std::int64_t s = 0; s < rows; ++s, src += stride, dst += channels) {
    for (std::int64_t k = 0; k < channels; ++k) dst[k] = src[offsets[k]];
  }
}

DISCO_MULTIVERSION void gather_rows_as_codes(const float* __restrict src, std::int64_t stride,
                                             const std::int32_t* __restrict offsets, std::int64_t channels,
                                             std::uint8_t* __restrict dst, std::int64_t rows, float inverse,
                                             float zero) {
  for (std::int64_t s = 0; s < rows; ++s, src += stride, dst += channels) {
    for (std::int64_t k = 0; k < channels; ++k) dst[k] = to_code(src[offsets[k]], inverse, zero);
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
  bool dense = dst.block == 1 && dst.channel_stride == 1 && src.channel_stride < (std::int64_t{1} << 31) &&
               dst.inner_stride == static_cast<std::int64_t>(to.size());
  for (std::size_t k = 0; dense && k < to.size(); ++k) dense = to[k] == static_cast<std::int32_t>(k);
  constexpr std::size_t kLongStretch = 8;
  if (dense && stretches_.size() * kLongStretch > from.size()) {
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

/// Calls rows(first element of the source, first of the destination, number of positions).
template <typename Rows>
void ChannelCopy::run_rows(Rows rows) const {
  const auto channels = static_cast<std::int64_t>(gather_.size());
  for (std::int64_t n = 0; n < src_.outer; ++n) {
    parallel_runs(src_.inner, channels, [&](std::int64_t first, std::int64_t last) {
      rows(n * src_.outer_stride + first * src_.inner_stride,
           n * dst_.outer_stride + first * dst_.inner_stride, last - first);
    });
  }
}

template <typename From, typename To, typename Convert>
void ChannelCopy::run_as(const From* src, To* dst, Convert convert) const {
  for (std::int64_t n = 0; n < src_.outer; ++n) {
    const From* src_n = src + n * src_.outer_stride;
    To* dst_n = dst + n * dst_.outer_stride;
    for (const Stretch& stretch : stretches_) {
      copy_plane(src_n + stretch.src, src_.inner_stride, step_of(src_), dst_n + stretch.dst,
                 dst_.inner_stride, step_of(dst_), src_.inner, stretch.count, convert);
    }
  }
}

void ChannelCopy::run(const float* src, float* dst) const {
  if (gather_.empty()) return run_as(src, dst, Same{});
  run_rows([&](std::int64_t from, std::int64_t to, std::int64_t rows) {
    gather_rows(src + from, src_.inner_stride, gather_.data(), static_cast<std::int64_t>(gather_.size()),
                dst + to, rows);
  });
}

void ChannelCopy::pack(const float* src, std::byte* dst, const WireFormat& format) const {
  switch (format.type) {
    case DataType::Float16: run_as(src, reinterpret_cast<std::uint16_t*>(dst), to_half); break;
    case DataType::UInt8: {
      const float inverse = 1.0F / format.scale;
      const auto zero = static_cast<float>(format.zero_point);
      auto* codes = reinterpret_cast<std::uint8_t*>(dst);
      if (gather_.empty()) {
        run_as(src, codes, [=](float x) { return to_code(x, inverse, zero); });
        break;
      }
      run_rows([&](std::int64_t from, std::int64_t to, std::int64_t rows) {
        gather_rows_as_codes(src + from, src_.inner_stride, gather_.data(),
                             static_cast<std::int64_t>(gather_.size()), codes + to, rows, inverse, zero);
      });
      break;
    }
    default: run(src, reinterpret_cast<float*>(dst)); break;
  }
}

void ChannelCopy::unpack(const std::byte* src, float* dst, const WireFormat& format) const {
  switch (format.type) {
    case DataType::Float16: run_as(reinterpret_cast<const std::uint16_t*>(src), dst, from_half); break;
    case DataType::UInt8: {
      const float scale = format.scale;
      const std::int32_t zero = format.zero_point;
      run_as(reinterpret_cast<const std::uint8_t*>(src), dst,
             [=](std::uint8_t q) { return static_cast<float>(q - zero) * scale; });
      break;
    }
    default: run(reinterpret_cast<const float*>(src), dst); break;
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
