#pragma once
// Who is in a mesh, and how an end that listens joins it.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "fabric/fabric.h"
#include "fabric/wire.h"

namespace disco {

/// Told of who was refused and why, as one line; from any thread, and not to call back.
using OnRefusal = std::function<void(const std::string& line)>;

/// Who is in the mesh, as the coordinator tells every rank alike.
struct Membership {
  int rank = 0;
  std::vector<std::string> addresses;  ///< one a rank, "host:port"; as reached from the other ranks
  std::vector<std::string> labels;     ///< how messages name the ranks; where empty, the addresses
  std::uint64_t cluster = 0;
  std::uint32_t epoch = 0;

  /// How messages name a rank. @pre rank is one of the members
  [[nodiscard]] const std::string& label(int rank) const {
    return (labels.empty() ? addresses : labels)[static_cast<std::size_t>(rank)];
  }
  /// How this rank introduces itself.
  [[nodiscard]] wire::Hello hello() const {
    return {cluster, static_cast<std::uint32_t>(rank), static_cast<std::uint32_t>(addresses.size()), epoch};
  }
};

/// InvalidArgument for one that contradicts itself: a rank that is not there, another number of labels than
/// of addresses, more than 1000 ranks.
[[nodiscard]] Status check(const Membership& membership);

/// Whether who says `theirs` belongs into the mesh of who says `mine`; ProtocolMismatch says why not, as what
/// follows "cannot be joined: ".
[[nodiscard]] Status check_same_mesh(const wire::Hello& mine, const wire::Hello& theirs);

/// An end of a mesh that opens its port first, and joins once everybody's address is known.
class ListeningFabric : public Fabric {
 public:
  /// Where it listens, with the port that port 0 became.
  [[nodiscard]] virtual const std::string& address() const = 0;

  /// Joins the mesh: returns when every peer has shaken hands. Once only.
  ///
  /// @return InvalidArgument   the membership contradicts itself
  ///         Timeout           the first peer that did not answer
  ///         ProtocolMismatch  a peer is another rank, of another cluster or epoch, or speaks another version
  ///         PeerLost          cancel() was called
  virtual Status connect(const Membership& membership, Clock::time_point deadline) = 0;
};

}  // namespace disco
