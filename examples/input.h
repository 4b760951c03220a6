#pragma once
// What the examples feed to a model that they have never seen.

#include <disco/disco.h>

#include <cmath>
#include <fstream>
#include <string>

/// A tensor for one input: the raw 32-bit floats of a file (as NumPy's `tofile` writes them), or a wave where
/// `file` is empty.
inline disco::Result<disco::Tensor> make_input(const disco::TensorInfo& info, const std::string& file) {
  if (info.type != disco::DataType::Float32) {
    return disco::Error{disco::ErrorCode::InvalidArgument, "input '" + info.name + "' does not take floats"};
  }
  disco::Tensor tensor(info.type, info.shape);
  if (file.empty()) {
    for (std::int64_t i = 0; i < tensor.elements(); ++i) {
      tensor.data<float>()[i] = std::sin(0.1F * static_cast<float>(i % 10007));
    }
    return tensor;
  }
  std::ifstream stream(file, std::ios::binary);
  const auto bytes = static_cast<std::streamsize>(tensor.bytes());
  if (!stream.read(reinterpret_cast<char*>(tensor.raw()), bytes) || stream.peek() != EOF) {
    return disco::Error{disco::ErrorCode::Io, file + ": not the " + std::to_string(bytes) + " bytes of a " +
                                                  disco::to_string(info.shape) + " tensor"};
  }
  return tensor;
}
