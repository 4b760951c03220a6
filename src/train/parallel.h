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

struct GroupOptions {
  std::string address = "127.0.0.1:29400";  ///< HOST:PORT of rank 0
  int rank = 0, size = 1;
  std::chrono::seconds deadline{60};
};

/// Joins over gloo on the CPU. InvalidArgument for an address that is none, Unsupported where this LibTorch
/// has no gloo, Timeout where not all came in time.
[[nodiscard]] Result<std::unique_ptr<Group>> join_group(const GroupOptions& options);

}  // namespace disco::train
