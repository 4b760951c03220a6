#pragma once
// Dense host tensors: the currency of the library's interfaces.

#include <disco/result.h>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace disco {

/// Element types; the values are ONNX's TensorProto.DataType.
enum class DataType : std::int32_t {
  Undefined = 0,
  Float32 = 1,
  UInt8 = 2,
  Int8 = 3,
  UInt16 = 4,
  Int16 = 5,
  Int32 = 6,
  Int64 = 7,
  Bool = 9,
  Float16 = 10,
  Float64 = 11,
  UInt32 = 12,
  UInt64 = 13,
  BFloat16 = 16,
};

/// Bytes of one element; 0 for Undefined.
[[nodiscard]] std::size_t size_of(DataType type);
/// NumPy's name, e.g. "float32".
[[nodiscard]] std::string_view to_string(DataType type);

/// Extents, outermost first. A scalar has none.
using Shape = std::vector<std::int64_t>;

/// The product of the extents; 1 for a scalar.
[[nodiscard]] std::int64_t element_count(const Shape& shape);
/// "[1, 3, 224, 224]".
[[nodiscard]] std::string to_string(const Shape& shape);

template <typename T>
struct DataTypeOf;  // DataTypeOf<float>::value == DataType::Float32
template <>
struct DataTypeOf<float> {
  static constexpr DataType value = DataType::Float32;
};
template <>
struct DataTypeOf<double> {
  static constexpr DataType value = DataType::Float64;
};
template <>
struct DataTypeOf<std::int8_t> {
  static constexpr DataType value = DataType::Int8;
};
template <>
struct DataTypeOf<std::uint8_t> {
  static constexpr DataType value = DataType::UInt8;
};
template <>
struct DataTypeOf<std::int16_t> {
  static constexpr DataType value = DataType::Int16;
};
template <>
struct DataTypeOf<std::uint16_t> {
  static constexpr DataType value = DataType::UInt16;
};
template <>
struct DataTypeOf<std::int32_t> {
  static constexpr DataType value = DataType::Int32;
};
template <>
struct DataTypeOf<std::uint32_t> {
  static constexpr DataType value = DataType::UInt32;
};
template <>
struct DataTypeOf<std::int64_t> {
  static constexpr DataType value = DataType::Int64;
};
template <>
struct DataTypeOf<std::uint64_t> {
  static constexpr DataType value = DataType::UInt64;
};
template <>
struct DataTypeOf<bool> {
  static constexpr DataType value = DataType::Bool;
};

/// A dense, row-major, 64-byte aligned array. Copies share the elements; `clone` does not.
class Tensor {
 public:
  Tensor() = default;
  /// Uninitialised elements.
  Tensor(DataType type, Shape shape);
  /// Copies `values`, whose number must be the shape's element count.
  template <typename T>
  static Tensor of(Shape shape, std::span<const T> values) {
    Tensor tensor(DataTypeOf<T>::value, std::move(shape));
    assert(static_cast<std::int64_t>(values.size()) == tensor.elements());
    std::copy(values.begin(), values.end(), tensor.template data<T>());
    return tensor;
  }
  template <typename T>
  static Tensor of(Shape shape, const std::vector<T>& values) {
    return of<T>(std::move(shape), std::span<const T>(values));
  }
  template <typename T>
  static Tensor scalar(T value) {
    return of<T>({}, std::span<const T>(&value, 1));
  }
  /// All bytes zero.
  static Tensor zeros(DataType type, Shape shape);
  /// A view of memory that the caller keeps alive through `owner`.
  static Tensor view(DataType type, Shape shape, std::shared_ptr<std::byte> owner);

  [[nodiscard]] DataType type() const { return type_; }
  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] std::int64_t rank() const { return static_cast<std::int64_t>(shape_.size()); }
  [[nodiscard]] std::int64_t elements() const { return elements_; }
  [[nodiscard]] std::size_t bytes() const { return static_cast<std::size_t>(elements_) * size_of(type_); }
  /// Without elements and without type: an absent optional input.
  [[nodiscard]] bool empty() const { return type_ == DataType::Undefined; }

  [[nodiscard]] std::byte* raw() { return data_.get(); }
  [[nodiscard]] const std::byte* raw() const { return data_.get(); }
  /// The elements; T must match type() (Float16 and BFloat16 are read as uint16_t).
  template <typename T>
  [[nodiscard]] T* data() {
    return reinterpret_cast<T*>(data_.get());
  }
  template <typename T>
  [[nodiscard]] const T* data() const {
    return reinterpret_cast<const T*>(data_.get());
  }
  template <typename T>
  [[nodiscard]] std::span<const T> values() const {
    return {data<T>(), static_cast<std::size_t>(elements_)};
  }

  /// The same elements under another shape of as many elements.
  [[nodiscard]] Tensor reshaped(Shape shape) const;
  /// A copy with elements of its own.
  [[nodiscard]] Tensor clone() const;

 private:
  DataType type_ = DataType::Undefined;
  Shape shape_;
  std::int64_t elements_ = 0;
  std::shared_ptr<std::byte> data_;
};

/// Tensors by the model's input or output names.
using NamedTensors = std::map<std::string, Tensor>;

}  // namespace disco
