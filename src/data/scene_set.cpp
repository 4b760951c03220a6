// The rendered data set of scenes: objects for a detector, maps of labels for a segmenter, and small images
// of scenes beside large ones.

#include <charconv>

#include "base/random.h"
#include "data/imresize.h"
#include "data/object_set.h"
#include "data/scenes.h"

namespace disco::sources {

namespace {

constexpr std::string_view kName = "scenes";
constexpr std::int64_t kTrainSamples = 20'000, kTestSamples = 1'000;
constexpr int kUsualSide = 128, kUsualSmallSide = 32;

/// "160" or "120x160"; no value where it is neither.
std::optional<PixelSize> size_from(std::string_view text, int least) {
  PixelSize size;
  const char* const last = text.data() + text.size();
  auto parsed = std::from_chars(text.data(), last, size.height);
  size.width = size.height;
  if (parsed.ec == std::errc() && parsed.ptr != last && *parsed.ptr == 'x')
    parsed = std::from_chars(parsed.ptr + 1, last, size.width);
  const auto fits = [&](int side) { return side >= least && side <= kMostSceneSide; };
  if (parsed.ec != std::errc() || parsed.ptr != last || !fits(size.height) || !fits(size.width)) return {};
  return size;
}

/// The size that the source names, that the model fixes, or the usual one.
Result<PixelSize> size_of(const DataSetOptions& options, const InputSlot* input) {
  // Small ones are of scenes that are larger.
  const int least = options.truth == TruthKind::Image ? 1 : kLeastSceneSide;
  if (options.source != kName) {
    const auto size = size_from(std::string_view(options.source).substr(kName.size() + 1), least);
    if (size) return *size;
    return error(ErrorCode::InvalidArgument,
                 "{}: write scenes:SIZE or scenes:HEIGHTxWIDTH, from {} to {} pixels, such as scenes:120x160",
                 options.source, least, kMostSceneSide);
  }
  const int usual = options.truth == TruthKind::Image ? kUsualSmallSide : kUsualSide;
  PixelSize size{usual, usual};
  if (input == nullptr) return size;
  DISCO_TRY(const ImageForm form,
            image_form(options.preset.value_or(Preset{}), input->name, input->type, input->shape));
  if (form.height > 0) size.height = std::clamp(form.height, least, kMostSceneSide);
  if (form.width > 0) size.width = std::clamp(form.width, least, kMostSceneSide);
  return size;
}

class Scenes final : public ImageSet {
 public:
  Status load(const DataSetOptions& options, const InputSlot* input) {
    DISCO_TRY(size_, size_of(options, input));
    part_ = options.part;
    seed_ = options.seed;
    if (options.truth == TruthKind::Image) return load_small(options, input);
    maps_ = options.truth == TruthKind::LabelMap;
    const std::vector<std::string>& own = maps_ ? scene_label_names() : scene_object_names();
    DISCO_TRY(numbers_, numbers_of(own, options.classes, options.source));
    names_ = options.classes.empty() ? own : options.classes;
    classes_ = static_cast<std::int64_t>(names_.size());
    DISCO_CHECK(prepare(options, input, "unit"));
    return take_shape();
  }

  std::string about() const override {
    if (scale_ > 0) {
      return fmt::format("scenes of {} x {} pixels, {} times smaller, {} part", size_.width * scale_,
                         size_.height * scale_, scale_, part_);
    }
    return fmt::format("scenes of {} x {} pixels, {} part", size_.width, size_.height, part_);
  }
  std::int64_t size() const override { return part_ == "train" ? kTrainSamples : kTestSamples; }
  std::int64_t label(std::int64_t) const override { return -1; }
  TruthKind truth_kind() const override {
    return scale_ > 0 ? TruthKind::Image : maps_ ? TruthKind::LabelMap : TruthKind::Objects;
  }
  bool has_one_shape() const override { return true; }

 protected:
  Result<Image> image(std::int64_t index) const override {
    Image drawn = scene(index).image;
    return scale_ > 0 ? degraded(drawn, scale_).small : std::move(drawn);
  }
  Result<Picture> picture(std::int64_t index) const override {
    if (scale_ > 0) {
      ScaledPair pair = degraded(scene(index).image, scale_);
      return Picture{std::move(pair.small), std::move(pair.large)};
    }
    Scene drawn = scene(index);
    if (maps_) {
      for (std::uint8_t& label : drawn.labels.labels) {
        const std::int64_t number = numbers_[label];
        label = number < 0 ? LabelMap::kIgnored : static_cast<std::uint8_t>(number);
      }
      return Picture{std::move(drawn.image), std::move(drawn.labels)};
    }
    for (Object& object : drawn.objects) object.label = numbers_[static_cast<std::size_t>(object.label)];
    std::erase_if(drawn.objects, [](const Object& object) { return object.label < 0; });
    return Picture{std::move(drawn.image), std::move(drawn.objects)};
  }
  std::string where(std::int64_t index) const override { return fmt::format("scene {}", index); }

 private:
  /// Scenes `scale` times as large as what the model is given.
  Status load_small(const DataSetOptions& options, const InputSlot* input) {
    scale_ = options.scale;
    const int least = std::min(size_.height, size_.width) * scale_;
    const int most = std::max(size_.height, size_.width) * scale_;
    if (scale_ < 1 || least < kLeastSceneSide || most > kMostSceneSide) {
      return error(ErrorCode::InvalidArgument,
                   "{}: {} x {} pixels enlarged {} times; scenes have from {} to {} pixels a side",
                   options.source, size_.width, size_.height, scale_, kLeastSceneSide, kMostSceneSide);
    }
    DISCO_CHECK(prepare(options, input, "unit"));
    return take_shape();
  }

  Scene scene(std::int64_t index) const {
    const std::uint64_t set = Random::mix(seed_ * 2 + (part_ == "train" ? 0 : 1));
    const int factor = std::max(1, scale_);
    return render_scene(size_.height * factor, size_.width * factor,
                        Random::mix(set + static_cast<std::uint64_t>(index)));
  }

  PixelSize size_;
  std::string part_;
  std::uint64_t seed_ = 1;
  bool maps_ = false;
  int scale_ = 0;                      // of images that are to be enlarged; 0: objects or maps
  std::vector<std::int64_t> numbers_;  // the model's, by the scenes' own
};

}  // namespace

bool names_scenes(const std::string& source) {
  return source == kName || source.starts_with(std::string(kName) + ":");
}

Opened open_scenes(const DataSetOptions& options, const InputSlot* input) {
  auto set = std::make_unique<Scenes>();
  DISCO_CHECK(set->load(options, input));
  return std::unique_ptr<DataSet>(std::move(set));
}

}  // namespace disco::sources
