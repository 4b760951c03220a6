#pragma once
// A TCP proxy on the loopback interface that keeps a copy of all that passes.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fabric/zmq_socket.h"

namespace disco::testing {

class RecordingProxy {
 public:
  /// @param target  "127.0.0.1:port"
  explicit RecordingProxy(const std::string& target) : target_(parse_address(target)->port) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in here = loopback(0);
    socklen_t size = sizeof here;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&here), sizeof here), 0);
    EXPECT_EQ(listen(listener_, 16), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&here), &size), 0);
    address = "127.0.0.1:" + std::to_string(ntohs(here.sin_port));
    thread_ = std::thread([this] { forward(); });
  }
  ~RecordingProxy() {
    stop_.set();
    thread_.join();
    for (const int fd : ends_) ::close(fd);
    ::close(listener_);
  }
  RecordingProxy(const RecordingProxy&) = delete;
  RecordingProxy& operator=(const RecordingProxy&) = delete;

  /// All bytes of both directions so far, in the order in which they passed.
  [[nodiscard]] std::string recorded() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }
  std::string address;

 private:
  static sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  void forward() {
    while (true) {
      std::vector<pollfd> items = {{stop_.fd(), POLLIN, 0}, {listener_, POLLIN, 0}};
      for (const int fd : ends_) items.push_back({fd, POLLIN, 0});
      poll(items.data(), items.size(), -1);
      if (items[0].revents != 0) return;
      for (std::size_t i = 2; i < items.size(); ++i) {
        if (items[i].revents == 0) continue;
        char buffer[65536];
        const ssize_t size = ::read(items[i].fd, buffer, sizeof buffer);
        const int other = ends_[(i - 2) ^ 1];  // ends are there in pairs
        if (size <= 0) {
          shutdown(other, SHUT_RDWR);
          shutdown(items[i].fd, SHUT_RDWR);
          ends_[i - 2] = -1;
          ::close(items[i].fd);
          continue;
        }
        {
          const std::lock_guard lock(mutex_);  // before it is sent on: who gets it may look at once
          bytes_.append(buffer, static_cast<std::size_t>(size));
        }
        for (ssize_t done = 0; done < size;) {
          const ssize_t sent =
              ::send(other, buffer + done, static_cast<std::size_t>(size - done), MSG_NOSIGNAL);
          if (sent <= 0) break;
          done += sent;
        }
      }
      if (items[1].revents != 0) {
        const int in = accept(listener_, nullptr, nullptr);
        const int out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const sockaddr_in to = loopback(target_);
        if (connect(out, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) shutdown(in, SHUT_RDWR);
        ends_.push_back(in);
        ends_.push_back(out);
      }
    }
  }

  int target_;
  int listener_ = -1;
  std::vector<int> ends_;
  WakeUp stop_;
  mutable std::mutex mutex_;
  std::string bytes_;
  std::thread thread_;
};

}  // namespace disco::testing
