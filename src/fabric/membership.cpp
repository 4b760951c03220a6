#include "fabric/membership.h"

namespace disco {
namespace {

/// The most ranks of a mesh; a longer list of addresses is a mistake, or ill will.
constexpr std::size_t kMostRanks = 1000;

}  // namespace

Status check(const Membership& membership) {
  const std::size_t size = membership.addresses.size();
  if (size > kMostRanks || membership.rank < 0 || membership.rank >= static_cast<int>(size) ||
      (!membership.labels.empty() && membership.labels.size() != size)) {
    return error(ErrorCode::InvalidArgument, "cannot join as node {} of {} (addresses {}, labels {})",
                 membership.rank, size, size, membership.labels.size());
  }
  return {};
}

Status check_same_mesh(const wire::Hello& mine, const wire::Hello& theirs) {
  if (theirs.cluster != mine.cluster) {
    return error(ErrorCode::ProtocolMismatch, "it belongs to cluster {:016x}, not to {:016x}", theirs.cluster,
                 mine.cluster);
  }
  if (theirs.epoch != mine.epoch || theirs.size != mine.size) {
    return error(ErrorCode::ProtocolMismatch, "it joins epoch {} of {} nodes, not epoch {} of {}",
                 theirs.epoch, theirs.size, mine.epoch, mine.size);
  }
  return {};
}

}  // namespace disco
