#include <algorithm>
#include <numeric>

#include "compile/program_impl.h"

namespace disco {

std::size_t plan_arena(std::vector<Buffer>& buffers) {
  constexpr std::size_t kAlignment = 64;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    if (buffers[i].kind == Buffer::Kind::Arena && buffers[i].first <= buffers[i].last) order.push_back(i);
  }
  // The largest first: small ones then fill the gaps.
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return buffers[a].bytes != buffers[b].bytes ? buffers[a].bytes > buffers[b].bytes : a < b;
  });
  std::vector<std::size_t> placed;  // by offset
  std::size_t size = 0;
  for (const std::size_t i : order) {
    Buffer& buffer = buffers[i];
    const std::size_t bytes =
        (std::max<std::size_t>(buffer.bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
    std::size_t best = SIZE_MAX;
    std::size_t best_gap = SIZE_MAX;
    std::size_t end = 0;
    for (const std::size_t j : placed) {
      const Buffer& other = buffers[j];
      if (other.last < buffer.first || buffer.last < other.first) continue;
      if (other.offset > end && other.offset - end >= bytes && other.offset - end < best_gap) {
        best = end;
        best_gap = other.offset - end;
      }
      end = std::max(end, other.offset + (std::max<std::size_t>(other.bytes, 1) + kAlignment - 1) /
                                             kAlignment * kAlignment);
    }
    buffer.offset = best != SIZE_MAX ? best : end;
    size = std::max(size, buffer.offset + bytes);
    const auto at = std::find_if(placed.begin(), placed.end(),
                                 [&](std::size_t j) { return buffers[j].offset > buffer.offset; });
    placed.insert(at, i);
  }
  return size;
}

}  // namespace disco
