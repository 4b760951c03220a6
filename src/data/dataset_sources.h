#pragma once
// The sources behind open_data_set; not for others.

#include <filesystem>
#include <optional>

#include "data/dataset.h"

namespace disco::sources {

using Opened = Result<std::unique_ptr<DataSet>>;

/// Samples that are images: what they have in common.
class ImageSet : public DataSet {
 public:
  /// @param fallback  the preset where the options name none
  Status prepare(const DataSetOptions& options, const InputSlot* input, const char* fallback);

  [[nodiscard]] const Preset* preset() const override { return &preset_; }
  [[nodiscard]] std::int64_t classes() const override { return classes_; }
  [[nodiscard]] const std::vector<std::string>& class_names() const override { return names_; }
  [[nodiscard]] const Shape& sample_shape() const override { return shape_; }
  /// Where the model or the preset says a size; images may have several.
  [[nodiscard]] bool has_one_shape() const override;
  [[nodiscard]] Status read(std::int64_t index, float* out) const override;
  [[nodiscard]] Result<Sample> sample(std::int64_t index) const override;
  [[nodiscard]] Result<Sample> varied(std::int64_t index, std::uint64_t seed) const override;

 protected:
  [[nodiscard]] virtual Result<Image> image(std::int64_t index) const = 0;
  /// An image with its truth, in the image's pixels; here with its class.
  [[nodiscard]] virtual Result<Picture> picture(std::int64_t index) const;
  /// Changes a picture as training shows it; here as vary.h does it for its truth.
  virtual void vary(Picture& picture, std::uint64_t seed) const;
  /// A sample as messages name it.
  [[nodiscard]] virtual std::string where(std::int64_t index) const = 0;
  /// Takes the first sample's shape for all of them.
  Status take_shape();

  [[nodiscard]] Result<Tensor> tensor_of(const Image& image, std::int64_t index) const;
  /// A picture as a sample: its truth where the tensor shows it.
  [[nodiscard]] Result<Sample> placed(const Picture& picture, std::int64_t index) const;

  Preset preset_;
  ImageForm form_;
  Shape shape_;
  std::int64_t classes_ = 0;
  std::vector<std::string> names_;
};

/// Whether a folder holds CIFAR's batches.
[[nodiscard]] bool has_cifar(const std::filesystem::path& folder);
/// A folder or a file.
[[nodiscard]] Opened open_cifar(const DataSetOptions& options, const InputSlot* input);
[[nodiscard]] Opened open_image_folder(const DataSetOptions& options, const InputSlot* input);
[[nodiscard]] Opened open_arrays(const DataSetOptions& options, const InputSlot* input);
/// Whether a source's name asks for the rendered set.
[[nodiscard]] bool names_shapes(const std::string& source);
[[nodiscard]] Opened open_shapes(const DataSetOptions& options, const InputSlot* input);
[[nodiscard]] bool names_scenes(const std::string& source);
[[nodiscard]] Opened open_scenes(const DataSetOptions& options, const InputSlot* input);
/// Whether a folder holds images with label maps, in one of the layouts that open_label_folder() knows.
[[nodiscard]] bool has_label_maps(const std::filesystem::path& folder);
[[nodiscard]] Opened open_label_folder(const DataSetOptions& options, const InputSlot* input);
/// A folder of large images, with small ones or without.
[[nodiscard]] Opened open_enlargements(const DataSetOptions& options, const InputSlot* input);

}  // namespace disco::sources
