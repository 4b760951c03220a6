#pragma once
// Bands of inputs between the thread that hears the coordinator and the one that computes.

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "cluster/control.h"
#include "runtime/executor.h"

namespace disco {

/// The bands of one request's inputs, as messages bring them.
class InputMail final : public InputSource {
 public:
  /// Takes the tensors that `reader` comes to under "bands", as the band that the head names.
  Status put(const control::Message& message, control::Reader& reader);
  /// The same for a whole message, which is read when a band is asked for; callable from any thread.
  void post(control::Message message);

  /// ProtocolMismatch for a message that could not be read.
  Result<std::optional<Tensor>> take(const std::string& input, std::size_t band) override;

 private:
  std::mutex mutex_;
  std::vector<control::Message> unread_;
  std::map<std::pair<std::string, std::size_t>, Tensor> bands_;
};

}  // namespace disco
