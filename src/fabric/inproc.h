#pragma once
// A mesh of ranks that are threads of one process.

#include <memory>
#include <vector>

#include "fabric/fabric.h"

namespace disco {

/// Payloads are handed over by reference, never copied; a wait sleeps on a condition variable. What is in
/// flight is bounded by what the ranks of one request send, since a request's start drops what is left of
/// older ones.
class InprocMesh {
 public:
  /// The ends of a mesh of `ranks` >= 1 ranks; element i is rank i's and may move to that rank's thread.
  /// Destroying one end makes the others' waits for it return PeerLost.
  [[nodiscard]] static std::vector<std::unique_ptr<Fabric>> create(int ranks);
};

}  // namespace disco
