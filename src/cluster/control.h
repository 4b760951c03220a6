#pragma once
// What coordinator and nodes say to each other: a JSON head and binary parts, as one ZeroMQ message.

#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cluster/palette.h"
#include "compile/inputs.h"
#include "fabric/zmq_socket.h"
#include "runtime/executor.h"

namespace disco::control {

/// Raised with every change of what follows; a node refuses other versions.
inline constexpr int kVersion = 4;  // 2: images as bytes; 3: messages in bands; 4: inputs in bands
/// Binary parts of more bytes are split, so that heartbeats get through between them on slow links.
inline constexpr std::size_t kChunkBytes = std::size_t{4} << 20;
/// The largest part that is accepted; a longer one ends the connection.
inline constexpr std::int64_t kMaxPartBytes = std::int64_t{64} << 20;
/// The longest head that is read, and how deep its JSON may nest.
inline constexpr std::size_t kMaxHeadBytes = std::size_t{16} << 20;
inline constexpr int kMaxHeadDepth = 8;
/// The latest time that a node's clock may show, which counts from its start: 47 years leave room for sums.
inline constexpr std::int64_t kLatestNs = 1'500'000'000'000'000'000;
/// The largest shard that travels as a message, its weights aside.
inline constexpr std::size_t kMaxShardBytes = 1'900'000'000;

/// A request {"disco": version, "id": n, "op": "...", ...} or a reply {"disco", "id", "ok": true, ...} or
/// {"disco", "id", "ok": false, "code": "PeerLost", "message": "..."}.
struct Message {
  nlohmann::json head;
  std::vector<ZmqFrame> parts;
};

[[nodiscard]] Message request(std::string_view op, std::uint64_t id);
[[nodiscard]] Message success(std::uint64_t id);
[[nodiscard]] Message failure(std::uint64_t id, const Error& error);

/// One ZeroMQ message, without a routing id.
[[nodiscard]] std::vector<ZmqFrame> encode(Message message);
/// ProtocolMismatch for what is no control message of this version: not JSON, no object, no id, another
/// version.
[[nodiscard]] Result<Message> decode(std::vector<ZmqFrame> frames);
/// The Error that a failure holds; for a success, none.
[[nodiscard]] std::optional<Error> error_of(const Message& reply);

/// A field of the head; ProtocolMismatch where it is absent, of another type or outside [0, most].
[[nodiscard]] Result<std::uint64_t> number(const Message& message, const char* key, std::uint64_t most);
[[nodiscard]] Result<std::string> text(const Message& message, const char* key);
[[nodiscard]] Result<std::vector<std::string>> texts(const Message& message, const char* key);

/// Bands by the name of an input.
[[nodiscard]] Result<std::map<std::string, Bands>> bands(const Message& message, const char* key);
void put_route(Message& message, const InputRoute& route);
[[nodiscard]] Result<InputRoute> get_route(const Message& message);

/// Appends bytes as parts of kChunkBytes, and their number and size to the head under `key`.
void put_bytes(Message& message, const char* key, std::string_view bytes);
/// What of tensors was made of 8-bit images, as bytes (exactly, see palette.h): by name. Worth it where a
/// request goes to another machine: pixels are a quarter of what a network's input takes as fp32.
using Images = std::map<std::string, palette::Packed>;
[[nodiscard]] Images pack_images(const NamedTensors& tensors);

/// Appends tensors likewise, those of `images` in that form. The elements are copied, and each tensor is let
/// go of then.
void put_tensors(Message& message, const char* key, NamedTensors tensors, const Images& images = {});
/// Appends one band of the rows of each tensor that has so many, likewise; `bands` by name, of them all.
void put_bands(Message& message, const char* key, const NamedTensors& tensors,
               const std::map<std::string, Bands>& bands, std::size_t band, const Images& images);
void put_statistics(Message& message, const RunStatistics& statistics);
void put_trace(Message& message, const std::vector<TraceEvent>& trace);

/// Reads parts back in the order in which they were put. Every size is checked against what came.
class Reader {
 public:
  explicit Reader(const Message& message) : message_(message) {}
  /// One that frees each part once it was copied, so that large things are not held twice.
  [[nodiscard]] static Reader consuming(Message& message) {
    Reader reader(message);
    reader.consumed_ = &message;
    return reader;
  }
  [[nodiscard]] Result<std::vector<std::byte>> bytes(const char* key);
  [[nodiscard]] Result<NamedTensors> tensors(const char* key);

 private:
  Status copy(const nlohmann::json& entry, std::byte* to, std::size_t size);
  const Message& message_;
  Message* consumed_ = nullptr;
  std::size_t next_ = 0;
};
[[nodiscard]] Result<RunStatistics> get_statistics(const Message& message);
[[nodiscard]] Result<std::vector<TraceEvent>> get_trace(const Message& message);

}  // namespace disco::control
