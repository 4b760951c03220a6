#pragma once
// "host:port" as people write it.

#include <string>

#include "base/result.h"

namespace disco {

/// Splits "host:port" ("[::1]:7001" too); InvalidArgument says what is wrong with it.
struct HostPort {
  std::string host;
  int port = 0;
};
[[nodiscard]] Result<HostPort> parse_address(const std::string& address);

}  // namespace disco
