#pragma once
// Messages that arrived before anybody asked for them.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "fabric/fabric.h"

namespace disco {

/// Messages by (id, peer), oldest request first. Not synchronised.
class Inbox {
 public:
  /// Keeps a message, unless its request was forgotten.
  void put(int peer, const MessageId& id, Payload payload) {
    if (std::pair(id.epoch, id.request) < oldest_) {
      return;
    }
    bytes_ += cost(payload);
    kept_[{id, peer}].push_back(std::move(payload));
  }

  /// Drops the messages of requests before this one, now and later.
  void forget_before(std::uint32_t epoch, std::uint64_t request) {
    oldest_ = std::max(oldest_, std::pair(epoch, request));
    while (!kept_.empty() &&
           std::pair(kept_.begin()->first.first.epoch, kept_.begin()->first.first.request) < oldest_) {
      for (const Payload& payload : kept_.begin()->second) {
        bytes_ -= cost(payload);
      }
      kept_.erase(kept_.begin());
    }
  }

  /// Takes the first message `id` of `peer`, if it is here.
  std::optional<Payload> take(int peer, const MessageId& id) {
    const auto found = kept_.find({id, peer});
    if (found == kept_.end()) {
      return std::nullopt;
    }
    Payload payload = std::move(found->second.front());
    found->second.pop_front();
    if (found->second.empty()) {
      kept_.erase(found);
    }
    bytes_ -= cost(payload);
    return payload;
  }

  /// Bytes held: the payloads', and what it takes to keep them, so that empty messages are not free.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  static std::size_t cost(const Payload& payload) { return payload.size + 256; }

  std::map<std::pair<MessageId, int>, std::deque<Payload>> kept_;
  std::pair<std::uint32_t, std::uint64_t> oldest_{};
  std::size_t bytes_ = 0;
};

}  // namespace disco
