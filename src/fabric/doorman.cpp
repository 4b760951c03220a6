#include "fabric/doorman.h"

#include <poll.h>
#include <zmq.h>

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

namespace disco {

Judge only(std::vector<PublicKey> keys, std::string whom) {
  std::sort(keys.begin(), keys.end());
  return [keys = std::move(keys), whom = std::move(whom)](const PublicKey& key) {
    return std::binary_search(keys.begin(), keys.end(), key)
               ? std::nullopt
               : std::optional(fmt::format("its key {} is {}", key.text(), whom));
  };
}

Judge only_those_in(std::filesystem::path file) {
  return [file = std::move(file)](const PublicKey& key) -> std::optional<std::string> {
    const auto keys = load_authorised(file);
    if (!keys) return keys.error().message;
    if (std::find(keys->begin(), keys->end(), key) != keys->end()) return std::nullopt;
    return fmt::format("its key {} is not in {}; to let it in, add it there", key.text(), file.string());
  };
}

Result<std::unique_ptr<Doorman>> Doorman::start(const ZmqContext& context, Judge judge,
                                                OnRefusal on_refusal) {
  std::unique_ptr<Doorman> doorman(new Doorman(std::move(judge), std::move(on_refusal)));
  doorman->socket_ = zmq_socket(context.get(), ZMQ_REP);
  const int linger = 0;
  if (doorman->socket_ == nullptr ||
      zmq_setsockopt(doorman->socket_, ZMQ_LINGER, &linger, sizeof linger) != 0 ||
      zmq_bind(doorman->socket_, "inproc://zeromq.zap.01") != 0) {
    return error(ErrorCode::Io, "cannot watch who connects: {}", zmq_strerror(zmq_errno()));
  }
  doorman->thread_ = std::thread([door = doorman.get()] { door->serve(); });
  return doorman;
}

Doorman::~Doorman() {
  stop_.set();
  if (thread_.joinable()) thread_.join();
  if (socket_ != nullptr) zmq_close(socket_);
}

void Doorman::serve() {
  while (true) {
    std::array<zmq_pollitem_t, 2> items = {
        {{socket_, 0, ZMQ_POLLIN, 0}, {nullptr, stop_.fd(), ZMQ_POLLIN, 0}}};
    if (zmq_poll(items.data(), static_cast<int>(items.size()), -1) < 0 && zmq_errno() != EINTR) return;
    if (items[1].revents != 0) return;
    if (items[0].revents != 0) answer();
  }
}

void Doorman::answer() {
  // Version, request id, domain, address, routing id, mechanism, key.
  std::vector<ZmqFrame> question;
  while (true) {
    ZmqFrame frame;
    if (zmq_msg_recv(frame.get(), socket_, ZMQ_DONTWAIT) < 0) {
      if (zmq_errno() == EINTR) continue;
      return;
    }
    const bool more = zmq_msg_more(frame.get()) != 0;
    question.push_back(std::move(frame));
    if (!more) break;
  }
  std::optional<std::string> why = "it did not show a key";
  std::string user;
  if (question.size() == 7 && question[5].text() == "CURVE" && question[6].bytes().size() == kKeyBytes) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(question[6].bytes().data());
    const PublicKey key{std::span<const std::uint8_t, kKeyBytes>(bytes, kKeyBytes)};
    user = key.text();
    try {
      why = judge_(key);
    } catch (const std::exception& failure) {
      why = failure.what();
    }
  }
  if (why && on_refusal_) {
    on_refusal_(fmt::format("refused {}: {}",
                            question.size() > 3 ? as_one_line(question[3].text()) : "a connection", *why));
  }
  const std::string id = question.size() > 1 ? question[1].text() : "";
  const std::array<std::string, 6> reply = {"1.0", id, why ? "400" : "200", why ? "refused" : "", user, ""};
  for (std::size_t i = 0; i < reply.size(); ++i) {
    zmq_send(socket_, reply[i].data(), reply[i].size(), i + 1 < reply.size() ? ZMQ_SNDMORE : 0);
  }
}

}  // namespace disco
