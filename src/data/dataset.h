#pragma once
// Data sets: samples by index, with a class each or without, from files or rendered. One input a model;
// models of several inputs take arrays by name (see npz.h).

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/input.h"
#include "data/preset.h"
#include "data/truth.h"

namespace disco {

struct DataSetOptions {
  std::string source;          ///< see open_data_set
  std::string part = "train";  ///< or "test"; a source without parts gives all of it for either
  /// How images become tensors. Absent: each source's own, see DataSet::preset().
  std::optional<Preset> preset{};
  /// Of the samples, `skip` are left out and the `limit` after them taken (0: all the rest), in an order
  /// drawn with `seed`; without both, all samples in the source's order. So (limit 256) and (skip 256) do not
  /// overlap.
  std::int64_t limit = 0, skip = 0;
  std::uint64_t seed = 1;  ///< of that order, and of what `shapes` renders
  bool labels = true;      ///< false: samples without their classes, such as pictures of what no model knows
  /// What the model's task asks for, where a source could say several things: a folder of VOC's layout has
  /// objects and label maps. Absent: what the source has.
  std::optional<TruthKind> truth{};
  /// The model's names of classes: a source with other numbers for these names takes the model's.
  std::vector<std::string> classes{};
  /// How many times larger a model's answers are; only where `truth` is an image.
  int scale = 1;
};

/// A sample and what is right about it.
struct Sample {
  Tensor tensor;  ///< without the batch
  Truth truth{};  ///< places are pixels of the tensor
  double pixel_area = 1;  ///< of the tensor's, in pixels of the image that it was made of
};

/// Immutable; any number of threads may read at once.
class DataSet {
 public:
  virtual ~DataSet() = default;
  DataSet() = default;
  DataSet(const DataSet&) = delete;
  DataSet& operator=(const DataSet&) = delete;

  /// "CIFAR-10, test part", for reports.
  [[nodiscard]] virtual std::string about() const = 0;
  /// The preset by which images become tensors; nullptr where samples are no images.
  [[nodiscard]] virtual const Preset* preset() const = 0;
  /// At least 1.
  [[nodiscard]] virtual std::int64_t size() const = 0;
  /// 0: unlabelled.
  [[nodiscard]] virtual std::int64_t classes() const = 0;
  /// One a class, or none at all.
  [[nodiscard]] virtual const std::vector<std::string>& class_names() const = 0;
  /// In [0, classes()); -1 where the sample has none.
  [[nodiscard]] virtual std::int64_t label(std::int64_t index) const = 0;
  /// What truths are, of those samples that have one.
  [[nodiscard]] virtual TruthKind truth_kind() const {
    return classes() > 0 ? TruthKind::Class : TruthKind::None;
  }
  /// Whether all samples have sample_shape(). Of the others, sample() gives each whole; read() and varied()
  /// give a part of sample_shape().
  [[nodiscard]] virtual bool has_one_shape() const { return true; }
  /// Of one sample, without the batch: [C, H, W] for images, [H, W, C] for models that take them so.
  [[nodiscard]] virtual const Shape& sample_shape() const = 0;
  /// Writes a sample as float32, preprocessed, element_count(sample_shape()) of them. For models of uint8
  /// these are the pixels' values.
  ///
  /// @param index  in [0, size())
  /// @return InvalidArgument, NotFound or Io: the sample's file is damaged or of another size than the others
  [[nodiscard]] virtual Status read(std::int64_t index, float* out) const = 0;
  /// A sample with its truth, float32; errors as read().
  [[nodiscard]] virtual Result<Sample> sample(std::int64_t index) const;
  /// The same as training shows it: cropped, mirrored and so on, as suits its truth; always sample_shape().
  /// What is drawn follows from `seed` alone. Where truths are classes or none, nothing is changed: the
  /// trainer varies such samples itself.
  [[nodiscard]] virtual Result<Sample> varied(std::int64_t index, std::uint64_t seed) const;
};

/// Opens a data set. Sources, told apart by content:
///   - a folder with CIFAR-10's or CIFAR-100's binary batches (data_batch_N.bin and test_batch.bin, or
///   train.bin
///     and test.bin), as they are or as .xz; or one such file. Held in memory. Default preset: cifar10.
///   - a folder of images: folders in it are classes, by name; images in the folder itself have the classes
///   of
///     its labels.txt (file TAB class TAB name), or none. `train` and `test` or `val` in it are its parts.
///     Default preset: unit.
///   - .npz with one array, first axis = samples, and optionally `labels` or `y`: integers, one a sample
///   - "shapes" or "shapes:SIZE": ten kinds of shapes, rendered when they are read; SIZE from 32 to 224
///   pixels
///     (default: the model's, else 32). Default preset: cifar10.
///   - "scenes", "scenes:SIZE" or "scenes:HxW": pictures of several shapes with objects, or with maps of
///     labels where `truth` asks for them; from 48 to 1024 pixels (default: the model's, else 128). Default
///     preset: unit.
///   - a folder in VOC's layout: Annotations/*.xml and JPEGImages/, with ImageSets/Main/*.txt or without. The
///     train part is trainval, train or val (the first that is there), the test part test; without a test
///     list the parts are train and val. Default preset: unit.
///   - a folder with annotations/instances_{train,test,val}*.json of COCO's form and the images in folders
///     beside, one of these files, or a folder with _annotations.coco.json beside the images of each part.
///     Default preset: unit.
///
///   - a folder of photographs with PNGs whose pixels are classes, where `truth` asks for label maps or the
///     folder holds nothing else: VOC's SegmentationClass/, CamVid's trainannot/ …, Cityscapes' gtFine/, or
///     images/ with labels/, masks/ or annotations/, beside or inside folders of the parts. classes.txt names
///     the classes. See docs/segmentation.md. Default preset: unit.
///   - where `truth` asks for images: a folder of photographs, which are made smaller by `scale` (and in the
///     train part cut into parts of the model's size, of the preset's crop, or of 32 pixels a side); or of pairs
///     NAME_HR.png and NAME_LR.png, or HR/ and LR/, or DIV2K's layout. See docs/super-resolution.md. Default
///     preset: unit.
///
/// @param input  of the model, with its batch; may be null: images are then [3, H, W] of their own size
/// @return the data set, or
///   - NotFound         no such source; the message lists what may be given
///   - InvalidArgument  no samples; a file cut off (with the record); a label out of range (with file and
///                      record); values that are not finite; no data set by its content; a preset that does
///                      not suit the model; `skip` leaves nothing
///   - ShapeMismatch    samples of another shape or type than the model's input
///   - Io
[[nodiscard]] Result<std::unique_ptr<DataSet>> open_data_set(const DataSetOptions& options,
                                                             const InputSlot* input);

/// Whether a source is meant for open_data_set: what is neither (a single image, an .npy, NAME=FILE) is not.
[[nodiscard]] bool names_data_set(const std::string& source);

/// Some samples as one array of [indices.size(), sample shape...].
/// @param type  of the model's input: Float32, or UInt8 for models that take pixels
[[nodiscard]] Result<Tensor> read_samples(const DataSet& set, std::span<const std::int64_t> indices,
                                          DataType type = DataType::Float32);

/// 0..count-1 in an order that the seed alone decides, on every machine.
[[nodiscard]] std::vector<std::int64_t> shuffled(std::int64_t count, std::uint64_t seed);

}  // namespace disco
