#include "cluster/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <tuple>
#include <utility>

extern char** environ;

namespace disco {
namespace {

/// How long OpenMP's waiting threads spin: over the gap between two kernels, about 0.1 ms, so that a kernel
/// does not begin by waking a thread, and no longer, since they would take the core from the thread that
/// moves the messages.
const std::vector<std::pair<std::string, std::string>> kShortWaits = {{"OMP_WAIT_POLICY", "passive"},
                                                                      {"GOMP_SPINCOUNT", "10000"}};

/// The environment, with the variables that are missing.
std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& defaults) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  for (const auto& [name, value] : defaults) {
    const std::string start = name + "=";
    if (std::none_of(variables.begin(), variables.end(),
                     [&](const auto& one) { return one.starts_with(start); })) {
      variables.push_back(start + value);
    }
  }
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (std::string& text : texts) {
    list.push_back(text.data());
  }
  list.push_back(nullptr);
  return list;
}

void close_fd(int& fd) {
  if (fd >= 0) {
    ::close(std::exchange(fd, -1));
  }
}

/// The calling thread keeps to some CPUs while it lives; to those that it had where they are none.
class CpuScope {
 public:
  explicit CpuScope(const std::vector<int>& cpus) {
    if (cpus.empty() || sched_getaffinity(0, sizeof before_, &before_) != 0) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int cpu : cpus) CPU_SET(cpu, &set);
    changed_ = sched_setaffinity(0, sizeof set, &set) == 0;
  }
  ~CpuScope() {
    if (changed_) sched_setaffinity(0, sizeof before_, &before_);
  }
  CpuScope(const CpuScope&) = delete;
  CpuScope& operator=(const CpuScope&) = delete;

 private:
  cpu_set_t before_{};
  bool changed_ = false;
};

}  // namespace

void restart_with_short_waits(char** arguments) {
  for (const auto& [name, value] : kShortWaits) {
    if (std::getenv(name.c_str()) != nullptr) return;  // the user's choice, or ours
  }
  std::error_code failure;
  const std::filesystem::path executable = std::filesystem::read_symlink("/proc/self/exe", failure);
  if (failure) return;
  std::vector<std::string> variables = environment_with(kShortWaits);
  execve(executable.c_str(), arguments, pointers(variables).data());
}

Result<NodeProcess> NodeProcess::start(const std::filesystem::path& executable,
                                       const std::vector<std::string>& arguments,
                                       const NodeIdentity& identity, const std::vector<int>& cpus) {
  constexpr int kChildFd = 3;
  NodeProcess process;
  int ends[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return error(ErrorCode::Io, "cannot start a node: {}", std::strerror(errno));
  }
  process.lifeline_ = ends[0];
  process.standard_error_ = memfd_create("node-stderr", MFD_CLOEXEC);

  std::vector<std::string> words = {executable.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  words.insert(words.end(), {"--listen", "127.0.0.1:0", "--parent-fd", std::to_string(kChildFd)});
  if (identity.keys) {
    words.insert(words.end(), {"--parent-keys", "1"});
  }
  std::vector<std::string> variables = environment_with(kShortWaits);

  // All else that this process has open closes on exec; what does not is the user's own, and inherited as
  // usual.
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], kChildFd);
  if (process.standard_error_ >= 0) {
    posix_spawn_file_actions_adddup2(&actions, process.standard_error_, STDERR_FILENO);
  }
  const CpuScope only(cpus);  // what this thread may run on is inherited
  const int failure = posix_spawn(&process.pid_, executable.c_str(), &actions, nullptr,
                                  pointers(words).data(), pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (failure != 0) {
    process.pid_ = -1;
    return error(ErrorCode::Io, "cannot start {}: {}", executable.string(), std::strerror(failure));
  }
  if (identity.keys) {
    // A few bytes, which fit in the socket's buffer. Where the child is gone, address() says so.
    for (const auto part : {identity.keys->secret(), identity.coordinator.bytes()}) {
      std::ignore = ::send(process.lifeline_, part.data(), part.size(), MSG_NOSIGNAL);
    }
  }
  return process;
}

Result<NodeIdentity> identity_from_parent(int parent_fd) {
  std::array<std::uint8_t, 2 * kKeyBytes> bytes{};
  std::size_t done = 0;
  pollfd item{parent_fd, POLLIN, 0};
  while (done < bytes.size()) {
    const int ready = poll(&item, 1, 10'000);
    if (ready < 0 && errno == EINTR) {
      continue;
    }
    const ssize_t size = ready > 0 ? ::read(parent_fd, bytes.data() + done, bytes.size() - done) : 0;
    if (size <= 0) {
      explicit_bzero(bytes.data(), bytes.size());
      return error(ErrorCode::Io, "the starting process sent no keys");
    }
    done += static_cast<std::size_t>(size);
  }
  const std::span<const std::uint8_t, 2 * kKeyBytes> all(bytes);
  auto keys = KeyPair::from_secret(all.first<kKeyBytes>());
  NodeIdentity identity{.coordinator = PublicKey(all.last<kKeyBytes>())};
  explicit_bzero(bytes.data(), bytes.size());
  DISCO_TRY(identity.keys, std::move(keys));
  return identity;
}

NodeProcess& NodeProcess::operator=(NodeProcess&& other) noexcept {
  if (this != &other) {
    end();
    pid_ = std::exchange(other.pid_, -1);
    lifeline_ = std::exchange(other.lifeline_, -1);
    standard_error_ = std::exchange(other.standard_error_, -1);
    fate_ = std::move(other.fate_);
  }
  return *this;
}

Result<std::string> NodeProcess::address(Clock::time_point deadline) {
  std::string line;
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd item{lifeline_, POLLIN, 0};
    const int ready = poll(&item, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000)));
    if (ready < 0 && errno == EINTR) {
      continue;
    }
    if (ready == 0) {
      return error(ErrorCode::Timeout, "process {} did not say where it listens in time", pid_);
    }
    char buffer[256];
    const ssize_t size = ::read(lifeline_, buffer, sizeof buffer);
    if (size <= 0) {
      // It ended; its status is there in a moment.
      for (int i = 0; i < 200 && fate().empty(); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
      return error(ErrorCode::Io, "process {} {} before it could be reached", pid_,
                   fate_.empty() ? "ended" : fate_);
    }
    line.append(buffer, static_cast<std::size_t>(size));
    if (const std::size_t end = line.find('\n'); end != std::string::npos) {
      return line.substr(0, end);
    }
  }
}

std::string NodeProcess::fate() {
  int status = 0;
  if (fate_.empty() && pid_ > 0 && waitpid(pid_, &status, WNOHANG) == pid_) {
    if (WIFSIGNALED(status)) {
      fate_ = fmt::format("was killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else {
      const std::string words = last_words();
      fate_ = fmt::format("ended with status {}{}{}", WEXITSTATUS(status), words.empty() ? "" : ": ", words);
    }
  }
  return fate_;
}

std::string NodeProcess::last_words() const {
  struct stat status {};
  if (standard_error_ < 0 || fstat(standard_error_, &status) != 0) {
    return {};
  }
  char buffer[1024];
  const off_t start = std::max<off_t>(0, status.st_size - static_cast<off_t>(sizeof buffer));
  const ssize_t size = pread(standard_error_, buffer, sizeof buffer, start);
  std::string text(buffer, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) {
    text.pop_back();
  }
  const std::size_t line = text.rfind('\n');
  return line == std::string::npos ? text : text.substr(line + 1);
}

void NodeProcess::end() {
  close_fd(lifeline_);
  if (pid_ > 0 && fate_.empty()) {
    const auto patience = Clock::now() + std::chrono::seconds(2);
    while (fate().empty() && Clock::now() < patience) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    if (fate_.empty()) {
      kill(pid_, SIGKILL);
      int status = 0;
      while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
      }
    }
  }
  pid_ = -1;
  close_fd(standard_error_);
}

}  // namespace disco
