#include "kernels/quantise.h"

#include <algorithm>
#include <limits>

#include "kernels/simd.h"

namespace disco::kernels {

namespace {

constexpr float kRound =
    0x1.8p23F;  // adding it leaves no bits for a fraction: the sum is rounded, ties to even

/// The code less its zero point. Selections in place of branches, so that compilers make vectors of a loop.
inline float level(float x, const Quantisation& by) {
  const float low = by.low - by.zero;
  const float high = by.high - by.zero;
  const float q = x / by.scale;
  const float number = q == q ? q : 0.0F;
  // Within range before it is rounded, where the trick works; the bounds are integers and stay.
  const float above = number > low ? number : low;
  const float within = above < high ? above : high;
  return (within + kRound) - kRound;
}

template <typename Code>
inline void quantise_run(const float* __restrict from, Code* __restrict to, std::int64_t count,
                         const Quantisation& by) {
  const Quantisation local = by;
  for (std::int64_t i = 0; i < count; ++i)
    to[i] = static_cast<Code>(static_cast<std::int32_t>(level(from[i], local) + local.zero));
}

template <typename Code>
inline void dequantise_run(const Code* __restrict from, float* __restrict to, std::int64_t count, float scale,
                           float zero) {
  for (std::int64_t i = 0; i < count; ++i)
    to[i] = (static_cast<float>(static_cast<std::int32_t>(from[i])) - zero) * scale;
}

DISCO_MULTIVERSION void through(const float* from, float* to, std::int64_t count, const Quantisation& by,
                                float times) {
  const Quantisation local = by;
  for (std::int64_t i = 0; i < count; ++i) to[i] = level(from[i], local) * times;
}

DISCO_MULTIVERSION void to_unsigned(const float* __restrict from, std::uint8_t* __restrict to,
                                    std::int64_t count, const Quantisation& by) {
  quantise_run(from, to, count, by);
}

DISCO_MULTIVERSION void to_signed(const float* __restrict from, std::int8_t* __restrict to,
                                  std::int64_t count, const Quantisation& by) {
  quantise_run(from, to, count, by);
}

DISCO_MULTIVERSION void from_unsigned(const std::uint8_t* __restrict from, float* __restrict to,
                                      std::int64_t count, float scale, float zero) {
  dequantise_run(from, to, count, scale, zero);
}

DISCO_MULTIVERSION void from_signed(const std::int8_t* __restrict from, float* __restrict to,
                                    std::int64_t count, float scale, float zero) {
  dequantise_run(from, to, count, scale, zero);
}

constexpr std::int64_t kLanes = 64;

DISCO_MULTIVERSION float largest_run(const float* from, std::int64_t count) {
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, -std::numeric_limits<float>::infinity());
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::int64_t l = 0; l < kLanes; ++l) lanes[l] = from[i + l] > lanes[l] ? from[i + l] : lanes[l];
  }
  for (; i < count; ++i) lanes[0] = from[i] > lanes[0] ? from[i] : lanes[0];
  return *std::max_element(lanes, lanes + kLanes);
}

DISCO_MULTIVERSION float smallest_run(const float* from, std::int64_t count) {
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, std::numeric_limits<float>::infinity());
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::int64_t l = 0; l < kLanes; ++l) lanes[l] = from[i + l] < lanes[l] ? from[i + l] : lanes[l];
  }
  for (; i < count; ++i) lanes[0] = from[i] < lanes[0] ? from[i] : lanes[0];
  return *std::min_element(lanes, lanes + kLanes);
}

/// One number of all, by one number of each thread's run.
template <typename Run, typename Better>
float extreme(const float* from, std::int64_t count, Run run, Better better) {
  float found = from[0];
  parallel_runs(count, 1, [&](std::int64_t first, std::int64_t last) {
    if (first == last) return;
    const float mine = run(from + first, last - first);
#pragma omp critical(disco_extreme)
    if (better(mine, found) || found != found) found = mine;
  });
  return found;
}

}  // namespace

void quantise_through(const float* from, float* to, std::int64_t count, const Quantisation& by, float times) {
  parallel_runs(count, 1, [&](std::int64_t first, std::int64_t last) {
    through(from + first, to + first, last - first, by, times);
  });
}

void quantise(const float* from, std::uint8_t* to, std::int64_t count, const Quantisation& by) {
  parallel_runs(count, 1, [&](std::int64_t first, std::int64_t last) {
    to_unsigned(from + first, to + first, last - first, by);
  });
}

void quantise(const float* from, std::int8_t* to, std::int64_t count, const Quantisation& by) {
  parallel_runs(count, 1, [&](std::int64_t first, std::int64_t last) {
    to_signed(from + first, to + first, last - first, by);
  });
}

void dequantise(const std::uint8_t* from, float* to, std::int64_t count, float scale, float zero) {
  parallel_runs(count, 1, [&](std::int64_t first, std::int64_t last) {
    from_unsigned(from + first, to + first, last - first, scale, zero);
  });
}

void dequantise(const std::int8_t* from, float* to, std::int64_t count, float scale, float zero) {
  parallel_runs(count, 1, [&](std::int64_t first, std::int64_t last) {
    from_signed(from + first, to + first, last - first, scale, zero);
  });
}

float largest(const float* from, std::int64_t count) {
  return extreme(from, count, largest_run, [](float a, float b) { return a > b; });
}

float smallest(const float* from, std::int64_t count) {
  return extreme(from, count, smallest_run, [](float a, float b) { return a < b; });
}

}  // namespace disco::kernels
