#pragma once
// Tensors of the library as torch's, and back; torch's complaints as one line.

#include <ATen/ATen.h>
#include <disco/tensor.h>

#include <exception>
#include <string>

#include "base/result.h"

namespace disco::train {

/// A copy on the CPU. Types that torch lacks (UInt16, UInt32, UInt64) are InvalidArgument.
[[nodiscard]] Result<at::Tensor> to_torch(const Tensor& tensor);

/// A copy, row-major.
[[nodiscard]] Tensor from_torch(const at::Tensor& tensor);

/// What an exception of torch says, without the trace that follows.
[[nodiscard]] std::string first_line(const std::exception& problem);

}  // namespace disco::train
