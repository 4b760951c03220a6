#include "graph/onnx_tensor.h"

#include <bit>
#include <charconv>
#include <cstring>

#include "base/file.h"
#include "base/half.h"

namespace disco {

static_assert(std::endian::native == std::endian::little, "ONNX's raw data is little-endian");

bool is_sane(const Shape& shape) {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0 || extent > kMaxExtent) return false;
    // An extent of 0 empties the tensor, but must not hide an overflow of the others.
    product *= std::max<std::int64_t>(extent, 1);
    if (product > kMaxElements) return false;
  }
  return true;
}

namespace {

/// Of a tensor in a file.
Result<DataType> element_type_from_onnx(std::int32_t type) {
  const auto candidate = static_cast<DataType>(type);
  if (size_of(candidate) != 0) return candidate;
  switch (type) {
    case onnx::TensorProto::UNDEFINED: return error(ErrorCode::InvalidModel, "element type is undefined");
    case onnx::TensorProto::STRING: return error(ErrorCode::Unsupported, "string tensors are not supported");
    case onnx::TensorProto::COMPLEX64:
    case onnx::TensorProto::COMPLEX128:
      return error(ErrorCode::Unsupported, "complex tensors are not supported");
    default: return error(ErrorCode::Unsupported, "element type {} is not supported", type);
  }
}

}  // namespace

Result<DataType> type_from_onnx(std::int32_t type) {
  DISCO_TRY(const DataType element, element_type_from_onnx(type));
  return element == DataType::Float16 || element == DataType::BFloat16 ? DataType::Float32 : element;
}

namespace {

/// Converts a typed field's elements; the field may be wider than the element (int32_data holds int8).
template <typename Element, typename Field>
void copy_field(const Field& field, Tensor& tensor) {
  auto* out = tensor.data<Element>();
  for (int i = 0; i < field.size(); ++i) out[i] = static_cast<Element>(field.Get(i));
}

/// The number of elements in the typed field that belongs to the type.
std::int64_t typed_count(const onnx::TensorProto& proto, DataType type) {
  switch (type) {
    case DataType::Float32: return proto.float_data_size();
    case DataType::Float64: return proto.double_data_size();
    case DataType::Int64: return proto.int64_data_size();
    case DataType::UInt32:
    case DataType::UInt64: return proto.uint64_data_size();
    default: return proto.int32_data_size();
  }
}

void copy_typed(const onnx::TensorProto& proto, Tensor& tensor) {
  switch (tensor.type()) {
    case DataType::Float32: return copy_field<float>(proto.float_data(), tensor);
    case DataType::Float64: return copy_field<double>(proto.double_data(), tensor);
    case DataType::Int64: return copy_field<std::int64_t>(proto.int64_data(), tensor);
    case DataType::UInt32: return copy_field<std::uint32_t>(proto.uint64_data(), tensor);
    case DataType::UInt64: return copy_field<std::uint64_t>(proto.uint64_data(), tensor);
    case DataType::Int32: return copy_field<std::int32_t>(proto.int32_data(), tensor);
    case DataType::Int16: return copy_field<std::int16_t>(proto.int32_data(), tensor);
    case DataType::Int8: return copy_field<std::int8_t>(proto.int32_data(), tensor);
    case DataType::UInt8: return copy_field<std::uint8_t>(proto.int32_data(), tensor);
    case DataType::UInt16:
    case DataType::Float16:
    case DataType::BFloat16: return copy_field<std::uint16_t>(proto.int32_data(), tensor);
    case DataType::Bool: return copy_field<bool>(proto.int32_data(), tensor);
    case DataType::Undefined: return;
  }
}

Result<Tensor> convert(const onnx::TensorProto& proto) {
  DISCO_TRY(const DataType type, element_type_from_onnx(proto.data_type()));
  if (proto.has_segment()) return error(ErrorCode::Unsupported, "segmented tensors are not supported");
  const Shape shape(proto.dims().begin(), proto.dims().end());
  if (!is_sane(shape)) return error(ErrorCode::InvalidModel, "impossible shape {}", to_string(shape));
  // The data's length is compared before memory is asked for: a claim of terabytes must come with terabytes.
  const std::int64_t elements = element_count(shape);
  const auto bytes = static_cast<std::uint64_t>(elements) * size_of(type);
  if (proto.has_raw_data() && (!proto.raw_data().empty() || elements == 0)) {
    if (proto.raw_data().size() != bytes) {
      return error(ErrorCode::InvalidModel, "shape {} of {} takes {} bytes, the file has {}",
                   to_string(shape), to_string(type), bytes, proto.raw_data().size());
    }
    Tensor tensor(type, shape);
    std::memcpy(tensor.raw(), proto.raw_data().data(), bytes);
    if (type == DataType::Bool) {  // any other byte than 0 and 1 is undefined behaviour once read as bool
      for (std::uint64_t i = 0; i < bytes; ++i) tensor.raw()[i] = std::byte{tensor.raw()[i] != std::byte{0}};
    }
    return tensor;
  }
  if (typed_count(proto, type) != elements) {
    return error(ErrorCode::InvalidModel, "shape {} takes {} elements, the file has {}", to_string(shape),
                 elements, typed_count(proto, type));
  }
  Tensor tensor(type, shape);
  copy_typed(proto, tensor);
  return tensor;
}

}  // namespace

Result<Tensor> tensor_from_onnx(const onnx::TensorProto& proto) {
  Result<Tensor> tensor = convert(proto);
  if (!tensor) return in_context(fmt::format("tensor '{}'", proto.name()), tensor.error());
  return widened(std::move(*tensor));
}

void tensor_to_onnx(const Tensor& tensor, onnx::TensorProto& proto) {
  proto.set_data_type(static_cast<std::int32_t>(tensor.type()));
  for (const std::int64_t extent : tensor.shape()) proto.add_dims(extent);
  // The checker refuses a data field, even an empty one, only where there are elements to miss.
  if (tensor.elements() > 0) {
    proto.set_raw_data(reinterpret_cast<const char*>(tensor.raw()), tensor.bytes());
  }
}

Result<std::filesystem::path> ExternalData::resolve(const std::string& location) const {
  namespace fs = std::filesystem;
  if (folder_.empty()) {
    return error(ErrorCode::NotFound, "its data is in the file '{}', and no folder was given to find it in",
                 location);
  }
  const fs::path relative(location);
  bool leaves = location.empty() || relative.is_absolute() || location.find('\0') != std::string::npos;
  for (const fs::path& part : relative) leaves = leaves || part == "..";
  if (leaves) {
    return error(ErrorCode::InvalidModel, "external data '{}' is outside the model's folder", location);
  }
  std::error_code failure;
  const fs::path root = fs::canonical(folder_, failure);
  if (failure) return error(ErrorCode::NotFound, "{}: {}", folder_.string(), failure.message());
  const fs::path path = fs::weakly_canonical(root / relative, failure);
  if (failure) return error(ErrorCode::NotFound, "{}: {}", (root / relative).string(), failure.message());
  // A symbolic link may lead out although the name does not.
  const auto inside = path.lexically_relative(root);
  if (inside.empty() || *inside.begin() == "..") {
    return error(ErrorCode::InvalidModel, "external data '{}' leads outside the model's folder", location);
  }
  return path;
}

Status ExternalData::load(onnx::TensorProto& tensor) {
  const auto fail = [&tensor](const Error& inner) {
    return in_context(fmt::format("tensor '{}'", tensor.name()), inner);
  };
  std::string location;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;
  for (const onnx::StringStringEntryProto& entry : tensor.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() != "offset" && entry.key() != "length") continue;
    std::uint64_t number = 0;
    const char* end = entry.value().data() + entry.value().size();
    const auto [last, failure] = std::from_chars(entry.value().data(), end, number);
    if (failure != std::errc{} || last != end || entry.value().empty()) {
      return fail(error(ErrorCode::InvalidModel, "external data's {} '{}' is not a number", entry.key(),
                        entry.value().substr(0, 40)));
    }
    (entry.key() == "offset" ? offset : length.emplace()) = number;
  }
  Result<std::filesystem::path> path = resolve(location);
  if (!path) return fail(path.error());
  auto known = files_.find(*path);
  if (known == files_.end()) {
    const Result<std::uint64_t> size = size_of_file(*path);
    if (!size) return fail(size.error());
    known = files_.emplace(*path, File{.size = *size}).first;
  }
  File& file = known->second;
  if (offset > file.size) {
    return fail(error(ErrorCode::InvalidModel, "external data starts at byte {}, '{}' has {}", offset,
                      location, file.size));
  }
  const std::uint64_t count = length.value_or(file.size - offset);
  if (count > file.size - offset) {
    return fail(error(ErrorCode::InvalidModel, "external data ends at byte {} + {}, '{}' has {}", offset,
                      count, location, file.size));
  }
  // Tensors may share bytes (tied weights), but a small file that is read a thousand times over is an attack.
  file.loaded += count;
  if (file.loaded > 8 * file.size + 1024) {
    return fail(error(ErrorCode::InvalidModel, "tensors read '{}' more than 8 times over", location));
  }
  std::string bytes(count, '\0');
  const Status status = read_file_range(*path, offset, std::as_writable_bytes(std::span(bytes)));
  if (!status) return fail(status.error());
  tensor.clear_external_data();
  tensor.clear_data_location();
  if (count > 0) tensor.set_raw_data(std::move(bytes));
  return {};
}

}  // namespace disco
