#pragma once
// The node program: the static list of steps that one rank runs for every request.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "compile/inputs.h"
#include "graph/graph.h"

namespace disco {

class Workspace;

/// One unit of work over the workspace's buffers. Kernels are immutable and shared by all requests in flight.
class Kernel {
 public:
  virtual ~Kernel() = default;
  /// Runs on the calling thread (and its OpenMP team).
  virtual Status run(Workspace& workspace) const = 0;
  /// What runs, for traces and tables, e.g. "jit_avx512_core" or "reference".
  [[nodiscard]] virtual std::string implementation() const = 0;
};

enum class StepKind { Compute, Send, Receive };

/// The `peer` of a Receive step whose message is a band of an input: it comes from whoever asks, row-major,
/// as a tensor of the band's shape.
inline constexpr int kCaller = -1;

/// A step of a node program.
///
/// Send:    `kernel` packs the channels that travel into the workspace's wire buffer of this step
///          (`Workspace::wire(step)`), which then goes to `peer` under `tag`. Row-major, but feature maps
///          that are cut by channels travel channels last. Steps that send the same slice share its buffer.
/// Receive: the message `tag` of `peer`, of exactly `wire_bytes`, is given to the workspace
///          (`Workspace::set_message(step)`), then `kernel` unpacks it to where its consumer reads it.
struct Step {
  StepKind kind = StepKind::Compute;
  std::string name;  ///< the node's name, or the value's for Send and Receive
  std::string op;    ///< "Conv+Relu", "Send" …
  std::unique_ptr<const Kernel> kernel;
  int peer = -1;
  std::uint32_t tag = 0;
  std::size_t wire_bytes = 0;
  std::int64_t macs = 0;  ///< multiply-accumulates of a Compute step
  std::size_t bytes = 0;  ///< of the buffers that it reads and writes, weights included; without scratch
};

struct CompileOptions {
  /// Also fold batch norms, fuse activations and sums, and let oneDNN choose layouts. Off: one step a node,
  /// plain layouts, for tests that bisect a difference.
  bool optimise = true;
  /// OpenMP threads that the kernels will run with, since oneDNN chooses for a number of them; 0: the calling
  /// thread's.
  int threads = 0;
  InputRoute inputs;
};

/// An input that is taken in bands: by Receive steps of kCaller, a tag each (see band_tag()).
struct BandedInput {
  std::string name;
  Shape shape;  ///< of the whole
  Bands bands;
};

/// A compiled graph: steps, weights in the layouts that the primitives chose, and the arena's plan.
class Program {
 public:
  struct Impl;
  explicit Program(std::shared_ptr<const Impl> impl);

  [[nodiscard]] const std::vector<Step>& steps() const;
  [[nodiscard]] const std::vector<std::string>& input_names() const;
  [[nodiscard]] const std::vector<std::string>& output_names() const;
  [[nodiscard]] const std::vector<BandedInput>& banded_inputs() const;
  /// The one of this name; nullptr where it is taken whole, or there is none.
  [[nodiscard]] const BandedInput* banded_input(std::string_view name) const;
  [[nodiscard]] std::size_t weight_bytes() const;  ///< as held in memory after packing
  [[nodiscard]] std::size_t arena_bytes()
      const;  ///< peak activations of one request, by liveness, with scratchpad
  [[nodiscard]] const Impl& impl() const { return *impl_; }
  [[nodiscard]] const std::shared_ptr<const Impl>& shared() const { return impl_; }

 private:
  std::shared_ptr<const Impl> impl_;
};

/// ShapeMismatch where an input is not what a program was compiled for; both are named.
[[nodiscard]] Status check_input(const std::string& name, const Tensor& tensor, DataType type,
                                 const Shape& shape);

/// What one request in flight needs: the arena, wire buffers and values of unknown extents. Reusable, one run
/// at a time.
class Workspace {
 public:
  struct Impl;
  explicit Workspace(const Program& program);
  ~Workspace();
  Workspace(Workspace&&) noexcept;
  Workspace& operator=(Workspace&&) noexcept;

  /// Copies an input in that is not taken in bands; check_input()'s errors.
  Status set_input(const std::string& name, const Tensor& tensor);
  /// Copies an output out (row-major), after all steps ran.
  [[nodiscard]] Result<Tensor> output(const std::string& name) const;
  /// The wire buffer of Send step number `step`; its bytes are the step's wire_bytes.
  [[nodiscard]] std::span<const std::byte> wire(std::size_t step) const;
  /// What Receive step number `step` reads, of its wire_bytes; the bytes must stay until the kernel ran.
  void set_message(std::size_t step, std::span<const std::byte> message);
  [[nodiscard]] Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// Compiles a graph of fixed shapes (see specialise()): an unsplit model, or one rank's shard with disco.Send
/// and disco.Recv nodes. Batch norms are folded; bias, activations and residual sums are fused; `any` layouts
/// are carried between layers; hot steps never run on oneDNN's `ref` kernels silently (a warning is logged).
/// Each constant is let go of once it is packed: move the graph in where memory counts.
///
/// @return the program, or Unsupported where an operator is not claimed (name, node), InvalidModel where
/// shapes are open
[[nodiscard]] Result<Program> compile(Graph graph, const CompileOptions& options = {});

}  // namespace disco
