#pragma once
// Packing, unpacking and copying of channels between layouts: one pass, whatever the two sides are.

#include <cstdint>
#include <vector>

#include "graph/wire_format.h"
#include "kernels/dnnl_shim.h"

namespace disco::kernels {

/// A dense fp32 array seen as [outer][channel][inner]: element (n, c, s) lies at
/// n * outer_stride + (c / block) * channel_stride + c % block + s * inner_stride.
/// Row-major, channels-last and blocked (nChw8c, nChw16c) layouts are all of this form.
struct ChannelView {
  std::int64_t outer = 1, channels = 1, inner = 1;
  std::int64_t outer_stride = 0, channel_stride = 0, inner_stride = 1;
  std::int64_t block = 1;
  std::int64_t padded_channels = 1;  ///< channels rounded up to whole blocks
};

/// Row-major, any axis.
[[nodiscard]] ChannelView plain_view(const Shape& shape, int axis);
/// How a slice lies on the wire, which both ends know from its shape and the axis that is cut alone: channels
/// last for feature maps, as fast kernels keep them, so that packing moves whole rows; row-major for all
/// else.
[[nodiscard]] ChannelView wire_view(const Shape& shape, int axis);
[[nodiscard]] bool is_channels_last_on_wire(const Shape& shape, int axis);
/// False where the layout is not of this form for that axis.
[[nodiscard]] bool view_of(const Desc& desc, int axis, ChannelView& view);

/// Copies channels `from[k]` of src to channels `to[k]` of dst; outer and inner extents must agree.
class ChannelCopy {
 public:
  ChannelCopy(const ChannelView& src, std::vector<std::int32_t> from, const ChannelView& dst,
              std::vector<std::int32_t> to);
  void run(const float* src, float* dst) const;
  /// The same with the destination in a wire format: packing and quantising are one pass.
  void pack(const float* src, std::byte* dst, const WireFormat& format) const;
  /// The same with the source in a wire format.
  void unpack(const std::byte* src, float* dst, const WireFormat& format) const;

 private:
  /// A stretch of channels that advance by one on both sides without leaving a block.
  struct Stretch {
    std::int64_t src, dst, count;  // element offsets of the first channel
  };
  /// fp32 to fp32 for so many positions, each a stride further than the one before.
  void copy(const float* src, std::int64_t src_stride, float* dst, std::int64_t dst_stride,
            std::int64_t positions) const;
  /// With one side in a wire format: a tile of positions is gathered and then converted, or the reverse.
  template <typename From, typename To, typename Convert>
  void run_as(const From* src, To* dst, const Convert& convert) const;

  std::int64_t channels_ = 0;
  ChannelView src_, dst_;
  std::vector<Stretch> stretches_;
  /// Offsets of the channels, where they are scattered and the other side is dense with channels last: then a
  /// position's channels are gathered at once.
  std::vector<std::int32_t> gather_;
  bool src_is_dense_ = false, dst_is_dense_ = false;
};

/// Zeroes the channels that pad the last block: primitives multiply them by zero weights, and zero times NaN
/// is NaN.
void zero_padding(const ChannelView& view, float* data);

}  // namespace disco::kernels
