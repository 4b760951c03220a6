#pragma once
// "host:port" as people write it.

#include <netdb.h>

#include <string>

#include "base/result.h"

namespace disco {

/// Splits "host:port" ("[::1]:7001" too); InvalidArgument says what is wrong with it.
struct HostPort {
  std::string host;
  int port = 0;
};
[[nodiscard]] Result<HostPort> parse_address(const std::string& address);

/// What getaddrinfo gives for an address.
struct Addresses {
  addrinfo* first = nullptr;
  Addresses() = default;
  Addresses(const Addresses&) = delete;
  Addresses& operator=(const Addresses&) = delete;
  ~Addresses();
};
/// @return what getaddrinfo says is wrong, or nullptr
[[nodiscard]] const char* look_up(const HostPort& address, bool to_listen, Addresses& addresses);

/// Whether a host is this machine, by its addresses.
[[nodiscard]] bool is_this_machine(const HostPort& address);

}  // namespace disco
