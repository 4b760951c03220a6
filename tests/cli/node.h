#pragma once
// A node as a child process, for tests of the program.

#include "child.h"

namespace disco::test {

/// `disco node` on a free port.
class Node {
 public:
  explicit Node(const fs::path& folder, std::vector<std::string> more = {})
      : child_(DISCO_PROGRAM, arguments(std::move(more)), folder) {
    const std::string words = "listening on ";
    eventually([&] { return child_.out().find('\n') != std::string::npos || !is_running(child_.pid()); });
    const std::string line = child_.out();
    const std::size_t at = line.find(words);
    EXPECT_NE(at, std::string::npos) << line << child_.err();
    if (at != std::string::npos)
      address_ = line.substr(at + words.size(), line.find('\n') - at - words.size());
  }
  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] Child& child() { return child_; }

 private:
  static std::vector<std::string> arguments(std::vector<std::string> more) {
    more.insert(more.begin(), {"node", "--listen", "127.0.0.1:0"});
    return more;
  }
  Child child_;
  std::string address_;
};

}  // namespace disco::test
