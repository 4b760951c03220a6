#include "data/dataset.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/file.h"
#include "base/random.h"
#include "data/object_set.h"
#include "data/placed_truth.h"
#include "data/vary.h"

namespace disco {

namespace {

namespace fs = std::filesystem;

/// Some samples of a data set, in an order of their own.
class Subset final : public DataSet {
 public:
  Subset(std::unique_ptr<DataSet> whole, std::vector<std::int64_t> indices)
      : whole_(std::move(whole)), indices_(std::move(indices)) {}
  std::string about() const override { return fmt::format("{} (of {})", whole_->about(), whole_->size()); }
  const Preset* preset() const override { return whole_->preset(); }
  std::int64_t size() const override { return static_cast<std::int64_t>(indices_.size()); }
  std::int64_t classes() const override { return whole_->classes(); }
  const std::vector<std::string>& class_names() const override { return whole_->class_names(); }
  std::int64_t label(std::int64_t index) const override { return whole_->label(at(index)); }
  const Shape& sample_shape() const override { return whole_->sample_shape(); }
  Status read(std::int64_t index, float* out) const override { return whole_->read(at(index), out); }
  TruthKind truth_kind() const override { return whole_->truth_kind(); }
  bool has_one_shape() const override { return whole_->has_one_shape(); }
  Result<Sample> sample(std::int64_t index) const override { return whole_->sample(at(index)); }
  Result<Sample> varied(std::int64_t index, std::uint64_t seed) const override {
    return whole_->varied(at(index), seed);
  }

 private:
  std::int64_t at(std::int64_t index) const { return indices_[static_cast<std::size_t>(index)]; }
  std::unique_ptr<DataSet> whole_;
  std::vector<std::int64_t> indices_;
};

/// A data set whose truths are left out.
class Unlabelled final : public DataSet {
 public:
  explicit Unlabelled(std::unique_ptr<DataSet> whole) : whole_(std::move(whole)) {}
  std::string about() const override { return whole_->about() + ", without classes"; }
  const Preset* preset() const override { return whole_->preset(); }
  std::int64_t size() const override { return whole_->size(); }
  std::int64_t classes() const override { return 0; }
  const std::vector<std::string>& class_names() const override { return none_; }
  std::int64_t label(std::int64_t) const override { return -1; }
  const Shape& sample_shape() const override { return whole_->sample_shape(); }
  Status read(std::int64_t index, float* out) const override { return whole_->read(index, out); }
  TruthKind truth_kind() const override { return TruthKind::None; }
  bool has_one_shape() const override { return whole_->has_one_shape(); }
  Result<Sample> sample(std::int64_t index) const override { return without_truth(whole_->sample(index)); }
  Result<Sample> varied(std::int64_t index, std::uint64_t seed) const override {
    return without_truth(whole_->varied(index, seed));
  }

 private:
  static Result<Sample> without_truth(Result<Sample> sample) {
    if (sample) sample->truth = {};
    return sample;
  }
  std::unique_ptr<DataSet> whole_;
  std::vector<std::string> none_;
};

enum class Kind { Shapes, Scenes, Cifar, Images, Voc, Coco, LabelMaps, Enlargements, Arrays };

constexpr std::string_view kPossible =
    "give a folder of images, alone or with label maps, a folder in VOC's or COCO's layout, a folder or file "
    "of CIFAR's binary batches "
    "(.bin or .bin.xz), an .npz, shapes[:SIZE], or scenes[:SIZE]";

Result<Kind> kind_of(const std::string& source, std::optional<TruthKind> truth) {
  if (sources::names_shapes(source)) return Kind::Shapes;
  if (sources::names_scenes(source)) return Kind::Scenes;
  const fs::path path = source;
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    if (truth == TruthKind::Image) return Kind::Enlargements;
    if (sources::has_cifar(path)) return Kind::Cifar;
    const bool labelled = sources::has_label_maps(path), objects = sources::has_voc(path);
    if (labelled && (truth == TruthKind::LabelMap || !objects)) return Kind::LabelMaps;
    if (objects) return Kind::Voc;
    return sources::has_coco(path) ? Kind::Coco : Kind::Images;
  }
  if (!fs::exists(path, ignored))
    return error(ErrorCode::NotFound, "{}: there is no such data set; {}", source, kPossible);
  DISCO_TRY(const std::uint64_t size, size_of_file(path));
  std::vector<std::byte> start(std::min<std::uint64_t>(size, 2));
  DISCO_CHECK(read_file_range(path, 0, start));
  if (start.size() == 2 && std::memcmp(start.data(), "PK", 2) == 0) return Kind::Arrays;
  const std::string name = path.filename().string();
  if (name.ends_with(".bin") || name.ends_with(".bin.xz")) return Kind::Cifar;
  if (name.ends_with(".json")) return Kind::Coco;
  return error(ErrorCode::InvalidArgument, "{}: is no data set; {}", source, kPossible);
}

sources::Opened open_whole(const DataSetOptions& options, const InputSlot* input) {
  DISCO_TRY(const Kind kind, kind_of(options.source, options.truth));
  switch (kind) {
    case Kind::Shapes: return sources::open_shapes(options, input);
    case Kind::Scenes: return sources::open_scenes(options, input);
    case Kind::Voc: {
      DISCO_TRY(auto voc, sources::read_voc(options.source, options.part, options.classes));
      return sources::open_annotations(std::move(voc), options, input);
    }
    case Kind::Coco: {
      DISCO_TRY(auto coco, sources::read_coco(options.source, options.part));
      return sources::open_annotations(std::move(coco), options, input);
    }
    case Kind::Cifar: return sources::open_cifar(options, input);
    case Kind::Images: return sources::open_image_folder(options, input);
    case Kind::LabelMaps: return sources::open_label_folder(options, input);
    case Kind::Enlargements: return sources::open_enlargements(options, input);
    case Kind::Arrays: return sources::open_arrays(options, input);
  }
  return error(ErrorCode::Internal, "{}: a source of no kind", options.source);
}

}  // namespace

Result<Sample> DataSet::sample(std::int64_t index) const {
  Sample sample{Tensor(DataType::Float32, sample_shape())};
  DISCO_CHECK(read(index, sample.tensor.data<float>()));
  if (label(index) >= 0) sample.truth = label(index);
  return sample;
}

Result<Sample> DataSet::varied(std::int64_t index, std::uint64_t) const { return sample(index); }

Result<std::unique_ptr<DataSet>> open_data_set(const DataSetOptions& options, const InputSlot* input) {
  if (options.part != "train" && options.part != "test")
    return error(ErrorCode::InvalidArgument, "a data set has a train and a test part, not '{}'",
                 options.part);
  if (options.limit < 0 || options.skip < 0)
    return error(ErrorCode::InvalidArgument, "{}: a negative number of samples", options.source);
  DISCO_TRY(std::unique_ptr<DataSet> whole, open_whole(options, input));
  if (!options.labels) whole = std::make_unique<Unlabelled>(std::move(whole));
  const std::int64_t size = whole->size();
  if (options.skip >= size) {
    return error(ErrorCode::InvalidArgument, "{}: has {} samples; none is left behind the first {}",
                 options.source, size, options.skip);
  }
  if (options.skip == 0 && (options.limit == 0 || options.limit >= size)) return whole;
  std::vector<std::int64_t> order = shuffled(size, options.seed);
  const std::int64_t rest = size - options.skip;
  const std::int64_t count = options.limit == 0 ? rest : std::min(options.limit, rest);
  const auto first = order.begin() + options.skip;
  return std::unique_ptr<DataSet>(
      std::make_unique<Subset>(std::move(whole), std::vector<std::int64_t>(first, first + count)));
}

bool names_data_set(const std::string& source) { return kind_of(source, {}).ok(); }

Result<Tensor> read_samples(const DataSet& set, std::span<const std::int64_t> indices, DataType type) {
  Shape shape = set.sample_shape();
  const std::int64_t row = element_count(shape);
  shape.insert(shape.begin(), static_cast<std::int64_t>(indices.size()));
  Tensor samples(DataType::Float32, shape);
  float* out = samples.data<float>();
  for (const std::int64_t index : indices) {
    DISCO_CHECK(set.read(index, out));
    out += row;
  }
  if (type != DataType::UInt8) return samples;
  Tensor pixels(DataType::UInt8, samples.shape());
  std::copy_n(samples.data<float>(), samples.elements(), pixels.data<std::uint8_t>());
  return pixels;
}

std::vector<std::int64_t> shuffled(std::int64_t count, std::uint64_t seed) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  // Fisher-Yates by hand: the library's shuffle and distributions differ between its implementations.
  Random random(seed);
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[static_cast<std::size_t>(random.below(i))]);
  return order;
}

namespace sources {

Status ImageSet::prepare(const DataSetOptions& options, const InputSlot* input, const char* fallback) {
  if (options.preset) {
    preset_ = *options.preset;
  } else {
    DISCO_TRY(preset_, load_preset(fallback));
  }
  DISCO_TRY(form_, input != nullptr ? image_form(preset_, input->name, input->type, input->shape)
                                    : image_form(preset_, "input", DataType::Float32, Shape{-1, 3, -1, -1}));
  return {};
}

Result<Tensor> ImageSet::tensor_of(const Image& image, std::int64_t index) const {
  auto tensor = to_tensor(image, preset_, form_);
  if (!tensor) return in_context(where(index), tensor.error());
  return tensor;
}

bool ImageSet::has_one_shape() const {
  const bool by_model = form_.height > 0 && form_.width > 0;
  const bool resized = preset_.resize && (preset_.fit == Fit::Exact || preset_.fit == Fit::Letterbox);
  return by_model || preset_.crop || preset_.default_size || resized;
}

Status ImageSet::take_shape() {
  DISCO_TRY(const Image first, image(0));
  DISCO_TRY(const Tensor tensor, tensor_of(first, 0));
  shape_ = tensor.shape();
  return {};
}

Status ImageSet::read(std::int64_t index, float* out) const {
  DISCO_TRY(const Image pixels, image(index));
  DISCO_TRY(const Tensor tensor, tensor_of(pixels, index));
  if (tensor.shape() != shape_) {
    return error(ErrorCode::InvalidArgument,
                 "{}: becomes {}, the first image became {}; a data set needs one size: give a preset with "
                 "resize or crop",
                 where(index), to_string(tensor.shape()), to_string(shape_));
  }
  if (tensor.type() == DataType::UInt8) {
    std::copy_n(tensor.data<std::uint8_t>(), tensor.elements(), out);
  } else {
    std::copy_n(tensor.data<float>(), tensor.elements(), out);
  }
  return {};
}

Result<Picture> ImageSet::picture(std::int64_t index) const {
  Picture picture;
  DISCO_TRY(picture.image, image(index));
  if (label(index) >= 0) picture.truth = label(index);
  return picture;
}

void ImageSet::vary(Picture& picture, std::uint64_t seed) const { disco::vary(picture, seed); }

Result<Sample> ImageSet::placed(const Picture& picture, std::int64_t index) const {
  const PixelSize size{picture.image.height, picture.image.width};
  auto place = placement(size, preset_, form_);
  if (!place) return in_context(where(index), place.error());
  auto truth = placed_truth(picture.truth, size, *place);
  if (!truth) return in_context(where(index), truth.error());
  Sample sample{{}, std::move(*truth), 1 / (place->scale_x * place->scale_y)};
  DISCO_TRY(const Tensor tensor, tensor_of(picture.image, index));
  sample.tensor = Tensor(DataType::Float32, tensor.shape());
  if (tensor.type() == DataType::UInt8) {
    std::copy_n(tensor.data<std::uint8_t>(), tensor.elements(), sample.tensor.data<float>());
  } else {
    sample.tensor = tensor;
  }
  return sample;
}

Result<Sample> ImageSet::sample(std::int64_t index) const {
  DISCO_TRY(const Picture read, picture(index));
  return placed(read, index);
}

Result<Sample> ImageSet::varied(std::int64_t index, std::uint64_t seed) const {
  DISCO_TRY(Picture read, picture(index));
  vary(read, seed);
  return placed(read, index);
}

}  // namespace sources

}  // namespace disco
