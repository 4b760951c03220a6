#pragma once
// Which input channels an output channel is made of.

#include <cstdint>
#include <span>
#include <vector>

namespace disco {

/// Sorted, distinct channel indices of one axis.
using ChannelSet = std::vector<std::int32_t>;

/// Both sets' channels.
[[nodiscard]] ChannelSet unite(const ChannelSet& a, const ChannelSet& b);
[[nodiscard]] ChannelSet intersect(const ChannelSet& a, const ChannelSet& b);
[[nodiscard]] ChannelSet subtract(const ChannelSet& a, const ChannelSet& b);
/// 0 .. count-1.
[[nodiscard]] ChannelSet all_channels(std::int64_t count);
/// Position of each wanted channel in `held`, which may be in any order; every wanted one must be there.
[[nodiscard]] std::vector<std::int64_t> positions(const ChannelSet& held, const ChannelSet& wanted);

/// For every channel of an output axis, the channels of an input axis that it reads.
class IndexMap {
 public:
  IndexMap() = default;
  static IndexMap identity(std::int64_t channels);
  /// source[c] is the one input channel of output channel c, or -1 for none (padding, another input of a
  /// Concat).
  static IndexMap single(const std::vector<std::int32_t>& source);
  /// sources[c] are the input channels of output channel c.
  static IndexMap multiple(const std::vector<std::vector<std::int32_t>>& sources);

  [[nodiscard]] std::int64_t outputs() const { return outputs_; }
  /// The input channels that output channel `c` reads.
  [[nodiscard]] std::span<const std::int32_t> sources(std::int32_t c) const {
    const auto first = static_cast<std::size_t>(begin_[static_cast<std::size_t>(c)]);
    const auto last = static_cast<std::size_t>(begin_[static_cast<std::size_t>(c) + 1]);
    return {source_.data() + first, last - first};
  }
  /// The union of sources() over a set of output channels, sorted.
  [[nodiscard]] ChannelSet needed(const ChannelSet& outputs) const;

 private:
  std::int64_t outputs_ = 0;
  std::vector<std::int32_t> begin_;
  std::vector<std::int32_t> source_;
};

}  // namespace disco
