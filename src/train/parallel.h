#pragma once
// Data-parallel training over several processes or machines: torch's own distributed engine.

#include <ATen/ATen.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace disco::train {

/// The processes of one training run. Rank 0 listens at an address, the others come to it. Every wait has the
/// deadline given at the start; a process that is gone is PeerLost with its run lost to the last checkpoint.
class Group {
 public:
  virtual ~Group() = default;
  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  /// Replaces tensors by their mean over the processes; the same shapes everywhere.
  [[nodiscard]] virtual Status average(const std::vector<at::Tensor>& tensors) = 0;
  /// Replaces tensors by those of rank 0.
  [[nodiscard]] virtual Status broadcast(const std::vector<at::Tensor>& tensors) = 0;
};

struct Weights;

/// Replaces the gradients of all parameters by their mean over the processes.
[[nodiscard]] Status average_gradients(Weights& weights, Group& group);

/// Who carries tensors between processes.
enum class Backend {
  Gloo,  ///< over TCP from main memory, whatever the tensors are on
  Nccl,  ///< from GPU to GPU; every process needs one of its own
};

struct GroupOptions {
  std::string address = "127.0.0.1:29400";  ///< HOST:PORT of rank 0
  int rank = 0, size = 1;
  std::chrono::seconds deadline{60};
  Backend backend = Backend::Gloo;
  at::Device device = at::kCPU;  ///< of this process; a GPU for NCCL
};

/// Whether this disco-train was built with it.
[[nodiscard]] bool has_backend(Backend backend);

/// Joins the others. InvalidArgument for an address that is none, or NCCL without a GPU; Unsupported for a
/// backend that this disco-train was built without; Timeout where not all came in time.
[[nodiscard]] Result<std::unique_ptr<Group>> join_group(const GroupOptions& options);

}  // namespace disco::train
