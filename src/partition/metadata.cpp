// The partition as JSON, for the artifact's metadata.

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "graph/bands.h"
#include "partition/partition.h"

namespace disco {

namespace {

using nlohmann::json;

constexpr int kVersion = 2;  // 2: wire formats
constexpr int kVersionWithoutWire = 1;
constexpr std::int64_t kMostChannels = 1 << 24;

std::string ranges(const ChannelSet& channels) {
  std::string text;
  for (std::size_t i = 0; i < channels.size();) {
    std::size_t last = i;
    while (last + 1 < channels.size() && channels[last + 1] == channels[last] + 1) ++last;
    if (!text.empty()) text += ',';
    text += last == i ? fmt::format("{}", channels[i]) : fmt::format("{}-{}", channels[i], channels[last]);
    i = last + 1;
  }
  return text;
}

Result<ChannelSet> parse_ranges(const std::string& text) {
  ChannelSet channels;
  const char* at = text.c_str();
  const auto bad = [&] {
    return error(ErrorCode::InvalidModel, "'{}' is not a list of channel ranges", text);
  };
  while (*at != '\0') {
    char* end = nullptr;
    const long first = std::strtol(at, &end, 10);
    if (end == at || first < 0 || first >= kMostChannels) return bad();
    long last = first;
    if (*end == '-') {
      at = end + 1;
      last = std::strtol(at, &end, 10);
      if (end == at || last < first || last >= kMostChannels) return bad();
    }
    if (!channels.empty() && first <= channels.back()) return bad();
    for (long c = first; c <= last; ++c) channels.push_back(static_cast<std::int32_t>(c));
    if (*end == ',')
      ++end;
    else if (*end != '\0')
      return bad();
    at = end;
  }
  return channels;
}

/// Runs of owners: [[rank, channels], …].
json owner_runs(const std::vector<std::int32_t>& owners) {
  json runs = json::array();
  for (std::size_t i = 0; i < owners.size();) {
    std::size_t last = i;
    while (last + 1 < owners.size() && owners[last + 1] == owners[i]) ++last;
    runs.push_back({owners[i], last - i + 1});
    i = last + 1;
  }
  return runs;
}

Result<Partition> read(const json& document) {
  const int version = document.at("version").get<int>();
  if (version > kVersion) {
    return error(ErrorCode::ProtocolMismatch,
                 "partition of version {}, but this program knows versions up to {}; update it", version,
                 kVersion);
  }
  Partition partition;
  partition.nodes = document.at("nodes").get<int>();
  if (partition.nodes < 1 || partition.nodes > kMostNodes) {
    return error(ErrorCode::InvalidModel, "partition over {} nodes", partition.nodes);
  }
  partition.shares = document.at("shares").get<std::vector<double>>();
  if (partition.shares.size() != static_cast<std::size_t>(partition.nodes)) {
    return error(ErrorCode::InvalidModel, "{} shares for {} nodes", partition.shares.size(), partition.nodes);
  }
  partition.method = document.at("method").get<std::string>();
  for (const auto& [name, runs] : document.at("owners").items()) {
    std::vector<std::int32_t> owners;
    for (const json& run : runs) {
      const auto rank = run.at(0).get<std::int32_t>();
      const auto count = run.at(1).get<std::int64_t>();
      if (rank < 0 || rank >= partition.nodes || count < 1 ||
          count + static_cast<std::int64_t>(owners.size()) > kMostChannels) {
        return error(ErrorCode::InvalidModel, "owners of '{}': a run of {} channels for node {}", name, count,
                     rank);
      }
      owners.insert(owners.end(), static_cast<std::size_t>(count), rank);
    }
    partition.owners[name] = std::move(owners);
  }
  for (const auto& [name, axis] : document.at("axes").items()) partition.chosen_axes[name] = axis.get<int>();
  for (const auto& [name, sets] : document.at("keep").items()) {
    auto& keep = partition.keep[name];
    for (const json& set : sets) {
      const std::pair<int, int> link{set.at("from").get<int>(), set.at("to").get<int>()};
      DISCO_TRY(keep[link], parse_ranges(set.at("channels").get<std::string>()));
    }
  }
  if (document.contains("wire")) {
    for (const auto& [name, entry] : document.at("wire").items()) {
      WireFormat& format = partition.wire[name];
      format.type = wire_type_from(entry.at("type").get<std::string>());
      format.scale = entry.value("scale", 1.0F);
      format.zero_point = entry.value("zero_point", 0);
      if (!format.valid()) return error(ErrorCode::InvalidModel, "the wire format of '{}' cannot be", name);
    }
  }
  partition.bands = document.value("bands", 1);
  if (partition.bands < 1 || partition.bands > kMostChosenBands)
    return error(ErrorCode::InvalidModel, "{} bands", partition.bands);
  partition.band_bytes = document.value("band_bytes", partition.band_bytes);
  if (partition.band_bytes < 0 || partition.band_bytes > std::int64_t{1} << 40)
    return error(ErrorCode::InvalidModel, "bands of {} bytes", partition.band_bytes);
  if (document.contains("local_first")) {
    partition.local_first = document.at("local_first").get<std::set<std::string>>();
  }
  return partition;
}

}  // namespace

std::string to_json(const Partition& partition) {
  // A reader that knows no wire formats would read the wrong bytes, so it must refuse.
  json document = {{"version", partition.wire.empty() ? kVersionWithoutWire : kVersion},
                   {"nodes", partition.nodes},
                   {"shares", partition.shares},
                   {"method", partition.method},
                   {"axes", json::object()},
                   {"owners", json::object()},
                   {"keep", json::object()}};
  for (const auto& [name, axis] : partition.chosen_axes) document["axes"][name] = axis;
  for (const auto& [name, owners] : partition.owners) document["owners"][name] = owner_runs(owners);
  for (const auto& [name, sets] : partition.keep) {
    json list = json::array();
    for (const auto& [link, channels] : sets) {
      list.push_back({{"from", link.first}, {"to", link.second}, {"channels", ranges(channels)}});
    }
    document["keep"][name] = std::move(list);
  }
  for (const auto& [name, format] : partition.wire) {
    json& entry = document["wire"][name];
    entry["type"] = wire_type_name(format.type);
    if (format.type != DataType::UInt8) continue;
    entry["scale"] = format.scale;
    entry["zero_point"] = format.zero_point;
  }
  // What a reader that does not know of it computes is the same.
  if (partition.local_first) document["local_first"] = *partition.local_first;
  if (partition.bands > 1) {
    document["bands"] = partition.bands;
    document["band_bytes"] = partition.band_bytes;
  }
  return document.dump();
}

Result<Partition> partition_from_json(std::string_view text) {
  constexpr std::string_view kWhere = "the partition in the file's metadata cannot be read";
  try {
    auto partition = read(json::parse(text));
    if (!partition) return in_context(kWhere, partition.error());
    return partition;
  } catch (const json::exception& problem) {
    return error(ErrorCode::InvalidModel, "{}: {}", kWhere, problem.what());
  }
}

}  // namespace disco
