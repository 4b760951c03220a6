#pragma once
// NumPy's .npy and .npz files.

#include <disco/tensor.h>

#include <filesystem>

#include "base/result.h"

namespace disco {

/// One array: either byte order, C or Fortran order, of the types of DataType (not BFloat16).
/// @return NotFound, Io, InvalidArgument for what is no such file (names file and fault)
[[nodiscard]] Result<Tensor> read_npy(const std::filesystem::path& path);

/// All arrays of an archive, stored or deflated, by their names without ".npy"; checksums are compared, and a
/// name that is there twice is refused.
[[nodiscard]] Result<NamedTensors> read_npz(const std::filesystem::path& path);

/// Whole or not at all (see FileWriter), C order, little-endian. Unsupported for BFloat16, InvalidArgument
/// for no array at all.
[[nodiscard]] Status write_npy(const std::filesystem::path& path, const Tensor& tensor);
[[nodiscard]] Status write_npz(const std::filesystem::path& path, const NamedTensors& tensors);

}  // namespace disco
