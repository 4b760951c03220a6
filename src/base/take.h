#pragma once
// A part of a tensor.

#include <disco/tensor.h>

#include <cstdint>
#include <vector>

namespace disco {

/// `tensor` restricted to `indices` of `axis`, in that order; duplicates are allowed.
[[nodiscard]] Tensor take(const Tensor& tensor, int axis, const std::vector<std::int64_t>& indices);

}  // namespace disco
