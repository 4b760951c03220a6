#include "cluster/node_links.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace disco {

namespace {

using control::Message;
using std::chrono::milliseconds;

/// How long the others may say what they see after one failed, and how long they may take to stop.
constexpr milliseconds kMoment{100};
constexpr milliseconds kStopping{500};

double seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
}

Status NodeLinks::open(const std::string& address, const ZmqSocketOptions& options,
                       std::optional<PublicKey> key) {
  Link link;
  link.address = address;
  DISCO_TRY(link.socket, ZmqSocket::open(context_, ZMQ_DEALER, options, std::move(key)));
  DISCO_CHECK(link.socket.connect(address));
  links_.push_back(std::move(link));
  return {};
}

void NodeLinks::close(bool live_on) {
  for (Link& link : links_) {
    if (link.socket.is_open() && live_on) {
      std::vector<ZmqFrame> frames = control::encode(control::request("unload", ++id_));
      std::ignore = link.socket.send(frames);
    } else {
      link.socket.set_linger(milliseconds(0));
    }
  }
  links_.clear();
  open_.clear();
}

Result<std::shared_ptr<NodeLinks::Question>> NodeLinks::ask(std::string_view op, const Fill& fill,
                                                            milliseconds time) {
  DISCO_TRY(std::shared_ptr<Question> question, post(op, fill, time));
  while (true) {
    const bool any = pump();
    if (is_settled(*question)) {
      DISCO_CHECK(verdict(*question));
      return question;
    }
    if (!any) {
      wait(when_to_look(*question));
    }
  }
}

Result<std::shared_ptr<NodeLinks::Question>> NodeLinks::post(std::string_view op, const Fill& fill,
                                                             milliseconds time, const Rest& rest) {
  auto question = std::make_shared<Question>();
  question->op = op;
  question->answers.resize(links_.size());
  for (std::size_t rank = links_.size(); rank-- > 0;) {
    Link& link = links_[rank];
    question->answers[rank].expected = ++id_;
    Message message = control::request(op, id_);
    DISCO_CHECK(fill(rank, message));
    std::vector<ZmqFrame> frames = control::encode(std::move(message));
    if (link.lost || !link.socket.send(frames)) {
      link.lost = true;
      set_lost(*question, rank);
    }
    for (std::size_t count = 1; rest && !link.lost; ++count) {
      Message more = control::request("input", question->answers[rank].expected);
      if (!rest(rank, count, more)) break;
      std::vector<ZmqFrame> parts = control::encode(std::move(more));
      std::ignore = link.socket.send(parts);  // whoever is gone is heard of by the question
    }
  }
  question->end = Clock::now() + time;
  std::erase_if(open_, [](const auto& other) { return other.expired(); });
  open_.push_back(question);
  return question;
}

bool NodeLinks::pump() {
  bool any = false;
  for (std::size_t rank = 0; rank < links_.size(); ++rank) {
    any |= pump(rank);
  }
  return any;
}

bool NodeLinks::pump(std::size_t rank) {
  Link& link = links_[rank];
  if (!link.socket.is_open()) {
    return false;
  }
  const ZmqEvents events = link.socket.events();
  const bool ended = !events.disconnected.empty();
  bool any = ended;
  if (!link.met) {
    if (const auto question = find_open(rank, 0)) {
      if (const auto why = link.handshakes.take(events, keys_)) {
        set_fault(*question, rank, error(ErrorCode::ProtocolMismatch, "{} {}", about_.describe(rank), *why),
                  false);
        return true;
      }
    }
  }
  // So many at a time that deadlines are looked at, however fast a node sends.
  std::optional<std::vector<ZmqFrame>> frames;
  for (int i = 0; i < 256 && (frames = link.socket.receive()); ++i) {
    any = true;
    hear(rank, std::move(*frames));
  }
  if (ended && link.met) {
    link.lost = true;
    link.socket.set_linger(milliseconds(0));
    link.socket.close();
    for (const auto& open : open_) {
      if (const auto question = open.lock()) {
        set_lost(*question, rank);
      }
    }
  }
  return any;
}

void NodeLinks::hear(std::size_t rank, std::vector<ZmqFrame> frames) {
  auto message = control::decode(std::move(frames));
  const auto id = message ? control::number(*message, "id", std::numeric_limits<std::uint64_t>::max())
                          : Result<std::uint64_t>(0);
  const std::shared_ptr<Question> question = find_open(rank, *id);
  if (question == nullptr) {
    return;
  }
  if (!message) {
    set_fault(*question, rank, in_context(about_.describe(rank), message.error()), false);
    return;
  }
  Answer& answer = question->answers[rank];
  links_[rank].met = true;
  answer.reply_ns = now_ns();
  answer.after_cancel = question->cancelled;
  if (auto fault = control::error_of(*message)) {
    set_fault(*question, rank, std::move(*fault), true);
  } else {
    answer.reply = std::move(*message);
  }
}

/// The open question whose answer of `rank` has this id. Id 0, of one who could not read the request and so
/// not its id, is taken for the oldest's.
std::shared_ptr<NodeLinks::Question> NodeLinks::find_open(std::size_t rank, std::uint64_t id) {
  for (const auto& open : open_) {
    auto question = open.lock();
    if (question == nullptr) {
      continue;
    }
    const Answer& answer = question->answers[rank];
    if (answer.waits() && (answer.expected == id || id == 0)) {
      return question;
    }
  }
  return nullptr;
}

bool NodeLinks::is_settled(Question& question) {
  const Clock::time_point now = Clock::now();
  const auto& answers = question.answers;
  const bool waiting = std::any_of(answers.begin(), answers.end(), [](const Answer& a) { return a.waits(); });
  if (!question.failed && std::any_of(answers.begin(), answers.end(),
                                      [](const Answer& answer) { return answer.fault.has_value(); })) {
    question.failed = now;
  }
  if (!waiting || (!question.failed && now >= question.end) ||
      (question.failed && now >= *question.failed + kMoment + kStopping)) {
    return true;
  }
  if (question.failed && !question.cancelled && now >= *question.failed + kMoment) {
    question.cancelled = true;
    if (!question.together()) {
      return true;
    }
    tell_to_stop();
  }
  return false;
}

Clock::time_point NodeLinks::when_to_look(const Question& question) {
  return !question.failed ? question.end
                          : *question.failed + kMoment + (question.cancelled ? kStopping : milliseconds(0));
}

void NodeLinks::set_fault(Question& question, std::size_t rank, Error fault, bool its_word) {
  Answer& answer = question.answers[rank];
  answer.fault = std::move(fault);
  answer.fault_is_its_word = its_word;
  answer.order = question.answered++;
}

void NodeLinks::set_lost(Question& question, std::size_t rank) const {
  if (question.answers[rank].waits()) {
    set_fault(question, rank,
              error(ErrorCode::PeerLost, "{} went away{}", about_.describe(rank), about_.fate(rank)), false);
  }
}

void NodeLinks::tell_to_stop() {
  for (Link& link : links_) {
    if (!link.lost && link.socket.is_open()) {
      Message message = control::request("cancel", ++id_);
      message.head["reason"] = "the coordinator cancelled the request";
      std::vector<ZmqFrame> frames = control::encode(std::move(message));
      std::ignore = link.socket.send(frames);
    }
  }
}

void NodeLinks::wait(Clock::time_point deadline) {
  std::vector<const ZmqSocket*> sockets;
  for (const Link& link : links_) {
    sockets.push_back(&link.socket);
  }
  zmq_wait(sockets, {}, deadline);
}

Status NodeLinks::verdict(const Question& question) const {
  std::vector<std::size_t> complaints;  // ranks, in the order of what they said
  std::vector<std::size_t> silent;
  for (std::size_t rank = 0; rank < question.answers.size(); ++rank) {
    const Answer& answer = question.answers[rank];
    if (answer.fault && answer.fault_is_its_word) {
      if (!answer.after_cancel) {
        complaints.push_back(rank);
      }
    } else if (!answer.reply) {
      silent.push_back(rank);
    }
  }
  std::sort(complaints.begin(), complaints.end(), [&](std::size_t a, std::size_t b) {
    return question.answers[a].order < question.answers[b].order;
  });
  for (const std::size_t rank : complaints) {
    for (const std::size_t quiet : silent) {
      const Error& word = *question.answers[rank].fault;
      if (word.message.starts_with(about_.describe(quiet))) {
        return error(word.code, "{}{}", about_.said_by(rank, word).message, about_.fate(quiet));
      }
    }
  }
  if (!complaints.empty()) {
    return about_.said_by(complaints.front(), *question.answers[complaints.front()].fault);
  }
  for (const std::size_t rank : silent) {
    if (question.answers[rank].fault) {
      return *question.answers[rank].fault;
    }
  }
  if (!silent.empty()) {
    return error(ErrorCode::Timeout, "{} did not answer '{}' within {:.1f} s; is it running and reachable?",
                 about_.describe(silent.front()), question.op, seconds(Clock::now() - question.start));
  }
  for (const Answer& answer : question.answers) {
    if (answer.fault) {
      return *answer.fault;
    }
  }
  return {};
}

}  // namespace disco
