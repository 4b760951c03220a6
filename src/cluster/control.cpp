#include "cluster/control.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

namespace disco::control {
namespace {

using nlohmann::json;

constexpr std::array kCodes = {
    ErrorCode::InvalidArgument,  ErrorCode::InvalidModel, ErrorCode::Unsupported, ErrorCode::ShapeMismatch,
    ErrorCode::NotFound,         ErrorCode::Io,           ErrorCode::Timeout,     ErrorCode::PeerLost,
    ErrorCode::ProtocolMismatch, ErrorCode::Internal};

Error malformed(std::string_view what) {
  return error(ErrorCode::ProtocolMismatch, "a control message that cannot be read: {}", what);
}

/// What JSON's typed access throws becomes an Error here, at the module's edge.
template <typename Function>
auto guarded(std::string_view what, Function function) -> decltype(function()) {
  try {
    return function();
  } catch (const json::exception&) {
    return malformed(what);
  }
}

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

json put_chunks(Message& message, std::span<const std::byte> bytes) {
  const std::size_t size = bytes.size();
  std::size_t chunks = 0;
  while (!bytes.empty()) {
    const auto chunk = bytes.first(std::min(bytes.size(), kChunkBytes));
    message.parts.emplace_back(chunk);
    bytes = bytes.subspan(chunk.size());
    ++chunks;
  }
  return {{"bytes", size}, {"chunks", chunks}};
}

json put_tensor(Message& message, const std::string& name, DataType type, const Shape& shape,
                std::span<const std::byte> bytes) {
  json entry = put_chunks(message, bytes);
  entry["name"] = name;
  entry["type"] = static_cast<std::int32_t>(type);
  entry["shape"] = shape;
  return entry;
}

json put_image(Message& message, const std::string& name, const Shape& shape, const palette::Packed& packed) {
  json entry = put_tensor(message, name, DataType::Float32, shape, packed.bytes);
  entry["palette"] = {packed.layout.planes, packed.layout.run};
  return entry;
}

Result<const json*> field(const Message& message, const char* key) {
  const auto found = message.head.find(key);
  if (found == message.head.end()) {
    return malformed(fmt::format("no '{}'", key));
  }
  return &*found;
}

}  // namespace

Message request(std::string_view op, std::uint64_t id) {
  return {{{"disco", kVersion}, {"id", id}, {"op", op}}, {}};
}

Message success(std::uint64_t id) { return {{{"disco", kVersion}, {"id", id}, {"ok", true}}, {}}; }

Message failure(std::uint64_t id, const Error& error) {
  return {{{"disco", kVersion},
           {"id", id},
           {"ok", false},
           {"code", to_string(error.code)},
           {"message", error.message}},
          {}};
}

std::vector<ZmqFrame> encode(Message message) {
  // Names of values come from models, which may hold anything: what is not UTF-8 is replaced.
  const std::string head = message.head.dump(-1, ' ', false, json::error_handler_t::replace);
  std::vector<ZmqFrame> frames;
  frames.reserve(1 + message.parts.size());
  frames.emplace_back(as_bytes(head));
  std::move(message.parts.begin(), message.parts.end(), std::back_inserter(frames));
  return frames;
}

Result<Message> decode(std::vector<ZmqFrame> frames) {
  if (frames.empty()) {
    return malformed("no head");
  }
  const std::string text = frames[0].text();
  if (text.size() > kMaxHeadBytes) {
    return malformed(fmt::format("its head has {} bytes, at most {} are read", text.size(), kMaxHeadBytes));
  }
  // What nests deeper is dropped as it is read: every level costs more memory than its one character.
  bool too_deep = false;
  const auto shallow = [&](int depth, json::parse_event_t /*event*/, json& /*parsed*/) {
    too_deep = too_deep || depth > kMaxHeadDepth;
    return depth <= kMaxHeadDepth;
  };
  Message message{json::parse(text, shallow, /*allow_exceptions=*/false), {}};
  if (too_deep) {
    return malformed("its head nests too deep");
  }
  if (!message.head.is_object()) {
    return malformed("its head is no JSON object");
  }
  DISCO_TRY(const std::uint64_t version, number(message, "disco", std::numeric_limits<std::uint32_t>::max()));
  if (version != kVersion) {
    return error(ErrorCode::ProtocolMismatch,
                 "control protocol version {}, but this program speaks version {}; install the same release "
                 "everywhere",
                 version, kVersion);
  }
  DISCO_CHECK(number(message, "id", std::numeric_limits<std::uint64_t>::max()));
  message.parts.assign(std::make_move_iterator(frames.begin() + 1), std::make_move_iterator(frames.end()));
  return message;
}

std::optional<Error> error_of(const Message& reply) {
  const auto ok = reply.head.find("ok");
  if (ok != reply.head.end() && ok->is_boolean() && ok->get<bool>()) {
    return std::nullopt;
  }
  const auto name = text(reply, "code");
  const auto message = text(reply, "message");
  if (!name || !message) {
    return malformed("a reply without 'ok'");
  }
  const auto code =
      std::find_if(kCodes.begin(), kCodes.end(), [&](ErrorCode one) { return to_string(one) == *name; });
  return Error{code == kCodes.end() ? ErrorCode::Internal : *code, as_one_line(*message)};
}

Result<std::uint64_t> number(const Message& message, const char* key, std::uint64_t most) {
  DISCO_TRY(const json* value, field(message, key));
  if (!value->is_number_unsigned() || value->get<std::uint64_t>() > most) {
    return malformed(fmt::format("'{}' is not a number from 0 to {}", key, most));
  }
  return value->get<std::uint64_t>();
}

Result<std::string> text(const Message& message, const char* key) {
  DISCO_TRY(const json* value, field(message, key));
  if (!value->is_string()) {
    return malformed(fmt::format("'{}' is not a text", key));
  }
  return value->get<std::string>();
}

Result<std::vector<std::string>> texts(const Message& message, const char* key) {
  DISCO_TRY(const json* value, field(message, key));
  return guarded(
      key, [&]() -> Result<std::vector<std::string>> { return value->get<std::vector<std::string>>(); });
}

Result<std::map<std::string, Bands>> bands(const Message& message, const char* key) {
  DISCO_TRY(const json* value, field(message, key));
  return guarded(key, [&]() -> Result<std::map<std::string, Bands>> {
    if (!value->is_object()) {
      return malformed(fmt::format("'{}' is not an object", key));
    }
    return value->get<std::map<std::string, Bands>>();
  });
}

void put_route(Message& message, const InputRoute& route) {
  message.head["input_bands"] = json(route.bands);
  message.head["tell"] = route.tell;
  message.head["await"] = route.await;
}

Result<InputRoute> get_route(const Message& message) {
  InputRoute route;
  DISCO_TRY(route.bands, bands(message, "input_bands"));
  for (const auto& [key, ranks] : {std::pair("tell", &route.tell), std::pair("await", &route.await)}) {
    DISCO_TRY(const json* value, field(message, key));
    DISCO_TRY(*ranks,
              guarded(key, [&]() -> Result<std::vector<int>> { return value->get<std::vector<int>>(); }));
    if (std::any_of(ranks->begin(), ranks->end(), [](int rank) { return rank < 0; })) {
      return malformed(fmt::format("'{}' holds a negative rank", key));
    }
  }
  return route;
}

void put_bytes(Message& message, const char* key, std::string_view bytes) {
  message.head[key] = put_chunks(message, as_bytes(bytes));
}

Images pack_images(const NamedTensors& tensors) {
  Images images;
  for (const auto& [name, tensor] : tensors) {
    if (auto packed = palette::pack(tensor)) images.emplace(name, std::move(*packed));
  }
  return images;
}

void put_tensors(Message& message, const char* key, NamedTensors tensors, const Images& images) {
  json list = json::array();
  for (auto& [name, tensor] : tensors) {
    const auto packed = images.find(name);
    list.push_back(packed != images.end() ? put_image(message, name, tensor.shape(), packed->second)
                                          : put_tensor(message, name, tensor.type(), tensor.shape(),
                                                       {tensor.raw(), tensor.bytes()}));
    tensor = {};
  }
  message.head[key] = std::move(list);
}

void put_bands(Message& message, const char* key, const NamedTensors& tensors,
               const std::map<std::string, Bands>& bands, std::size_t band, const Images& images) {
  json list = json::array();
  for (const auto& [name, tensor] : tensors) {
    const Bands& ends = bands.at(name);
    if (band > ends.size()) continue;
    if (const auto packed = images.find(name); packed != images.end()) {
      const auto [begin, end] = range_of_band(tensor.shape(), ends, band);
      Shape shape = tensor.shape();
      shape[2] = end - begin;
      list.push_back(
          put_image(message, name, shape, palette::rows_of(packed->second, tensor.shape(), begin, end)));
    } else {
      const Tensor rows = rows_of_band(tensor, ends, band);
      list.push_back(put_tensor(message, name, rows.type(), rows.shape(), {rows.raw(), rows.bytes()}));
    }
  }
  message.head["band"] = band;
  message.head[key] = std::move(list);
}

void put_statistics(Message& message, const RunStatistics& statistics) {
  message.head["statistics"] = {{"compute_ms", statistics.compute_ms},
                                {"pack_ms", statistics.pack_ms},
                                {"wait_ms", statistics.wait_ms},
                                {"total_ms", statistics.total_ms},
                                {"bytes_sent", statistics.bytes_sent},
                                {"messages_sent", statistics.messages_sent},
                                {"bytes_received", statistics.bytes_received},
                                {"messages_received", statistics.messages_received},
                                {"peak_rss_bytes", statistics.peak_rss_bytes}};
}

void put_trace(Message& message, const std::vector<TraceEvent>& trace) {
  json list = json::array();
  for (const TraceEvent& event : trace) {
    list.push_back({event.name, event.op, static_cast<int>(event.phase), event.start_ns, event.end_ns,
                    event.bytes, event.peer});
  }
  message.head["trace"] = std::move(list);
}

Status Reader::copy(const json& entry, std::byte* to, std::size_t size) {
  if (!entry.at("chunks").is_number_unsigned()) {
    return malformed("a number of parts");
  }
  const auto chunks = entry.at("chunks").get<std::size_t>();
  std::size_t done = 0;
  for (std::size_t chunk = 0; chunk < chunks; ++chunk, ++next_) {
    if (next_ >= message_.parts.size()) {
      return malformed("it has fewer parts than it says");
    }
    const std::span<const std::byte> part = message_.parts[next_].bytes();
    if (part.size() > size - done) {
      return malformed("its parts are larger than it says");
    }
    if (!part.empty()) {
      std::memcpy(to + done, part.data(), part.size());
    }
    done += part.size();
    if (consumed_ != nullptr) {
      consumed_->parts[next_] = {};
    }
  }
  return done == size ? Status() : malformed("its parts are smaller than it says");
}

Result<std::vector<std::byte>> Reader::bytes(const char* key) {
  DISCO_TRY(const json* entry, field(message_, key));
  return guarded(key, [&]() -> Result<std::vector<std::byte>> {
    if (!entry->at("bytes").is_number_unsigned()) {
      return malformed(key);
    }
    const auto size = entry->at("bytes").get<std::uint64_t>();
    if (size > kMaxShardBytes) {
      return malformed(fmt::format("'{}' of {} bytes, at most {}", key, size, kMaxShardBytes));
    }
    // Sized by what came, not by what the head says: a lie costs no memory.
    std::uint64_t came = 0;
    for (const ZmqFrame& part : message_.parts) {
      came += part.bytes().size();
    }
    if (size > came) {
      return malformed("its parts are smaller than it says");
    }
    std::vector<std::byte> bytes(size);
    DISCO_CHECK(copy(*entry, bytes.data(), bytes.size()));
    return bytes;
  });
}

Result<NamedTensors> Reader::tensors(const char* key) {
  DISCO_TRY(const json* list, field(message_, key));
  return guarded(key, [&]() -> Result<NamedTensors> {
    std::uint64_t came = 0;
    for (const ZmqFrame& part : message_.parts) {
      came += part.bytes().size();
    }
    NamedTensors tensors;
    for (const json& entry : *list) {
      const auto& extents = entry.at("shape");
      const bool whole = entry.at("type").is_number_integer() && entry.at("bytes").is_number_unsigned() &&
                         extents.is_array() &&
                         std::all_of(extents.begin(), extents.end(),
                                     [](const json& extent) { return extent.is_number_integer(); });
      if (!whole) {
        return malformed("a tensor's type, shape or size");
      }
      const auto type = static_cast<DataType>(entry.at("type").get<std::int32_t>());
      const auto shape = extents.get<Shape>();
      auto size = entry.at("bytes").get<std::uint64_t>();
      palette::Layout layout;
      const auto packed = entry.find("palette");
      if (packed != entry.end()) {
        if (!packed->is_array() || packed->size() != 2 || !(*packed)[0].is_number_unsigned() ||
            !(*packed)[1].is_number_unsigned() || type != DataType::Float32 || size > came) {
          return malformed("a tensor's tables");
        }
        layout = {(*packed)[0].get<std::uint64_t>(), (*packed)[1].get<std::uint64_t>()};
        const std::uint64_t tables = palette::packed_size(layout, 0);
        if (layout.planes > size || tables > size) {
          return malformed("a tensor's tables");
        }
        size = (size - tables) * sizeof(float);
        came = std::max(came, size);
      }
      std::uint64_t want = size_of(type);
      bool fits = want > 0 && size <= came && shape.size() <= 64;
      for (const std::int64_t extent : shape) {
        std::uint64_t product = 0;
        fits = fits && extent >= 0 &&
               !__builtin_mul_overflow(want, static_cast<std::uint64_t>(extent), &product) &&
               product <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
        want = product;
      }
      if (!fits || want != size) {
        return malformed(fmt::format("tensor '{}' of {} bytes does not have its shape's size",
                                     entry.at("name").get<std::string>(), size));
      }
      Tensor tensor(type, shape);
      if (packed != entry.end()) {
        std::vector<std::byte> bytes(entry.at("bytes").get<std::size_t>());
        DISCO_CHECK(copy(entry, bytes.data(), bytes.size()));
        DISCO_CHECK(palette::unpack(layout, bytes, tensor));
      } else {
        DISCO_CHECK(copy(entry, tensor.raw(), tensor.bytes()));
      }
      tensors[entry.at("name").get<std::string>()] = std::move(tensor);
    }
    return tensors;
  });
}

Result<RunStatistics> get_statistics(const Message& message) {
  DISCO_TRY(const json* entry, field(message, "statistics"));
  return guarded("statistics", [&]() -> Result<RunStatistics> {
    RunStatistics statistics;
    entry->at("compute_ms").get_to(statistics.compute_ms);
    entry->at("pack_ms").get_to(statistics.pack_ms);
    entry->at("wait_ms").get_to(statistics.wait_ms);
    entry->at("total_ms").get_to(statistics.total_ms);
    const std::pair<const char*, std::uint64_t RunStatistics::*> counts[] = {
        {"bytes_sent", &RunStatistics::bytes_sent},
        {"messages_sent", &RunStatistics::messages_sent},
        {"bytes_received", &RunStatistics::bytes_received},
        {"messages_received", &RunStatistics::messages_received},
        {"peak_rss_bytes", &RunStatistics::peak_rss_bytes}};
    for (const auto& [name, count] : counts) {
      if (!entry->at(name).is_number_unsigned()) {
        return malformed(name);
      }
      entry->at(name).get_to(statistics.*count);
    }
    return statistics;
  });
}

Result<std::vector<TraceEvent>> get_trace(const Message& message) {
  DISCO_TRY(const json* list, field(message, "trace"));
  return guarded("trace", [&]() -> Result<std::vector<TraceEvent>> {
    std::vector<TraceEvent> trace;
    for (const json& entry : *list) {
      if (!entry.is_array() || entry.size() != 7 ||
          !std::all_of(entry.begin() + 2, entry.end(),
                       [](const json& field) { return field.is_number_integer(); })) {
        return malformed("a trace's numbers");
      }
      const auto phase = entry.at(2).get<std::int64_t>();
      const auto start = entry.at(3).get<std::int64_t>();
      const auto end = entry.at(4).get<std::int64_t>();
      if (phase < 0 || phase > static_cast<int>(TracePhase::Unpack) || start < 0 || end < start ||
          end > kLatestNs) {
        return malformed("a trace's phase or times");
      }
      trace.push_back({entry.at(0).get<std::string>(), entry.at(1).get<std::string>(),
                       static_cast<TracePhase>(phase), start, end, entry.at(5).get<std::uint64_t>(),
                       static_cast<int>(entry.at(6).get<std::int64_t>())});
    }
    return trace;
  });
}

}  // namespace disco::control
