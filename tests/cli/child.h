#pragma once
// The program itself as a child process, with a deadline, in a folder of its own.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

extern char** environ;

namespace disco::test {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

/// How a child ended.
struct Ended {
  int status = -1;    ///< exit status; -1 where a signal ended it
  int signal = 0;     ///< that signal
  bool late = false;  ///< it was killed here, because its time was up
  std::string out;
  std::string err;
};

/// To one process. kill() takes what is no number of one, such as -1, for all of them.
inline void send_signal(pid_t pid, int number) {
  ASSERT_GT(pid, 1);
  ::kill(pid, number);
}

/// A child of this process. Destroying it ends it, by its number.
class Child {
 public:
  /// @param out_file  where standard output goes; into memory where empty
  Child(const std::string& program, std::vector<std::string> arguments, const fs::path& folder,
        const std::string& out_file = "") {
    out_ = out_file.empty() ? memfd_create("out", MFD_CLOEXEC) : ::open(out_file.c_str(), O_RDWR | O_CLOEXEC);
    err_ = memfd_create("err", MFD_CLOEXEC);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out_, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err_, STDERR_FILENO);
    posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
    arguments.insert(arguments.begin(), program);
    std::vector<char*> words;
    for (std::string& argument : arguments) words.push_back(argument.data());
    words.push_back(nullptr);
    if (posix_spawnp(&pid_, program.c_str(), &actions, nullptr, words.data(), environ) != 0) pid_ = -1;
    EXPECT_GT(pid_, 0) << program;
    posix_spawn_file_actions_destroy(&actions);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (!ended_ && pid_ > 0) {
      send_signal(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(out_);
    ::close(err_);
  }

  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int number) const { send_signal(pid_, number); }
  [[nodiscard]] std::string out() const { return content(out_); }
  [[nodiscard]] std::string err() const { return content(err_); }

  /// Waits for its end; kills it when `patience` is over, which no test should need.
  Ended wait(std::chrono::seconds patience = 60s) {
    Ended ended;
    if (pid_ <= 0) return ended;
    int status = 0;
    const auto deadline = steady_clock::now() + patience;
    while (::waitpid(pid_, &status, WNOHANG) == 0) {
      if (steady_clock::now() > deadline) {
        ended.late = true;
        send_signal(pid_, SIGKILL);
        ::waitpid(pid_, &status, 0);
        break;
      }
      std::this_thread::sleep_for(2ms);
    }
    ended_ = true;
    ended.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    ended.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    ended.out = out();
    ended.err = err();
    return ended;
  }

 private:
  static std::string content(int fd) {
    struct stat status {};
    fstat(fd, &status);
    std::string text(static_cast<std::size_t>(std::max<off_t>(status.st_size, 0)), '\0');
    const ssize_t size = pread(fd, text.data(), text.size(), 0);
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    return text;
  }

  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  bool ended_ = false;
};

/// Direct children of a process that still run, oldest first.
inline std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator("/proc", failure)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry.path() / "stat");
    std::string line;
    std::getline(file, line);
    const std::size_t after = line.rfind(')');
    char state = 0;
    int ppid = 0;
    if (after == std::string::npos || std::sscanf(line.c_str() + after + 1, " %c %d", &state, &ppid) != 2)
      continue;
    if (ppid == parent && state != 'Z') children.push_back(std::stoi(name));
  }
  std::sort(children.begin(), children.end());
  return children;
}

/// Whether a process is there and not merely waiting to be reaped.
inline bool is_running(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return false;
  const std::size_t after = line.rfind(')');
  return after != std::string::npos && after + 2 < line.size() && line[after + 2] != 'Z';
}

/// Waits until `condition` holds; false after `patience`.
template <typename Condition>
bool eventually(const Condition& condition, std::chrono::seconds patience = 30s) {
  for (const auto deadline = steady_clock::now() + patience; !condition();) {
    if (steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

/// Whether disco-train lies where the build puts it; it is left out where LibTorch is not installed.
inline bool has_trainer() {
  return fs::exists(fs::path(DISCO_PROGRAM).parent_path() / ".." / "train" / "disco-train");
}

/// A folder that is empty at first and gone in the end, and the program run in it.
class CommandLine : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "disco-cli-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] Ended disco(std::vector<std::string> arguments, const std::string& out_file = "") const {
    return Child(DISCO_PROGRAM, std::move(arguments), folder_, out_file).wait();
  }
  [[nodiscard]] std::set<std::string> files() const {
    std::set<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder_))
      found.insert(entry.path().lexically_relative(folder_).string());
    return found;
  }
  [[nodiscard]] std::string content(const std::string& name) const {
    std::ifstream file(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void put(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
  }

  fs::path folder_;
};

/// The contract of every failure: this exit status, nothing on standard output, and one line on standard
/// error that begins with "disco: " and holds all of `says`.
inline void expect_complaint(const Ended& ended, int status, const std::vector<std::string>& says,
                             const std::string& what) {
  EXPECT_FALSE(ended.late) << what << ": did not end";
  EXPECT_EQ(ended.signal, 0) << what << ": " << strsignal(ended.signal) << "\n" << ended.err;
  EXPECT_EQ(ended.status, status) << what << ": " << ended.err;
  EXPECT_EQ(ended.out, "") << what;
  EXPECT_TRUE(ended.err.starts_with("disco: ")) << what << ": " << ended.err;
  EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << what << ": " << ended.err;
  EXPECT_TRUE(ended.err.ends_with("\n")) << what << ": " << ended.err;
  for (const std::string& part : says)
    EXPECT_NE(ended.err.find(part), std::string::npos) << what << ": no \"" << part << "\" in: " << ended.err;
}

}  // namespace disco::test
