#include "reference/window.h"

#include "reference/numeric.h"

namespace disco::reference {

namespace {

// Products of two such numbers, and their sums, stay inside 64 bits.
constexpr std::int64_t kLargest = std::int64_t{1} << 30;

std::int64_t floor_divide(std::int64_t a, std::int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }
std::int64_t ceil_divide(std::int64_t a, std::int64_t b) { return -floor_divide(-a, b); }

Status read_ints(const Node& node, std::string_view key, std::size_t count, std::int64_t least,
                 std::vector<std::int64_t>& values) {
  if (!node.has(key)) return {};
  const std::vector<std::int64_t> given = node.ints_or(key, {});
  if (given.empty()) return {};  // exporters write an empty list for "not set"
  if (given.size() != count) {
    return error(ErrorCode::InvalidModel, "{}: {} has {} entries for {} expected", node.op, key, given.size(),
                 count);
  }
  for (const std::int64_t value : given) {
    if (value < least || value > kLargest) {
      return error(ErrorCode::InvalidModel, "{}: {} holds {}", node.op, key, value);
    }
  }
  values = given;
  return {};
}

}  // namespace

std::pair<std::int64_t, std::int64_t> WindowAxis::inside(std::int64_t tap) const {
  const std::int64_t first = std::max<std::int64_t>(0, ceil_divide(begin - tap * dilation, stride));
  const std::int64_t last = std::min(out, floor_divide(in - 1 + begin - tap * dilation, stride) + 1);
  return {first, last};
}

std::pair<std::int64_t, std::int64_t> WindowAxis::taps(std::int64_t position) const {
  const std::int64_t start = position * stride - begin;
  const std::int64_t first = std::max<std::int64_t>(0, ceil_divide(-start, dilation));
  const std::int64_t last = std::min(kernel, floor_divide(in - 1 - start, dilation) + 1);
  return {first, std::max(first, last)};
}

Shape Window::out_shape(std::int64_t batch, std::int64_t channels) const {
  Shape shape{batch, channels};
  for (std::size_t i = 3 - rank; i < 3; ++i) shape.push_back(axes[i].out);
  return shape;
}

Result<Window> read_window(const Node& node, const Shape& input, std::optional<Shape> kernel) {
  if (input.size() < 3 || input.size() > 5) {
    return error(ErrorCode::Unsupported, "{} of an input of shape {}: 1 to 3 spatial axes are supported",
                 node.op, to_string(input));
  }
  const std::size_t rank = input.size() - 2;
  std::vector<std::int64_t> extents;
  DISCO_CHECK(read_ints(node, "kernel_shape", rank, 1, extents));
  if (kernel && !extents.empty() && extents != *kernel) {
    return error(ErrorCode::InvalidModel, "{}: kernel_shape {} contradicts weights of kernel {}", node.op,
                 to_string(extents), to_string(*kernel));
  }
  if (kernel) extents = *kernel;
  if (extents.size() != rank) {
    return error(ErrorCode::InvalidModel, "{}: a kernel of rank {} on an input of shape {}", node.op,
                 extents.size(), to_string(input));
  }
  std::vector<std::int64_t> strides(rank, 1);
  std::vector<std::int64_t> dilations(rank, 1);
  std::vector<std::int64_t> pads(2 * rank, 0);
  DISCO_CHECK(read_ints(node, "strides", rank, 1, strides));
  DISCO_CHECK(read_ints(node, "dilations", rank, 1, dilations));
  const std::string automatic = node.string_or("auto_pad", "NOTSET");
  if (automatic != "NOTSET" && automatic != "SAME_UPPER" && automatic != "SAME_LOWER" &&
      automatic != "VALID" && !automatic.empty()) {
    return error(ErrorCode::InvalidModel, "{}: auto_pad '{}' is not a mode", node.op, automatic);
  }
  if (automatic == "NOTSET" || automatic.empty()) DISCO_CHECK(read_ints(node, "pads", 2 * rank, 0, pads));
  Window window;
  window.rank = rank;
  for (std::size_t i = 0; i < rank; ++i) {
    WindowAxis& axis = window.axes[3 - rank + i];
    axis = {input[2 + i], extents[i], strides[i], dilations[i], pads[i], pads[rank + i], 0};
    if (axis.in > kLargest || axis.kernel < 1 || axis.kernel > kLargest) {
      return error(ErrorCode::ShapeMismatch, "{}: a kernel of {} on an extent of {}", node.op, axis.kernel,
                   axis.in);
    }
  }
  return window;
}

Result<Window> slide_window(const Node& node, const Shape& input, std::optional<Shape> kernel,
                            bool ceil_mode) {
  DISCO_TRY(Window window, read_window(node, input, std::move(kernel)));
  const std::string automatic = node.string_or("auto_pad", "NOTSET");
  for (std::size_t i = 3 - window.rank; i < 3; ++i) {
    WindowAxis& axis = window.axes[i];
    if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
      axis.out = ceil_divide(axis.in, axis.stride);
      const std::int64_t total =
          std::max<std::int64_t>(0, (axis.out - 1) * axis.stride + axis.span() - axis.in);
      axis.begin = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
      axis.end = total - axis.begin;
      continue;
    }
    const std::int64_t room = axis.in + axis.begin + axis.end - axis.span();
    if (room < 0) {
      return error(ErrorCode::ShapeMismatch,
                   "{}: a kernel spanning {} on an extent of {} padded by {} and {}", node.op, axis.span(),
                   axis.in, axis.begin, axis.end);
    }
    axis.out = room / axis.stride + 1;
    if (ceil_mode) {
      axis.out = ceil_divide(room, axis.stride) + 1;
      if ((axis.out - 1) * axis.stride >= axis.in + axis.begin) --axis.out;
    }
  }
  DISCO_CHECK(check_extents(node, window.out_shape(input[0], 1)));
  return window;
}

}  // namespace disco::reference
