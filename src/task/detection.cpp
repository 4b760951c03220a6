#include "task/detection.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "task/boxes.h"

namespace disco {

namespace {

/// Of a class, by score; the rest has no chance to be among the best of all (SSD's own number is 400).
constexpr std::size_t kLeastCandidates = 400;

struct Candidate {
  float score = 0;
  std::size_t prior = 0;
};

/// Probabilities of one prior's scores, in place.
void activate(std::span<float> scores, ScoreActivation activation) {
  switch (activation) {
    case ScoreActivation::None: return;
    case ScoreActivation::Sigmoid:
      for (float& score : scores) score = 1.0F / (1.0F + std::exp(-score));
      return;
    case ScoreActivation::Softmax: {
      const float highest = *std::max_element(scores.begin(), scores.end());
      float sum = 0;
      for (float& score : scores) sum += score = std::exp(score - highest);
      for (float& score : scores) score /= sum;
      return;
    }
  }
}

/// What one output says of a sample: rows of numbers, one for each box.
struct Rows {
  std::span<const float> numbers;
  std::size_t count = 0, width = 0;
  [[nodiscard]] std::span<const float> row(std::size_t i) const { return numbers.subspan(i * width, width); }
};

Result<Rows> rows_of(const NamedTensors& outputs, const std::string& name, std::int64_t sample,
                     std::int64_t batch) {
  const auto found = outputs.find(name);
  if (found == outputs.end()) return error(ErrorCode::InvalidModel, "the model gave no output '{}'", name);
  const Tensor& tensor = found->second;
  const Shape& shape = tensor.shape();
  if (shape.size() != 3 || shape[0] != batch || shape[2] < 1) {
    return error(ErrorCode::InvalidModel, "output '{}' is {}, not [{}, boxes, numbers]", name,
                 to_string(shape), batch);
  }
  if (tensor.type() != DataType::Float32)
    return error(ErrorCode::Unsupported, "output '{}' is {}, not float32", name, to_string(tensor.type()));
  const std::int64_t size = shape[1] * shape[2];
  return Rows{std::span(tensor.data<float>() + sample * size, static_cast<std::size_t>(size)),
              static_cast<std::size_t>(shape[1]), static_cast<std::size_t>(shape[2])};
}

/// A box as shares of the image.
Box decoded(std::span<const float, 4> numbers, const CentredBox* prior, const DetectorHead& head) {
  switch (head.code) {
    case BoxCode::Offsets: return box_from(numbers, *prior, head);
    case BoxCode::Corners: return {numbers[0], numbers[1], numbers[2], numbers[3]};
    case BoxCode::Centres: return corners_of({numbers[0], numbers[1], numbers[2], numbers[3]});
  }
  return {};
}

Box on_image(const Box& box, int height, int width) {
  return {std::clamp(box.left * width, 0.0, width + 0.0), std::clamp(box.top * height, 0.0, height + 0.0),
          std::clamp(box.right * width, 0.0, width + 0.0),
          std::clamp(box.bottom * height, 0.0, height + 0.0)};
}

bool is_better(const Found& a, const Found& b) { return a.score > b.score; }

}  // namespace

Result<Detections> read_detections(const Task& task, const NamedTensors& outputs, std::int64_t sample,
                                   std::int64_t batch, int height, int width) {
  const DetectorHead& head = task.head.value();
  const std::vector<CentredBox> priors = priors_of(head);
  DISCO_TRY(const Rows scores, rows_of(outputs, task.output, sample, batch));
  DISCO_TRY(const Rows places, rows_of(outputs, task.boxes, sample, batch));
  const bool offsets = head.code == BoxCode::Offsets;
  if (places.width != 4 || places.count != scores.count || (offsets && scores.count != priors.size())) {
    return error(
        ErrorCode::InvalidModel,
        "outputs '{}' and '{}' have {} rows of scores and {} rows of {} numbers; a detector has four "
        "numbers a box{}",
        task.output, task.boxes, scores.count, places.count, places.width,
        offsets ? fmt::format(", and this one {} boxes", priors.size()) : "");
  }
  const std::size_t columns = scores.width;

  std::vector<std::vector<Candidate>> candidates(columns);
  std::vector<float> row(columns);
  for (std::size_t p = 0; p < scores.count; ++p) {
    std::ranges::copy(scores.row(p), row.begin());
    activate(row, head.activation);
    for (std::size_t c = 0; c < columns; ++c) {
      // Not "at least": the least may be 0. NaN is above nothing.
      if (row[c] > head.least_score && static_cast<std::int64_t>(c) != head.background)
        candidates[c].push_back({row[c], p});
    }
  }

  const auto most = static_cast<std::size_t>(head.most);
  const std::size_t most_candidates = std::max(kLeastCandidates, 2 * most);
  Detections all;
  std::vector<Box> boxes;
  for (std::size_t c = 0; c < columns; ++c) {
    std::vector<Candidate>& of_class = candidates[c];
    std::stable_sort(of_class.begin(), of_class.end(),
                     [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
    if (of_class.size() > most_candidates) of_class.resize(most_candidates);
    boxes.clear();
    for (const Candidate& candidate : of_class) {
      const CentredBox* prior = offsets ? &priors[candidate.prior] : nullptr;
      boxes.push_back(decoded(places.row(candidate.prior).first<4>(), prior, head));
    }
    const std::int64_t label = head.label_of(static_cast<std::int64_t>(c));
    for (const std::size_t i : suppress_overlaps(boxes, head.overlap)) {
      const Box box = on_image(boxes[i], height, width);
      if (area_of(box) > 0) all.push_back({box, label, of_class[i].score});
    }
  }
  std::stable_sort(all.begin(), all.end(), is_better);
  if (all.size() > most) all.resize(most);
  return all;
}

double agreement(const Detections& a, const Detections& b) {
  constexpr double kSure = 0.3, kSame = 0.5;
  const auto is_unsure = [](const Found& found) { return found.score < kSure; };
  const auto sure = [&](const Detections& found) {
    return static_cast<std::size_t>(std::find_if(found.begin(), found.end(), is_unsure) - found.begin());
  };
  const std::size_t of_a = sure(a), of_b = sure(b);
  if (of_a + of_b == 0) return 1.0;
  std::vector<bool> taken(of_b, false);
  std::size_t same = 0;
  for (std::size_t i = 0; i < of_a; ++i) {
    std::size_t best = of_b;
    double most = kSame;
    for (std::size_t j = 0; j < of_b; ++j) {
      const double shared = a[i].label == b[j].label && !taken[j] ? overlap(a[i].box, b[j].box) : 0.0;
      if (shared < most) continue;
      most = shared;
      best = j;
    }
    if (best == of_b) continue;
    taken[best] = true;
    ++same;
  }
  return 2.0 * static_cast<double>(same) / static_cast<double>(of_a + of_b);
}

}  // namespace disco
