#pragma once
// Elementwise work in the tensors' own type: dispatch over element types, and NumPy's broadcasting.

#include <cstdint>
#include <utility>
#include <vector>

#include "reference/numeric.h"
#include "reference/registry.h"

namespace disco::reference {

/// Calls f with a null pointer of the element type; models have no half types once they are read.
template <typename F>
Result<Tensor> dispatch(const Node& node, DataType type, F&& f) {
  switch (type) {
    case DataType::Float32: return f(static_cast<float*>(nullptr));
    case DataType::Float64: return f(static_cast<double*>(nullptr));
    case DataType::Int8: return f(static_cast<std::int8_t*>(nullptr));
    case DataType::UInt8: return f(static_cast<std::uint8_t*>(nullptr));
    case DataType::Int16: return f(static_cast<std::int16_t*>(nullptr));
    case DataType::UInt16: return f(static_cast<std::uint16_t*>(nullptr));
    case DataType::Int32: return f(static_cast<std::int32_t*>(nullptr));
    case DataType::UInt32: return f(static_cast<std::uint32_t*>(nullptr));
    case DataType::Int64: return f(static_cast<std::int64_t*>(nullptr));
    case DataType::UInt64: return f(static_cast<std::uint64_t*>(nullptr));
    case DataType::Bool: return f(static_cast<bool*>(nullptr));
    default: return error(ErrorCode::Unsupported, "{}: {} is not supported", node.op, to_string(type));
  }
}

/// The tensor in another type, as Cast does it.
[[nodiscard]] Result<Tensor> cast(const Node& node, const Tensor& tensor, DataType type);

/// The common shape of two by NumPy's rules, or ShapeMismatch.
[[nodiscard]] Result<Shape> broadcast_shape(const Node& node, const Shape& a, const Shape& b);

/// For every element of `out`, the element of an input of shape `in`: 0 strides where it is broadcast.
[[nodiscard]] std::vector<std::int64_t> broadcast_strides(const Shape& in, const Shape& out);

/// Calls f(out index, offsets...) over `out` for inputs with the given strides.
template <std::size_t N, typename F>
void for_each_broadcast(const Shape& out, const std::vector<std::int64_t> (&strides)[N], F&& f) {
  const std::int64_t total = element_count(out);
  if (total == 0) return;
  std::vector<std::int64_t> index(out.size(), 0);
  std::int64_t offsets[N] = {};
  const std::size_t last = out.empty() ? 0 : out.size() - 1;
  for (std::int64_t i = 0; i < total;) {
    const std::int64_t run = out.empty() ? 1 : out[last];
    std::int64_t at[N];
    for (std::size_t n = 0; n < N; ++n) at[n] = offsets[n];
    for (std::int64_t r = 0; r < run; ++r, ++i) {
      f(i, at);
      if (!out.empty()) {
        for (std::size_t n = 0; n < N; ++n) at[n] += strides[n][last];
      }
    }
    if (out.size() < 2) continue;
    for (std::size_t d = last; d-- > 0;) {
      for (std::size_t n = 0; n < N; ++n) offsets[n] += strides[n][d];
      if (++index[d] < out[d]) break;
      for (std::size_t n = 0; n < N; ++n) offsets[n] -= strides[n][d] * out[d];
      index[d] = 0;
    }
  }
}

/// z[i] = f(x[i], y[i]) with broadcasting; T in, R out.
template <typename T, typename R, typename F>
Result<Tensor> binary(const Node& node, const Tensor& a, const Tensor& b, F&& f) {
  DISCO_TRY(const Shape shape, broadcast_shape(node, a.shape(), b.shape()));
  DISCO_CHECK(check_extents(node, shape));
  Tensor result(DataTypeOf<R>::value, shape);
  const T* x = a.data<T>();
  const T* y = b.data<T>();
  R* z = result.data<R>();
  const std::int64_t n = result.elements();
  if (a.shape() == shape && b.shape() == shape) {
    for (std::int64_t i = 0; i < n; ++i) z[i] = f(x[i], y[i]);
  } else if (a.shape() == shape && b.elements() == 1) {
    for (std::int64_t i = 0; i < n; ++i) z[i] = f(x[i], y[0]);
  } else {
    const std::vector<std::int64_t> strides[2] = {broadcast_strides(a.shape(), shape),
                                                  broadcast_strides(b.shape(), shape)};
    for_each_broadcast<2>(shape, strides,
                          [&](std::int64_t i, const std::int64_t* at) { z[i] = f(x[at[0]], y[at[1]]); });
  }
  return result;
}

/// y[i] = f(x[i]) in the tensor's own type.
template <typename T, typename F>
Tensor unary(const Tensor& a, F&& f) {
  Tensor result(a.type(), a.shape());
  const T* x = a.data<T>();
  T* y = result.data<T>();
  for (std::int64_t i = 0; i < a.elements(); ++i) y[i] = f(x[i]);
  return result;
}

inline Result<Outputs> one(Result<Tensor> tensor) {
  if (!tensor) return tensor.error();
  Outputs outputs;
  outputs.push_back(std::move(*tensor));
  return outputs;
}

}  // namespace disco::reference
