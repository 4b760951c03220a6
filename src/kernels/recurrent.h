#pragma once
// One direction of an RNN, a GRU or an LSTM with the usual activations, in float32. Source: ONNX's
// Operators.md, whose order of gates these have.

#include <cstdint>

namespace disco::kernels {

enum class Cell {
  Rnn,            ///< tanh
  Gru,            ///< gates z, r, h; the reset gate acts on the state before its product
  GruResetAfter,  ///< the same, on the product (linear_before_reset)
  Lstm,           ///< gates i, o, f, c
};

struct Recurrence {
  Cell cell = Cell::Lstm;
  std::int64_t steps = 0, batch = 0, features = 0, hidden = 0;
  bool backward = false;  ///< from the last step to the first

  /// Rows of W and R.
  [[nodiscard]] std::int64_t rows() const {
    return (cell == Cell::Rnn ? 1 : cell == Cell::Lstm ? 4 : 3) * hidden;
  }
  /// Floats that run() needs beside.
  [[nodiscard]] std::int64_t scratch() const {
    return steps * batch * rows() + batch * rows() + batch * hidden;
  }

  /// @param x        [steps, batch, features]
  /// @param w        [rows, features]
  /// @param r        [rows, hidden]
  /// @param bias     [2 * rows], of the input and then of the state; may be null
  /// @param h, c     [batch, hidden], the state before, and then after; c of an LSTM only
  /// @param y        [steps] of [batch, hidden], `y_stride` floats apart; may be null
  /// @param scratch  scratch() floats
  void run(const float* x, const float* w, const float* r, const float* bias, float* h, float* c, float* y,
           std::int64_t y_stride, float* scratch) const;
};

}  // namespace disco::kernels
