#include "train/loader.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>

namespace disco::train {

Loader::Loader(const DataSet& set, const LoaderOptions& options) : set_(set), options_(options) {
  const std::int64_t whole = options_.batch * options_.ranks;
  steps_ = options_.drop_last ? set.size() / whole : (set.size() + whole - 1) / whole;
}

Loader::~Loader() {
  if (ahead_.valid()) ahead_.wait();  // it reads this object
}

void Loader::start(std::int64_t epoch, std::int64_t step) {
  if (ahead_.valid()) ahead_.wait();
  epoch_ = epoch;
  step_ = step;
  if (options_.shuffle) {
    order_ = shuffled(set_.size(), mix_seed(options_.seed, 1, static_cast<std::uint64_t>(epoch)));
  } else {
    order_.resize(static_cast<std::size_t>(set_.size()));
    std::iota(order_.begin(), order_.end(), 0);
  }
  prefetch();
}

void Loader::prefetch() {
  ahead_ = {};
  if (step_ < steps_) ahead_ = std::async(std::launch::async, [this, step = step_] { return load(step); });
}

Result<Batch> Loader::next() {
  if (!ahead_.valid()) return error(ErrorCode::Internal, "no batch is left in this epoch");
  Result<Batch> batch = ahead_.get();
  ++step_;
  prefetch();
  return batch;
}

Result<Batch> Loader::load(std::int64_t step) const {
  const std::int64_t first = (step * options_.ranks + options_.rank) * options_.batch;
  const std::int64_t count = std::min(options_.batch, set_.size() - first);
  Batch batch;
  std::vector<std::int64_t> shape = {std::max<std::int64_t>(count, 0)};
  shape.insert(shape.end(), set_.sample_shape().begin(), set_.sample_shape().end());
  batch.inputs = at::empty(shape, at::kFloat);
  batch.labels = at::full({shape[0]}, -1, at::kLong);
  if (count <= 0) return batch;
  const bool images = options_.augmentation != Augmentation::None && is_image(batch.inputs.sizes());
  const std::int64_t stride = batch.inputs.stride(0);
  const auto read_some = [&](std::int64_t begin, std::int64_t end) -> Status {
    const at::NoGradGuard no_grad;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t index = order_[static_cast<std::size_t>(first + i)];
      DISCO_CHECK(set_.read(index, batch.inputs.data_ptr<float>() + i * stride));
      batch.labels.data_ptr<std::int64_t>()[i] = set_.label(index);
      if (images) {
        augment(batch.inputs[i], options_.augmentation,
                mix_seed(options_.seed, static_cast<std::uint64_t>(epoch_) + 2,
                         static_cast<std::uint64_t>(index)));
      }
    }
    return {};
  };
  const std::int64_t parts = std::clamp<std::int64_t>(options_.threads, 1, count);
  std::vector<std::future<Status>> others;
  for (std::int64_t p = 1; p < parts; ++p) {
    others.push_back(std::async(std::launch::async, read_some, count * p / parts, count * (p + 1) / parts));
  }
  Status status = read_some(0, count / parts);
  for (auto& other : others) {
    Status theirs = other.get();
    if (status.ok()) status = std::move(theirs);
  }
  DISCO_CHECK(status);
  return batch;
}

}  // namespace disco::train
