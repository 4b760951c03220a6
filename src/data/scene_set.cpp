// The rendered data set of scenes: objects for a detector, maps of labels for a segmenter.

#include <charconv>

#include "base/random.h"
#include "data/object_set.h"
#include "data/scenes.h"

namespace disco::sources {

namespace {

constexpr std::string_view kName = "scenes";
constexpr std::int64_t kTrainSamples = 20'000, kTestSamples = 1'000;
constexpr int kUsualSide = 128;

/// "160" or "120x160"; no value where it is neither.
std::optional<PixelSize> size_from(std::string_view text) {
  PixelSize size;
  const char* const last = text.data() + text.size();
  auto parsed = std::from_chars(text.data(), last, size.height);
  size.width = size.height;
  if (parsed.ec == std::errc() && parsed.ptr != last && *parsed.ptr == 'x')
    parsed = std::from_chars(parsed.ptr + 1, last, size.width);
  const auto fits = [](int side) { return side >= kLeastSceneSide && side <= kMostSceneSide; };
  if (parsed.ec != std::errc() || parsed.ptr != last || !fits(size.height) || !fits(size.width)) return {};
  return size;
}

/// The size that the source names, that the model fixes, or the usual one.
Result<PixelSize> size_of(const DataSetOptions& options, const InputSlot* input) {
  if (options.source != kName) {
    const auto size = size_from(std::string_view(options.source).substr(kName.size() + 1));
    if (size) return *size;
    return error(ErrorCode::InvalidArgument,
                 "{}: write scenes:SIZE or scenes:HEIGHTxWIDTH, from {} to {} pixels, such as scenes:120x160",
                 options.source, kLeastSceneSide, kMostSceneSide);
  }
  PixelSize size{kUsualSide, kUsualSide};
  if (input == nullptr) return size;
  DISCO_TRY(const ImageForm form,
            image_form(options.preset.value_or(Preset{}), input->name, input->type, input->shape));
  if (form.height > 0) size.height = std::clamp(form.height, kLeastSceneSide, kMostSceneSide);
  if (form.width > 0) size.width = std::clamp(form.width, kLeastSceneSide, kMostSceneSide);
  return size;
}

class Scenes final : public ImageSet {
 public:
  Status load(const DataSetOptions& options, const InputSlot* input) {
    DISCO_TRY(size_, size_of(options, input));
    part_ = options.part;
    seed_ = options.seed;
    maps_ = options.truth == TruthKind::LabelMap;
    const std::vector<std::string>& own = maps_ ? scene_label_names() : scene_object_names();
    DISCO_TRY(numbers_, numbers_of(own, options.classes, options.source));
    names_ = options.classes.empty() ? own : options.classes;
    classes_ = static_cast<std::int64_t>(names_.size());
    DISCO_CHECK(prepare(options, input, "unit"));
    return take_shape();
  }

  std::string about() const override {
    return fmt::format("scenes of {} x {} pixels, {} part", size_.width, size_.height, part_);
  }
  std::int64_t size() const override { return part_ == "train" ? kTrainSamples : kTestSamples; }
  std::int64_t label(std::int64_t) const override { return -1; }
  TruthKind truth_kind() const override { return maps_ ? TruthKind::LabelMap : TruthKind::Objects; }

 protected:
  Result<Image> image(std::int64_t index) const override { return scene(index).image; }
  Result<Picture> picture(std::int64_t index) const override {
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
  Scene scene(std::int64_t index) const {
    const std::uint64_t set = Random::mix(seed_ * 2 + (part_ == "train" ? 0 : 1));
    return render_scene(size_.height, size_.width, Random::mix(set + static_cast<std::uint64_t>(index)));
  }

  PixelSize size_;
  std::string part_;
  std::uint64_t seed_ = 1;
  bool maps_ = false;
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
