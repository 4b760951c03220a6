#include "train/augment.h"

#include "base/random.h"

namespace disco::train {

Result<Augmentation> augmentation_from(std::string_view name) {
  if (name == "none") return Augmentation::None;
  if (name == "shift") return Augmentation::Shift;
  if (name == "flip") return Augmentation::Flip;
  if (name == "blend") return Augmentation::Blend;
  return error(ErrorCode::InvalidArgument,
               "there is no augmentation '{}'; there are none, shift, flip, blend", name);
}

bool is_image(at::IntArrayRef shape) {
  return shape.size() == 4 && (shape[1] == 3 || shape[1] == 1) && shape[2] >= 8 && shape[3] >= 8;
}

void augment(at::Tensor image, Augmentation how, std::uint64_t seed) {
  if (how == Augmentation::None) return;
  const std::int64_t height = image.size(1);
  const std::int64_t width = image.size(2);
  Random random(seed);
  const auto draw = [&](std::int64_t most) {
    return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(2 * most + 1))) - most;
  };
  const std::int64_t down = draw(height / 8);
  const std::int64_t right = draw(width / 8);
  at::Tensor source = image.clone();
  if (how != Augmentation::Shift && random.unit() < 0.5) source = source.flip({2});
  image.zero_();
  const std::int64_t rows = height - std::abs(down);
  const std::int64_t columns = width - std::abs(right);
  image.narrow(1, std::max<std::int64_t>(down, 0), rows)
      .narrow(2, std::max<std::int64_t>(right, 0), columns)
      .copy_(source.narrow(1, std::max<std::int64_t>(-down, 0), rows)
                 .narrow(2, std::max<std::int64_t>(-right, 0), columns));
}

void blend(at::Tensor image, const at::Tensor& other, std::uint64_t seed) {
  Random random(seed);
  if (random.unit() < 0.5) {
    image.lerp_(other, random.unit());
    return;
  }
  const double side = std::sqrt(random.unit());
  const auto place = [&](std::int64_t whole) {
    const auto extent =
        std::max<std::int64_t>(1, static_cast<std::int64_t>(side * static_cast<double>(whole)));
    const auto first = random.below(static_cast<std::uint64_t>(whole - extent + 1));
    return std::pair{static_cast<std::int64_t>(first), extent};
  };
  const auto [y, height] = place(image.size(1));
  const auto [x, width] = place(image.size(2));
  image.narrow(1, y, height).narrow(2, x, width).copy_(other.narrow(1, y, height).narrow(2, x, width));
}

std::uint64_t mix_seed(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  return Random(Random(Random(a).next() ^ b).next() ^ c).next();
}

}  // namespace disco::train
