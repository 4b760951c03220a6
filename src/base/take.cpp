#include "base/take.h"

#include <cstring>

namespace disco {

Tensor take(const Tensor& tensor, int axis, const std::vector<std::int64_t>& indices) {
  Shape shape = tensor.shape();
  std::int64_t outer = 1;
  for (int d = 0; d < axis; ++d) outer *= shape[static_cast<std::size_t>(d)];
  std::int64_t inner = 1;
  for (std::size_t d = static_cast<std::size_t>(axis) + 1; d < shape.size(); ++d) inner *= shape[d];
  const std::int64_t extent = shape[static_cast<std::size_t>(axis)];
  shape[static_cast<std::size_t>(axis)] = static_cast<std::int64_t>(indices.size());
  Tensor result(tensor.type(), shape);
  const std::size_t run = static_cast<std::size_t>(inner) * size_of(tensor.type());
  std::byte* to = result.raw();
  for (std::int64_t o = 0; o < outer; ++o) {
    for (const std::int64_t index : indices) {
      std::memcpy(to, tensor.raw() + static_cast<std::size_t>(o * extent + index) * run, run);
      to += run;
    }
  }
  return result;
}

}  // namespace disco
