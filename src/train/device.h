#pragma once
// Where tensors are computed.

#include <ATen/ATen.h>

#include <string>

#include "base/result.h"

namespace disco::train {

/// "cpu", "cuda" for the first GPU, or "cuda:1" for another. InvalidArgument for anything else, Unsupported
/// where this LibTorch or this machine has no such device.
[[nodiscard]] Result<at::Device> device_from(const std::string& name);

/// How many GPUs "cuda:0" and so on name; 0 where there are none.
[[nodiscard]] int gpu_count();

}  // namespace disco::train
