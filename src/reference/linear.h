#pragma once
// Matrix products, shared by MatMul, Gemm, the quantised products and the recurrent layers.

#include "reference/numeric.h"

namespace disco::reference {

/// y[m, n] += a[m, k] · B, where B lies in `b` from `offset` on as [k, n], or as [n, k] where `transposed`.
/// B is converted a panel at a time, so that large weights need no second copy.
void multiply_add(const double* a, const Tensor& b, std::int64_t offset, bool transposed, std::int64_t m,
                  std::int64_t k, std::int64_t n, double* y);

/// NumPy's matmul: 1-D operands are promoted, leading axes broadcast. Sums in double; `type` is the result's.
[[nodiscard]] Result<Tensor> matmul(const Node& node, const Tensor& a, const Tensor& b, DataType type);

}  // namespace disco::reference
