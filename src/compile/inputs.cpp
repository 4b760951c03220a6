#include "compile/inputs.h"

#include <algorithm>

namespace disco {

Bands bands_of_input(const Value& input) {
  // Each is a message, with tables where it is an image; and the last one is what the node still has to begin
  // with when all is there.
  constexpr std::int64_t kLeastElements = 32 * 1024, kMost = 3;
  if (!has_rows(input)) return {};
  return cut_rows(input.shape()[2],
                  static_cast<int>(std::min(kMost, element_count(input.shape()) / kLeastElements)));
}

std::vector<InputRoute> input_routes(const std::vector<Graph>& shards, const std::vector<bool>& near) {
  std::vector<InputRoute> routes(shards.size());
  for (std::size_t rank = 0; rank < shards.size(); ++rank) {
    if (near[rank]) continue;
    for (const ValueId id : shards[rank].inputs) {
      const Value& value = shards[rank].value(id);
      if (Bands bands = bands_of_input(value); !bands.empty())
        routes[rank].bands[value.name] = std::move(bands);
    }
    for (std::size_t other = 0; other < shards.size() && !routes[rank].bands.empty(); ++other) {
      if (!near[other]) continue;
      routes[rank].tell.push_back(static_cast<int>(other));
      routes[other].await.push_back(static_cast<int>(rank));
    }
  }
  return routes;
}

}  // namespace disco
