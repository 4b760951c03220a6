#include "kernels/recurrent.h"

#include <algorithm>
#include <cmath>
#include <dnnl.hpp>

namespace disco::kernels {

namespace {

/// y = a · wᵀ + beta · y, of [rows, depth] and [outputs, depth], by oneDNN, row-major.
void multiply(std::int64_t rows, std::int64_t outputs, std::int64_t depth, const float* a, const float* w,
              float beta, float* y, std::int64_t y_stride) {
  dnnl::sgemm('N', 'T', rows, outputs, depth, 1.0F, a, depth, w, depth, beta, y, y_stride);
}

float sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }

/// Of one sequence of the batch: what its input and its state add to every gate, biases included.
void lstm(std::int64_t n, const float* from_input, const float* from_state, float* h, float* c) {
  const auto sum = [&](std::int64_t gate, std::int64_t j) {
    return from_input[gate * n + j] + from_state[gate * n + j];
  };
  for (std::int64_t j = 0; j < n; ++j) {
    c[j] = sigmoid(sum(2, j)) * c[j] + sigmoid(sum(0, j)) * std::tanh(sum(3, j));
    h[j] = sigmoid(sum(1, j)) * std::tanh(c[j]);
  }
}

}  // namespace

void Recurrence::run(const float* x, const float* w, const float* r, const float* bias, float* h, float* c,
                     float* y, std::int64_t y_stride, float* scratch) const {
  const std::int64_t gates = rows();
  const std::int64_t n = hidden;
  float* const from_input = scratch;
  float* const from_state = from_input + steps * batch * gates;
  float* const masked = from_state + batch * gates;
  for (std::int64_t line = 0; line < steps * batch; ++line) {
    float* to = from_input + line * gates;
    if (bias != nullptr) {
      std::copy_n(bias, gates, to);
    } else {
      std::fill_n(to, gates, 0.0F);
    }
  }
  multiply(steps * batch, gates, features, x, w, 1.0F, from_input, gates);

  // The candidate of a GRU that resets the state has a product of its own, after the gates.
  const bool reset_first = cell == Cell::Gru;
  const std::int64_t at_once = reset_first ? 2 * n : gates;
  for (std::int64_t s = 0; s < steps; ++s) {
    const std::int64_t t = backward ? steps - 1 - s : s;
    for (std::int64_t b = 0; b < batch; ++b) {
      float* to = from_state + b * gates;
      if (bias != nullptr) {
        std::copy_n(bias + gates, gates, to);
      } else {
        std::fill_n(to, gates, 0.0F);
      }
    }
    multiply(batch, at_once, n, h, r, 1.0F, from_state, gates);
    if (reset_first) {
      for (std::int64_t b = 0; b < batch; ++b) {
        const float* in = from_input + (t * batch + b) * gates;
        const float* state = from_state + b * gates;
        for (std::int64_t j = 0; j < n; ++j)
          masked[b * n + j] = sigmoid(in[n + j] + state[n + j]) * h[b * n + j];
      }
      multiply(batch, n, n, masked, r + 2 * n * n, 1.0F, from_state + 2 * n, gates);
    }
    for (std::int64_t b = 0; b < batch; ++b) {
      const float* in = from_input + (t * batch + b) * gates;
      const float* state = from_state + b * gates;
      float* mine = h + b * n;
      if (cell == Cell::Lstm) {
        lstm(n, in, state, mine, c + b * n);
      } else if (cell == Cell::Rnn) {
        for (std::int64_t j = 0; j < n; ++j) mine[j] = std::tanh(in[j] + state[j]);
      } else {
        for (std::int64_t j = 0; j < n; ++j) {
          const float update = sigmoid(in[j] + state[j]);
          const float past =
              reset_first ? state[2 * n + j] : sigmoid(in[n + j] + state[n + j]) * state[2 * n + j];
          mine[j] = (1.0F - update) * std::tanh(in[2 * n + j] + past) + update * mine[j];
        }
      }
    }
    if (y != nullptr) std::copy_n(h, batch * n, y + t * y_stride);
  }
}

}  // namespace disco::kernels
