#include "partition/index_map.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <numeric>

namespace disco {

ChannelSet unite(const ChannelSet& a, const ChannelSet& b) {
  ChannelSet result;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(result));
  return result;
}

ChannelSet intersect(const ChannelSet& a, const ChannelSet& b) {
  ChannelSet result;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(result));
  return result;
}

ChannelSet subtract(const ChannelSet& a, const ChannelSet& b) {
  ChannelSet result;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(result));
  return result;
}

ChannelSet all_channels(std::int64_t count) {
  ChannelSet result(static_cast<std::size_t>(count));
  std::iota(result.begin(), result.end(), 0);
  return result;
}

std::vector<std::int64_t> positions(const ChannelSet& held, const ChannelSet& wanted) {
  std::vector<std::int32_t> order(held.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return held[static_cast<std::size_t>(a)] < held[static_cast<std::size_t>(b)];
  });
  std::vector<std::int64_t> result;
  result.reserve(wanted.size());
  for (const std::int32_t channel : wanted) {
    const auto found = std::lower_bound(
        order.begin(), order.end(), channel,
        [&](std::int32_t position, std::int32_t c) { return held[static_cast<std::size_t>(position)] < c; });
    assert(found != order.end() && held[static_cast<std::size_t>(*found)] == channel);
    result.push_back(*found);
  }
  return result;
}

IndexMap IndexMap::identity(std::int64_t channels) { return single(all_channels(channels)); }

IndexMap IndexMap::single(const std::vector<std::int32_t>& source) {
  IndexMap map;
  map.outputs_ = static_cast<std::int64_t>(source.size());
  map.begin_.reserve(source.size() + 1);
  map.begin_.push_back(0);
  for (const std::int32_t channel : source) {
    if (channel >= 0) map.source_.push_back(channel);
    map.begin_.push_back(static_cast<std::int32_t>(map.source_.size()));
  }
  return map;
}

IndexMap IndexMap::multiple(const std::vector<std::vector<std::int32_t>>& sources) {
  IndexMap map;
  map.outputs_ = static_cast<std::int64_t>(sources.size());
  map.begin_.push_back(0);
  for (const auto& channels : sources) {
    map.source_.insert(map.source_.end(), channels.begin(), channels.end());
    map.begin_.push_back(static_cast<std::int32_t>(map.source_.size()));
  }
  return map;
}

ChannelSet IndexMap::needed(const ChannelSet& outputs) const {
  ChannelSet result;
  for (const std::int32_t c : outputs) {
    const auto channels = sources(c);
    result.insert(result.end(), channels.begin(), channels.end());
  }
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

}  // namespace disco
