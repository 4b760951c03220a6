// Bytes of a coordinator or a node through the decoder of control messages, and every reader of a field.
// Input: the head up to the first zero byte; then binary parts, each after a byte that is its length.

#include <cstdlib>
#include <limits>
#include <span>
#include <vector>

#include "cluster/control.h"

namespace {

using namespace disco;

/// What is read, or an Error of one line that blames the peer.
template <typename T>
const T* read(const Result<T>& result) {
  if (result) return &result.value();
  if (result.error().code != ErrorCode::ProtocolMismatch || result.error().message.empty()) std::abort();
  return nullptr;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  std::size_t at = 0;
  while (at < size && data[at] != 0) ++at;
  std::vector<ZmqFrame> frames;
  frames.emplace_back(bytes.first(at));
  for (++at; at < size;) {
    const std::size_t length = std::min<std::size_t>(data[at], size - at - 1);
    frames.emplace_back(bytes.subspan(at + 1, length));
    at += 1 + length;
  }

  const Result<control::Message> message = control::decode(std::move(frames));
  if (read(message) == nullptr) return 0;
  (void)control::error_of(*message);
  for (const char* key : {"id", "request", "rank", "port"}) {
    read(control::number(*message, key, std::numeric_limits<std::uint32_t>::max()));
  }
  read(control::text(*message, "op"));
  read(control::texts(*message, "addresses"));
  read(control::get_statistics(*message));
  read(control::get_trace(*message));
  read(control::get_route(*message));
  read(control::Reader(*message).bytes("shard"));
  // Tensors that were accepted travel on unchanged.
  for (const char* key : {"inputs", "outputs", "bands"}) {
    const auto tensors = control::Reader(*message).tensors(key);
    if (read(tensors) == nullptr) continue;
    control::Message again = control::success(1);
    control::put_tensors(again, key, *tensors);
    const auto back = control::decode(control::encode(std::move(again)));
    if (!back || !control::Reader(*back).tensors(key)) std::abort();
  }
  return 0;
}
