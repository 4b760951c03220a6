#include "cluster/input_mail.h"

#include "graph/bands.h"

namespace disco {

Status InputMail::put(const control::Message& message, control::Reader& reader) {
  DISCO_TRY(const std::uint64_t band, control::number(message, "band", kMostBands));
  DISCO_TRY(NamedTensors tensors, reader.tensors("bands"));
  for (auto& [name, tensor] : tensors) bands_[{name, band}] = std::move(tensor);
  return {};
}

void InputMail::post(control::Message message) {
  const std::lock_guard lock(mutex_);
  // Each holds a band at least.
  if (unread_.size() < kMostBands) unread_.push_back(std::move(message));
}

Result<std::optional<Tensor>> InputMail::take(const std::string& input, std::size_t band) {
  std::vector<control::Message> messages;
  {
    const std::lock_guard lock(mutex_);
    std::swap(messages, unread_);
  }
  for (const control::Message& message : messages) {
    control::Reader reader(message);
    DISCO_CHECK(put(message, reader));
  }
  const auto found = bands_.find({input, band});
  if (found == bands_.end()) return std::optional<Tensor>();
  std::optional<Tensor> tensor = std::move(found->second);
  bands_.erase(found);
  return tensor;
}

}  // namespace disco
