#include <toml++/toml.h>

#include <cmath>
#include <set>

#include "base/file.h"
#include "cluster/cluster.h"
#include "fabric/keys.h"
#include "fabric/zmq_socket.h"

namespace disco {
namespace {

Error at_line(const std::filesystem::path& path, const toml::source_region& source, std::string_view what) {
  return error(ErrorCode::InvalidArgument, "{}:{}: {}", path.string(), source.begin.line, what);
}

Result<NodeConfig> read_node(const std::filesystem::path& path, const toml::table& table) {
  NodeConfig node;
  for (const auto& [key, value] : table) {
    if (key == "address" && value.is_string()) {
      node.address = **value.as_string();
    } else if (key == "name" && value.is_string()) {
      node.name = **value.as_string();
    } else if (key == "public_key" && value.is_string()) {
      node.public_key = **value.as_string();
    } else if (key == "share" && value.is_number()) {
      node.share =
          value.is_integer() ? static_cast<double>(**value.as_integer()) : **value.as_floating_point();
    } else if (key == "threads" && value.is_integer() && **value.as_integer() >= 0 &&
               **value.as_integer() <= 1024) {
      node.threads = static_cast<int>(**value.as_integer());
    } else {
      const bool known =
          key == "address" || key == "name" || key == "share" || key == "threads" || key == "public_key";
      return at_line(
          path, value.source(),
          known ? fmt::format("'{}' cannot be that; address, name and public_key are texts, share a positive "
                              "number, threads a number from 0 to 1024",
                              key.str())
                : fmt::format("a node has no '{}'; known are address, name, share, threads and public_key",
                              key.str()));
    }
  }
  if (node.address.empty()) {
    return at_line(path, table.source(), "a node without an address; write address = \"10.0.0.7:7001\"");
  }
  if (const auto parsed = parse_address(node.address); !parsed) {
    return at_line(path, table["address"].node()->source(), parsed.error().message);
  }
  if (!node.public_key.empty()) {
    if (const auto parsed = PublicKey::parse(node.public_key); !parsed) {
      return at_line(path, table["public_key"].node()->source(), parsed.error().message);
    }
  }
  if (!std::isfinite(node.share) || node.share <= 0) {
    return at_line(path, table["share"].node()->source(), "a share must be positive");
  }
  return node;
}

}  // namespace

Result<std::vector<NodeConfig>> load_cluster_file(const std::filesystem::path& path) {
  DISCO_TRY(const std::vector<std::byte> bytes, read_file(path));
  toml::table root;
  try {
    root = toml::parse(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
                       path.string());
  } catch (const toml::parse_error& failure) {
    std::string line(failure.description());
    std::replace(line.begin(), line.end(), '\n', ' ');
    return at_line(path, failure.source(), line);
  }
  for (const auto& [key, value] : root) {
    if (key != "node" || !value.is_array_of_tables()) {
      return at_line(path, value.source(),
                     fmt::format("'{}' is not known here; a cluster file holds [[node]] tables", key.str()));
    }
  }
  std::vector<NodeConfig> nodes;
  std::set<std::string> addresses;
  std::set<std::string> public_keys;
  if (const toml::array* list = root["node"].as_array()) {
    for (const toml::node& item : *list) {
      DISCO_TRY(NodeConfig node, read_node(path, *item.as_table()));
      if (!addresses.insert(node.address).second) {
        return at_line(path, item.source(), fmt::format("the address {} is there twice", node.address));
      }
      if (!node.public_key.empty() && !public_keys.insert(node.public_key).second) {
        return at_line(path, item.source(),
                       "this public key is there twice; every node has a key of its own");
      }
      nodes.push_back(std::move(node));
    }
  }
  if (nodes.empty()) {
    return error(ErrorCode::InvalidArgument, "{}:1: no [[node]] in this cluster file", path.string());
  }
  return nodes;
}

}  // namespace disco
