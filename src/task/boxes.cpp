#include "task/boxes.h"

#include <algorithm>
#include <cmath>

namespace disco {

std::vector<CentredBox> priors_of(const DetectorHead& head) {
  std::vector<CentredBox> priors;
  priors.reserve(static_cast<std::size_t>(head.prior_count()));
  for (const PriorMap& map : head.priors) {
    for (int row = 0; row < map.rows; ++row) {
      for (int column = 0; column < map.columns; ++column) {
        for (const PriorSize& size : map.boxes) {
          priors.push_back({(column + 0.5) * map.step_x, (row + 0.5) * map.step_y, size.width, size.height});
        }
      }
    }
  }
  return priors;
}

Offsets offsets_of(const Box& box, const CentredBox& prior, const DetectorHead& head) {
  const double x = (box.left + box.right) / 2, y = (box.top + box.bottom) / 2;
  return {static_cast<float>((x - prior.x) / prior.width / head.centre_variance),
          static_cast<float>((y - prior.y) / prior.height / head.centre_variance),
          static_cast<float>(std::log((box.right - box.left) / prior.width) / head.size_variance),
          static_cast<float>(std::log((box.bottom - box.top) / prior.height) / head.size_variance)};
}

Box box_from(std::span<const float, 4> offsets, const CentredBox& prior, const DetectorHead& head) {
  constexpr double kMostGrowth = 10;
  const auto grown = [&](double side, float offset) {
    return side * std::exp(std::min(offset * head.size_variance, kMostGrowth));
  };
  return corners_of({prior.x + offsets[0] * head.centre_variance * prior.width,
                     prior.y + offsets[1] * head.centre_variance * prior.height,
                     grown(prior.width, offsets[2]), grown(prior.height, offsets[3])});
}

namespace {

/// What an object overlaps most, of those that are free.
struct Best {
  double overlap = 0;
  std::size_t prior = 0;
};

}  // namespace

std::vector<std::int64_t> match_priors(std::span<const Box> objects, std::span<const CentredBox> priors,
                                       double least) {
  std::vector<std::int64_t> matched(priors.size(), -1);
  std::vector<double> reached(priors.size(), least);
  std::vector<Best> best(objects.size());
  for (std::size_t p = 0; p < priors.size(); ++p) {
    const Box prior = corners_of(priors[p]);
    for (std::size_t o = 0; o < objects.size(); ++o) {
      const double shared = overlap(objects[o], prior);
      if (shared > best[o].overlap) best[o] = {shared, p};
      if (shared > reached[p]) {
        reached[p] = shared;
        matched[p] = static_cast<std::int64_t>(o);
      }
    }
  }
  std::vector<bool> taken(priors.size(), false);
  for (std::size_t round = 0; round < objects.size(); ++round) {
    const auto first = std::max_element(best.begin(), best.end(),
                                        [](const Best& a, const Best& b) { return a.overlap < b.overlap; });
    if (first->overlap <= 0) break;
    const std::size_t prior = first->prior;
    matched[prior] = first - best.begin();
    taken[prior] = true;
    first->overlap = 0;
    // Others that wanted it take their next best.
    for (std::size_t o = 0; o < objects.size(); ++o) {
      if (best[o].overlap <= 0 || best[o].prior != prior) continue;
      best[o] = {};
      for (std::size_t p = 0; p < priors.size(); ++p) {
        const double shared = taken[p] ? 0.0 : overlap(objects[o], corners_of(priors[p]));
        if (shared > best[o].overlap) best[o] = {shared, p};
      }
    }
  }
  return matched;
}

PriorTargets targets_for(const Objects& objects, int height, int width, const DetectorHead& head,
                         std::span<const CentredBox> priors) {
  std::vector<Box> boxes, crowds;
  std::vector<std::int64_t> labels;
  for (const Object& object : objects) {
    const Box box{object.box.left / width, object.box.top / height, object.box.right / width,
                  object.box.bottom / height};
    if (area_of(box) <= 0) continue;
    if (object.crowd) {
      crowds.push_back(box);
      continue;
    }
    boxes.push_back(box);
    labels.push_back(object.label);
  }
  const std::vector<std::int64_t> matched = match_priors(boxes, priors);
  PriorTargets targets{std::vector<std::int64_t>(priors.size(), head.background),
                       std::vector<float>(priors.size() * 4, 0.0F)};
  for (std::size_t p = 0; p < priors.size(); ++p) {
    if (matched[p] < 0) {
      const Box prior = corners_of(priors[p]);
      const auto holds = [&](const Box& crowd) { return shared_area(prior, crowd) > area_of(prior) / 2; };
      if (std::any_of(crowds.begin(), crowds.end(), holds)) targets.columns[p] = PriorTargets::kIgnored;
      continue;
    }
    const auto o = static_cast<std::size_t>(matched[p]);
    targets.columns[p] = head.column_of(labels[o]);
    const Offsets offsets = offsets_of(boxes[o], priors[p], head);
    std::copy(offsets.begin(), offsets.end(), targets.offsets.begin() + static_cast<std::ptrdiff_t>(p * 4));
  }
  return targets;
}

std::vector<std::size_t> suppress_overlaps(std::span<const Box> boxes, double most) {
  std::vector<std::size_t> kept;
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    const auto hides = [&](std::size_t k) { return overlap(boxes[i], boxes[k]) > most; };
    if (std::none_of(kept.begin(), kept.end(), hides)) kept.push_back(i);
  }
  return kept;
}

}  // namespace disco
