#pragma once
// How an image becomes a tensor: presets, built in or from a file. docs/presets.md explains every key.

#include <disco/tensor.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/image.h"

namespace disco {

struct PixelSize {
  int height = 0, width = 0;
  friend bool operator==(const PixelSize&, const PixelSize&) = default;
};

/// How an image is brought to a size.
enum class Fit {
  Exact,      ///< both sides, whatever that does to the proportions
  Shorter,    ///< the shorter side; proportions stay
  Letterbox,  ///< as large as fits inside; proportions stay, the rest is padding
  None,       ///< not at all
};
/// Where the window that becomes the tensor lies on the image.
enum class Anchor { Centre, Corner };
enum class ChannelOrder { Rgb, Bgr, Grey };
enum class ImageLayout { Nchw, Nhwc };

/// The steps, in this order: resize, crop or pad to the tensor's size, choose channels, and
/// (x * scale - mean) / std for x in 0..255. What is left open follows from the model.
struct Preset {
  std::string name;  ///< for messages
  Fit fit = Fit::Exact;
  std::optional<PixelSize> resize{};   ///< Fit::Shorter takes one number, in both fields
  std::optional<PixelSize> crop{};     ///< the tensor's size; the model's where absent
  std::optional<double> crop_ratio{};  ///< Fit::Shorter without `resize`: the crop's share of the side, 0..1
  std::optional<PixelSize> default_size{};  ///< the crop where nothing else says the tensor's size
  Interpolation interpolation = Interpolation::Bilinear;
  bool antialias = true;
  Anchor anchor = Anchor::Centre;
  std::optional<ChannelOrder> channels{};  ///< absent: grey for models of one channel, RGB for three
  /// In the order of `channels`, one number for all or one each: the padding's colour (0..255), mean and std.
  std::vector<double> pad{0.0};
  double scale = 1.0 / 255.0;
  std::vector<double> mean{0.0};
  std::vector<double> std{1.0};
  std::optional<ImageLayout> layout{};  ///< absent: where the model has 1 or 3 channels

  friend bool operator==(const Preset&, const Preset&) = default;
};

/// Names and meanings of the built-in presets, for lists.
struct PresetInfo {
  std::string_view name;
  std::string_view about;
};
[[nodiscard]] const std::vector<PresetInfo>& builtin_presets();

/// A built-in preset, or one from a TOML file.
///
/// @return the preset, or
///   - NotFound         neither is there; the message lists the built-in ones
///   - InvalidArgument  file:line and what is wrong, also for keys that do not exist
[[nodiscard]] Result<Preset> load_preset(const std::string& name_or_file);

/// The TOML text that load_preset reads back to the same preset (but for its name).
[[nodiscard]] std::string to_toml(const Preset& preset);

/// Sets one key, with a value as on a command line: a word, a number, or numbers with commas between them.
/// Of `resize` and `crop_ratio` the one that is set replaces the other. InvalidArgument says what the key
/// takes.
[[nodiscard]] Status set_preset_key(Preset& preset, const std::string& key, const std::string& value);

/// InvalidArgument for settings that contradict each other, such as three means for one channel.
[[nodiscard]] Status check_preset(const Preset& preset);

/// What a model's input asks of an image.
struct ImageForm {
  DataType type = DataType::Float32;  ///< Float32, or UInt8: pixels as they are
  bool batched = true;                ///< whether axis 0 is the batch
  ImageLayout layout = ImageLayout::Nchw;
  ChannelOrder channels = ChannelOrder::Rgb;
  int height = 0, width = 0;  ///< 0: open
};

/// Matches a preset with a model's input.
///
/// @param shape  of 3 or 4 axes, below 1 where open; no value where not even their number is known
/// @return the form, or InvalidArgument: the input takes no image, or not in this layout, these channels or
///         at this size
[[nodiscard]] Result<ImageForm> image_form(const Preset& preset, const std::string& input, DataType type,
                                           const std::optional<Shape>& shape);

/// Where an image lies on the tensor that it becomes: x_tensor = x_image * scale_x + left, likewise y.
struct Placement {
  double scale_x = 1, scale_y = 1, left = 0, top = 0;
  PixelSize tensor;  ///< what lies outside of the image is padding
};

/// @return InvalidArgument as to_tensor()
[[nodiscard]] Result<Placement> placement(PixelSize image, const Preset& preset, const ImageForm& form);

/// One image, [C, H, W] or [H, W, C] by `form`. Float32 is scaled; UInt8 is cropped and padded only.
/// InvalidArgument where a size is missing or is out of reach.
[[nodiscard]] Result<Tensor> to_tensor(const Image& image, const Preset& preset, const ImageForm& form);

}  // namespace disco
