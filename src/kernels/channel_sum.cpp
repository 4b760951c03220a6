#include "kernels/channel_sum.h"

#include "kernels/simd.h"

namespace disco::kernels {

namespace {

constexpr std::int64_t kShort = 128;   // elements that are added in fp32
constexpr std::int64_t kLanes = 16;    // sums side by side in one line
constexpr std::int64_t kColumns = 64;  // channels at a time

/// sums[c] = the sum of `count` rows of `width` (at most kColumns) neighbouring channels, `pitch` elements
/// apart.
DISCO_MULTIVERSION
void sum_rows(const float* in, std::int64_t count, std::int64_t width, std::int64_t pitch, double* sums) {
  for (std::int64_t c = 0; c < width; ++c) sums[c] = 0.0;
  for (std::int64_t r0 = 0; r0 < count; r0 += kShort) {
    float part[kColumns] = {};
    const std::int64_t r1 = std::min(count, r0 + kShort);
    for (std::int64_t r = r0; r < r1; ++r) {
      for (std::int64_t c = 0; c < width; ++c) part[c] += in[r * pitch + c];
    }
    for (std::int64_t c = 0; c < width; ++c) sums[c] += static_cast<double>(part[c]);
  }
}

/// The sum of `count` neighbours.
DISCO_MULTIVERSION
double sum_line(const float* in, std::int64_t count) {
  double sum = 0.0;
  const std::int64_t whole = count / kLanes * kLanes;
  std::int64_t i = 0;
  while (i < whole) {
    float part[kLanes] = {};
    const std::int64_t end = std::min(whole, i + kShort * kLanes);
    for (; i < end; i += kLanes) {
      for (std::int64_t l = 0; l < kLanes; ++l) part[l] += in[i + l];
    }
    for (const float lane : part) sum += static_cast<double>(lane);
  }
  for (; i < count; ++i) sum += static_cast<double>(in[i]);
  return sum;
}

}  // namespace

void channel_sum(const ChannelView& v, double scale, const float* in, float* out) {
  const bool line = v.block == 1 && v.inner_stride == 1;
  const std::int64_t width = line ? 1 : v.block > 1 ? v.block : v.channel_stride == 1 ? kColumns : 1;
  const std::int64_t pieces = (v.channels + width - 1) / width;
  parallel_runs(v.outer * pieces, v.inner * width, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const std::int64_t c = i % pieces * width;
      const std::int64_t count = std::min(width, v.channels - c);
      const float* from = in + i / pieces * v.outer_stride + c / v.block * v.channel_stride;
      double sums[kColumns];
      if (line) {
        sums[0] = sum_line(from, v.inner);
      } else {
        sum_rows(from, v.inner, count, v.inner_stride, sums);
      }
      for (std::int64_t k = 0; k < count; ++k)
        out[i / pieces * v.channels + c + k] = static_cast<float>(scale * sums[k]);
    }
  });
}

}  // namespace disco::kernels
