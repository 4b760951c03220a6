#pragma once
// Networks of 8-bit numbers, as quantisation tools write them. A sum that is rounded elsewhere by another order
// of its terms may fall on the other side of a tie, and then differs by one step: that much is allowed.

#include "block.h"

namespace disco::testing {

inline std::vector<Block> quantised_blocks() {
  return {
      // Static, "QDQ": activations by tensor, weights by channel.
      {"qdq_residual", 13, R"(
qdq (float[N,16,12,12] x, float[24,16,3,3] w1, float[24] b1, float[16,24,1,1] w2, float[10,16] w3, float[24] s1) => (float[] y) {
  step = Constant <value = float {0.04}> ()
  middle = Constant <value = uint8 {128}> ()
  fine = Constant <value = float {0.02}> ()
  lowest = Constant <value = uint8 {0}> ()
  small = Constant <value = float {0.004}> ()
  none = Constant <value = int8 {0}> ()
  hundredth = Constant <value = float {0.01}> ()
  s = Mul (s1, hundredth)
  q1 = QuantizeLinear <axis = 0> (w1, s)
  d1 = DequantizeLinear <axis = 0> (q1, s)
  q2 = QuantizeLinear (w2, small, none)
  d2 = DequantizeLinear (q2, small, none)
  xq = QuantizeLinear (x, step, middle)
  xd = DequantizeLinear (xq, step, middle)
  c1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (xd, d1, b1)
  r1 = Relu (c1)
  rq = QuantizeLinear (r1, fine, lowest)
  rd = DequantizeLinear (rq, fine, lowest)
  c2 = Conv <kernel_shape = [1, 1]> (rd, d2)
  a = Add (c2, xd)
  aq = QuantizeLinear (a, step, middle)
  ad = DequantizeLinear (aq, step, middle)
  p = GlobalAveragePool (ad)
  f = Flatten (p)
  fq = QuantizeLinear (f, small, none)
  fd = DequantizeLinear (fq, small, none)
  y = Gemm <transB = 1> (fd, w3)
})",
       0.1, 3e-2},
      // Static, operators that take codes.
      {"qlinear_operators", 13, R"(
qlinear (float[N,16,12,12] x, float[24,16,3,3] w1, float[24] b1, float[20,24,1,1] w2, float[12,10] w3, float[24] s1) => (float[] y) {
  step = Constant <value = float {0.04}> ()
  middle = Constant <value = uint8 {128}> ()
  small = Constant <value = float {0.004}> ()
  none = Constant <value = int8 {0}> ()
  hundredth = Constant <value = float {0.01}> ()
  nones = Constant <value = int8[24] {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}> ()
  s = Mul (s1, hundredth)
  sx = Mul (s, step)
  bs = Div (b1, sx)
  bi = Cast <to = 6> (bs)
  q1 = QuantizeLinear <axis = 0> (w1, s, nones)
  q2 = QuantizeLinear (w2, small, none)
  q3 = QuantizeLinear (w3, small, none)
  xq = QuantizeLinear (x, step, middle)
  c1 = QLinearConv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (xq, step, middle, q1, s, nones, step, middle, bi)
  c2 = QLinearConv <kernel_shape = [1, 1]> (c1, step, middle, q2, small, none, step, middle)
  rows = Constant <value = int64[2] {-1, 12}> ()
  f = Reshape (c2, rows)
  m = QLinearMatMul (f, step, middle, q3, small, none, step, middle)
  y = DequantizeLinear (m, step, middle)
})",
       0.1, 3e-2},
      // Dynamic: scales are computed from what comes.
      {"dynamically_quantised", 13, R"(
dynamic (float[N,16,12,12] x, float[24,16,3,3] w1, float[24,1,1] b1, float[20,24,1,1] w2, float[20,10] w3, float[10] b3) => (float[] y) {
  small = Constant <value = float {0.004}> ()
  none = Constant <value = int8 {0}> ()
  odd = Constant <value = uint8 {131}> ()
  q1 = QuantizeLinear (w1, small, none)
  q2 = QuantizeLinear (w2, small, odd)
  q3 = QuantizeLinear (w3, small, none)
  a, as, az = DynamicQuantizeLinear (x)
  c1 = ConvInteger <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (a, q1, az, none)
  f1 = Cast <to = 1> (c1)
  t1 = Mul (as, small)
  g1 = Mul (f1, t1)
  h1 = Add (g1, b1)
  r1 = Relu (h1)
  b, bs, bz = DynamicQuantizeLinear (r1)
  c2 = ConvInteger <kernel_shape = [1, 1]> (b, q2, bz, odd)
  f2 = Cast <to = 1> (c2)
  t2 = Mul (bs, small)
  g2 = Mul (f2, t2)
  p = GlobalAveragePool (g2)
  l = Flatten (p)
  e, es, ez = DynamicQuantizeLinear (l)
  c3 = MatMulInteger (e, q3, ez, none)
  f3 = Cast <to = 1> (c3)
  t3 = Mul (es, small)
  g3 = Mul (f3, t3)
  y = Add (g3, b3)
})",
       0.1, 3e-2},
  };
}

}  // namespace disco::testing
