#include "reference/numeric.h"

#include <bit>
#include <cmath>
#include <limits>

namespace disco::reference {

namespace {

template <typename T>
void widen(const Tensor& tensor, std::int64_t begin, std::int64_t count, double* out) {
  const T* source = tensor.data<T>() + begin;
  for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<double>(source[i]);
}

template <typename T>
T saturate(double value) {
  if (std::isnan(value)) return 0;
  // The bounds as doubles may lie one above the type's own, hence >= and <=.
  if (value >= static_cast<double>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
  if (value <= static_cast<double>(std::numeric_limits<T>::lowest())) return std::numeric_limits<T>::lowest();
  return static_cast<T>(value);
}

template <typename T, typename Narrow>
void narrow(Tensor& tensor, const Doubles& values, Narrow convert_one) {
  T* out = tensor.data<T>();
  for (std::size_t i = 0; i < values.size(); ++i) out[i] = convert_one(values[i]);
}

}  // namespace

void convert(const Tensor& tensor, std::int64_t begin, std::int64_t count, double* out) {
  switch (tensor.type()) {
    case DataType::Float32: return widen<float>(tensor, begin, count, out);
    case DataType::Float64: return widen<double>(tensor, begin, count, out);
    case DataType::UInt8: return widen<std::uint8_t>(tensor, begin, count, out);
    case DataType::Int8: return widen<std::int8_t>(tensor, begin, count, out);
    case DataType::UInt16: return widen<std::uint16_t>(tensor, begin, count, out);
    case DataType::Int16: return widen<std::int16_t>(tensor, begin, count, out);
    case DataType::Int32: return widen<std::int32_t>(tensor, begin, count, out);
    case DataType::Int64: return widen<std::int64_t>(tensor, begin, count, out);
    case DataType::UInt32: return widen<std::uint32_t>(tensor, begin, count, out);
    case DataType::UInt64: return widen<std::uint64_t>(tensor, begin, count, out);
    case DataType::Bool:
      for (std::int64_t i = 0; i < count; ++i) out[i] = tensor.data<std::uint8_t>()[begin + i] != 0 ? 1 : 0;
      return;
    case DataType::Float16:
    case DataType::BFloat16:
    case DataType::Undefined: return;
  }
}

Doubles to_doubles(const Tensor& tensor) {
  Doubles values(static_cast<std::size_t>(tensor.elements()));
  convert(tensor, 0, tensor.elements(), values.data());
  return values;
}

Tensor from_doubles(DataType type, Shape shape, const Doubles& values) {
  Tensor tensor(type, std::move(shape));
  assert(tensor.elements() == static_cast<std::int64_t>(values.size()));
  switch (type) {
    case DataType::Float32:
      narrow<float>(tensor, values, [](double v) { return static_cast<float>(v); });
      break;
    case DataType::Float64: narrow<double>(tensor, values, [](double v) { return v; }); break;
    case DataType::UInt8: narrow<std::uint8_t>(tensor, values, saturate<std::uint8_t>); break;
    case DataType::Int8: narrow<std::int8_t>(tensor, values, saturate<std::int8_t>); break;
    case DataType::UInt16: narrow<std::uint16_t>(tensor, values, saturate<std::uint16_t>); break;
    case DataType::Int16: narrow<std::int16_t>(tensor, values, saturate<std::int16_t>); break;
    case DataType::Int32: narrow<std::int32_t>(tensor, values, saturate<std::int32_t>); break;
    case DataType::Int64: narrow<std::int64_t>(tensor, values, saturate<std::int64_t>); break;
    case DataType::UInt32: narrow<std::uint32_t>(tensor, values, saturate<std::uint32_t>); break;
    case DataType::UInt64: narrow<std::uint64_t>(tensor, values, saturate<std::uint64_t>); break;
    case DataType::Bool: narrow<std::uint8_t>(tensor, values, [](double v) { return v != 0 ? 1 : 0; }); break;
    case DataType::Float16:
    case DataType::BFloat16:
    case DataType::Undefined: break;
  }
  return tensor;
}

bool is_floating(DataType type) { return type == DataType::Float32 || type == DataType::Float64; }

bool is_integer(DataType type) {
  return type != DataType::Undefined && type != DataType::Bool && type != DataType::Float16 &&
         type != DataType::BFloat16 && !is_floating(type);
}

const Tensor& input_at(const Inputs& inputs, std::size_t position) {
  static const Tensor absent;
  return position < inputs.size() ? inputs[position] : absent;
}

bool wants_output(const Node& node, std::size_t position) {
  return position < node.outputs.size() && node.outputs[position] != kNoValue;
}

Status check_inputs(const Node& node, const Inputs& inputs, std::size_t required, std::size_t most) {
  for (std::size_t i = 0; i < required; ++i) {
    if (input_at(inputs, i).empty()) {
      return error(ErrorCode::InvalidModel, "{} needs {} inputs; input {} is missing", node.op, required, i);
    }
  }
  if (inputs.size() > most) {
    return error(ErrorCode::InvalidModel, "{} takes at most {} inputs, not {}", node.op, most, inputs.size());
  }
  return {};
}

namespace {

Status check_types(const Node& node, const Inputs& inputs, std::initializer_list<std::size_t> positions,
                   bool integers_too) {
  const Tensor* first = nullptr;
  for (const std::size_t position : positions) {
    const Tensor& tensor = input_at(inputs, position);
    if (tensor.empty()) continue;
    if (!is_floating(tensor.type()) && !(integers_too && is_integer(tensor.type()))) {
      return error(ErrorCode::ShapeMismatch, "{}: input {} is of type {}", node.op, position,
                   to_string(tensor.type()));
    }
    if (first == nullptr) first = &tensor;
    if (tensor.type() != first->type()) {
      return error(ErrorCode::ShapeMismatch, "{}: inputs are of types {} and {}", node.op,
                   to_string(first->type()), to_string(tensor.type()));
    }
  }
  return {};
}

}  // namespace

Status check_floating(const Node& node, const Inputs& inputs, std::initializer_list<std::size_t> positions) {
  return check_types(node, inputs, positions, false);
}

Status check_numeric(const Node& node, const Inputs& inputs, std::initializer_list<std::size_t> positions) {
  return check_types(node, inputs, positions, true);
}

Status check_extents(const Node& node, const Shape& shape) {
  // Extents are multiplied without the zeros, so that [0, 2^60] is refused by strides that would overflow.
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0)
      return error(ErrorCode::ShapeMismatch, "{}: the result would be of shape {}", node.op,
                   to_string(shape));
    if (extent == 0) continue;
    if (extent > kMaxElements / product) {
      return error(ErrorCode::ShapeMismatch, "{}: a result of shape {} is too large", node.op,
                   to_string(shape));
    }
    product *= extent;
  }
  return {};
}

Result<std::int64_t> resolve_axis(const Node& node, std::int64_t axis, std::int64_t rank) {
  if (axis < -rank || axis >= rank) {
    return error(ErrorCode::InvalidModel, "{}: axis {} of a tensor of rank {}", node.op, axis, rank);
  }
  return axis < 0 ? axis + rank : axis;
}

Result<std::int64_t> axis_attribute(const Node& node, std::string_view key, std::int64_t fallback,
                                    std::int64_t rank) {
  return resolve_axis(node, node.int_or(key, fallback), rank);
}

std::int64_t count_between(const Shape& shape, std::size_t begin, std::size_t end) {
  std::int64_t count = 1;
  for (std::size_t i = begin; i < end; ++i) count *= shape[i];
  return count;
}

AxisView view_axis(const Shape& shape, std::int64_t axis) {
  const auto at = static_cast<std::size_t>(axis);
  return {count_between(shape, 0, at), shape[at], count_between(shape, at + 1, shape.size())};
}

Result<Doubles> broadcast_to(const Node& node, const Tensor& tensor, const Shape& shape) {
  const Shape& from = tensor.shape();
  const auto mismatch = [&] {
    return error(ErrorCode::ShapeMismatch, "{}: shape {} does not broadcast to {}", node.op, to_string(from),
                 to_string(shape));
  };
  if (from.size() > shape.size()) return mismatch();
  const std::size_t lead = shape.size() - from.size();
  std::vector<std::int64_t> strides(shape.size(), 0);
  std::int64_t stride = 1;
  for (std::size_t i = from.size(); i-- > 0;) {
    if (from[i] != 1 && from[i] != shape[lead + i]) return mismatch();
    strides[lead + i] = from[i] == 1 ? 0 : stride;
    stride *= from[i];
  }
  const Doubles source = to_doubles(tensor);
  Doubles out(static_cast<std::size_t>(element_count(shape)));
  std::vector<std::int64_t> position(shape.size(), 0);
  std::int64_t offset = 0;
  for (double& value : out) {
    value = source[static_cast<std::size_t>(offset)];
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      offset += strides[axis];
      if (++position[axis] < shape[axis]) break;
      offset -= strides[axis] * shape[axis];
      position[axis] = 0;
    }
  }
  return out;
}

std::vector<float> floats_or(const Node& node, std::string_view key, std::vector<float> fallback) {
  const auto found = node.attributes.find(key);
  if (found == node.attributes.end()) return fallback;
  const auto* values = std::get_if<std::vector<float>>(&found->second);
  return values != nullptr ? *values : std::move(fallback);
}

}  // namespace disco::reference
