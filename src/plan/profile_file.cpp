// Descriptions of clusters as TOML, and cluster files.

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/file.h"
#include "plan/profile.h"

namespace disco {

namespace {

class Description {
 public:
  Description(const std::filesystem::path& path, const LinkProfile& link) : path_(path) {
    profile_.link = link;
  }

  Result<Profile> read(std::string_view text) {
    toml::table root;
    try {
      root = toml::parse(text, path_.string());
    } catch (const toml::parse_error& failure) {
      return at(failure.source(), as_one_line(failure.description()));
    }
    for (const auto& [key, value] : root) {
      const bool known = (key == "node" && value.is_array_of_tables()) ||
                         (key == "link" && is_links(value)) || (key == "coordinator" && value.is_string());
      if (!known) {
        return at(value.source(),
                  fmt::format("'{}' is not known here; a description holds [[node]], [link], [[link]] and "
                              "coordinator",
                              key.str()));
      }
    }
    if (const toml::array* nodes = root["node"].as_array()) {
      for (const toml::node& node : *nodes) DISCO_CHECK(read_nodes(*node.as_table()));
    }
    if (profile_.nodes.empty()) {
      return error(ErrorCode::InvalidArgument, "{}:1: no [[node]] in this description", path_.string());
    }
    if (const toml::table* link = root["link"].as_table()) {
      DISCO_CHECK(read_link(*link, profile_.link));
    } else if (const toml::array* links = root["link"].as_array()) {
      for (const toml::node& link : *links) DISCO_CHECK(read_pair(*link.as_table()));
    }
    if (const auto* coordinator = root["coordinator"].as_string()) {
      profile_.coordinator = **coordinator;
      if (const auto index = profile_.find(profile_.coordinator); !index)
        return at(coordinator->source(), index.error().message);
    }
    return std::move(profile_);
  }

 private:
  static bool is_links(const toml::node& value) { return value.is_table() || value.is_array_of_tables(); }

  [[nodiscard]] Error at(const toml::source_region& source, std::string_view what) const {
    return error(ErrorCode::InvalidArgument, "{}:{}: {}", path_.string(), source.begin.line, what);
  }

  /// Reads a number into `to`, or a text with a unit by `parse`.
  Status quantity(std::string_view key, const toml::node& value, Result<double> (*parse)(std::string_view),
                  double& to) const {
    const auto* text = value.as_string();
    const Result<double> read = text != nullptr
                                    ? parse(**text)
                                    : Result<double>(error(ErrorCode::InvalidArgument, "it must be a text"));
    if (!read) return at(value.source(), fmt::format("{}: {}", key, read.error().message));
    to = *read;
    return {};
  }

  /// One node, or `count` alike.
  Status read_nodes(const toml::table& table) {
    NodeProfile node;
    std::int64_t count = 1;
    std::string address;
    for (const auto& [name, value] : table) {
      const std::string_view key = name.str();
      const auto number = value.value<double>();
      double bytes = 0;
      if (key == "name" && value.is_string()) {
        node.name = **value.as_string();
      } else if (key == "address" && value.is_string()) {
        address = **value.as_string();
      } else if (key == "speed" && number && *number > 0 && *number < 1e6) {
        node.speed = *number;
      } else if (key == "threads" && value.is_integer() && *number >= 0 && *number <= 1024) {
        node.threads = std::max(1, static_cast<int>(*number));
      } else if (key == "cores" && value.is_integer() && *number >= 1 && *number <= 4096) {
        cores_ = static_cast<int>(*number);
      } else if (key == "count" && value.is_integer() && *number >= 1 && *number <= 64) {
        count = static_cast<std::int64_t>(*number);
      } else if (key == "memory") {
        DISCO_CHECK(quantity(key, value, parse_bytes, bytes));
        node.memory_total = node.memory_free = static_cast<std::uint64_t>(bytes);
      } else if (key == "profile" && value.is_string()) {
        DISCO_CHECK(take_profile(**value.as_string(), value.source(), node));
      } else if (key == "share") {
        // A cluster file's; what a node takes is what is asked here.
      } else {
        return at(value.source(), fmt::format("a node's '{}' is not known or cannot be that; known are name, "
                                              "speed, threads, cores, memory, count, profile, address",
                                              key));
      }
    }
    if (cores_ > 0) node.shares_core = node.threads >= cores_;
    cores_ = 0;
    if (node.name.empty())
      node.name = address.empty() ? fmt::format("node{}", profile_.nodes.size()) : address;
    const std::string name = node.name;
    for (std::int64_t i = 0; i < count; ++i) {
      if (count > 1) node.name = fmt::format("{}{}", name, i);
      if (profile_.find(node.name))
        return at(table.source(), fmt::format("the node '{}' is there twice", node.name));
      if (profile_.nodes.size() == 64) return at(table.source(), "more than 64 nodes");
      profile_.nodes.push_back(node);
    }
    return {};
  }

  /// The speeds of a profile's node: of the one of this name, or of the only one.
  Status take_profile(const std::string& file, const toml::source_region& source, NodeProfile& node) const {
    const std::filesystem::path beside = path_.parent_path() / file;
    const auto profile = load_profile(beside, profile_.link);
    if (!profile) return at(source, profile.error().message);
    const auto found = profile->find(node.name);
    if (!found && profile->nodes.size() != 1) {
      return at(source, fmt::format("{} knows several nodes, none of them '{}'; write name before profile",
                                    file, node.name));
    }
    const std::string name = node.name;
    node = profile->nodes[found ? *found : 0];
    if (!name.empty()) node.name = name;
    return {};
  }

  Status read_link(const toml::table& table, LinkProfile& link) const {
    for (const auto& [name, value] : table) {
      const std::string_view key = name.str();
      if (key == "bandwidth") {
        DISCO_CHECK(quantity(key, value, parse_bandwidth, link.bytes_per_s));
      } else if (key == "latency") {
        DISCO_CHECK(quantity(key, value, parse_duration, link.latency_s));
      } else if (key == "burst") {
        DISCO_CHECK(quantity(key, value, parse_bytes, link.burst_bytes));
      } else if (key != "from" && key != "to" && key != "both") {
        return at(value.source(), fmt::format("a link has no '{}'; known are from, to, both, bandwidth, "
                                              "latency, burst",
                                              key));
      }
    }
    return {};
  }

  /// [[link]]: from and to one node or "*"; both ways, unless both = false.
  Status read_pair(const toml::table& table) {
    LinkProfile link = profile_.link;
    DISCO_CHECK(read_link(table, link));
    const std::string from = table["from"].value_or(std::string("*"));
    const std::string to = table["to"].value_or(std::string("*"));
    const bool both = table["both"].value_or(true);
    for (const std::string& name : {from, to}) {
      if (name == "*") continue;
      if (const auto index = profile_.find(name); !index) return at(table.source(), index.error().message);
    }
    const auto matches = [](const std::string& pattern, const NodeProfile& node) {
      return pattern == "*" || pattern == node.name;
    };
    for (const NodeProfile& a : profile_.nodes) {
      for (const NodeProfile& b : profile_.nodes) {
        if (a.name == b.name) continue;
        if ((matches(from, a) && matches(to, b)) || (both && matches(from, b) && matches(to, a)))
          profile_.links[{a.name, b.name}] = link;
      }
    }
    return {};
  }

  const std::filesystem::path& path_;
  Profile profile_;
  int cores_ = 0;
};

}  // namespace

Result<Profile> load_profile(const std::filesystem::path& path, const LinkProfile& link) {
  DISCO_TRY(const std::vector<std::byte> bytes, read_file(path));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start != std::string_view::npos && text[start] == '{') {
    auto profile = profile_from_json(text);
    if (!profile) return in_context(path.string(), profile.error());
    return profile;
  }
  return Description(path, link).read(text);
}

}  // namespace disco
