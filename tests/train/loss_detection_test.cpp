// The loss of detectors beside a plain one, and its gradients beside finite differences.

#include "train/loss_detection.h"

#include <gmock/gmock.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "task/boxes.h"

namespace disco::train {
namespace {

/// Drawn answers of two images, and targets: a few priors with an object, some ignored.
struct Case {
  Case(const DetectorHead& detector, std::uint64_t seed) : head(detector) {
    Random random(seed);
    const auto drawn = [&](at::IntArrayRef shape) {
      at::Tensor values = at::empty(shape, at::kDouble);
      for (std::int64_t i = 0; i < values.numel(); ++i) values.data_ptr<double>()[i] = random.normal();
      return values;
    };
    scores = drawn({2, kPriors, kColumns});
    if (head.activation == ScoreActivation::None) scores = at::softmax(scores, 2);
    offsets = drawn({2, kPriors, 4});
    targets = drawn({2, kPriors, 4});
    columns = at::full({2, kPriors}, head.background, at::kLong);
    for (std::int64_t i = 0; i < 7; ++i) {
      const auto at = static_cast<std::int64_t>(random.below(2 * kPriors));
      const auto label = static_cast<std::int64_t>(random.below(kColumns - 1));
      columns.view(-1)[at] = i < 2 ? PriorTargets::kIgnored : head.column_of(label);
    }
    if (seed % 3 == 0) columns[1].fill_(head.background);  // an image with nothing in it
  }
  [[nodiscard]] at::Tensor loss() const { return multibox_loss(scores, offsets, columns, targets, head); }

  static constexpr std::int64_t kPriors = 30, kColumns = 4;
  DetectorHead head;
  at::Tensor scores, offsets, columns, targets;
};

/// The same, prior by prior.
double plain_loss(const Case& c) {
  const auto scores = c.scores.accessor<double, 3>(), offsets = c.offsets.accessor<double, 3>(),
             targets = c.targets.accessor<double, 3>();
  const auto columns = c.columns.accessor<std::int64_t, 2>();
  double sum = 0;
  std::int64_t objects = 0;
  for (std::int64_t n = 0; n < 2; ++n) {
    std::vector<double> empty;
    std::int64_t found = 0;
    for (std::int64_t p = 0; p < Case::kPriors; ++p) {
      const std::int64_t column = columns[n][p];
      if (column == PriorTargets::kIgnored) continue;
      double loss = 0;
      if (c.head.activation == ScoreActivation::Sigmoid) {
        for (std::int64_t k = 0; k < Case::kColumns; ++k) {
          const double likely = 1 / (1 + std::exp(-scores[n][p][k]));
          loss -= std::log(k == column ? likely : 1 - likely);
        }
      } else if (c.head.activation == ScoreActivation::Softmax) {
        double total = 0;
        for (std::int64_t k = 0; k < Case::kColumns; ++k) total += std::exp(scores[n][p][k]);
        loss = std::log(total) - scores[n][p][column];
      } else {
        loss = -std::log(scores[n][p][column]);
      }
      if (column == c.head.background) {
        empty.push_back(loss);
        continue;
      }
      ++found;
      sum += loss;
      for (std::int64_t i = 0; i < 4; ++i) {
        const double d = std::abs(offsets[n][p][i] - targets[n][p][i]);
        sum += d < 1 ? d * d / 2 : d - .5;
      }
    }
    std::sort(empty.rbegin(), empty.rend());
    const auto most = std::min(static_cast<std::int64_t>(empty.size()), std::max<std::int64_t>(3, 3 * found));
    for (std::int64_t i = 0; i < most; ++i) sum += empty[static_cast<std::size_t>(i)];
    objects += found;
  }
  return sum / static_cast<double>(std::max<std::int64_t>(1, objects));
}

std::vector<DetectorHead> heads() {
  std::vector<DetectorHead> all(4);
  all[1].background = 3;
  all[2].activation = ScoreActivation::Sigmoid;
  all[2].background = -1;
  all[3].activation = ScoreActivation::None;
  return all;
}

TEST(MultiBoxLoss, IsThatOfItsDefinition) {
  for (std::size_t h = 0; h < heads().size(); ++h) {
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
      const Case drawn(heads()[h], seed);
      EXPECT_NEAR(drawn.loss().item<double>(), plain_loss(drawn), 1e-9) << "head " << h << " seed " << seed;
    }
  }
}

/// The steepest error of a gradient beside central differences.
double gradient_error(const std::function<at::Tensor()>& loss, at::Tensor values) {
  values.requires_grad_();
  loss().backward();
  const at::Tensor gradient = values.grad().clone().view(-1);
  values.requires_grad_(false);
  constexpr double kStep = 1e-6;
  double worst = 0;
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    double* at = values.data_ptr<double>() + i;
    const double before = *at;
    *at = before + kStep;
    const double above = loss().item<double>();
    *at = before - kStep;
    const double below = loss().item<double>();
    *at = before;
    worst = std::max(worst, std::abs((above - below) / (2 * kStep) - gradient[i].item<double>()));
  }
  return worst;
}

TEST(MultiBoxLoss, GradientsAreThoseOfFiniteDifferences) {
  for (std::size_t h = 0; h < heads().size(); ++h) {
    for (std::uint64_t seed = 1; seed < 4; ++seed) {
      Case drawn(heads()[h], seed);
      EXPECT_LT(gradient_error([&] { return drawn.loss(); }, drawn.scores), 1e-6)
          << "head " << h << " seed " << seed;
      EXPECT_LT(gradient_error([&] { return drawn.loss(); }, drawn.offsets), 1e-6)
          << "head " << h << " seed " << seed;
    }
  }
}

TEST(MultiBoxLoss, PartsCountAlone) {
  const Case c(DetectorHead{}, 1);
  const double scores = multibox_loss(c.scores, {}, c.columns, c.targets, c.head).item<double>();
  const double offsets = multibox_loss({}, c.offsets, c.columns, c.targets, c.head).item<double>();
  EXPECT_GT(scores, 0);
  EXPECT_GT(offsets, 0);
  EXPECT_NEAR(scores + offsets, c.loss().item<double>(), 1e-9);
}

TEST(DetectionDistance, IsZeroForEqualAnswersAndPullsTowardsTheOthers) {
  for (std::size_t h = 0; h < heads().size(); ++h) {
    const DetectorHead head = heads()[h];
    Case ours(head, 1), theirs(head, 2);
    const auto distance = [&] {
      return detection_distance(ours.scores, ours.offsets, theirs.scores, theirs.offsets, 2.0, head);
    };
    EXPECT_NEAR(detection_distance(theirs.scores, theirs.offsets, theirs.scores, theirs.offsets, 2.0, head)
                    .item<double>(),
                0, 1e-9);
    const double before = distance().item<double>();
    EXPECT_GT(before, .1) << "head " << h;
    ours.scores = (ours.scores + theirs.scores) / 2;
    ours.offsets = (ours.offsets + theirs.offsets) / 2;
    EXPECT_LT(distance().item<double>(), before) << "head " << h;
  }
}

}  // namespace
}  // namespace disco::train
