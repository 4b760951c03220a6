#pragma once
// What `disco run` feeds a model with: arrays, images and folders of images, as rounds of inputs.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/input.h"
#include "data/preset.h"

namespace disco::cli {

struct FeedOptions {
  std::vector<std::string> inputs;  ///< FILE or NAME=FILE, FILE may be a folder of images
  int batch = 0;                    ///< samples a run; 0: the model's, else 1 for images and all for arrays
  Preset preset;
};

/// The inputs of one run.
struct Round {
  NamedTensors inputs;
  std::int64_t batch = 0;    ///< extent of axis 0; 0 where inputs have no batch
  std::int64_t samples = 0;  ///< of the batch, the first ones are asked for; the rest fills up
};

/// Files are opened and checked at once, but images are decoded round by round.
class Feed {
 public:
  /// @return the feed, or one line that names the file, what is wrong, and what the model takes
  [[nodiscard]] static Result<Feed> open(const std::vector<InputSlot>& slots, const FeedOptions& options);

  [[nodiscard]] std::size_t rounds() const { return rounds_; }
  /// Whether the inputs of all rounds have the same shapes. Images of several sizes may not, where neither
  /// model nor preset fixes one.
  [[nodiscard]] bool has_one_shape() const;
  /// Inputs of run `number`.
  [[nodiscard]] Result<Round> round(std::size_t number);
  /// Whether answers of several rounds are to be put together.
  [[nodiscard]] bool is_cut() const { return rounds_ > 1 || padded_; }
  /// By sample, for images: their files. Empty for arrays.
  [[nodiscard]] const std::vector<std::filesystem::path>& images() const { return images_; }
  /// How the preset brings images to the model.
  [[nodiscard]] const Preset& preset() const { return preset_; }
  [[nodiscard]] const ImageForm& form() const { return form_; }
  /// Samples of a round.
  [[nodiscard]] std::int64_t batch() const { return batch_; }
  /// Of the tensor that images of a round became.
  [[nodiscard]] PixelSize tensor_size(const Round& round) const;
  /// Whether images are fed to a uint8 input, so that nothing is scaled.
  [[nodiscard]] bool takes_raw_pixels() const { return !images_.empty() && form_.type == DataType::UInt8; }
  /// The file of the first input, for reports about arrays.
  [[nodiscard]] const std::string& source() const { return source_; }

 private:
  struct Named {
    std::string file;
    Tensor tensor;
  };

  Status add(const std::vector<InputSlot>& slots, const std::string& text);
  Status add_array(const std::vector<InputSlot>& slots, const std::string& name, Tensor tensor,
                   const std::string& file);
  Status add_images(const std::string& name, const std::filesystem::path& path);
  Status plan_images(const InputSlot& slot, int batch);
  Status plan_arrays(const std::vector<InputSlot>& slots, int batch);
  Result<Tensor> image_batch(std::size_t first, std::size_t count);

  std::map<std::string, Named> arrays_;
  std::string image_input_;
  std::vector<std::filesystem::path> images_;
  Preset preset_;
  ImageForm form_;
  std::string source_;
  std::size_t rounds_ = 1;
  std::int64_t batch_ = 0;    // of a round
  std::int64_t samples_ = 0;  // of all rounds
  bool padded_ = false;       // the last round is filled up
};

}  // namespace disco::cli
