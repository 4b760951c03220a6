#pragma once
// The coordinator's links to its nodes: every node is asked the same thing, and what each makes of it is
// heard.

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/control.h"
#include "fabric/zmq_socket.h"

namespace disco {

/// Nanoseconds of Clock since its beginning.
[[nodiscard]] std::int64_t now_ns();

/// Not synchronised. Ranks count from 0 in the order of open().
class NodeLinks {
 public:
  /// What messages say of a node.
  struct About {
    std::function<std::string(std::size_t rank)> describe;  ///< "node 1 (pi2, 10.0.0.8:7001)"
    std::function<std::string(std::size_t rank)> fate;      ///< "; it was killed by signal 9", or nothing
    std::function<Error(std::size_t rank, const Error& word)>
        said_by;  ///< its word, as this end passes it on
  };

  /// What one node made of one question.
  struct Answer {
    std::uint64_t expected = 0;  ///< the reply's id
    std::optional<control::Message> reply;
    std::int64_t reply_ns = 0;  ///< when it came
    std::optional<Error> fault;
    bool fault_is_its_word = false;  ///< it said so itself
    bool after_cancel = false;
    std::size_t order = 0;
    [[nodiscard]] bool waits() const { return !reply && !fault; }
  };

  /// The same question to every node, and their answers.
  struct Question {
    std::string op;
    Clock::time_point start = Clock::now();
    std::int64_t start_ns = now_ns();
    Clock::time_point end;
    std::vector<Answer> answers;  ///< by rank
    std::size_t answered = 0;
    std::optional<Clock::time_point> failed;
    bool cancelled = false;
    /// Whether nodes may wait for one that failed, so that they must be told.
    [[nodiscard]] bool together() const { return op == "run" || op == "join"; }
  };

  /// Completes a rank's request.
  using Fill = std::function<Status(std::size_t rank, control::Message& message)>;
  /// Completes message `count` (1, 2 …) of those that follow a rank's request under its id; false where there
  /// is none.
  using Rest = std::function<bool(std::size_t rank, std::size_t count, control::Message& message)>;

  NodeLinks(About about, KeyPair::Shared keys) : about_(std::move(about)), keys_(std::move(keys)) {}

  /// Adds the next rank. `key` is the node's, where links are encrypted.
  Status open(const std::string& address, const ZmqSocketOptions& options, std::optional<PublicKey> key);
  [[nodiscard]] std::size_t size() const { return links_.size(); }
  [[nodiscard]] const std::string& address(std::size_t rank) const { return links_[rank].address; }
  /// Closes all links. The nodes are told to unload where they live on.
  void close(bool live_on);

  /// Asks and waits for all answers. Where one fails, the others have a moment to say what they see; then
  /// they are told to stop, and have half a second to do so.
  ///
  /// @return the question with a reply of every node, or what verdict() says
  Result<std::shared_ptr<Question>> ask(std::string_view op, const Fill& fill,
                                        std::chrono::milliseconds time);

  // ---- several questions at a time ----
  /// Sends the question off, the last rank's first: the first node is often on the coordinator's machine, and
  /// takes the core from it as soon as it is asked. It is open as long as somebody holds it.
  /// @param rest  what follows each request, of operation "input"
  Result<std::shared_ptr<Question>> post(std::string_view op, const Fill& fill,
                                         std::chrono::milliseconds time, const Rest& rest = nullptr);
  /// Takes in what came. Whether anything did.
  bool pump();
  /// Whether nothing more is to be waited for. Tells the nodes to stop where one failed a moment ago.
  bool is_settled(Question& question);
  /// When is_settled() may have changed its mind although nothing came.
  [[nodiscard]] static Clock::time_point when_to_look(const Question& question);
  /// Until something comes, or the deadline.
  void wait(Clock::time_point deadline);
  /// The error that says most: what a node says of one that is silent or gone; then the first that one says
  /// of itself; then who is silent.
  [[nodiscard]] Status verdict(const Question& question) const;

 private:
  struct Link {
    std::string address;
    ZmqSocket socket;
    HandshakeVerdict handshakes;
    bool met = false;  // it has answered once: the end of its connection is its end
    bool lost = false;
  };

  bool pump(std::size_t rank);
  void hear(std::size_t rank, std::vector<ZmqFrame> frames);
  std::shared_ptr<Question> find_open(std::size_t rank, std::uint64_t id);
  static void set_fault(Question& question, std::size_t rank, Error fault, bool its_word);
  void set_lost(Question& question, std::size_t rank) const;
  void tell_to_stop();

  About about_;
  KeyPair::Shared keys_;
  ZmqContext context_;
  std::vector<Link> links_;                    // by rank
  std::vector<std::weak_ptr<Question>> open_;  // oldest first
  std::uint64_t id_ = 0;
};

}  // namespace disco
