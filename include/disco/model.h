#pragma once
// A network, read from ONNX.

#include <disco/result.h>
#include <disco/tensor.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace disco {

/// An extent that the model leaves open, such as the batch: it is fixed when the model is split.
inline constexpr std::int64_t kOpenExtent = -1;

/// An input or output, as the model declares it.
struct TensorInfo {
  std::string name;
  DataType type = DataType::Undefined;  ///< Undefined: not declared
  bool has_rank = false;             ///< whether the number of axes is declared; `shape` is empty otherwise
  Shape shape;                       ///< outermost first; kOpenExtent where open
  std::vector<std::string> symbols;  ///< by axis: the name of an open extent, such as "batch", or ""
};

/// A model in memory. Immutable; copies share it; any number of threads may use it at once.
class Model {
 public:
  /// Reads an ONNX file: opset 6 to 17, and newer where the operators used have a form of opset 17; external
  /// data inside the file's folder. An artifact of `disco partition` (or Split::save_artifact) is such a file
  /// too.
  ///
  /// @return the model, or
  ///   - NotFound, Io   the file, or its external data
  ///   - InvalidModel   truncated, hostile, or refused by the ONNX checker
  ///   - Unsupported    an opset or an operator form out of reach; names operator, node and opset
  [[nodiscard]] static Result<Model> load(const std::filesystem::path& path);

  /// The same from memory; external data is looked for in `folder`, and refused where it is empty.
  [[nodiscard]] static Result<Model> parse(std::span<const std::byte> bytes,
                                           const std::filesystem::path& folder = {});

  /// What a run must be given, in the model's order.
  [[nodiscard]] const std::vector<TensorInfo>& inputs() const;
  /// What a run answers.
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const;
  /// Over how many nodes the partition inside an artifact splits it; 0 where the file holds none that
  /// this version can read.
  [[nodiscard]] int partition_nodes() const;

 private:
  friend class Split;
  struct Impl;
  explicit Model(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace disco
