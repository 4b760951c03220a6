#include "train/bridge.h"

#include <cstring>

namespace disco::train {

namespace {

struct TypePair {
  DataType ours;
  at::ScalarType theirs;
};
constexpr TypePair kTypes[] = {{DataType::Float32, at::kFloat}, {DataType::Float64, at::kDouble},
                               {DataType::Float16, at::kHalf},  {DataType::BFloat16, at::kBFloat16},
                               {DataType::Int8, at::kChar},     {DataType::UInt8, at::kByte},
                               {DataType::Int16, at::kShort},   {DataType::Int32, at::kInt},
                               {DataType::Int64, at::kLong},    {DataType::Bool, at::kBool}};

}  // namespace

Result<at::Tensor> to_torch(const Tensor& tensor) {
  for (const TypePair& type : kTypes) {
    if (type.ours != tensor.type()) continue;
    at::Tensor result = at::empty(tensor.shape(), type.theirs);
    if (tensor.bytes() > 0) std::memcpy(result.data_ptr(), tensor.raw(), tensor.bytes());
    return result;
  }
  return error(ErrorCode::InvalidArgument, "training has no tensors of type {}", to_string(tensor.type()));
}

Tensor from_torch(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.detach().to(at::kCPU).contiguous();
  for (const TypePair& type : kTypes) {
    if (type.theirs != plain.scalar_type()) continue;
    Tensor result(type.ours, plain.sizes().vec());
    if (result.bytes() > 0) std::memcpy(result.raw(), plain.data_ptr(), result.bytes());
    return result;
  }
  return {};
}

std::string first_line(const std::exception& problem) {
  const std::string text = problem.what();
  return text.substr(0, text.find('\n'));
}

}  // namespace disco::train
