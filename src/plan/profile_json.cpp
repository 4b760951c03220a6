// Profiles as versioned JSON.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "plan/profile.h"

namespace disco {

namespace {

using nlohmann::json;

constexpr int kVersion = 1;
constexpr std::string_view kFormat = "disco.profile";

/// The figures of a MessageCost by their keys.
template <typename Cost, typename Function>
void each_field(Cost& cost, const Function& function) {
  function("send_s", cost.send_s);
  function("receive_s", cost.receive_s);
  function("send_copy_byte_s", cost.send_copy_byte_s);
  function("receive_copy_byte_s", cost.receive_copy_byte_s);
  function("wake_s", cost.wake_s);
  function("io_send_s", cost.io_send_s);
  function("io_receive_s", cost.io_receive_s);
  function("send_byte_s", cost.send_byte_s);
  function("receive_byte_s", cost.receive_byte_s);
}

json link_json(const LinkProfile& link) {
  return {
      {"bytes_per_s", link.bytes_per_s}, {"latency_s", link.latency_s}, {"burst_bytes", link.burst_bytes}};
}

double figure(const json& table, const char* key, double least, double most, double fallback) {
  const double number = table.value(key, fallback);
  if (!(number >= least) || number > most)
    throw std::out_of_range(fmt::format("'{}' is {}, which cannot be", key, number));
  return number;
}

LinkProfile read_link(const json& table) {
  LinkProfile link;
  link.bytes_per_s = figure(table, "bytes_per_s", 1.0, 1e15, link.bytes_per_s);
  link.latency_s = figure(table, "latency_s", 0.0, 1e4, link.latency_s);
  link.burst_bytes = figure(table, "burst_bytes", 0.0, 1e12, link.burst_bytes);
  return link;
}

NodeProfile read_node(const json& table) {
  NodeProfile node;
  node.name = table.at("name").get<std::string>();
  node.threads = static_cast<int>(figure(table, "threads", 1, 1024, 1));
  node.shares_core = table.value("shares_core", true);
  node.memory_total = table.value("memory_total", std::uint64_t{0});
  node.memory_free = table.value("memory_free", std::uint64_t{0});
  node.speed = figure(table, "speed", 1e-6, 1e6, 1.0);
  node.step_overhead_s = figure(table, "step_overhead_s", 0, 1, node.step_overhead_s);
  node.request_s = figure(table, "request_s", 0, 10, node.request_s);
  node.request_byte_s = figure(table, "request_byte_s", 0, 1, node.request_byte_s);
  node.ask_s = figure(table, "ask_s", 0, 10, node.ask_s);
  node.ask_byte_s = figure(table, "ask_byte_s", 0, 1, node.ask_byte_s);
  if (table.contains("messages")) {
    const json& messages = table.at("messages");
    each_field(node.messages,
               [&](const char* key, double& number) { number = figure(messages, key, 0, 10, number); });
  }
  if (!table.contains("speeds")) return node;
  for (std::size_t c = 0; c < kWorkClasses; ++c) {
    const std::string key(to_string(static_cast<WorkClass>(c)));
    if (!table.at("speeds").contains(key)) continue;
    for (const json& entry : table.at("speeds").at(key)) {
      node.speeds[c].push_back(
          {figure(entry, "work", 1e-9, 1e18, 0.0), figure(entry, "seconds", 1e-12, 1e6, 0.0)});
    }
    std::sort(node.speeds[c].begin(), node.speeds[c].end(),
              [](const SpeedSample& a, const SpeedSample& b) { return a.work < b.work; });
  }
  return node;
}

}  // namespace

std::string to_json(const Profile& profile) {
  json document = {{"format", kFormat},
                   {"version", kVersion},
                   {"nodes", json::array()},
                   {"links", json::array()},
                   {"link", link_json(profile.link)}};
  if (!profile.coordinator.empty()) document["coordinator"] = profile.coordinator;
  for (const NodeProfile& node : profile.nodes) {
    json table = {{"name", node.name},
                  {"threads", node.threads},
                  {"shares_core", node.shares_core},
                  {"memory_total", node.memory_total},
                  {"memory_free", node.memory_free},
                  {"speed", node.speed},
                  {"step_overhead_s", node.step_overhead_s},
                  {"request_s", node.request_s},
                  {"request_byte_s", node.request_byte_s},
                  {"ask_s", node.ask_s},
                  {"ask_byte_s", node.ask_byte_s}};
    each_field(node.messages, [&](const char* key, double number) { table["messages"][key] = number; });
    for (std::size_t c = 0; c < kWorkClasses; ++c) {
      json& list = table["speeds"][std::string(to_string(static_cast<WorkClass>(c)))] = json::array();
      for (const SpeedSample& sample : node.speeds[c])
        list.push_back({{"work", sample.work}, {"seconds", sample.seconds}});
    }
    document["nodes"].push_back(std::move(table));
  }
  for (const auto& [pair, link] : profile.links) {
    json table = link_json(link);
    table["from"] = pair.first;
    table["to"] = pair.second;
    document["links"].push_back(std::move(table));
  }
  return document.dump(2, ' ', false, json::error_handler_t::replace);
}

Result<Profile> profile_from_json(std::string_view text) {
  try {
    const json document = json::parse(text);
    if (!document.is_object() || document.value("format", "") != kFormat) {
      return error(ErrorCode::InvalidArgument, "it is no profile; `disco profile` writes one");
    }
    if (const int version = document.at("version").get<int>(); version > kVersion) {
      return error(ErrorCode::ProtocolMismatch,
                   "a profile of version {}, but this program knows versions up to {}; update it", version,
                   kVersion);
    }
    Profile profile;
    for (const json& table : document.at("nodes")) {
      profile.nodes.push_back(read_node(table));
      for (std::size_t n = 0; n + 1 < profile.nodes.size(); ++n) {
        if (profile.nodes[n].name == profile.nodes.back().name) {
          return error(ErrorCode::InvalidArgument, "the node '{}' is there twice", profile.nodes[n].name);
        }
      }
    }
    if (profile.nodes.empty()) return error(ErrorCode::InvalidArgument, "a profile of no nodes");
    if (document.contains("link")) profile.link = read_link(document.at("link"));
    for (const json& table : document.at("links")) {
      profile.links[{table.at("from").get<std::string>(), table.at("to").get<std::string>()}] =
          read_link(table);
    }
    profile.coordinator = document.value("coordinator", "");
    return profile;
  } catch (const std::exception& problem) {  // of the JSON library, and of figure()
    return error(ErrorCode::InvalidArgument, "the profile cannot be read: {}", as_one_line(problem.what()));
  }
}

}  // namespace disco
