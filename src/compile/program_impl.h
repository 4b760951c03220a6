#pragma once
// Private to compile and its kernels: buffers, where they live, and what a workspace holds.

#include <dnnl.hpp>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "compile/program.h"
#include "kernels/dnnl_shim.h"

namespace disco {

using BufferId = int;
inline constexpr BufferId kNoBuffer = -1;

/// A stretch of memory: in the arena while steps [first, last] run, a constant of the program, what a Send
/// packs into, or a message that a Receive is given.
struct Buffer {
  enum class Kind { Arena, Constant, Wire, Message } kind = Kind::Arena;
  std::size_t bytes = 0;
  std::size_t offset = 0;                  ///< Arena: by plan_arena
  std::size_t first = SIZE_MAX, last = 0;  ///< steps that touch it
  std::shared_ptr<std::byte> constant{};
};

/// A value as it lies in memory. Values whose extents depend on data have no buffer: they are Tensors of the
/// workspace.
struct Placed {
  BufferId buffer = kNoBuffer;
  DataType type = DataType::Undefined;
  Shape shape;
  kernels::Desc desc{};  ///< Float32 only; other types lie row-major
  bool plain = true;     ///< row-major
  int dynamic = -1;      ///< index into the workspace's tensors, instead of a buffer
};

struct Port {
  std::string name;
  Placed placed;
};

struct Program::Impl {
  std::vector<Step> steps;
  std::vector<Buffer> buffers;
  std::vector<BufferId> wire_of_step;  ///< kNoBuffer for Compute
  std::vector<Port> inputs, outputs;
  std::vector<std::string> input_names, output_names;
  std::vector<BandedInput> banded_inputs;  ///< of input_names; these have no port
  BufferId scratchpad = kNoBuffer;         ///< shared by all steps of a workspace
  std::size_t arena_bytes = 0;
  std::size_t weight_bytes = 0;
  int dynamic_values = 0;
  int primitives = 0;  ///< how many kernels cache memory objects in a workspace
};

struct Workspace::Impl {
  explicit Impl(std::shared_ptr<const Program::Impl> of);
  [[nodiscard]] std::byte* at(BufferId buffer) const { return pointers[static_cast<std::size_t>(buffer)]; }
  template <typename T>
  [[nodiscard]] T* as(BufferId buffer) const {
    return reinterpret_cast<T*>(at(buffer));
  }
  /// The value as a row-major tensor; a view where it has a buffer (which must be plain).
  [[nodiscard]] Tensor tensor(const Placed& placed) const;

  std::shared_ptr<const Program::Impl> program;
  std::shared_ptr<std::byte> arena;
  std::vector<std::shared_ptr<std::byte>> wires;
  std::vector<std::byte*> pointers;  // by buffer
  std::vector<double> aligned;       // a copy of the message that is being unpacked, where it needs one
  std::vector<Tensor> dynamics;
  /// Memory objects, made at a kernel's first run in this workspace.
  std::vector<std::unordered_map<int, dnnl::memory>> arguments;
  dnnl::stream stream;
};

/// Gives every Arena buffer an offset such that buffers in use at the same step do not overlap; returns the
/// arena's size.
[[nodiscard]] std::size_t plan_arena(std::vector<Buffer>& buffers);

}  // namespace disco
