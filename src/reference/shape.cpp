// Operators that only move or describe elements.

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "reference/typed.h"

namespace disco::reference {

namespace {

Outputs ints(const std::vector<std::int64_t>& values) {
  return {Tensor::of<std::int64_t>({static_cast<std::int64_t>(values.size())}, values)};
}

Status check_int_tensor(const Node& node, const Tensor& tensor, const char* what) {
  if (tensor.type() != DataType::Int64 && tensor.type() != DataType::Int32) {
    return error(ErrorCode::ShapeMismatch, "{}: {} must be integers", node.op, what);
  }
  return {};
}

/// axes from the input at `position` (or all of them), each in [0, rank) and none twice.
Result<std::vector<std::int64_t>> axes_input(const Node& node, const Inputs& inputs, std::size_t position,
                                             std::int64_t rank) {
  std::vector<std::int64_t> axes;
  DISCO_CHECK(check_int_tensor(node, inputs[position], "axes"));
  for (const std::int64_t axis : to_int64s(inputs[position])) {
    DISCO_TRY(const std::int64_t resolved, resolve_axis(node, axis, rank));
    if (std::find(axes.begin(), axes.end(), resolved) != axes.end())
      return error(ErrorCode::InvalidModel, "{}: axis {} twice", node.op, axis);
    axes.push_back(resolved);
  }
  return axes;
}

Result<Outputs> shape_op(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  const std::int64_t rank = inputs[0].rank();
  const auto bound = [&](const char* key, std::int64_t fallback) {
    const std::int64_t at = node.int_or(key, fallback);
    return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  const std::int64_t start = bound("start", 0);
  const std::int64_t end = std::max(start, bound("end", rank));
  return ints({inputs[0].shape().begin() + start, inputs[0].shape().begin() + end});
}

Result<Outputs> size_op(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  return Outputs{Tensor::scalar<std::int64_t>(inputs[0].elements())};
}

Result<Outputs> reshaped(const Node& node, const Tensor& tensor, Shape shape) {
  DISCO_CHECK(check_extents(node, shape));
  if (element_count(shape) != tensor.elements()) {
    return error(ErrorCode::ShapeMismatch, "{}: {} elements do not fit {}", node.op, tensor.elements(),
                 to_string(shape));
  }
  return Outputs{tensor.reshaped(std::move(shape))};
}

Result<Outputs> reshape(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  DISCO_CHECK(check_int_tensor(node, inputs[1], "the shape"));
  Shape shape = to_int64s(inputs[1]);
  const bool zero_is_zero = node.int_or("allowzero", 0) != 0;
  std::int64_t open = -1;
  std::int64_t known = 1;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 0 && !zero_is_zero) {
      if (d >= inputs[0].shape().size())
        return error(ErrorCode::ShapeMismatch, "Reshape: extent 0 at axis {} has nothing to copy", d);
      shape[d] = inputs[0].shape()[d];
    }
    if (shape[d] == -1) {
      if (open >= 0) return error(ErrorCode::ShapeMismatch, "Reshape: more than one extent is -1");
      open = static_cast<std::int64_t>(d);
    } else if (shape[d] < 0 || (shape[d] > 0 && known > kMaxElements / shape[d])) {
      return error(ErrorCode::ShapeMismatch, "Reshape: {} cannot be a shape", to_string(shape));
    } else {
      known *= shape[d];
    }
  }
  if (open >= 0) {
    if (known == 0 || inputs[0].elements() % known != 0)
      return error(ErrorCode::ShapeMismatch, "Reshape: {} elements do not fit {}", inputs[0].elements(),
                   to_string(shape));
    shape[static_cast<std::size_t>(open)] = inputs[0].elements() / known;
  }
  return reshaped(node, inputs[0], std::move(shape));
}

Result<Outputs> flatten(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  const std::int64_t rank = inputs[0].rank();
  std::int64_t axis = node.int_or("axis", 1);
  if (axis < 0) axis += rank;
  if (axis < 0 || axis > rank)
    return error(ErrorCode::InvalidModel, "Flatten: axis {} of {} axes", axis, rank);
  const auto at = static_cast<std::size_t>(axis);
  return reshaped(node, inputs[0],
                  {count_between(inputs[0].shape(), 0, at),
                   count_between(inputs[0].shape(), at, inputs[0].shape().size())});
}

Result<Outputs> squeeze(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 2));
  const Shape& in = inputs[0].shape();
  std::vector<bool> drop(in.size(), false);
  if (inputs.size() > 1 && !inputs[1].empty()) {
    DISCO_TRY(const auto axes, axes_input(node, inputs, 1, inputs[0].rank()));
    for (const std::int64_t axis : axes) {
      if (in[static_cast<std::size_t>(axis)] != 1)
        return error(ErrorCode::ShapeMismatch, "Squeeze: axis {} of {} is not 1", axis, to_string(in));
      drop[static_cast<std::size_t>(axis)] = true;
    }
  } else {
    for (std::size_t d = 0; d < in.size(); ++d) drop[d] = in[d] == 1;
  }
  Shape shape;
  for (std::size_t d = 0; d < in.size(); ++d) {
    if (!drop[d]) shape.push_back(in[d]);
  }
  return reshaped(node, inputs[0], std::move(shape));
}

Result<Outputs> unsqueeze(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  const std::int64_t rank = inputs[0].rank() + inputs[1].elements();
  DISCO_TRY(const auto axes, axes_input(node, inputs, 1, rank));
  Shape shape(static_cast<std::size_t>(rank), 0);
  for (const std::int64_t axis : axes) shape[static_cast<std::size_t>(axis)] = 1;
  std::size_t next = 0;
  for (std::int64_t& extent : shape) {
    if (extent == 0) extent = inputs[0].shape()[next++];
  }
  return reshaped(node, inputs[0], std::move(shape));
}

std::vector<std::int64_t> row_major(const Shape& shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  return strides;
}

/// out[i] = in[offset + sum index * strides], element by element in bytes.
void gather_strided(const Tensor& in, std::int64_t offset, const std::vector<std::int64_t>& strides,
                    Tensor& out) {
  const std::size_t bytes = size_of(in.type());
  const std::vector<std::int64_t> all[1] = {strides};
  const auto copy = [&]<std::size_t width>(std::integral_constant<std::size_t, width>) {
    for_each_broadcast<1>(out.shape(), all, [&](std::int64_t i, const std::int64_t* at) {
      std::memcpy(out.raw() + static_cast<std::size_t>(i) * width,
                  in.raw() + static_cast<std::size_t>(offset + at[0]) * width, width);
    });
  };
  if (bytes == 4)
    copy(std::integral_constant<std::size_t, 4>{});
  else if (bytes == 8)
    copy(std::integral_constant<std::size_t, 8>{});
  else if (bytes == 2)
    copy(std::integral_constant<std::size_t, 2>{});
  else
    copy(std::integral_constant<std::size_t, 1>{});
}

Result<Outputs> transpose(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  const Shape& in = inputs[0].shape();
  std::vector<std::int64_t> perm(in.size());
  std::iota(perm.rbegin(), perm.rend(), 0);
  perm = node.ints_or("perm", perm);
  std::vector<bool> seen(in.size(), false);
  Shape shape;
  std::vector<std::int64_t> strides;
  const auto from = row_major(in);
  if (perm.size() != in.size())
    return error(ErrorCode::InvalidModel, "Transpose: {} axes permute {}", perm.size(), to_string(in));
  for (const std::int64_t p : perm) {
    if (p < 0 || p >= inputs[0].rank() || seen[static_cast<std::size_t>(p)])
      return error(ErrorCode::InvalidModel, "Transpose: {} is no permutation", to_string(perm));
    seen[static_cast<std::size_t>(p)] = true;
    shape.push_back(in[static_cast<std::size_t>(p)]);
    strides.push_back(from[static_cast<std::size_t>(p)]);
  }
  Tensor result(inputs[0].type(), shape);
  gather_strided(inputs[0], 0, strides, result);
  return Outputs{result};
}

Result<Outputs> concat(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1U << 20U));
  DISCO_TRY(const std::int64_t axis, axis_attribute(node, "axis", 0, inputs[0].rank()));
  const auto at = static_cast<std::size_t>(axis);
  Shape shape = inputs[0].shape();
  for (std::size_t k = 1; k < inputs.size(); ++k) {
    const Shape& other = inputs[k].shape();
    bool fits = other.size() == shape.size() && inputs[k].type() == inputs[0].type();
    for (std::size_t d = 0; fits && d < shape.size(); ++d) fits = d == at || other[d] == shape[d];
    if (!fits)
      return error(ErrorCode::ShapeMismatch, "Concat: {} does not fit {} along axis {}", to_string(other),
                   to_string(shape), axis);
    shape[at] += other[at];
  }
  DISCO_CHECK(check_extents(node, shape));
  Tensor result(inputs[0].type(), shape);
  const auto outer = count_between(shape, 0, at);
  const std::size_t inner =
      static_cast<std::size_t>(count_between(shape, at + 1, shape.size())) * size_of(result.type());
  std::byte* to = result.raw();
  for (std::int64_t o = 0; o < outer; ++o) {
    for (const Tensor& part : inputs) {
      const std::size_t run = static_cast<std::size_t>(part.shape()[at]) * inner;
      std::memcpy(to, part.raw() + static_cast<std::size_t>(o) * run, run);
      to += run;
    }
  }
  return Outputs{result};
}

/// Elements [begin, begin + count) along an axis.
Tensor piece(const Tensor& tensor, std::size_t axis, std::int64_t begin, std::int64_t count) {
  Shape shape = tensor.shape();
  const auto outer = count_between(shape, 0, axis);
  const std::size_t inner =
      static_cast<std::size_t>(count_between(shape, axis + 1, shape.size())) * size_of(tensor.type());
  const std::size_t pitch = static_cast<std::size_t>(shape[axis]) * inner;
  shape[axis] = count;
  Tensor result(tensor.type(), shape);
  const std::size_t run = static_cast<std::size_t>(count) * inner;
  for (std::int64_t o = 0; o < outer; ++o) {
    std::memcpy(result.raw() + static_cast<std::size_t>(o) * run,
                tensor.raw() + static_cast<std::size_t>(o) * pitch + static_cast<std::size_t>(begin) * inner,
                run);
  }
  return result;
}

Result<Outputs> split(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 2));
  DISCO_TRY(const std::int64_t axis, axis_attribute(node, "axis", 0, inputs[0].rank()));
  const std::int64_t extent = inputs[0].shape()[static_cast<std::size_t>(axis)];
  const auto parts = static_cast<std::int64_t>(node.outputs.size());
  std::vector<std::int64_t> sizes;
  if (inputs.size() > 1 && !inputs[1].empty()) {
    DISCO_CHECK(check_int_tensor(node, inputs[1], "the sizes"));
    sizes = to_int64s(inputs[1]);
  } else {
    const std::int64_t each = parts == 0 ? 0 : (extent + parts - 1) / parts;
    for (std::int64_t p = 0; p < parts; ++p)
      sizes.push_back(std::clamp<std::int64_t>(extent - p * each, 0, each));
  }
  std::int64_t sum = 0;
  for (const std::int64_t size : sizes) {
    if (size < 0 || size > extent)
      return error(ErrorCode::ShapeMismatch, "Split: a part of {} out of {}", size, extent);
    sum += size;
  }
  if (sum != extent || static_cast<std::int64_t>(sizes.size()) != parts) {
    return error(ErrorCode::ShapeMismatch, "Split: {} parts of {} elements in all, but the axis has {}",
                 sizes.size(), sum, extent);
  }
  Outputs outputs;
  std::int64_t begin = 0;
  for (const std::int64_t size : sizes) {
    outputs.push_back(piece(inputs[0], static_cast<std::size_t>(axis), begin, size));
    begin += size;
  }
  return outputs;
}

Result<Outputs> slice(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 3, 5));
  for (std::size_t k = 1; k < inputs.size(); ++k) {
    if (!inputs[k].empty()) DISCO_CHECK(check_int_tensor(node, inputs[k], "the bounds"));
  }
  const auto starts = to_int64s(inputs[1]);
  const auto ends = to_int64s(inputs[2]);
  const std::int64_t rank = inputs[0].rank();
  std::vector<std::int64_t> axes(starts.size());
  std::iota(axes.begin(), axes.end(), 0);
  if (inputs.size() > 3 && !inputs[3].empty()) {
    DISCO_TRY(axes, axes_input(node, inputs, 3, rank));
  }
  std::vector<std::int64_t> steps(starts.size(), 1);
  if (inputs.size() > 4 && !inputs[4].empty()) steps = to_int64s(inputs[4]);
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size() ||
      static_cast<std::int64_t>(starts.size()) > rank) {
    return error(ErrorCode::ShapeMismatch, "Slice: starts, ends, axes and steps differ in number");
  }
  Shape shape = inputs[0].shape();
  std::vector<std::int64_t> strides = row_major(shape);
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto d = static_cast<std::size_t>(axes[i]);
    const std::int64_t extent = inputs[0].shape()[d];
    const std::int64_t step = steps[i];
    if (step == 0 || step == std::numeric_limits<std::int64_t>::min())
      return error(ErrorCode::InvalidModel, "Slice: a step of {}", step);
    const auto wrap = [&](std::int64_t at) { return at < 0 ? at + extent : at; };
    const std::int64_t low = step > 0 ? 0 : -1;
    const std::int64_t high = step > 0 ? extent : extent - 1;
    const std::int64_t start = std::clamp(wrap(starts[i]), step > 0 ? std::int64_t{0} : std::int64_t{0},
                                          std::max<std::int64_t>(high, 0));
    const std::int64_t wrapped_end = ends[i] < -extent ? low : wrap(ends[i]);
    const std::int64_t end = std::clamp(wrapped_end, low, step > 0 ? extent : extent);
    std::int64_t count = step > 0 ? (end - start + step - 1) / step : (start - end - step - 1) / -step;
    count = extent == 0 ? 0 : std::max<std::int64_t>(count, 0);
    shape[d] = count;
    if (count > 0) offset += start * strides[d];
    strides[d] = count > 1 ? strides[d] * step : 0;
  }
  Tensor result(inputs[0].type(), shape);
  gather_strided(inputs[0], offset, strides, result);
  return Outputs{result};
}

Result<Outputs> pad(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 3));
  DISCO_CHECK(check_int_tensor(node, inputs[1], "the pads"));
  const auto pads = to_int64s(inputs[1]);
  const Shape& in = inputs[0].shape();
  const std::string mode = node.string_or("mode", "constant");
  if (pads.size() != 2 * in.size())
    return error(ErrorCode::ShapeMismatch, "Pad: {} pads for {}", pads.size(), to_string(in));
  Shape shape = in;
  for (std::size_t d = 0; d < in.size(); ++d) {
    const std::int64_t limit = kMaxElements;
    if (std::abs(pads[d]) > limit || std::abs(pads[d + in.size()]) > limit)
      return error(ErrorCode::ShapeMismatch, "Pad: a pad of {}", pads[d]);
    shape[d] += pads[d] + pads[d + in.size()];
  }
  DISCO_CHECK(check_extents(node, shape));
  const std::size_t bytes = size_of(inputs[0].type());
  Tensor result = Tensor::zeros(inputs[0].type(), shape);
  if (mode == "constant" && inputs.size() > 2 && !inputs[2].empty()) {
    if (inputs[2].elements() != 1 || inputs[2].type() != inputs[0].type())
      return error(ErrorCode::ShapeMismatch, "Pad: the value is not a scalar of the input's type");
    for (std::int64_t i = 0; i < result.elements(); ++i)
      std::memcpy(result.raw() + static_cast<std::size_t>(i) * bytes, inputs[2].raw(), bytes);
  }
  // Along every axis: where each output index comes from, -1 for the constant.
  std::vector<std::vector<std::int64_t>> source(in.size());
  for (std::size_t d = 0; d < in.size(); ++d) {
    for (std::int64_t o = 0; o < shape[d]; ++o) {
      std::int64_t i = o - pads[d];
      if (i < 0 || i >= in[d]) {
        if (mode == "constant")
          i = -1;
        else if (in[d] == 0)
          return error(ErrorCode::ShapeMismatch, "Pad: nothing to repeat along axis {}", d);
        else if (mode == "edge")
          i = i < 0 ? 0 : in[d] - 1;
        else if (mode == "reflect") {
          const std::int64_t period = std::max<std::int64_t>(1, 2 * (in[d] - 1));
          i = ((i % period) + period) % period;
          if (i >= in[d]) i = period - i;
        } else
          return error(ErrorCode::Unsupported, "Pad: mode '{}'", mode);
      }
      source[d].push_back(i);
    }
  }
  const auto strides = row_major(in);
  std::vector<std::int64_t> index(in.size(), 0);
  for (std::int64_t i = 0; i < result.elements(); ++i) {
    std::int64_t from = 0;
    bool inside = true;
    for (std::size_t d = 0; d < in.size(); ++d) {
      const std::int64_t s = source[d][static_cast<std::size_t>(index[d])];
      inside = inside && s >= 0;
      from += s * strides[d];
    }
    if (inside)
      std::memcpy(result.raw() + static_cast<std::size_t>(i) * bytes,
                  inputs[0].raw() + static_cast<std::size_t>(from) * bytes, bytes);
    for (std::size_t d = in.size(); d-- > 0;) {
      if (++index[d] < shape[d]) break;
      index[d] = 0;
    }
  }
  return Outputs{result};
}

Result<Outputs> tile(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  DISCO_CHECK(check_int_tensor(node, inputs[1], "the repeats"));
  const auto repeats = to_int64s(inputs[1]);
  if (static_cast<std::int64_t>(repeats.size()) != inputs[0].rank())
    return error(ErrorCode::ShapeMismatch, "Tile: {} repeats for {}", repeats.size(),
                 to_string(inputs[0].shape()));
  Tensor result = inputs[0];
  for (std::size_t d = 0; d < repeats.size(); ++d) {
    if (repeats[d] == 1) continue;
    if (repeats[d] < 0 || repeats[d] > kMaxElements)
      return error(ErrorCode::ShapeMismatch, "Tile: a repeat of {}", repeats[d]);
    Shape shape = result.shape();
    const auto outer = count_between(shape, 0, d);
    const std::size_t run =
        static_cast<std::size_t>(count_between(shape, d, shape.size())) * size_of(result.type());
    if (shape[d] > 0 && repeats[d] > kMaxElements / shape[d])
      return error(ErrorCode::ShapeMismatch, "Tile: a repeat of {}", repeats[d]);
    shape[d] *= repeats[d];
    DISCO_CHECK(check_extents(node, shape));
    Tensor next(result.type(), shape);
    std::byte* to = next.raw();
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t r = 0; r < repeats[d]; ++r, to += run)
        std::memcpy(to, result.raw() + static_cast<std::size_t>(o) * run, run);
    }
    result = next;
  }
  return Outputs{result};
}

Result<Outputs> expand(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  DISCO_CHECK(check_int_tensor(node, inputs[1], "the shape"));
  DISCO_CHECK(check_extents(node, to_int64s(inputs[1])));
  DISCO_TRY(const Shape shape, broadcast_shape(node, inputs[0].shape(), to_int64s(inputs[1])));
  DISCO_CHECK(check_extents(node, shape));
  Tensor result(inputs[0].type(), shape);
  gather_strided(inputs[0], 0, broadcast_strides(inputs[0].shape(), shape), result);
  return Outputs{result};
}

}  // namespace

void register_shape(Registry& registry) {
  const auto add = [&](std::string_view name, Operator op) { registry[{"", name}] = op; };
  add("Shape", shape_op);
  add("Size", size_op);
  add("Reshape", reshape);
  add("Flatten", flatten);
  add("Squeeze", squeeze);
  add("Unsqueeze", unsqueeze);
  add("Transpose", transpose);
  add("Concat", concat);
  add("Split", split);
  add("Slice", slice);
  add("Pad", pad);
  add("Tile", tile);
  add("Expand", expand);
}

}  // namespace disco::reference
