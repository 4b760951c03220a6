#include "train/augment.h"

#include "base/random.h"

namespace disco::train {

Result<Augmentation> augmentation_from(std::string_view name) {
  if (name == "none") return Augmentation::None;
  if (name == "shift") return Augmentation::Shift;
  if (name == "flip") return Augmentation::Flip;
  return error(ErrorCode::InvalidArgument, "there is no augmentation '{}'; there are none, shift, flip",
               name);
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
  if (how == Augmentation::Flip && random.unit() < 0.5) source = source.flip({2});
  image.zero_();
  const std::int64_t rows = height - std::abs(down);
  const std::int64_t columns = width - std::abs(right);
  image.narrow(1, std::max<std::int64_t>(down, 0), rows)
      .narrow(2, std::max<std::int64_t>(right, 0), columns)
      .copy_(source.narrow(1, std::max<std::int64_t>(-down, 0), rows)
                 .narrow(2, std::max<std::int64_t>(-right, 0), columns));
}

std::uint64_t mix_seed(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  return Random(Random(Random(a).next() ^ b).next() ^ c).next();
}

}  // namespace disco::train
