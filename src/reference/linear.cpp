// MatMul, MatMulInteger, Gemm; Einsum and the recurrent layers have files of their own.

#include "reference/linear.h"

#include "reference/registry.h"

namespace disco::reference {

void register_einsum(Registry& registry);     // einsum.cpp
void register_recurrent(Registry& registry);  // recurrent.cpp

namespace {

constexpr std::int64_t kPanel = 64;    // rows of B held as doubles at once
constexpr std::int64_t kFewRows = 16;  // of A: transposing B costs more than it saves

// Columns are innermost so that the sums vectorise; four rows a pass save loads and stores of y.
void add_panel(const double* a, std::int64_t a_stride, const double* panel, std::int64_t m, std::int64_t rows,
               std::int64_t n, double* y) {
  for (std::int64_t i = 0; i < m; ++i) {
    double* __restrict out = y + i * n;
    const double* factor = a + i * a_stride;
    std::int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
      const double* __restrict b = panel + r * n;
      const double f0 = factor[r], f1 = factor[r + 1], f2 = factor[r + 2], f3 = factor[r + 3];
      for (std::int64_t j = 0; j < n; ++j)
        out[j] += f0 * b[j] + f1 * b[n + j] + f2 * b[2 * n + j] + f3 * b[3 * n + j];
    }
    for (; r < rows; ++r) {
      const double* __restrict b = panel + r * n;
      for (std::int64_t j = 0; j < n; ++j) out[j] += factor[r] * b[j];
    }
  }
}

// Four sums at once, as additions wait for each other otherwise.
double dot(const double* a, const double* b, std::int64_t count) {
  double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  std::int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    s0 += a[i] * b[i];
    s1 += a[i + 1] * b[i + 1];
    s2 += a[i + 2] * b[i + 2];
    s3 += a[i + 3] * b[i + 3];
  }
  for (; i < count; ++i) s0 += a[i] * b[i];
  return (s0 + s1) + (s2 + s3);
}

/// How two operands' leading axes combine: offsets, in matrices, of each operand for every product.
struct Batches {
  Shape shape;
  std::vector<std::int64_t> a;
  std::vector<std::int64_t> b;
};

Result<Batches> pair_batches(const Node& node, const Shape& a, const Shape& b) {
  Batches batches;
  const std::size_t rank = std::max(a.size(), b.size());
  const auto extent = [rank](const Shape& shape, std::size_t axis) {
    const std::size_t lead = rank - shape.size();
    return axis < lead ? std::int64_t{1} : shape[axis - lead];
  };
  for (std::size_t axis = 0; axis < rank; ++axis) {
    const std::int64_t left = extent(a, axis);
    const std::int64_t right = extent(b, axis);
    if (left != right && left != 1 && right != 1) {
      return error(ErrorCode::ShapeMismatch, "{}: leading axes {} and {} do not broadcast", node.op,
                   to_string(a), to_string(b));
    }
    batches.shape.push_back(left == 1 ? right : left);
  }
  DISCO_CHECK(check_extents(node, batches.shape));
  const std::int64_t count = element_count(batches.shape);
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t rest = i;
    std::int64_t left = 0, right = 0, left_stride = 1, right_stride = 1;
    for (std::size_t axis = rank; axis-- > 0;) {
      const std::int64_t position = rest % batches.shape[axis];
      rest /= batches.shape[axis];
      if (extent(a, axis) != 1) left += position * left_stride;
      if (extent(b, axis) != 1) right += position * right_stride;
      left_stride *= extent(a, axis);
      right_stride *= extent(b, axis);
    }
    batches.a.push_back(left);
    batches.b.push_back(right);
  }
  return batches;
}

// Integers wrap around in their own width, which unsigned 64-bit sums give exactly.
template <typename T>
void multiply_integers(const Tensor& a, const Tensor& b, const Batches& batches, std::int64_t m,
                       std::int64_t k, std::int64_t n, Tensor& y) {
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(n));
  for (std::size_t batch = 0; batch < batches.a.size(); ++batch) {
    const T* left = a.data<T>() + batches.a[batch] * m * k;
    const T* right = b.data<T>() + batches.b[batch] * k * n;
    T* out = y.data<T>() + static_cast<std::int64_t>(batch) * m * n;
    for (std::int64_t i = 0; i < m; ++i) {
      std::fill(sums.begin(), sums.end(), 0);
      for (std::int64_t r = 0; r < k; ++r) {
        const auto factor = static_cast<std::uint64_t>(left[i * k + r]);
        for (std::int64_t j = 0; j < n; ++j) {
          sums[static_cast<std::size_t>(j)] += factor * static_cast<std::uint64_t>(right[r * n + j]);
        }
      }
      for (std::int64_t j = 0; j < n; ++j) out[i * n + j] = static_cast<T>(sums[static_cast<std::size_t>(j)]);
    }
  }
}

Result<Outputs> evaluate_matmul(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  DISCO_CHECK(check_numeric(node, inputs, {0, 1}));
  DISCO_TRY(Tensor y, matmul(node, inputs[0], inputs[1], inputs[0].type()));
  return Outputs{std::move(y)};
}

// The operand less its zero point: a scalar, one a row of A, or one a column of B.
Result<Tensor> centred(const Node& node, const Tensor& x, const Tensor& zero, bool per_row) {
  if (x.type() != DataType::Int8 && x.type() != DataType::UInt8) {
    return error(ErrorCode::ShapeMismatch, "{}: an operand of type {}, not int8 or uint8", node.op,
                 to_string(x.type()));
  }
  Doubles values = to_doubles(x);
  if (!zero.empty()) {
    Tensor aligned = zero;
    if (per_row && zero.rank() == 1 && zero.elements() != 1) aligned = zero.reshaped({zero.elements(), 1});
    if (zero.elements() == 1) aligned = zero.reshaped({});
    DISCO_TRY(const Doubles offsets, broadcast_to(node, aligned, x.shape()));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] -= offsets[i];
  }
  return from_doubles(DataType::Float64, x.shape(), values);
}

Result<Outputs> evaluate_matmul_integer(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 4));
  DISCO_TRY(const Tensor a, centred(node, inputs[0], input_at(inputs, 2), true));
  DISCO_TRY(const Tensor b, centred(node, inputs[1], input_at(inputs, 3), false));
  DISCO_TRY(Tensor y, matmul(node, a, b, DataType::Int32));
  return Outputs{std::move(y)};
}

Result<Outputs> evaluate_gemm(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 3));
  DISCO_CHECK(check_numeric(node, inputs, {0, 1, 2}));
  const Tensor& a = inputs[0];
  const Tensor& b = inputs[1];
  if (a.rank() != 2 || b.rank() != 2) {
    return error(ErrorCode::ShapeMismatch, "Gemm of shapes {} and {}, not of two matrices",
                 to_string(a.shape()), to_string(b.shape()));
  }
  const bool a_transposed = node.int_or("transA", 0) != 0;
  const bool b_transposed = node.int_or("transB", 0) != 0;
  const std::int64_t m = a.shape()[a_transposed ? 1 : 0];
  const std::int64_t k = a.shape()[a_transposed ? 0 : 1];
  const std::int64_t n = b.shape()[b_transposed ? 0 : 1];
  if (k != b.shape()[b_transposed ? 1 : 0]) {
    return error(ErrorCode::ShapeMismatch, "Gemm of shapes {} and {} with transA={} transB={}",
                 to_string(a.shape()), to_string(b.shape()), a_transposed, b_transposed);
  }
  DISCO_CHECK(check_extents(node, {m, n}));
  Doubles left = to_doubles(a);
  if (a_transposed) {
    const Doubles source = left;
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t r = 0; r < k; ++r) {
        left[static_cast<std::size_t>(i * k + r)] = source[static_cast<std::size_t>(r * m + i)];
      }
    }
  }
  Doubles y(static_cast<std::size_t>(m * n), 0.0);
  multiply_add(left.data(), b, 0, b_transposed, m, k, n, y.data());
  const double alpha = node.float_or("alpha", 1);
  const double beta = node.float_or("beta", 1);
  for (double& value : y) value *= alpha;
  const Tensor& c = input_at(inputs, 2);
  if (!c.empty()) {
    DISCO_TRY(const Doubles addend, broadcast_to(node, c, {m, n}));
    for (std::size_t i = 0; i < y.size(); ++i) y[i] += beta * addend[i];
  }
  return Outputs{from_doubles(a.type(), {m, n}, y)};
}

}  // namespace

void multiply_add(const double* a, const Tensor& b, std::int64_t offset, bool transposed, std::int64_t m,
                  std::int64_t k, std::int64_t n, double* y) {
  if (transposed && m <= kFewRows) {
    Doubles row(static_cast<std::size_t>(k));
    for (std::int64_t j = 0; j < n; ++j) {
      convert(b, offset + j * k, k, row.data());
      for (std::int64_t i = 0; i < m; ++i) y[i * n + j] += dot(a + i * k, row.data(), k);
    }
    return;
  }
  Doubles panel(static_cast<std::size_t>(std::min(k, kPanel) * n));
  Doubles column(static_cast<std::size_t>(std::min(k, kPanel)));
  for (std::int64_t first = 0; first < k; first += kPanel) {
    const std::int64_t rows = std::min(kPanel, k - first);
    if (transposed) {
      for (std::int64_t j = 0; j < n; ++j) {
        convert(b, offset + j * k + first, rows, column.data());
        for (std::int64_t r = 0; r < rows; ++r) {
          panel[static_cast<std::size_t>(r * n + j)] = column[static_cast<std::size_t>(r)];
        }
      }
    } else {
      convert(b, offset + first * n, rows * n, panel.data());
    }
    add_panel(a + first, k, panel.data(), m, rows, n, y);
  }
}

Result<Tensor> matmul(const Node& node, const Tensor& a, const Tensor& b, DataType type) {
  const auto mismatch = [&] {
    return error(ErrorCode::ShapeMismatch, "{} of shapes {} and {}", node.op, to_string(a.shape()),
                 to_string(b.shape()));
  };
  if (a.rank() == 0 || b.rank() == 0) return mismatch();
  Shape left = a.shape();
  Shape right = b.shape();
  if (a.rank() == 1) left.insert(left.begin(), 1);
  if (b.rank() == 1) right.push_back(1);
  const std::int64_t m = left[left.size() - 2];
  const std::int64_t k = left.back();
  const std::int64_t n = right.back();
  if (k != right[right.size() - 2]) return mismatch();
  DISCO_TRY(const Batches batches,
            pair_batches(node, Shape(left.begin(), left.end() - 2), Shape(right.begin(), right.end() - 2)));
  Shape full = batches.shape;
  full.push_back(m);
  full.push_back(n);
  DISCO_CHECK(check_extents(node, full));
  Shape shape = batches.shape;
  if (a.rank() > 1) shape.push_back(m);
  if (b.rank() > 1) shape.push_back(n);

  if (is_integer(a.type())) {
    Tensor y(type, shape);
    switch (type) {
      case DataType::Int32: multiply_integers<std::int32_t>(a, b, batches, m, k, n, y); return y;
      case DataType::UInt32: multiply_integers<std::uint32_t>(a, b, batches, m, k, n, y); return y;
      case DataType::Int64: multiply_integers<std::int64_t>(a, b, batches, m, k, n, y); return y;
      case DataType::UInt64: multiply_integers<std::uint64_t>(a, b, batches, m, k, n, y); return y;
      default:
        return error(ErrorCode::Unsupported, "{} of type {}: integers of 32 and 64 bits are supported",
                     node.op, to_string(type));
    }
  }
  Doubles y(static_cast<std::size_t>(element_count(full)), 0.0);
  const auto count = static_cast<std::int64_t>(batches.a.size());
  // One shared right operand (a layer's weights) under many batches is one tall product.
  const bool joined = element_count(right) == k * n && element_count(left) == count * m * k;
  const Doubles values = to_doubles(a);
  if (joined) {
    multiply_add(values.data(), b, 0, false, count * m, k, n, y.data());
  } else {
    for (std::size_t i = 0; i < batches.a.size(); ++i) {
      multiply_add(values.data() + batches.a[i] * m * k, b, batches.b[i] * k * n, false, m, k, n,
                   y.data() + static_cast<std::int64_t>(i) * m * n);
    }
  }
  return from_doubles(type, shape, y);
}

void register_linear(Registry& registry) {
  registry[{"", "MatMul"}] = evaluate_matmul;
  registry[{"", "MatMulInteger"}] = evaluate_matmul_integer;
  registry[{"", "Gemm"}] = evaluate_gemm;
  register_einsum(registry);
  register_recurrent(registry);
}

}  // namespace disco::reference
