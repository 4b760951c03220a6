// The rendered data set.

#include <charconv>

#include "base/random.h"
#include "data/dataset_sources.h"
#include "data/shapes.h"

namespace disco::sources {

namespace {

constexpr std::string_view kName = "shapes";
constexpr std::int64_t kTrainSamples = 20'000, kTestSamples = 4'000;

/// The side that the source names, that the model fixes, or 32.
Result<int> side_of(const DataSetOptions& options, const InputSlot* input) {
  int side = kLeastShapeSide;
  if (options.source != kName) {
    const char* const first = options.source.data() + kName.size() + 1;
    const char* const last = options.source.data() + options.source.size();
    const auto [end, fault] = std::from_chars(first, last, side);
    if (fault != std::errc() || end != last || side < kLeastShapeSide || side > kMostShapeSide) {
      return error(ErrorCode::InvalidArgument,
                   "{}: write shapes:SIZE, SIZE from {} to {} pixels, such as shapes:64", options.source,
                   kLeastShapeSide, kMostShapeSide);
    }
    return side;
  }
  if (input == nullptr) return side;
  DISCO_TRY(const ImageForm form,
            image_form(options.preset.value_or(Preset{}), input->name, input->type, input->shape));
  if (form.height > side && form.height == form.width) side = std::min(form.height, kMostShapeSide);
  return side;
}

class Shapes final : public ImageSet {
 public:
  Status load(const DataSetOptions& options, const InputSlot* input) {
    DISCO_TRY(side_, side_of(options, input));
    part_ = options.part;
    seed_ = options.seed;
    names_ = shape_names();
    classes_ = static_cast<std::int64_t>(names_.size());
    DISCO_CHECK(prepare(options, input, "cifar10"));
    return take_shape();
  }

  std::string about() const override { return fmt::format("shapes of {} pixels, {} part", side_, part_); }
  std::int64_t size() const override { return part_ == "train" ? kTrainSamples : kTestSamples; }
  bool has_one_shape() const override { return true; }
  std::int64_t label(std::int64_t index) const override { return index % classes_; }

 protected:
  Result<Image> image(std::int64_t index) const override {
    const std::uint64_t set = Random::mix(seed_ * 2 + (part_ == "train" ? 0 : 1));
    return render_shape(label(index), side_, Random::mix(set + static_cast<std::uint64_t>(index)));
  }
  std::string where(std::int64_t index) const override { return fmt::format("shape {}", index); }

 private:
  int side_ = kLeastShapeSide;
  std::string part_;
  std::uint64_t seed_ = 1;
};

}  // namespace

bool names_shapes(const std::string& source) {
  return source == kName || source.starts_with(std::string(kName) + ":");
}

Opened open_shapes(const DataSetOptions& options, const InputSlot* input) {
  auto set = std::make_unique<Shapes>();
  DISCO_CHECK(set->load(options, input));
  return std::unique_ptr<DataSet>(std::move(set));
}

}  // namespace disco::sources
