#pragma once
// Blocks of convolutional networks, as the exporters of torchvision and timm write them.

#include "block.h"

namespace disco::testing {

inline std::vector<Block> convolution_blocks() {
  return {
      // ResNet: a stem, a bottleneck whose batch norms the exporter folded, a shortcut of its own.
      {"resnet_bottleneck", 11, R"(
resnet (float[N,3,24,24] x, float[20,3,7,7] w1, float[20] s1, float[20] b1, float[20] m1, float[20] v1,
        float[20,20,1,1] w2, float[20] b2, float[20,20,3,3] w3, float[20] b3, float[40,20,1,1] w4, float[40] b4,
        float[40,20,1,1] w5, float[40] b5, float[11,40] w6, float[11] b6) => (float[] y) {
  c1 = Conv <dilations = [1, 1], group = 1, kernel_shape = [7, 7], pads = [3, 3, 3, 3], strides = [2, 2]> (x, w1)
  n1 = BatchNormalization <epsilon = 0.00001, momentum = 0.9> (c1, s1, b1, m1, v1)
  r1 = Relu (n1)
  p1 = MaxPool <ceil_mode = 0, kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (r1)
  c2 = Conv <dilations = [1, 1], group = 1, kernel_shape = [1, 1], pads = [0, 0, 0, 0], strides = [1, 1]> (p1, w2, b2)
  r2 = Relu (c2)
  c3 = Conv <dilations = [1, 1], group = 1, kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (r2, w3, b3)
  r3 = Relu (c3)
  c4 = Conv <dilations = [1, 1], group = 1, kernel_shape = [1, 1], pads = [0, 0, 0, 0], strides = [1, 1]> (r3, w4, b4)
  c5 = Conv <dilations = [1, 1], group = 1, kernel_shape = [1, 1], pads = [0, 0, 0, 0], strides = [2, 2]> (p1, w5, b5)
  a = Add (c4, c5)
  r4 = Relu (a)
  g = GlobalAveragePool (r4)
  f = Flatten <axis = 1> (g)
  y = Gemm <alpha = 1.0, beta = 1.0, transB = 1> (f, w6, b6)
})",
       0.13},
      // MobileNetV2 before opset 12: the mean over space, bounds of ReLU6 as constants.
      {"mobilenet_v2_inverted_residual", 11, R"(
mobilenet (float[N,24,12,12] x, float[40,24,1,1] w1, float[40] b1, float[40,1,3,3] w2, float[40] b2, float[24,40,1,1] w3,
           float[24] b3, float[30,24,1,1] w4, float[30] b4, float[12,30] w5, float[12] b5) => (float[] y) {
  low = Constant <value = float {0.0}> ()
  high = Constant <value = float {6.0}> ()
  c1 = Conv <kernel_shape = [1, 1]> (x, w1, b1)
  r1 = Clip (c1, low, high)
  c2 = Conv <group = 40, kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (r1, w2, b2)
  r2 = Clip (c2, low, high)
  c3 = Conv <kernel_shape = [1, 1]> (r2, w3, b3)
  a = Add (x, c3)
  c4 = Conv <kernel_shape = [1, 1]> (a, w4, b4)
  r4 = Clip (c4, low, high)
  g = ReduceMean <axes = [2, 3], keepdims = 0> (r4)
  y = Gemm <alpha = 1.0, beta = 1.0, transB = 1> (g, w5, b5)
})"},
      // MobileNetV3 where hard sigmoid and hard swish are operators.
      {"mobilenet_v3_squeeze_excite", 14, R"(
mobilenet (float[N,20,12,12] x, float[60,20,1,1] w1, float[60] b1, float[60,1,5,5] w2, float[60] b2, float[20,60,1,1] w3,
           float[20] b3, float[60,20,1,1] w4, float[60] b4, float[30,60,1,1] w5, float[30] b5) => (float[] y) {
  c1 = Conv <kernel_shape = [1, 1]> (x, w1, b1)
  h1 = HardSwish (c1)
  c2 = Conv <group = 60, kernel_shape = [5, 5], pads = [2, 2, 2, 2], strides = [2, 2]> (h1, w2, b2)
  h2 = HardSwish (c2)
  g = GlobalAveragePool (h2)
  c3 = Conv <kernel_shape = [1, 1]> (g, w3, b3)
  r3 = Relu (c3)
  c4 = Conv <kernel_shape = [1, 1]> (r3, w4, b4)
  h4 = HardSigmoid <alpha = 0.16666667, beta = 0.5> (c4)
  e = Mul (h4, h2)
  y = Conv <kernel_shape = [1, 1]> (e, w5, b5)
})"},
      // … and where they are written out.
      {"mobilenet_v3_hard_swish_written_out", 11, R"(
mobilenet (float[N,20,12,12] x, float[60,20,1,1] w1, float[60] b1, float[60,1,3,3] w2, float[60] b2, float[20,60,1,1] w3,
           float[20] b3, float[60,20,1,1] w4, float[60] b4, float[20,60,1,1] w5, float[20] b5) => (float[] y) {
  three = Constant <value = float {3.0}> ()
  low = Constant <value = float {0.0}> ()
  six = Constant <value = float {6.0}> ()
  c1 = Conv <kernel_shape = [1, 1]> (x, w1, b1)
  a1 = Add (c1, three)
  k1 = Clip (a1, low, six)
  d1 = Div (k1, six)
  h1 = Mul (c1, d1)
  c2 = Conv <group = 60, kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (h1, w2, b2)
  a2 = Add (c2, three)
  k2 = Clip (a2, low, six)
  p2 = Mul (c2, k2)
  h2 = Div (p2, six)
  g = GlobalAveragePool (h2)
  c3 = Conv <kernel_shape = [1, 1]> (g, w3, b3)
  r3 = Relu (c3)
  c4 = Conv <kernel_shape = [1, 1]> (r3, w4, b4)
  a4 = Add (c4, three)
  k4 = Clip (a4, low, six)
  d4 = Div (k4, six)
  e = Mul (d4, h2)
  c5 = Conv <kernel_shape = [1, 1]> (e, w5, b5)
  y = Add (c5, x)
})"},
      // EfficientNet of timm: swish as a product, TensorFlow's uneven padding, squeeze-excite over a mean.
      {"efficientnet_mbconv", 13, R"(
efficientnet (float[N,20,13,13] x, float[60,20,1,1] w1, float[60] b1, float[60,1,3,3] w2, float[60] b2, float[10,60,1,1] w3,
              float[10] b3, float[60,10,1,1] w4, float[60] b4, float[24,60,1,1] w5, float[24] b5) => (float[] y)
<int64[8] pads = {0, 0, 0, 0, 0, 0, 1, 1}> {
  c1 = Conv <kernel_shape = [1, 1]> (x, w1, b1)
  g1 = Sigmoid (c1)
  h1 = Mul (c1, g1)
  padded = Pad <mode = "constant"> (h1, pads)
  c2 = Conv <group = 60, kernel_shape = [3, 3], strides = [2, 2]> (padded, w2, b2)
  g2 = Sigmoid (c2)
  h2 = Mul (c2, g2)
  m = ReduceMean <axes = [2, 3], keepdims = 1> (h2)
  c3 = Conv <kernel_shape = [1, 1]> (m, w3, b3)
  g3 = Sigmoid (c3)
  h3 = Mul (c3, g3)
  c4 = Conv <kernel_shape = [1, 1]> (h3, w4, b4)
  g4 = Sigmoid (c4)
  e = Mul (h2, g4)
  y = Conv <kernel_shape = [1, 1]> (e, w5, b5)
})"},
      // EfficientNetV2 by the newer exporter: axes are inputs, and so are the flattened shape's parts.
      {"efficientnet_v2_opset18", 18, R"(
efficientnet (float[N,20,12,12] x, float[40,20,3,3] w1, float[40] b1, float[8,40,1,1] w2, float[8] b2, float[40,8,1,1] w3,
              float[40] b3, float[20,40,1,1] w4, float[20] b4, float[10,20] w5, float[10] b5) => (float[] y)
<int64[2] space = {-1, -2}, int64[1] zero = {0}, int64[1] rest = {-1}> {
  c1 = Conv <auto_pad = "NOTSET", dilations = [1, 1], group = 1, kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [1, 1]> (x, w1, b1)
  g1 = Sigmoid (c1)
  h1 = Mul (c1, g1)
  m = ReduceMean <keepdims = 1, noop_with_empty_axes = 0> (h1, space)
  c2 = Conv <kernel_shape = [1, 1]> (m, w2, b2)
  g2 = Sigmoid (c2)
  h2 = Mul (c2, g2)
  c3 = Conv <kernel_shape = [1, 1]> (h2, w3, b3)
  g3 = Sigmoid (c3)
  e = Mul (h1, g3)
  c4 = Conv <kernel_shape = [1, 1]> (e, w4, b4)
  a = Add (c4, x)
  p = ReduceMean <keepdims = 1, noop_with_empty_axes = 0> (a, space)
  batch = Shape <end = 1, start = 0> (p)
  shape = Concat <axis = 0> (batch, rest)
  f = Reshape <allowzero = 0> (p, shape)
  y = Gemm <beta = 1.0, transB = 1, alpha = 1.0, transA = 0> (f, w5, b5)
})"},
      // DenseNet: growing concatenations, and a transition.
      {"densenet_layers", 12, R"(
densenet (float[N,3,12,12] x, float[20,3,3,3] w0, float[20] s1, float[20] b1, float[20] m1, float[20] v1, float[40,20,1,1] w1,
          float[40] b2, float[15,40,3,3] w2, float[35] s3, float[35] b3, float[35] m3, float[35] v3, float[40,35,1,1] w3, float[40] b4,
          float[15,40,3,3] w4, float[50] s5, float[50] b5, float[50] m5, float[50] v5, float[25,50,1,1] w5) => (float[] y) {
  c0 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w0)
  n1 = BatchNormalization <epsilon = 0.00001, momentum = 0.9> (c0, s1, b1, m1, v1)
  r1 = Relu (n1)
  c1 = Conv <kernel_shape = [1, 1]> (r1, w1, b2)
  q1 = Relu (c1)
  d1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (q1, w2)
  t1 = Concat <axis = 1> (c0, d1)
  n3 = BatchNormalization <epsilon = 0.00001, momentum = 0.9> (t1, s3, b3, m3, v3)
  r3 = Relu (n3)
  c3 = Conv <kernel_shape = [1, 1]> (r3, w3, b4)
  q3 = Relu (c3)
  d3 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (q3, w4)
  t3 = Concat <axis = 1> (c0, d1, d3)
  n5 = BatchNormalization <epsilon = 0.00001, momentum = 0.9> (t3, s5, b5, m5, v5)
  r5 = Relu (n5)
  c5 = Conv <kernel_shape = [1, 1]> (r5, w5)
  y = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (c5)
})"},
      // VGG: the flattened map goes to dense layers.
      {"vgg_classifier", 13, R"(
vgg (float[N,3,12,12] x, float[20,3,3,3] w1, float[20] b1, float[20,20,3,3] w2, float[20] b2, float[40,720] w3, float[40] b3,
     float[40,40] w4, float[40] b4, float[10,40] w5, float[10] b5) => (float[] y) {
  c1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w1, b1)
  r1 = Relu (c1)
  c2 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (r1, w2, b2)
  r2 = Relu (c2)
  p2 = MaxPool <ceil_mode = 0, kernel_shape = [2, 2], strides = [2, 2]> (r2)
  f = Flatten <axis = 1> (p2)
  g3 = Gemm <alpha = 1.0, beta = 1.0, transB = 1> (f, w3, b3)
  r3 = Relu (g3)
  half = Constant <value = float {0.5}> ()
  off = Constant <value = bool {0}> ()
  d3, mask = Dropout (r3, half, off)
  g4 = Gemm <alpha = 1.0, beta = 1.0, transB = 1> (d3, w4, b4)
  r4 = Relu (g4)
  y = Gemm <alpha = 1.0, beta = 1.0, transB = 1> (r4, w5, b5)
})"},
      {"squeezenet_fire", 11, R"(
squeezenet (float[N,3,15,15] x, float[30,3,3,3] w1, float[30] b1, float[20,30,1,1] w2, float[20] b2, float[30,20,1,1] w3, float[30] b3,
            float[30,20,3,3] w4, float[30] b4, float[10,60,1,1] w5, float[10] b5) => (float[] y) {
  c1 = Conv <kernel_shape = [3, 3], strides = [2, 2]> (x, w1, b1)
  r1 = Relu (c1)
  p1 = MaxPool <ceil_mode = 1, kernel_shape = [3, 3], strides = [2, 2]> (r1)
  c2 = Conv <kernel_shape = [1, 1]> (p1, w2, b2)
  r2 = Relu (c2)
  c3 = Conv <kernel_shape = [1, 1]> (r2, w3, b3)
  r3 = Relu (c3)
  c4 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (r2, w4, b4)
  r4 = Relu (c4)
  t = Concat <axis = 1> (r3, r4)
  c5 = Conv <kernel_shape = [1, 1]> (t, w5, b5)
  r5 = Relu (c5)
  g = GlobalAveragePool (r5)
  y = Flatten <axis = 1> (g)
})",
       0.1},
      // ShuffleNetV2 with an open batch: the shuffle's shapes are computed at run time.
      {"shufflenet_v2_dynamic_shuffle", 11, R"(
shufflenet (float[N,40,10,10] x, float[20,20,1,1] w1, float[20] b1, float[20,1,3,3] w2, float[20] b2, float[20,20,1,1] w3, float[20] b3,
            float[30,40,1,1] w4, float[30] b4) => (float[] y) {
  left, right = Split <axis = 1, split = [20, 20]> (x)
  c1 = Conv <kernel_shape = [1, 1]> (right, w1, b1)
  r1 = Relu (c1)
  c2 = Conv <group = 20, kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (r1, w2, b2)
  c3 = Conv <kernel_shape = [1, 1]> (c2, w3, b3)
  r3 = Relu (c3)
  t = Concat <axis = 1> (left, r3)
  shape = Shape (t)
  i0 = Constant <value = int64 {0}> ()
  n = Gather <axis = 0> (shape, i0)
  i2 = Constant <value = int64 {2}> ()
  h = Gather <axis = 0> (shape, i2)
  i3 = Constant <value = int64 {3}> ()
  w = Gather <axis = 0> (shape, i3)
  n1 = Unsqueeze <axes = [0]> (n)
  two = Constant <value = int64[1] {2}> ()
  twenty = Constant <value = int64[1] {20}> ()
  h1 = Unsqueeze <axes = [0]> (h)
  w1d = Unsqueeze <axes = [0]> (w)
  s1 = Concat <axis = 0> (n1, two, twenty, h1, w1d)
  v1 = Reshape (t, s1)
  v2 = Transpose <perm = [0, 2, 1, 3, 4]> (v1)
  rest = Constant <value = int64[1] {-1}> ()
  s2 = Concat <axis = 0> (n1, rest, h1, w1d)
  v3 = Reshape (v2, s2)
  y = Conv <kernel_shape = [1, 1]> (v3, w4, b4)
})"},
      // The same shuffle inside a stage: both halves of a split are read again.
      {"shufflenet_v2_stage", 13, R"(
shufflenet (float[2,3,10,10] x, float[40,3,3,3] w0, float[20,20,1,1] w1, float[20] b1, float[20,1,3,3] w2, float[20] b2,
            float[20,20,1,1] w3, float[20] b3, float[20,20,1,1] w4, float[20] b4, float[20,1,3,3] w5, float[20,20,1,1] w6,
            float[30,40,1,1] w7) => (float[] y)
<int64[2] halves = {20, 20}, int64[5] apart = {2, 2, 20, 10, 10}, int64[4] together = {2, 40, 10, 10}> {
  c0 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w0)
  left, right = Split <axis = 1> (c0, halves)
  c1 = Conv <kernel_shape = [1, 1]> (right, w1, b1)
  c2 = Conv <group = 20, kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (c1, w2, b2)
  c3 = Conv <kernel_shape = [1, 1]> (c2, w3, b3)
  t = Concat <axis = 1> (left, c3)
  v1 = Reshape (t, apart)
  v2 = Transpose <perm = [0, 2, 1, 3, 4]> (v1)
  v3 = Reshape (v2, together)
  left2, right2 = Split <axis = 1> (v3, halves)
  c4 = Conv <kernel_shape = [1, 1]> (right2, w4, b4)
  c5 = Conv <group = 20, kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (c4, w5)
  c6 = Conv <kernel_shape = [1, 1]> (c5, w6)
  t2 = Concat <axis = 1> (left2, c6)
  u1 = Reshape (t2, apart)
  u2 = Transpose <perm = [0, 2, 1, 3, 4]> (u1)
  u3 = Reshape (u2, together)
  y = Conv <kernel_shape = [1, 1]> (u3, w7)
})"},
      // ShuffleNet (the first) and ResNeXt: grouped convolutions, more groups than nodes.
      {"grouped_convolutions_and_shuffle", 12, R"(
shufflenet (float[2,3,10,10] x, float[30,3,3,3] w0, float[60,3,1,1] w1, float[60] b1, float[60,1,3,3] w2, float[30,6,1,1] w3,
            float[30] b3, float[30,30,1,1] w4) => (float[] y) {
  c0 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w0)
  c1 = Conv <group = 10, kernel_shape = [1, 1]> (c0, w1, b1)
  r1 = Relu (c1)
  apart = Constant <value = int64[5] {2, 10, 6, 10, 10}> ()
  v1 = Reshape (r1, apart)
  v2 = Transpose <perm = [0, 2, 1, 3, 4]> (v1)
  together = Constant <value = int64[4] {2, 60, 10, 10}> ()
  v3 = Reshape (v2, together)
  c2 = Conv <group = 60, kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (v3, w2)
  c3 = Conv <group = 10, kernel_shape = [1, 1]> (c2, w3, b3)
  a = Add (c3, c0)
  y = Conv <kernel_shape = [1, 1]> (a, w4)
})"},
      {"resnext_and_regnet_groups", 13, R"(
resnext (float[N,3,10,10] x, float[40,3,3,3] w0, float[60,40,1,1] w1, float[60] b1, float[60,3,3,3] w2, float[60] b2,
         float[10,60,1,1] w3, float[10] b3, float[60,10,1,1] w4, float[60] b4, float[40,60,1,1] w5, float[40] b5) => (float[] y) {
  c0 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w0)
  c1 = Conv <kernel_shape = [1, 1]> (c0, w1, b1)
  r1 = Relu (c1)
  c2 = Conv <group = 20, kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (r1, w2, b2)
  r2 = Relu (c2)
  g = GlobalAveragePool (r2)
  c3 = Conv <kernel_shape = [1, 1]> (g, w3, b3)
  r3 = Relu (c3)
  c4 = Conv <kernel_shape = [1, 1]> (r3, w4, b4)
  e = Sigmoid (c4)
  m = Mul (e, r2)
  c5 = Conv <kernel_shape = [1, 1]> (m, w5, b5)
  a = Add (c5, c0)
  y = Relu (a)
})"},
      // Two groups, as AlexNet has them, over more nodes than groups.
      {"two_groups", 11, R"(
alexnet (float[2,3,12,12] x, float[40,3,3,3] w0, float[40,20,3,3] w1, float[40] b1, float[30,40,1,1] w2) => (float[] y) {
  c0 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w0)
  n0 = LRN <alpha = 0.0001, beta = 0.75, bias = 1.0, size = 5> (c0)
  c1 = Conv <group = 2, kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (n0, w1, b1)
  r1 = Relu (c1)
  y = Conv <kernel_shape = [1, 1]> (r1, w2)
})",
       0.25},
      // Inception: the input's channels are normalised one by one; branches of many kernels.
      {"inception_branches", 11, R"(
inception (float[N,3,12,12] x, float[20,3,1,1] w0, float[20,20,1,1] w1, float[20] b1, float[20,20,1,7] w2, float[20] b2,
           float[25,20,7,1] w3, float[25] b3, float[15,20,1,1] w4, float[15] b4, float[20,60,3,3] w5) => (float[] y) {
  i0 = Constant <value = int64 {0}> ()
  i1 = Constant <value = int64 {1}> ()
  i2 = Constant <value = int64 {2}> ()
  scale = Constant <value = float {0.458}> ()
  shift = Constant <value = float {-0.03}> ()
  x0 = Gather <axis = 1> (x, i0)
  u0 = Unsqueeze <axes = [1]> (x0)
  p0 = Mul (u0, scale)
  a0 = Add (p0, shift)
  x1 = Gather <axis = 1> (x, i1)
  u1 = Unsqueeze <axes = [1]> (x1)
  p1 = Mul (u1, scale)
  a1 = Add (p1, shift)
  x2 = Gather <axis = 1> (x, i2)
  u2 = Unsqueeze <axes = [1]> (x2)
  p2 = Mul (u2, scale)
  a2 = Add (p2, shift)
  t = Concat <axis = 1> (a0, a1, a2)
  c0 = Conv <kernel_shape = [1, 1]> (t, w0)
  c1 = Conv <kernel_shape = [1, 1]> (c0, w1, b1)
  r1 = Relu (c1)
  c2 = Conv <kernel_shape = [1, 7], pads = [0, 3, 0, 3]> (c0, w2, b2)
  r2 = Relu (c2)
  c3 = Conv <kernel_shape = [7, 1], pads = [3, 0, 3, 0]> (r2, w3, b3)
  r3 = Relu (c3)
  q = AveragePool <count_include_pad = 1, kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [1, 1]> (c0)
  c4 = Conv <kernel_shape = [1, 1]> (q, w4, b4)
  r4 = Relu (c4)
  j = Concat <axis = 1> (r1, r3, r4)
  y = Conv <kernel_shape = [3, 3], strides = [2, 2]> (j, w5)
})"},
      // U-Net: transposed convolution, a pad computed from both shapes, a skip.
      {"unet_up_with_computed_pad", 13, R"(
unet (float[1,3,15,13] x, float[20,3,3,3] w1, float[20] b1, float[40,20,3,3] w2, float[40] b2, float[40,20,2,2] w3, float[20] b3,
      float[20,40,3,3] w4, float[20] b4, float[5,20,1,1] w5, float[5] b5) => (float[] y) {
  c1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w1, b1)
  r1 = Relu (c1)
  p1 = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r1)
  c2 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (p1, w2, b2)
  r2 = Relu (c2)
  up = ConvTranspose <dilations = [1, 1], group = 1, kernel_shape = [2, 2], pads = [0, 0, 0, 0], strides = [2, 2]> (r2, w3, b3)
  full = Shape (r1)
  i2 = Constant <value = int64 {2}> ()
  full_h = Gather <axis = 0> (full, i2)
  half = Shape (up)
  half_h = Gather <axis = 0> (half, i2)
  dy = Sub (full_h, half_h)
  i3 = Constant <value = int64 {3}> ()
  full_w = Gather <axis = 0> (full, i3)
  half_w = Gather <axis = 0> (half, i3)
  dx = Sub (full_w, half_w)
  two = Constant <value = int64 {2}> ()
  left = Div (dx, two)
  right = Sub (dx, left)
  above = Div (dy, two)
  below = Sub (dy, above)
  axis0 = Constant <value = int64[1] {0}> ()
  left1 = Unsqueeze (left, axis0)
  right1 = Unsqueeze (right, axis0)
  above1 = Unsqueeze (above, axis0)
  below1 = Unsqueeze (below, axis0)
  given = Concat <axis = 0> (left1, right1, above1, below1)
  missing = Constant <value = int64[1] {4}> ()
  zeros = ConstantOfShape <value = int64[1] {0}> (missing)
  all = Concat <axis = 0> (given, zeros)
  pairs = Constant <value = int64[2] {-1, 2}> ()
  v1 = Reshape (all, pairs)
  from = Constant <value = int64[1] {-1}> ()
  to = Constant <value = int64[1] {-9223372036854775807}> ()
  back = Constant <value = int64[1] {-1}> ()
  v2 = Slice (v1, from, to, axis0, back)
  v3 = Transpose <perm = [1, 0]> (v2)
  line = Constant <value = int64[1] {-1}> ()
  v4 = Reshape (v3, line)
  pads = Cast <to = 7> (v4)
  zero = Constant <value = float {0.0}> ()
  u = Pad <mode = "constant"> (up, pads, zero)
  t = Concat <axis = 1> (r1, u)
  c4 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (t, w4, b4)
  r4 = Relu (c4)
  y = Conv <kernel_shape = [1, 1]> (r4, w5, b5)
})"},
      // U-Net with bilinear upsampling, and a crop of the skip.
      {"unet_bilinear_and_crop", 11, R"(
unet (float[1,3,14,14] x, float[20,3,3,3] w1, float[40,20,3,3] w2, float[40] b2, float[20,60,3,3] w4, float[20] b4, float[5,20,1,1] w5)
  => (float[] y)
<float[0] roi = {}, float[4] twice = {1.0, 1.0, 2.0, 2.0}> {
  c1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w1)
  r1 = Relu (c1)
  p1 = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r1)
  c2 = Conv <kernel_shape = [3, 3]> (p1, w2, b2)
  r2 = Relu (c2)
  up = Resize <coordinate_transformation_mode = "align_corners", cubic_coeff_a = -0.75, mode = "linear", nearest_mode = "floor"> (r2, roi, twice)
  starts = Constant <value = int64[2] {2, 2}> ()
  ends = Constant <value = int64[2] {12, 12}> ()
  axes = Constant <value = int64[2] {2, 3}> ()
  crop = Slice (r1, starts, ends, axes)
  t = Concat <axis = 1> (crop, up)
  c4 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (t, w4, b4)
  r4 = Relu (c4)
  y = Conv <kernel_shape = [1, 1]> (r4, w5)
})"},
      // DeepLabV3: dilated branches, pooling that is resized back to a size read off the map, and to the
      // input's.
      {"deeplab_aspp", 11, R"(
deeplab (float[N,3,20,18] x, float[20,3,3,3] w0, float[20,20,1,1] w1, float[20] b1, float[20,20,3,3] w2, float[20] b2,
         float[20,20,3,3] w3, float[20] b3, float[20,20,1,1] w4, float[20] b4, float[20,80,1,1] w5, float[20] b5, float[6,20,1,1] w6,
         float[6] b6) => (int64[] y)
<float[0] none = {}> {
  c0 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (x, w0)
  r0 = Relu (c0)
  c1 = Conv <kernel_shape = [1, 1]> (r0, w1, b1)
  r1 = Relu (c1)
  c2 = Conv <dilations = [2, 2], kernel_shape = [3, 3], pads = [2, 2, 2, 2]> (r0, w2, b2)
  r2 = Relu (c2)
  c3 = Conv <dilations = [4, 4], kernel_shape = [3, 3], pads = [4, 4, 4, 4]> (r0, w3, b3)
  r3 = Relu (c3)
  g = GlobalAveragePool (r0)
  c4 = Conv <kernel_shape = [1, 1]> (g, w4, b4)
  r4 = Relu (c4)
  map_shape = Shape (r0)
  from2 = Constant <value = int64[1] {2}> ()
  to4 = Constant <value = int64[1] {4}> ()
  axis0 = Constant <value = int64[1] {0}> ()
  map_size = Slice (map_shape, from2, to4, axis0)
  pooled_shape = Shape (r4)
  zero = Constant <value = int64[1] {0}> ()
  two = Constant <value = int64[1] {2}> ()
  pooled_head = Slice (pooled_shape, zero, two, axis0)
  wanted = Concat <axis = 0> (pooled_head, map_size)
  back = Resize <coordinate_transformation_mode = "pytorch_half_pixel", cubic_coeff_a = -0.75, mode = "linear", nearest_mode = "floor"> (r4, none, none, wanted)
  t = Concat <axis = 1> (r1, r2, r3, back)
  c5 = Conv <kernel_shape = [1, 1]> (t, w5, b5)
  r5 = Relu (c5)
  c6 = Conv <kernel_shape = [1, 1]> (r5, w6, b6)
  input_shape = Shape (x)
  input_size = Slice (input_shape, from2, to4, axis0)
  logits_shape = Shape (c6)
  logits_head = Slice (logits_shape, zero, two, axis0)
  size = Concat <axis = 0> (logits_head, input_size)
  big = Resize <coordinate_transformation_mode = "pytorch_half_pixel", cubic_coeff_a = -0.75, mode = "linear", nearest_mode = "floor"> (c6, none, none, size)
  y = ArgMax <axis = 1, keepdims = 0> (big)
})"},
      // ESRGAN: residual dense blocks, nearest upsampling.
      {"esrgan_residual_dense", 13, R"(
esrgan (float[1,3,9,7] x, float[20,3,3,3] w0, float[20] b0, float[10,20,3,3] w1, float[10] b1, float[10,30,3,3] w2, float[10] b2,
        float[20,40,3,3] w3, float[20] b3, float[20,20,3,3] w4, float[20] b4, float[3,20,3,3] w5, float[3] b5) => (float[] y)
<float[4] twice = {1.0, 1.0, 2.0, 2.0}, float fifth = {0.2}> {
  f0 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w0, b0)
  c1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (f0, w1, b1)
  r1 = LeakyRelu <alpha = 0.2> (c1)
  t1 = Concat <axis = 1> (f0, r1)
  c2 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (t1, w2, b2)
  r2 = LeakyRelu <alpha = 0.2> (c2)
  t2 = Concat <axis = 1> (f0, r1, r2)
  c3 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (t2, w3, b3)
  m3 = Mul (c3, fifth)
  a3 = Add (m3, f0)
  up = Resize <coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "floor"> (a3, , twice)
  c4 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (up, w4, b4)
  r4 = LeakyRelu <alpha = 0.2> (c4)
  y = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (r4, w5, b5)
})",
       0.12},
      // Pixel shuffle as an operator, as three, and its inverse.
      {"pixel_shuffle_operator", 13, R"(
espcn (float[1,3,8,7] x, float[20,3,3,3] w0, float[80,20,3,3] w1, float[80] b1, float[20,20,3,3] w2) => (float[] y) {
  c0 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w0)
  c1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (c0, w1, b1)
  up = DepthToSpace <blocksize = 2, mode = "CRD"> (c1)
  y = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (up, w2)
})"},
      {"pixel_shuffle_of_reshapes", 11, R"(
espcn (float[1,3,8,7] x, float[20,3,3,3] w0, float[80,20,3,3] w1, float[80] b1, float[20,20,3,3] w2) => (float[] y) {
  c0 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w0)
  c1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (c0, w1, b1)
  apart = Constant <value = int64[6] {-1, 20, 2, 2, 8, 7}> ()
  v1 = Reshape (c1, apart)
  v2 = Transpose <perm = [0, 1, 4, 2, 5, 3]> (v1)
  together = Constant <value = int64[4] {-1, 20, 16, 14}> ()
  v3 = Reshape (v2, together)
  y = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (v3, w2)
})"},
      {"pixel_unshuffle_of_reshapes", 11, R"(
realesrgan (float[1,3,8,12] x, float[20,3,3,3] w0, float[20,80,3,3] w1, float[20] b1, float[20,20,1,1] w2) => (float[] y) {
  c0 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w0)
  apart = Constant <value = int64[6] {1, 20, 4, 2, 6, 2}> ()
  v1 = Reshape (c0, apart)
  v2 = Transpose <perm = [0, 1, 3, 5, 2, 4]> (v1)
  together = Constant <value = int64[4] {1, 80, 4, 6}> ()
  v3 = Reshape (v2, together)
  c1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (v3, w1, b1)
  y = Conv <kernel_shape = [1, 1]> (c1, w2)
})"},
      // ConvNeXt below opset 17: layer norm and GELU are written out, over channels last.
      {"convnext_written_out", 13, R"(
convnext (float[N,3,16,16] x, float[20,3,4,4] w0, float[20] b0, float[20,1,7,7] w1, float[20] b1, float[20] s2, float[20] b2,
          float[20,80] w3, float[80] b3, float[80,20] w4, float[20] b4, float[1,20,1,1] s5) => (float[] y)
<float two = {2.0}, float epsilon = {0.000001}, float root = {1.4142135}, float one = {1.0}, float half = {0.5}> {
  c0 = Conv <kernel_shape = [4, 4], strides = [4, 4]> (x, w0, b0)
  c1 = Conv <group = 20, kernel_shape = [7, 7], pads = [3, 3, 3, 3]> (c0, w1, b1)
  t1 = Transpose <perm = [0, 2, 3, 1]> (c1)
  mean = ReduceMean <axes = [-1]> (t1)
  d = Sub (t1, mean)
  q = Pow (d, two)
  variance = ReduceMean <axes = [-1]> (q)
  shifted = Add (variance, epsilon)
  deviation = Sqrt (shifted)
  n = Div (d, deviation)
  scaled = Mul (n, s2)
  ln = Add (scaled, b2)
  m3 = MatMul (ln, w3)
  a3 = Add (m3, b3)
  e1 = Div (a3, root)
  e2 = Erf (e1)
  e3 = Add (e2, one)
  e4 = Mul (a3, e3)
  g = Mul (e4, half)
  m4 = MatMul (g, w4)
  a4 = Add (m4, b4)
  t2 = Transpose <perm = [0, 3, 1, 2]> (a4)
  gamma = Mul (t2, s5)
  y = Add (gamma, c0)
})"},
      {"convnext_layer_norm_opset17", 17, R"(
convnext (float[N,3,16,16] x, float[20,3,4,4] w0, float[20] b0, float[20,1,7,7] w1, float[20] b1, float[20] s2, float[20] b2,
          float[20,80] w3, float[80] b3, float[80,20] w4, float[20] b4, float[20] s5, float[20] b5, float[30,20,2,2] w6) => (float[] y)
<float root = {1.4142135}, float one = {1.0}, float half = {0.5}> {
  c0 = Conv <kernel_shape = [4, 4], strides = [4, 4]> (x, w0, b0)
  c1 = Conv <group = 20, kernel_shape = [7, 7], pads = [3, 3, 3, 3]> (c0, w1, b1)
  t1 = Transpose <perm = [0, 2, 3, 1]> (c1)
  ln = LayerNormalization <axis = -1, epsilon = 0.000001> (t1, s2, b2)
  m3 = MatMul (ln, w3)
  a3 = Add (b3, m3)
  e1 = Div (a3, root)
  e2 = Erf (e1)
  e3 = Add (e2, one)
  e4 = Mul (a3, e3)
  g = Mul (e4, half)
  m4 = MatMul (g, w4)
  a4 = Add (b4, m4)
  t2 = Transpose <perm = [0, 3, 1, 2]> (a4)
  y1 = Add (t2, c0)
  t3 = Transpose <perm = [0, 2, 3, 1]> (y1)
  ln5 = LayerNormalization <axis = -1, epsilon = 0.000001> (t3, s5, b5)
  t5 = Transpose <perm = [0, 3, 1, 2]> (ln5)
  y = Conv <kernel_shape = [2, 2], strides = [2, 2]> (t5, w6)
})"},
      // GhostNet: cheap features beside the first ones, cut to the wanted number.
      {"ghostnet_module", 12, R"(
ghostnet (float[N,3,10,10] x, float[20,3,3,3] w0, float[20,20,1,1] w1, float[20] b1, float[20,1,3,3] w2, float[20] b2, float[20,36,1,1] w3)
  => (float[] y) {
  c0 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w0)
  c1 = Conv <kernel_shape = [1, 1]> (c0, w1, b1)
  r1 = Relu (c1)
  c2 = Conv <group = 20, kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (r1, w2, b2)
  r2 = Relu (c2)
  t = Concat <axis = 1> (r1, r2)
  axes = Constant <value = int64[1] {1}> ()
  starts = Constant <value = int64[1] {0}> ()
  ends = Constant <value = int64[1] {36}> ()
  steps = Constant <value = int64[1] {1}> ()
  cut = Slice (t, starts, ends, axes, steps)
  y = Conv <kernel_shape = [1, 1]> (cut, w3)
})"},
      // HRNet and FPN: maps of several sizes are added; one head serves all levels.
      {"feature_pyramid_with_shared_group_norm_head", 13, R"(
fpn (float[2,3,24,24] x, float[20,3,3,3] w1, float[40,20,3,3] w2, float[30,20,1,1] w3, float[30] b3, float[30,40,1,1] w4, float[30] b4,
     float[30,30,3,3] w5, float[30] b5, float[30,1,1] s6, float[30,1,1] b6, float[8,30,1,1] w7, float[8] b7) => (float[] y, float[] z)
<int64[3] groups = {0, 10, -1}, float[10] ones = {1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0},
 float[10] zeros = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0}> {
  c1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (x, w1)
  r1 = Relu (c1)
  c2 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (r1, w2)
  r2 = Relu (c2)
  p3 = Conv <kernel_shape = [1, 1]> (r1, w3, b3)
  p4 = Conv <kernel_shape = [1, 1]> (r2, w4, b4)
  shape = Shape (p3)
  up = Resize <coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "floor"> (p4, , , shape)
  a3 = Add (p3, up)
  h3 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (a3, w5, b5)
  g3 = Reshape (h3, groups)
  i3 = InstanceNormalization <epsilon = 0.00001> (g3, ones, zeros)
  s3 = Shape (h3)
  j3 = Reshape (i3, s3)
  k3 = Mul (j3, s6)
  n3 = Add (k3, b6)
  r3 = Relu (n3)
  y = Conv <kernel_shape = [1, 1]> (r3, w7, b7)
  h4 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (p4, w5, b5)
  g4 = Reshape (h4, groups)
  i4 = InstanceNormalization <epsilon = 0.00001> (g4, ones, zeros)
  s4 = Shape (h4)
  j4 = Reshape (i4, s4)
  k4 = Mul (j4, s6)
  n4 = Add (k4, b6)
  r4 = Relu (n4)
  z = Conv <kernel_shape = [1, 1]> (r4, w7, b7)
})"},
      // MLP-Mixer: dense layers over the tokens of each channel, then over the channels of each token.
      {"mlp_mixer", 17, R"(
mixer (float[N,3,12,12] x, float[20,3,4,4] w0, float[20] b0, float[20] s1, float[20] b1, float[9,15] w1, float[15] b2, float[15,9] w2,
       float[9] b3, float[20] s4, float[20] b4, float[20,40] w5, float[40] b5, float[40,20] w6, float[20] b6, float[10,20] w7, float[10] b7)
  => (float[] y)
<int64[3] flat = {0, 20, -1}, float root = {1.4142135}, float one = {1.0}, float half = {0.5}> {
  c0 = Conv <kernel_shape = [4, 4], strides = [4, 4]> (x, w0, b0)
  f0 = Reshape (c0, flat)
  t0 = Transpose <perm = [0, 2, 1]> (f0)
  n1 = LayerNormalization <axis = -1, epsilon = 0.000001> (t0, s1, b1)
  t1 = Transpose <perm = [0, 2, 1]> (n1)
  m1 = MatMul (t1, w1)
  a1 = Add (b2, m1)
  e1 = Div (a1, root)
  e2 = Erf (e1)
  e3 = Add (e2, one)
  e4 = Mul (a1, e3)
  g1 = Mul (e4, half)
  m2 = MatMul (g1, w2)
  a2 = Add (b3, m2)
  t2 = Transpose <perm = [0, 2, 1]> (a2)
  r2 = Add (t0, t2)
  n4 = LayerNormalization <axis = -1, epsilon = 0.000001> (r2, s4, b4)
  m5 = MatMul (n4, w5)
  a5 = Add (b5, m5)
  g5 = Relu (a5)
  m6 = MatMul (g5, w6)
  a6 = Add (b6, m6)
  r6 = Add (r2, a6)
  p = ReduceMean <axes = [1], keepdims = 0> (r6)
  y = Gemm <alpha = 1.0, beta = 1.0, transB = 1> (p, w7, b7)
})"},
      // CBAM: attention from the mean and the maximum over channels.
      {"cbam_channel_statistics", 13, R"(
cbam (float[N,3,10,10] x, float[20,3,3,3] w0, float[1,2,7,7] w1, float[1] b1, float[20,20,3,3] w2) => (float[] y) {
  c0 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w0)
  mean = ReduceMean <axes = [1], keepdims = 1> (c0)
  top = ReduceMax <axes = [1], keepdims = 1> (c0)
  t = Concat <axis = 1> (mean, top)
  c1 = Conv <kernel_shape = [7, 7], pads = [3, 3, 3, 3]> (t, w1, b1)
  g = Sigmoid (c1)
  m = Mul (c0, g)
  y = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (m, w2)
})",
       0.12},
      // ECA: a 1-D convolution along the channels themselves.
      {"efficient_channel_attention", 12, R"(
eca (float[2,3,10,10] x, float[20,3,3,3] w0, float[1,1,3] w1, float[20,20,3,3] w2) => (float[] y) {
  c0 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w0)
  g = ReduceMean <axes = [2, 3], keepdims = 0> (c0)
  line = Constant <value = int64[3] {2, 1, -1}> ()
  v = Reshape (g, line)
  c1 = Conv <kernel_shape = [3], pads = [1, 1]> (v, w1)
  s = Sigmoid (c1)
  column = Constant <value = int64[4] {2, -1, 1, 1}> ()
  e = Reshape (s, column)
  shape = Shape (c0)
  wide = Expand (e, shape)
  m = Mul (c0, wide)
  y = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (m, w2)
})"},
      // NFNet, BiT: weights are standardised in the graph, which is folded; a scaled activation.
      {"standardised_weights", 12, R"(
nfnet (float[N,3,10,10] x, float[20,3,3,3] w0, float[20,20,3,3] w1, float[20] b1, float[20,1,1,1] s1) => (float[] y) {
  epsilon = Constant <value = float {0.00001}> ()
  gain = Constant <value = float {1.71}> ()
  c0 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w0)
  r0 = Relu (c0)
  h0 = Mul (r0, gain)
  mean = ReduceMean <axes = [1, 2, 3], keepdims = 1> (w1)
  centred = Sub (w1, mean)
  square = Mul (centred, centred)
  variance = ReduceMean <axes = [1, 2, 3], keepdims = 1> (square)
  shifted = Add (variance, epsilon)
  deviation = Sqrt (shifted)
  normal = Div (centred, deviation)
  weight = Mul (normal, s1)
  y = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (h0, weight, b1)
})"},
      // Reflection padding, PReLU with a slope a channel, instance norm: style transfer and super resolution.
      {"reflection_padding_instance_norm", 11, R"(
style (float[1,3,10,10] x, float[20,3,3,3] w0, float[20] b0, float[20] s1, float[20] b1, float[20,1,1] b2, float[20,20,3,3] w2) => (float[] y) {
  pads = Constant <value = int64[8] {0, 0, 1, 1, 0, 0, 1, 1}> ()
  p0 = Pad <mode = "reflect"> (x, pads)
  c0 = Conv <kernel_shape = [3, 3]> (p0, w0, b0)
  n1 = InstanceNormalization <epsilon = 0.00001> (c0, s1, b1)
  r1 = PRelu (n1, b2)
  p1 = Pad <mode = "reflect"> (r1, pads)
  y = Conv <kernel_shape = [3, 3]> (p1, w2)
})"},
      // Video and audio have one or three spatial axes.
      {"one_and_three_spatial_axes", 13, R"(
axes (float[1,3,30] x1, float[1,3,6,6,6] x3, float[20,3,5] w1, float[20,20,3] w2, float[20,3,3,3,3] w3, float[20,20,1,1,1] w4) => (float[] y, float[] z) {
  a = Conv <kernel_shape = [5], pads = [2, 2]> (x1, w1)
  b = MaxPool <kernel_shape = [2], strides = [2]> (a)
  y = Conv <kernel_shape = [3], pads = [1, 1]> (b, w2)
  c = Conv <kernel_shape = [3, 3, 3], pads = [1, 1, 1, 1, 1, 1]> (x3, w3)
  d = AveragePool <kernel_shape = [2, 2, 2], strides = [2, 2, 2]> (c)
  z = Conv <kernel_shape = [1, 1, 1]> (d, w4)
})"},
  };
}

}  // namespace disco::testing
