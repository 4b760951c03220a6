#include "fabric/address.h"

#include <charconv>
#include <system_error>

namespace disco {

Result<HostPort> parse_address(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  HostPort parsed;
  if (colon != std::string::npos && colon > 0) {
    parsed.host = address.substr(0, colon);
    const char* end = address.data() + address.size();
    const auto [stop, failure] = std::from_chars(address.data() + colon + 1, end, parsed.port);
    const bool plain = parsed.host.find(':') == std::string::npos || parsed.host.front() == '[';
    if (failure == std::errc() && stop == end && parsed.port >= 0 && parsed.port <= 65535 && plain) {
      return parsed;
    }
  }
  return error(ErrorCode::InvalidArgument, "'{}' is not an address; write HOST:PORT, e.g. 10.0.0.7:7001",
               address);
}

}  // namespace disco
