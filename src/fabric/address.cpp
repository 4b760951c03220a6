#include "fabric/address.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

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

Addresses::~Addresses() {
  if (first != nullptr) freeaddrinfo(first);
}

const char* look_up(const HostPort& address, bool to_listen, Addresses& addresses) {
  std::string host = address.host;
  addrinfo hints{};
  // As with ZeroMQ: brackets say IPv6. A name such as localhost may stand for both, and the other end listens
  // on one.
  hints.ai_family = host.front() == '[' ? AF_INET6 : AF_INET;
  if (host.front() == '[') host = host.substr(1, host.size() - 2);
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (to_listen ? AI_PASSIVE : 0);
  const int failure = getaddrinfo(host == "*" ? nullptr : host.c_str(), std::to_string(address.port).c_str(),
                                  &hints, &addresses.first);
  return failure != 0 ? gai_strerror(failure) : nullptr;
}

bool is_this_machine(const HostPort& address) {
  Addresses addresses;
  // Port 0: whatever is free. Only an address of this machine can be bound to.
  if (look_up({address.host, 0}, /*to_listen=*/false, addresses) != nullptr) return false;
  const int probe = ::socket(addresses.first->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return false;
  const bool bound = ::bind(probe, addresses.first->ai_addr, addresses.first->ai_addrlen) == 0;
  ::close(probe);
  return bound;
}

}  // namespace disco
