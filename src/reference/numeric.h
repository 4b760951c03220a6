#pragma once
// How the neural operators compute: every element becomes a double, the sums are done there, and one rounding
// brings the result to the tensor's own type. One code path serves float32, float64 and the small integers.

#include <initializer_list>
#include <string_view>
#include <vector>

#include "reference/evaluate.h"

namespace disco::reference {

using Doubles = std::vector<double>;

/// Writes elements [begin, begin + count) as doubles; exact but for 64-bit integers beyond 2^53.
void convert(const Tensor& tensor, std::int64_t begin, std::int64_t count, double* out);
[[nodiscard]] Doubles to_doubles(const Tensor& tensor);
/// Rounds once to `type`; integers truncate towards zero and saturate, NaN becomes 0 there.
[[nodiscard]] Tensor from_doubles(DataType type, Shape shape, const Doubles& values);

[[nodiscard]] bool is_floating(DataType type);
[[nodiscard]] bool is_integer(DataType type);

/// The input at a position; an empty Tensor where the node has none.
[[nodiscard]] const Tensor& input_at(const Inputs& inputs, std::size_t position);
/// Whether something may read the node's output at a position.
[[nodiscard]] bool wants_output(const Node& node, std::size_t position);

/// InvalidModel where one of the first `required` inputs is missing, or where there are more than `most`.
[[nodiscard]] Status check_inputs(const Node& node, const Inputs& inputs, std::size_t required,
                                  std::size_t most);
/// ShapeMismatch where a present input among `positions` is not floating, or is not of the type of the first
/// of them.
[[nodiscard]] Status check_floating(const Node& node, const Inputs& inputs,
                                    std::initializer_list<std::size_t> positions);
/// The same for any number type.
[[nodiscard]] Status check_numeric(const Node& node, const Inputs& inputs,
                                   std::initializer_list<std::size_t> positions);

/// Results beyond this many elements are refused, so that a broken model can't ask for all memory.
inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 28;
/// ShapeMismatch for a negative extent or for more than kMaxElements.
[[nodiscard]] Status check_extents(const Node& node, const Shape& shape);

/// An attribute's axis in [0, rank), or InvalidModel.
[[nodiscard]] Result<std::int64_t> axis_attribute(const Node& node, std::string_view key,
                                                  std::int64_t fallback, std::int64_t rank);
[[nodiscard]] Result<std::int64_t> resolve_axis(const Node& node, std::int64_t axis, std::int64_t rank);

/// A row-major array seen along one axis: element (o, i, j) lies at (o * extent + i) * inner + j.
struct AxisView {
  std::int64_t outer = 1;
  std::int64_t extent = 1;
  std::int64_t inner = 1;
};
[[nodiscard]] AxisView view_axis(const Shape& shape, std::int64_t axis);

/// The product of extents [begin, end).
[[nodiscard]] std::int64_t count_between(const Shape& shape, std::size_t begin, std::size_t end);

/// `tensor` repeated to `shape` by NumPy's rules, one way; ShapeMismatch where that can't be.
[[nodiscard]] Result<Doubles> broadcast_to(const Node& node, const Tensor& tensor, const Shape& shape);

/// The attribute as floats, or the fallback.
[[nodiscard]] std::vector<float> floats_or(const Node& node, std::string_view key,
                                           std::vector<float> fallback);

}  // namespace disco::reference
