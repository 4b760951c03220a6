#pragma once
// Who may come in: libzmq asks for every encrypted connection (ZAP, RFC 27), and without an answer any key
// would do.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "fabric/keys.h"
#include "fabric/membership.h"
#include "fabric/zmq_socket.h"

namespace disco {

/// Says why a key is refused; nothing where it may come in.
using Judge = std::function<std::optional<std::string>(const PublicKey&)>;

/// Only these keys; `whom` names them in refusals: "no member of this cluster".
[[nodiscard]] Judge only(std::vector<PublicKey> keys, std::string whom);
/// The keys of a file (load_authorised), read anew for every connection: what is added or removed there holds
/// for whoever connects from then on. While the file cannot be read, nobody comes in.
[[nodiscard]] Judge only_those_in(std::filesystem::path file);

/// Answers for all encrypted sockets of one context, on a thread of its own that sleeps until it is asked.
/// Without it they let nobody in. Lives shorter than the context.
class Doorman {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Doorman>> start(const ZmqContext& context, Judge judge,
                                                              OnRefusal on_refusal);
  ~Doorman();
  Doorman(const Doorman&) = delete;
  Doorman& operator=(const Doorman&) = delete;

 private:
  Doorman(Judge judge, OnRefusal on_refusal) : judge_(std::move(judge)), on_refusal_(std::move(on_refusal)) {}
  void serve();
  void answer();

  Judge judge_;
  OnRefusal on_refusal_;
  void* socket_ = nullptr;
  WakeUp stop_;
  std::thread thread_;
};

}  // namespace disco
