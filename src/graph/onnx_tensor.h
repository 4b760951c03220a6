#pragma once
// Tensors between ONNX's protobuf form and ours. Private to src/graph.

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <filesystem>
#include <map>

#include "base/result.h"
#include "graph/graph.h"

namespace disco {

/// More elements than this in one tensor can only be a mistake or an attack; products of extents below it
/// never overflow.
inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 46;
/// ONNX's inference walks some extents one stride at a time, so an extent must stay small enough to count to.
inline constexpr std::int64_t kMaxExtent = (std::int64_t{1} << 31) - 1;

/// Whether extents are in [0, kMaxExtent] and their product in [0, kMaxElements].
[[nodiscard]] bool is_sane(const Shape& shape);

/// Our type for ONNX's, float32 for a half type; or Unsupported (string, complex, 8- and 4-bit floats).
[[nodiscard]] Result<DataType> type_from_onnx(std::int32_t type);

/// Raw or typed elements, those of a half type as float32; external data must be loaded before. InvalidModel
/// where dims and data contradict.
[[nodiscard]] Result<Tensor> tensor_from_onnx(const onnx::TensorProto& proto);

/// Writes dims, type and raw elements.
void tensor_to_onnx(const Tensor& tensor, onnx::TensorProto& proto);

/// Moves external data into raw_data, for every tensor of a model.
class ExternalData {
 public:
  explicit ExternalData(std::filesystem::path folder) : folder_(std::move(folder)) {}
  /// @return Ok, or NotFound, Io, or InvalidModel (a path that leaves the folder, a range outside the file)
  [[nodiscard]] Status load(onnx::TensorProto& tensor);

 private:
  struct File {
    std::uint64_t size = 0;
    std::uint64_t loaded = 0;
  };
  [[nodiscard]] Result<std::filesystem::path> resolve(const std::string& location) const;

  std::filesystem::path folder_;
  std::map<std::filesystem::path, File> files_;
};

}  // namespace disco
