// Large images, and the small ones from which a model is to make them, as data sets.

#include <algorithm>
#include <map>
#include <mutex>

#include "base/random.h"
#include "data/folder_parts.h"
#include "data/image_folder.h"
#include "data/imresize.h"
#include "data/object_set.h"
#include "data/vary.h"

namespace disco::sources {

namespace {

namespace fs = std::filesystem;

struct Pair {
  fs::path large;
  std::optional<fs::path> small{};  ///< absent: made from the large one
};

/// The first of some folders that is there.
std::optional<fs::path> first_folder(const std::vector<fs::path>& folders) {
  for (const fs::path& folder : folders) {
    if (is_folder(folder)) return folder;
  }
  return {};
}

/// Where small images lie beside `folder`/HR or like names.
std::optional<fs::path> small_folder(const fs::path& folder, const std::string& prefix, int scale) {
  const std::string x = fmt::format("x{}", scale), upper = fmt::format("X{}", scale);
  std::vector<fs::path> candidates;
  for (const std::string& name : {prefix + "LR_bicubic", prefix + "LR"}) {
    candidates.push_back(folder / name / upper);
    candidates.push_back(folder / name / x);
  }
  candidates.push_back(folder / (prefix + "LR"));
  return first_folder(candidates);
}

/// Every large image with the small one of its name: NAME, NAME_LR or NAMEx4 for NAME or NAME_HR.
Result<std::vector<Pair>> matched(const std::vector<fs::path>& large, const std::vector<fs::path>& small,
                                  int scale) {
  const std::string times = fmt::format("x{}", scale);
  std::map<std::string, fs::path> known;
  for (const fs::path& file : small) known.try_emplace(stem_without(file, {"_LR", times}), file);
  std::vector<Pair> pairs;
  for (const fs::path& file : large) {
    Pair pair{file};
    if (!small.empty()) {
      const auto found = known.find(stem_without(file, {"_HR"}));
      if (found == known.end()) {
        return error(ErrorCode::NotFound, "{}: there is no small image of this name in {}", file.string(),
                     small.front().parent_path().string());
      }
      pair.small = found->second;
    }
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

/// Images in one folder: pairs by their names, or large ones alone.
Result<std::vector<Pair>> pairs_in(const fs::path& folder, int scale) {
  DISCO_TRY(const std::vector<fs::path> all, images_in(folder));
  std::vector<fs::path> large, small;
  for (const fs::path& file : all) {
    const std::string stem = file.stem().string();
    if (stem.ends_with("_HR")) large.push_back(file);
    if (stem.ends_with("_LR")) small.push_back(file);
  }
  return large.empty() ? matched(all, {}, scale) : matched(large, small, scale);
}

/// The folder of a part, or the folder itself where it has no parts.
Result<fs::path> part_of(const fs::path& folder, const std::string& part) {
  for (const std::string& name : part_names(part)) {
    if (is_folder(folder / name)) return folder / name;
  }
  for (const std::string& name : part_names(part == "train" ? "test" : "train")) {
    if (is_folder(folder / name))
      return error(ErrorCode::NotFound, "{}: has a folder '{}', but none for the {} part", folder.string(),
                   name, part);
  }
  return folder;
}

Result<std::vector<Pair>> find_pairs(const fs::path& source, const std::string& part, int scale) {
  const std::string div2k = part == "train" ? "DIV2K_train_" : "DIV2K_valid_";
  const bool is_div2k = is_folder(source / (div2k + "HR"));
  fs::path folder = source;
  if (!is_div2k) {
    DISCO_TRY(folder, part_of(source, part));
  }
  const std::string prefix = is_div2k ? div2k : "";
  if (is_folder(folder / (prefix + "HR"))) {
    DISCO_TRY(const std::vector<fs::path> large, images_in(folder / (prefix + "HR")));
    const std::optional<fs::path> beside = small_folder(folder, prefix, scale);
    if (!beside) return matched(large, {}, scale);
    DISCO_TRY(const std::vector<fs::path> small, images_in(*beside));
    return matched(large, small, scale);
  }
  // Set5/x4 and the like.
  const std::string x = fmt::format("x{}", scale), upper = fmt::format("X{}", scale);
  const auto scaled = first_folder({folder / x, folder / upper});
  return pairs_in(scaled.value_or(folder), scale);
}

/// `width` x `height` pixels from (left, top) on; beyond the image its mirror image.
Image window_of(const Image& image, int left, int top, int width, int height) {
  if (left + width <= image.width && top + height <= image.height)
    return cut_out(image, left, top, width, height);
  const auto folded = [](int at, int extent) {
    const int in_period = at % (2 * extent);
    return in_period < extent ? in_period : 2 * extent - 1 - in_period;
  };
  Image result{width, height, {}};
  result.rgb.reserve(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  for (int y = 0; y < height; ++y) {
    const auto row = image.rgb.begin() + std::ptrdiff_t{folded(top + y, image.height)} * image.width * 3;
    for (int x = 0; x < width; ++x) {
      const auto pixel = row + std::ptrdiff_t{folded(left + x, image.width)} * 3;
      result.rgb.insert(result.rgb.end(), pixel, pixel + 3);
    }
  }
  return result;
}

constexpr std::size_t kMostHeld = std::size_t{512} << 20U;  // bytes of decoded images
constexpr int kUsualPatch = 32;

class Enlargements final : public ImageSet {
 public:
  Status load(const DataSetOptions& options, const InputSlot* input) {
    scale_ = options.scale;
    const fs::path folder = options.source;
    DISCO_TRY(pairs_, find_pairs(folder, options.part, scale_));
    about_ = fmt::format("{}, {} times smaller{}", options.source, scale_,
                         pairs_.front().small ? "" : " by bicubic interpolation");
    held_.resize(pairs_.size());
    DISCO_CHECK(prepare(options, input, "unit"));
    // Nothing is resized: of a preset the colours count, and its crop is what training sees of an image.
    patch_ = preset_.crop.value_or(PixelSize{kUsualPatch, kUsualPatch});
    preset_.fit = Fit::None;
    preset_.resize.reset();
    preset_.crop.reset();
    preset_.crop_ratio.reset();
    preset_.default_size.reset();
    if (form_.height > 0) patch_.height = form_.height;
    if (form_.width > 0) patch_.width = form_.width;
    DISCO_CHECK(count_parts(options.part == "train"));
    DISCO_TRY(const Picture first, part_in_grid(0));
    DISCO_TRY(const Tensor tensor, tensor_of(first.image, 0));
    shape_ = tensor.shape();
    return {};
  }

  std::string about() const override { return about_; }
  std::int64_t size() const override { return static_cast<std::int64_t>(samples_.size()); }
  std::int64_t label(std::int64_t) const override { return -1; }
  TruthKind truth_kind() const override { return TruthKind::Image; }
  bool has_one_shape() const override { return in_parts_; }

  Status read(std::int64_t index, float* out) const override {
    DISCO_TRY(const Picture part, part_in_grid(index));
    DISCO_TRY(const Sample sample, placed(part, index));
    std::copy_n(sample.tensor.data<float>(), sample.tensor.elements(), out);
    return {};
  }
  Result<Sample> varied(std::int64_t index, std::uint64_t seed) const override {
    Random random(seed);
    const auto anywhere = [&](int room) {
      return static_cast<int>(random.below(static_cast<std::uint64_t>(room) + 1));
    };
    DISCO_TRY(Picture part, part_of_pair(index, anywhere, anywhere));
    vary(part, random.next());
    return placed(part, index);
  }

 protected:
  Result<Image> image(std::int64_t index) const override {
    DISCO_TRY(const std::shared_ptr<const ScaledPair> pair, whole(index));
    return pair->small;
  }
  Result<Picture> picture(std::int64_t index) const override {
    if (in_parts_) return part_in_grid(index);
    DISCO_TRY(const std::shared_ptr<const ScaledPair> pair, whole(index));
    return Picture{pair->small, pair->large};
  }
  std::string where(std::int64_t index) const override { return at(index).large.string(); }

 private:
  /// A part of an image, of those in a grid that shows about all of it.
  struct Place {
    std::size_t pair = 0;
    int column = 0, row = 0, columns = 1, rows = 1;
  };
  const Place& place(std::int64_t index) const { return samples_[static_cast<std::size_t>(index)]; }
  const Pair& at(std::int64_t index) const { return pairs_[place(index).pair]; }

  /// In training, an epoch shows as many parts of an image as cover it; in tests, images are whole.
  Status count_parts(bool in_parts) {
    in_parts_ = in_parts;
    for (std::size_t p = 0; p < pairs_.size(); ++p) {
      Place place{p};
      if (in_parts) {
        DISCO_TRY(const ImageExtent large, read_image_extent(pairs_[p].large));
        place.columns = std::max(1, large.width / (patch_.width * scale_));
        place.rows = std::max(1, large.height / (patch_.height * scale_));
      }
      for (place.row = 0; place.row < place.rows; ++place.row) {
        for (place.column = 0; place.column < place.columns; ++place.column) samples_.push_back(place);
      }
    }
    if (in_parts_) about_ += fmt::format(", in parts of {} x {}", patch_.width, patch_.height);
    return {};
  }

  Result<ScaledPair> decode(const Pair& files) const {
    DISCO_TRY(Image large, read_image(files.large));
    if (!files.small) {
      if (std::min(large.width, large.height) < scale_) {
        return error(ErrorCode::InvalidArgument, "{}: {} x {} pixels are too few for 1 / {}",
                     files.large.string(), large.width, large.height, scale_);
      }
      return degraded(large, scale_);
    }
    DISCO_TRY(Image small, read_image(*files.small));
    const int width = small.width * scale_, height = small.height * scale_;
    // Some sets shrink what they did not cut to a multiple before.
    const auto suits = [&](int side, int wanted) { return side >= wanted && side < wanted + scale_; };
    if (!suits(large.width, width) || !suits(large.height, height)) {
      return error(
          ErrorCode::InvalidArgument,
          "{}: has {} x {} pixels; {} times larger is {} x {}, but {} has {} x {}; is the scale right?",
          files.small->string(), small.width, small.height, scale_, width, height, files.large.string(),
          large.width, large.height);
    }
    if (large.width != width || large.height != height) large = cut_out(large, 0, 0, width, height);
    return ScaledPair{std::move(small), std::move(large)};
  }

  /// Decoded once, while there is room.
  Result<std::shared_ptr<const ScaledPair>> whole(std::int64_t index) const {
    std::shared_ptr<const ScaledPair>& slot = held_[place(index).pair];
    {
      const std::scoped_lock lock(mutex_);
      if (slot) return slot;
    }
    DISCO_TRY(ScaledPair decoded, decode(at(index)));
    auto pair = std::make_shared<const ScaledPair>(std::move(decoded));
    const std::size_t bytes = pair->large.rgb.size() + pair->small.rgb.size();
    const std::scoped_lock lock(mutex_);
    if (!slot && bytes_ + bytes <= kMostHeld) {
      slot = pair;
      bytes_ += bytes;
    }
    return pair;
  }

  /// @param left, top  offsets, from how much room there is
  template <typename Left, typename Top>
  Result<Picture> part_of_pair(std::int64_t index, const Left& left, const Top& top) const {
    DISCO_TRY(const std::shared_ptr<const ScaledPair> pair, whole(index));
    const Image& small = pair->small;
    const int x = left(std::max(0, small.width - patch_.width));
    const int y = top(std::max(0, small.height - patch_.height));
    return Picture{
        window_of(small, x, y, patch_.width, patch_.height),
        window_of(pair->large, x * scale_, y * scale_, patch_.width * scale_, patch_.height * scale_)};
  }
  /// Always the same; one in the middle where the grid has one only.
  Result<Picture> part_in_grid(std::int64_t index) const {
    const Place& here = place(index);
    const auto spread = [](int room, int number, int count) {
      return count == 1 ? room / 2 : static_cast<int>(std::int64_t{room} * number / (count - 1));
    };
    return part_of_pair(
        index, [&](int room) { return spread(room, here.column, here.columns); },
        [&](int room) { return spread(room, here.row, here.rows); });
  }

  std::string about_;
  std::vector<Pair> pairs_;
  std::vector<Place> samples_;
  bool in_parts_ = false;
  int scale_ = 1;
  PixelSize patch_;  // in pixels of the small image
  mutable std::mutex mutex_;
  mutable std::vector<std::shared_ptr<const ScaledPair>> held_;  // under the mutex, as is
  mutable std::size_t bytes_ = 0;
};

}  // namespace

Opened open_enlargements(const DataSetOptions& options, const InputSlot* input) {
  if (options.scale < 1)
    return error(ErrorCode::InvalidArgument, "{}: images {} times smaller", options.source, options.scale);
  auto set = std::make_unique<Enlargements>();
  DISCO_CHECK(set->load(options, input));
  return std::unique_ptr<DataSet>(std::move(set));
}

}  // namespace disco::sources
