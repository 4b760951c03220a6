#pragma once
// Wakes a thread that sleeps in poll().

#include <chrono>

namespace disco {

/// An eventfd. `set` may be called from any thread.
class WakeUp {
 public:
  WakeUp();
  ~WakeUp();
  WakeUp(const WakeUp&) = delete;
  WakeUp& operator=(const WakeUp&) = delete;
  void set() const;
  void clear() const;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

/// A deadline as poll() takes it; an hour where it is further away, 0 where it has passed.
[[nodiscard]] int milliseconds_until(std::chrono::steady_clock::time_point deadline);

}  // namespace disco
