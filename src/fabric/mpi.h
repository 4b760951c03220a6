#pragma once
// The transport of MPI jobs, as a plug-in: who does without MPI has nothing of it in the program.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "fabric/fabric.h"

namespace disco {

struct MpiLaunch {
  int rank = 0;
  int size = 1;
};

/// Whether mpirun, or srun with PMIx or PMI-2, started this process, as its environment says.
[[nodiscard]] std::optional<MpiLaunch> mpi_launch();

/// The processes of an MPI job. MPI moves bytes only within calls to it, so a thread makes them, all of them, and
/// naps in between: 50 us while somebody waits for a message, 300 us while the process computes, up to 1 ms where
/// nothing has happened for a while. What is to be sent wakes it.
///
/// A process that dies ends the whole job: that is what MPI's launchers do.
class MpiWorld {
 public:
  /// Tells the others, on rank 0, that the job is over; waits until what was sent is out; ends MPI. Fabrics
  /// must be gone.
  virtual ~MpiWorld() = default;
  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  /// Every rank's text, by rank. All ranks call it, equally often; waits for them.
  [[nodiscard]] virtual Result<std::vector<std::string>> all_gather(const std::string& mine) = 0;

  struct Mesh {
    std::uint64_t cluster = 0;
    std::uint32_t epoch = 0;
    int rank = 0;  ///< of this end: this process's, but in a job of one process, which may hold all
    std::vector<std::string> labels;  ///< of all ends, by rank
  };
  /// This process's end of a mesh. Messages come from ends of the same cluster and epoch only, and are
  /// dropped where there is none yet.
  [[nodiscard]] virtual Result<std::unique_ptr<Fabric>> join(const Mesh& mesh) = 0;

  /// Readable once rank 0 has said that the job is over.
  [[nodiscard]] virtual int end_fd() const = 0;
};

/// Starts MPI in this process, once. Looks for disco-mpi.so beside the program and in its library folder, or
/// where the environment's DISCO_MPI says.
///
/// @return NotFound where this installation has no such file, Io where it or MPI cannot be started
[[nodiscard]] Result<std::unique_ptr<MpiWorld>> open_mpi();

/// What the plug-in exports as "disco_open_mpi": the world, or null with the reason in `failure`.
using OpenMpi = MpiWorld*(Error& failure);

}  // namespace disco
