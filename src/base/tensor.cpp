#include <disco/tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace disco {

namespace {

constexpr std::size_t kAlignment = 64;  // a cache line, and the widest vector register

// Not aligned_alloc: glibc before 2.38 does not give a freed aligned block to the next request of the same
// size (its bug 14581), so that a program that makes one tensor a run can grow with every run.
std::shared_ptr<std::byte> allocate(std::size_t bytes) {
  auto* memory = static_cast<std::byte*>(std::malloc(bytes + kAlignment));
  if (memory == nullptr) throw std::bad_alloc();
  const std::size_t beyond = reinterpret_cast<std::uintptr_t>(memory) % kAlignment;
  return {memory + (kAlignment - beyond), [memory](std::byte*) { std::free(memory); }};
}

}  // namespace

std::size_t size_of(DataType type) {
  switch (type) {
    case DataType::Undefined: return 0;
    case DataType::UInt8:
    case DataType::Int8:
    case DataType::Bool: return 1;
    case DataType::UInt16:
    case DataType::Int16:
    case DataType::Float16:
    case DataType::BFloat16: return 2;
    case DataType::Float32:
    case DataType::Int32:
    case DataType::UInt32: return 4;
    case DataType::Int64:
    case DataType::UInt64:
    case DataType::Float64: return 8;
  }
  return 0;
}

std::string_view to_string(DataType type) {
  switch (type) {
    case DataType::Undefined: return "undefined";
    case DataType::Float32: return "float32";
    case DataType::UInt8: return "uint8";
    case DataType::Int8: return "int8";
    case DataType::UInt16: return "uint16";
    case DataType::Int16: return "int16";
    case DataType::Int32: return "int32";
    case DataType::Int64: return "int64";
    case DataType::Bool: return "bool";
    case DataType::Float16: return "float16";
    case DataType::Float64: return "float64";
    case DataType::UInt32: return "uint32";
    case DataType::UInt64: return "uint64";
    case DataType::BFloat16: return "bfloat16";
  }
  return "unknown";
}

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  return count;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

Tensor::Tensor(DataType type, Shape shape)
    : type_(type), shape_(std::move(shape)), elements_(element_count(shape_)), data_(allocate(bytes())) {}

Tensor Tensor::zeros(DataType type, Shape shape) {
  Tensor tensor(type, std::move(shape));
  std::memset(tensor.raw(), 0, tensor.bytes());
  return tensor;
}

Tensor Tensor::view(DataType type, Shape shape, std::shared_ptr<std::byte> owner) {
  Tensor tensor;
  tensor.type_ = type;
  tensor.shape_ = std::move(shape);
  tensor.elements_ = element_count(tensor.shape_);
  tensor.data_ = std::move(owner);
  return tensor;
}

Tensor Tensor::reshaped(Shape shape) const {
  assert(element_count(shape) == elements_);
  Tensor tensor = *this;
  tensor.shape_ = std::move(shape);
  return tensor;
}

Tensor Tensor::clone() const {
  if (empty()) return {};
  Tensor tensor(type_, shape_);
  std::memcpy(tensor.raw(), raw(), bytes());
  return tensor;
}

}  // namespace disco
