#pragma once
// Tensors of the library as torch's, and back.

#include <ATen/ATen.h>
#include <disco/tensor.h>

#include "base/result.h"

namespace disco::train {

/// A copy on the CPU. Types that torch lacks (UInt16, UInt32, UInt64) are InvalidArgument.
[[nodiscard]] Result<at::Tensor> to_torch(const Tensor& tensor);

/// A copy, row-major.
[[nodiscard]] Tensor from_torch(const at::Tensor& tensor);

}  // namespace disco::train
