#pragma once
// A model, split over nodes: who owns which channels, what that costs, and the files that hold it.

#include <disco/cost.h>
#include <disco/model.h>
#include <disco/result.h>
#include <disco/tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace disco {

struct SplitOptions {
  /// 1 to 64. 0: as many as there are shares, else what the artifact says, else 1. Over as many nodes as an
  /// artifact was made for, and without shares, its own split is used; any other one exchanges everything.
  int nodes = 0;
  /// How much of the channels each node takes, on any scale, such as {3, 1}. Empty: equal.
  std::vector<double> shares{};
  /// Extents of inputs, by name; needed where the model leaves more open than the batch.
  std::map<std::string, Shape> shapes{};
  /// The extent of an open axis 0 of the inputs that `shapes` does not name.
  std::int64_t batch = 1;
  /// In how many bands of rows feature maps are computed and sent, 1 to 16, so that the first part of a
  /// message travels while the rest is computed. 0: what the artifact says, else one. The answer is the same.
  int bands = 0;
};

/// A model of fixed shapes with an owner for every channel. Immutable; copies share it; any number of threads
/// may use it at once. It holds the weights of all nodes: drop it, and the Model, once a Session has started.
class Split {
 public:
  /// Fixes the shapes, and takes the partition that the model holds, or makes one: contiguous runs of
  /// channels in proportion to the shares, and an exchange of everything, so that the answer is the unsplit
  /// model's.
  ///
  /// @return the split, or
  ///   - InvalidArgument  nodes or shares that cannot be, an input that does not exist, or more nodes than
  ///                      there are channels to own
  ///   - ShapeMismatch    a shape contradicts the model, or an extent other than the batch was left open
  ///   - InvalidModel     the model, or the partition in it, contradicts itself
  ///   - Unsupported      an operator that is not claimed (docs/operators.md), or none that can be split
  ///   - ProtocolMismatch an artifact of a newer version
  [[nodiscard]] static Result<Split> make(const Model& model, const SplitOptions& options = {});

  [[nodiscard]] int nodes() const;
  /// The model's, with all extents fixed but those that depend on data.
  [[nodiscard]] const std::vector<TensorInfo>& inputs() const;
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const;

  /// Multiply-accumulates, bytes and memory of every node and layer, as `disco inspect` shows them. For the
  /// shapes of this split. Takes about as long as walking the model once.
  [[nodiscard]] Result<CostTable> costs() const;

  /// Writes the artifact: the model as it was read, with the partition in its metadata ("disco.partition").
  /// Any ONNX tool can run it on one machine.
  ///
  /// @return Io where it cannot be written; a file of that name is then as it was
  [[nodiscard]] Status save_artifact(const std::filesystem::path& path) const;

  /// Writes a file a node into `folder` (which is made where it is missing), "node0.onnx" and so on: its
  /// slices of the weights, and its program with Send and Recv operators of the domain "disco". For the
  /// shapes of this split.
  ///
  /// @return the files, by rank; Io
  [[nodiscard]] Result<std::vector<std::filesystem::path>> save_shards(
      const std::filesystem::path& folder) const;

 private:
  friend class Session;
  struct Impl;
  explicit Split(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace disco
