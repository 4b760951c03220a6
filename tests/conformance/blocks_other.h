#pragma once
// Blocks of other exporters and other kinds of networks: TensorFlow's, quantised, half precision, text.

#include "block.h"

namespace disco::testing {

inline std::vector<Block> other_blocks() {
  return {
      // tf2onnx: channels last at the edges, a padded and a "same" convolution, scalars as tensors, a
      // flattened mean.
      {"tensorflow_channels_last", 13, R"(
keras (float[N,13,13,3] x, float[20,3,3,3] w1, float[20] b1, float[20,1,3,3] w2, float[30,20,1,1] w3, float[30] s4, float[30] b4, float[30] m4,
       float[30] v4, float[30,10] w5, float[1,10] b5) => (float[] y)
<int64[8] pads = {0, 0, 0, 0, 0, 0, 1, 1}, float six = {6.0}, float zero = {0.0}, int64[2] space = {2, 3}> {
  t = Transpose <perm = [0, 3, 1, 2]> (x)
  p = Pad <mode = "constant"> (t, pads)
  c1 = Conv <auto_pad = "VALID", kernel_shape = [3, 3], strides = [2, 2]> (p, w1, b1)
  k1 = Min (c1, six)
  r1 = Max (k1, zero)
  c2 = Conv <auto_pad = "SAME_UPPER", group = 20, kernel_shape = [3, 3], strides = [2, 2]> (r1, w2)
  c3 = Conv <auto_pad = "SAME_UPPER", kernel_shape = [1, 1]> (c2, w3)
  n4 = BatchNormalization <epsilon = 0.001> (c3, s4, b4, m4, v4)
  r4 = Relu (n4)
  g = GlobalAveragePool (r4)
  f = Squeeze (g, space)
  m5 = MatMul (f, w5)
  a5 = Add (m5, b5)
  y = Softmax <axis = -1> (a5)
})",
       0.12},
      // A quantised model in the form of quantise-dequantise pairs; integer weights are folded.
      {"quantise_dequantise", 13, R"(
qdq (float[2,3,8,8] x, float[20,3,3,3] w1, float[20] s1, float[20,20,3,3] w2, float[20] b2, float[30,20,1,1] w3) => (float[] y)
<float scale = {0.05}, int8 zero = {0}, float tenth = {0.02}, uint8 middle = {128}, float wide = {0.04}> {
  c1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w1)
  q1 = QuantizeLinear (c1, wide, middle)
  d1 = DequantizeLinear (q1, wide, middle)
  qw = QuantizeLinear <axis = 0> (w2, s1)
  dw = DequantizeLinear <axis = 0> (qw, s1)
  c2 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (d1, dw, b2)
  r2 = Relu (c2)
  q2 = QuantizeLinear <axis = 1> (r2, s1)
  d2 = DequantizeLinear <axis = 1> (q2, s1)
  y = Conv <kernel_shape = [1, 1]> (d2, w3)
})"},
      // A model converted to half precision: float at the edges.
      {"half_precision", 13, R"(
half (float[2,3,8,8] x, float[20,3,3,3] w1, float[20] b1, float[20,20,1,1] w2, float[20] b2, float[20,30] w3, float[30] b3) => (float[] y)
<int64[3] flat = {2, 20, 64}> {
  xh = Cast <to = 10> (x)
  w1h = Cast <to = 10> (w1)
  b1h = Cast <to = 10> (b1)
  w2h = Cast <to = 10> (w2)
  b2h = Cast <to = 10> (b2)
  w3h = Cast <to = 10> (w3)
  b3h = Cast <to = 10> (b3)
  c1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (xh, w1h, b1h)
  r1 = Relu (c1)
  c2 = Conv <kernel_shape = [1, 1]> (r1, w2h, b2h)
  a = Add (c2, c1)
  mean = ReduceMean <axes = [1]> (a)
  d = Sub (a, mean)
  p = Softmax <axis = 1> (d)
  f = Reshape (p, flat)
  t = Transpose <perm = [0, 2, 1]> (f)
  m = MatMul (t, w3h)
  s = Add (m, b3h)
  y = Cast <to = 1> (s)
})",
       0.08, 5e-3},
      {"double_precision", 17, R"(
double (float[2,9,20] x, float[20,40] w1, float[40] s2, float[40] b2, float[40,30] w3) => (float[] y) {
  xd = Cast <to = 11> (x)
  w1d = Cast <to = 11> (w1)
  s2d = Cast <to = 11> (s2)
  b2d = Cast <to = 11> (b2)
  w3d = Cast <to = 11> (w3)
  m1 = MatMul (xd, w1d)
  ln = LayerNormalization <axis = -1> (m1, s2d, b2d)
  mean = ReduceMean <axes = [-1], keepdims = 1> (ln)
  d = Sub (ln, mean)
  p = Softmax <axis = -1> (d)
  m3 = MatMul (p, w3d)
  y = Cast <to = 1> (m3)
})"},
      // A text encoder: embeddings of tokens and positions, a mask of what is padding.
      {"text_encoder_with_embeddings", 14, R"(
bert (int64[2,7] x_ids, float[8,20] w_tokens, float[7,20] w_positions, float[20] s1, float[20] b1, float[20,20] w2, float[20] b2, float[20,20] w3,
      float[20] b3, float[20,20] w4, float[20] b4, float[20,20] w5, float[20] b5, float[20,10] w6) => (float[] y)
<int64[1] one = {1}, int64[1] two_i = {2}, int64 pad = {0}, float most = {-10000.0}, float unit = {1.0}, int64[4] apart = {0, 0, 10, 2}, int64[3] together = {0, 0, 20},
 float root = {1.4142135}, float square = {2.0}, float epsilon = {0.00001}, int64[7] places = {0, 1, 2, 3, 4, 5, 6}, int64 i0 = {0}> {
  tokens = Gather <axis = 0> (w_tokens, x_ids)
  positions = Gather <axis = 0> (w_positions, places)
  e = Add (tokens, positions)
  mean = ReduceMean <axes = [-1]> (e)
  d = Sub (e, mean)
  q0 = Pow (d, square)
  v0 = ReduceMean <axes = [-1]> (q0)
  e0 = Add (v0, epsilon)
  r0 = Sqrt (e0)
  n0 = Div (d, r0)
  m0 = Mul (n0, s1)
  ln = Add (m0, b1)
  is_pad = Equal (x_ids, pad)
  real = Not (is_pad)
  mask1 = Unsqueeze (real, one)
  mask2 = Unsqueeze (mask1, two_i)
  mask3 = Cast <to = 1> (mask2)
  mask4 = Sub (unit, mask3)
  mask = Mul (mask4, most)
  p2 = MatMul (ln, w2)
  a2 = Add (p2, b2)
  q1 = Reshape (a2, apart)
  q = Transpose <perm = [0, 2, 1, 3]> (q1)
  p3 = MatMul (ln, w3)
  a3 = Add (p3, b3)
  k1 = Reshape (a3, apart)
  k = Transpose <perm = [0, 2, 3, 1]> (k1)
  p4 = MatMul (ln, w4)
  a4 = Add (p4, b4)
  v1 = Reshape (a4, apart)
  v = Transpose <perm = [0, 2, 1, 3]> (v1)
  qk = MatMul (q, k)
  scaled = Div (qk, root)
  masked = Add (scaled, mask)
  attention = Softmax <axis = -1> (masked)
  av = MatMul (attention, v)
  avt = Transpose <perm = [0, 2, 1, 3]> (av)
  o = Reshape (avt, together)
  p5 = MatMul (o, w5)
  a5 = Add (p5, b5)
  t5 = Add (a5, ln)
  first = Gather <axis = 1> (t5, i0)
  g = Tanh (first)
  y = MatMul (g, w6)
})"},
      // Segment Anything, MViT: relative positions of each head by products along named axes.
      {"einsum_relative_positions", 13, R"(
sam (float[2,12,20] x, float[20,60] w2, float[60] b2, float[4,4,2] w_h, float[3,3,2] w_w, float[20,20] w3) => (float[] y)
<int64[5] apart = {2, 12, 3, 10, 2}, int64[4] folded = {3, 20, 12, 2}, int64 i0 = {0}, int64 i1 = {1}, int64 i2 = {2}, float scale = {0.70710678},
 int64[4] grid = {20, 4, 3, 2}, int64[5] rows = {20, 4, 3, 4, 1}, int64[5] columns = {20, 4, 3, 1, 3}, int64[5] wide = {20, 4, 3, 4, 3}, int64[3] flat = {20, 12, 12},
 int64[5] heads = {2, 10, 4, 3, 2}, int64[3] together = {2, 12, 20}> {
  p2 = MatMul (x, w2)
  qkv = Add (p2, b2)
  a = Reshape (qkv, apart)
  t = Transpose <perm = [2, 0, 3, 1, 4]> (a)
  f = Reshape (t, folded)
  q = Gather <axis = 0> (f, i0)
  k = Gather <axis = 0> (f, i1)
  v = Gather <axis = 0> (f, i2)
  qs = Mul (q, scale)
  kt = Transpose <perm = [0, 2, 1]> (k)
  qk = MatMul (qs, kt)
  g = Reshape (q, grid)
  rel_h = Einsum <equation = "bhwc,hkc->bhwk"> (g, w_h)
  rel_w = Einsum <equation = "bhwc,wkc->bhwk"> (g, w_w)
  rh = Reshape (rel_h, rows)
  rw = Reshape (rel_w, columns)
  s = Reshape (qk, wide)
  s1 = Add (s, rh)
  s2 = Add (s1, rw)
  s3 = Reshape (s2, flat)
  attention = Softmax <axis = -1> (s3)
  av = MatMul (attention, v)
  h = Reshape (av, heads)
  u = Transpose <perm = [0, 2, 3, 1, 4]> (h)
  o = Reshape (u, together)
  y = MatMul (o, w3)
})"},
      // Three heads, and one, over more nodes than heads: attention itself is then uneven, the products
      // around it are not.
      {"three_heads", 17, R"(
tiny (float[2,9,24] x, float[24] s1, float[24] b1, float[24,72] w2, float[72] b2, float[24,24] w3, float[24,96] w4, float[96,24] w5) => (float[] y)
<int64[5] apart = {2, 9, 3, 3, 8}, int64[3] together = {2, 9, 24}, int64[3] sizes = {1, 1, 1}, int64[1] zero = {0}, float scale = {0.35355339}> {
  ln = LayerNormalization <axis = -1> (x, s1, b1)
  p2 = MatMul (ln, w2)
  qkv = Add (p2, b2)
  a = Reshape (qkv, apart)
  t = Transpose <perm = [2, 0, 3, 1, 4]> (a)
  q0, k0, v0 = Split <axis = 0> (t, sizes)
  q = Squeeze (q0, zero)
  k = Squeeze (k0, zero)
  v = Squeeze (v0, zero)
  kt = Transpose <perm = [0, 1, 3, 2]> (k)
  qk = MatMul (q, kt)
  scaled = Mul (qk, scale)
  attention = Softmax <axis = -1> (scaled)
  av = MatMul (attention, v)
  avt = Transpose <perm = [0, 2, 1, 3]> (av)
  o = Reshape (avt, together)
  p3 = MatMul (o, w3)
  r3 = Add (x, p3)
  p4 = MatMul (r3, w4)
  g4 = Relu (p4)
  p5 = MatMul (g4, w5)
  y = Add (r3, p5)
})",
       0.2},
      {"one_head", 17, R"(
segformer (float[2,20,24] x, float[24,24] w1, float[24,24] w2, float[24,24] w3, float[24,24] w4) => (float[] y)
<int64[4] apart = {2, 20, 1, 24}, int64[3] together = {2, 20, 24}, float scale = {0.20412415}> {
  p1 = MatMul (x, w1)
  q1 = Reshape (p1, apart)
  q = Transpose <perm = [0, 2, 1, 3]> (q1)
  p2 = MatMul (x, w2)
  k1 = Reshape (p2, apart)
  k = Transpose <perm = [0, 2, 3, 1]> (k1)
  p3 = MatMul (x, w3)
  v1 = Reshape (p3, apart)
  v = Transpose <perm = [0, 2, 1, 3]> (v1)
  qk = MatMul (q, k)
  scaled = Mul (qk, scale)
  attention = Softmax <axis = -1> (scaled)
  av = MatMul (attention, v)
  avt = Transpose <perm = [0, 2, 1, 3]> (av)
  o = Reshape (avt, together)
  y = MatMul (o, w4)
})"},
      // PoolFormer: normalisation over all channels and positions at once.
      {"group_norm_of_one_group", 13, R"(
poolformer (float[2,3,8,8] x, float[20,3,3,3] w0, float[20,1,1] s1, float[20,1,1] b1, float[40,20,1,1] w2, float[20,40,1,1] w3, float[20,1,1] s4) => (float[] y)
<int64[3] one_group = {0, 1, -1}, float[1] ones = {1.0}, float[1] zeros = {0.0}> {
  c0 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w0)
  g = Reshape (c0, one_group)
  i = InstanceNormalization <epsilon = 0.00001> (g, ones, zeros)
  shape = Shape (c0)
  j = Reshape (i, shape)
  k = Mul (j, s1)
  n = Add (k, b1)
  p = AveragePool <count_include_pad = 0, kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [1, 1]> (n)
  d = Sub (p, n)
  e = Mul (d, s4)
  r = Add (c0, e)
  c2 = Conv <kernel_shape = [1, 1]> (r, w2)
  h = Relu (c2)
  c3 = Conv <kernel_shape = [1, 1]> (h, w3)
  y = Add (r, c3)
})"},
      // What fusions look for, where it has extents that the data decide, or another type.
      {"patterns_that_kernels_do_not_take", 13, R"(
patterns (float[2,3,8,8] x, float[8,3,3,3] w1, float[4,6] w2, float[6] b2) => (float[] y) {
  step = Constant <value = float {0.05}> ()
  middle = Constant <value = uint8 {128}> ()
  half = Constant <value = float {0.5}> ()
  one = Constant <value = float {1.0}> ()
  root = Constant <value = float {1.4142135}> ()
  c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w1)
  wide = Cast <to = 11> (c)
  gate = Sigmoid (wide)
  swish = Mul (wide, gate)
  back = Cast <to = 1> (swish)
  high = Greater (back, half)
  n = NonZero (high)
  f = Cast <to = 1> (n)
  t = Transpose (f)
  m = MatMul (t, w2)
  a = Add (m, b2)
  g = Sigmoid (a)
  s = Mul (a, g)
  v = Div (s, root)
  e = Erf (v)
  p = Add (e, one)
  h = Mul (s, p)
  u = Mul (h, half)
  q = QuantizeLinear (u, step, middle)
  d = DequantizeLinear (q, step, middle)
  y = ReduceSum <keepdims = 0> (d)
})",
       1.0},
      // Text recognition: columns of a map are steps of a sequence.
      {"crnn_bidirectional_lstm", 14, R"(
crnn (float[N,16,4,20] x, float[24,16,4,1] w1, float[24] b1, float[2,64,24] w2, float[2,64,16] w3, float[2,128] b2, float[32,12] w4) => (float[] y) {
  c1 = Conv <kernel_shape = [4, 1]> (x, w1, b1)
  r1 = Relu (c1)
  rows = Constant <value = int64[1] {2}> ()
  q = Squeeze (r1, rows)
  t = Transpose <perm = [2, 0, 1]> (q)
  h, a, e = LSTM <direction = "bidirectional", hidden_size = 16> (t, w2, w3, b2)
  p = Transpose <perm = [0, 2, 1, 3]> (h)
  s = Constant <value = int64[3] {20, 0, 32}> ()
  f = Reshape (p, s)
  y = MatMul (f, w4)
})",
       1.0},
      {"gru_and_rnn", 14, R"(
gru (float[6,3,10] x, float[1,24,10] w1, float[1,24,8] w2, float[1,48] b1, float[1,24,8] w3, float[1,24,8] w4, float[1,48] b2, float[1,5,8] w5, float[1,5,5] w6, float[10,10] w7) => (float[] y) {
  one = Constant <value = int64[1] {1}> ()
  d = MatMul (x, w7)
  h, a = GRU <direction = "reverse", hidden_size = 8> (d, w1, w2, b1)
  hs = Squeeze (h, one)
  g, e = GRU <hidden_size = 8, linear_before_reset = 1> (hs, w3, w4, b2, , a)
  gs = Squeeze (g, one)
  r, last = RNN <hidden_size = 5> (gs, w5, w6)
  y = Identity (last)
})",
       1.0},
      // A branch reads a value by its name after the last operator that reads it in the open, and could
      // compute over it.
      {"value_read_in_a_branch_only", 13, R"(
branch (float[2,3,8,8] x, float[20,3,3,3] w1, float[20,20,1,1] w2, float w3) => (float[] y) {
  c1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w1)
  a = Sigmoid (c1)
  e = Exp (a)
  c2 = Conv <kernel_shape = [1, 1]> (e, w2)
  total = ReduceSum <keepdims = 0> (c2)
  flag = Greater (total, w3)
  z = If <then_branch = as_it_is () => (float[2,20,8,8] p) { p = Identity (a) }, else_branch = negative () => (float[2,20,8,8] q) { q = Neg (a) }> (flag)
  y = Add (z, c2)
})"},
  };
}

}  // namespace disco::testing
