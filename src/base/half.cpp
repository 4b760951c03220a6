#include "base/half.h"

#include <algorithm>

namespace disco {

Tensor widened(Tensor tensor) {
  const DataType type = tensor.type();
  if (type != DataType::Float16 && type != DataType::BFloat16) return tensor;
  Tensor wide(DataType::Float32, tensor.shape());
  const auto* from = tensor.data<std::uint16_t>();
  std::transform(from, from + tensor.elements(), wide.data<float>(),
                 type == DataType::Float16 ? float_of_half : float_of_bfloat);
  return wide;
}

}  // namespace disco
