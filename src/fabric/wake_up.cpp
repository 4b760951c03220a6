#include "fabric/wake_up.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace disco {

WakeUp::WakeUp() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
WakeUp::~WakeUp() { ::close(fd_); }

void WakeUp::set() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(fd_, &one, sizeof one);  // fails only where it is set already
}

void WakeUp::clear() const {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = read(fd_, &count, sizeof count);  // fails only where it is clear already
}

int milliseconds_until(std::chrono::steady_clock::time_point deadline) {
  constexpr std::int64_t kHour = 3600 * 1000;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, kHour));
}

}  // namespace disco
