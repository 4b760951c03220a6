#include "train/loader.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/random.h"

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

Result<Truth> Loader::read_varied(std::int64_t index, std::uint64_t seed, at::Tensor input) const {
  const bool varies = options_.augmentation != Augmentation::None;
  const TruthKind kind = set_.truth_kind();
  Truth truth;
  if (kind == TruthKind::None || kind == TruthKind::Class) {
    DISCO_CHECK(set_.read(index, input.data_ptr<float>()));
    if (varies && is_image(input.unsqueeze(0).sizes())) augment(input, options_.augmentation, seed);
    if (set_.label(index) >= 0) truth = set_.label(index);
    return truth;
  }
  // Of samples of several sizes only parts have one.
  const bool whole = !varies && set_.has_one_shape();
  DISCO_TRY(Sample sample, whole ? set_.sample(index) : set_.varied(index, seed));
  if (sample.tensor.shape() != set_.sample_shape()) {
    return error(ErrorCode::InvalidArgument, "{}: sample {} becomes {}, others {}; training takes one size",
                 set_.about(), index, to_string(sample.tensor.shape()), to_string(set_.sample_shape()));
  }
  std::copy_n(sample.tensor.data<float>(), sample.tensor.elements(), input.data_ptr<float>());
  return std::move(sample.truth);
}

Result<std::vector<at::Tensor>> Loader::load_one(std::int64_t index, at::Tensor input) const {
  const std::uint64_t seed =
      mix_seed(options_.seed, static_cast<std::uint64_t>(epoch_) + 2, static_cast<std::uint64_t>(index));
  DISCO_TRY(const Truth truth, read_varied(index, seed, input));
  if (options_.augmentation == Augmentation::Blend) {
    Random random(mix_seed(seed, 1, 0));
    if (is_image(input.unsqueeze(0).sizes()) && random.unit() >= 0.5) {
      at::Tensor other = at::empty_like(input);
      const auto which = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(set_.size())));
      DISCO_TRY([[maybe_unused]] const Truth unused, read_varied(which, random.next(), other));
      blend(input, other, random.next());
    }
    return std::vector<at::Tensor>();  // no truth is one of a mixture
  }
  if (options_.task == nullptr) return std::vector<at::Tensor>();
  auto targets = options_.task->targets(truth);
  if (!targets) return in_context(fmt::format("{}: sample {}", set_.about(), index), targets.error());
  return targets;
}

Result<Batch> Loader::load(std::int64_t step) const {
  const std::int64_t first = (step * options_.ranks + options_.rank) * options_.batch;
  const std::int64_t count = std::max<std::int64_t>(0, std::min(options_.batch, set_.size() - first));
  Batch batch;
  std::vector<std::int64_t> shape = {count};
  shape.insert(shape.end(), set_.sample_shape().begin(), set_.sample_shape().end());
  batch.inputs = at::empty(shape, at::kFloat);
  if (count == 0) return batch;
  std::vector<std::vector<at::Tensor>> targets(static_cast<std::size_t>(count));
  const auto read_some = [&](std::int64_t begin, std::int64_t end) -> Status {
    const at::NoGradGuard no_grad;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t index = order_[static_cast<std::size_t>(first + i)];
      DISCO_TRY(targets[static_cast<std::size_t>(i)], load_one(index, batch.inputs[i]));
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
  for (std::size_t t = 0; t < targets.front().size(); ++t) {
    std::vector<at::Tensor> stacked;
    for (const auto& one : targets) stacked.push_back(one[t]);
    batch.targets.push_back(at::stack(stacked));
  }
  return batch;
}

}  // namespace disco::train
