#include "fabric/fabric.h"

#include <algorithm>

namespace disco {

Result<Payload> Fabric::receive(int peer, const MessageId& id, Clock::time_point deadline) {
  const Clock::time_point start = Clock::now();
  while (true) {
    // The clock is read first: what came at the last moment still counts.
    const bool late = Clock::now() >= deadline;
    DISCO_TRY(std::optional<Payload> payload, try_receive(peer, id));
    if (payload) return std::move(*payload);
    if (late) {
      const auto silent = Clock::now() - std::max(start, heard(peer));
      return error(ErrorCode::Timeout, "{} sent nothing for {:.1f} s", describe(peer),
                   std::chrono::duration<double>(silent).count());
    }
    wait(deadline);
  }
}

Status Fabric::check_peer(int peer) const {
  if (peer < 0 || peer >= size() || peer == rank()) {
    return error(ErrorCode::InvalidArgument, "node {} has no link to node {} in a cluster of {}", rank(),
                 peer, size());
  }
  return {};
}

}  // namespace disco
