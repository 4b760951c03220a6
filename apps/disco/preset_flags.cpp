#include "preset_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/file.h"

namespace disco::cli {

namespace {

/// Flags that set one key of a preset each.
struct PresetFlag {
  const char* flag;
  const char* key;
  const char* value;
  const char* about;
};
constexpr PresetFlag kPresetFlags[] = {
    {"--fit", "fit", "HOW", "exact, shorter, letterbox or none: how an image is brought to a size"},
    {"--resize", "resize", "SIZE",
     "that size: HEIGHT,WIDTH, or one number, with --fit shorter the shorter side's"},
    {"--crop", "crop", "SIZE",
     "the centre that is taken: HEIGHT,WIDTH or one number (default: the model's size)"},
    {"--crop-ratio", "crop_ratio", "R",
     "with --fit shorter, in place of --resize: the crop's share of the side"},
    {"--interpolation", "interpolation", "HOW", "bilinear, bicubic, lanczos or nearest"},
    {"--antialias", "antialias", "BOOL", "true as in Pillow, false as in OpenCV"},
    {"--anchor", "anchor", "WHERE", "centre or corner: where crop and padding lie"},
    {"--pad", "pad", "X", "the padding's colour, 0 to 255: one number, or one a channel"},
    {"--channels", "channels", "ORDER", "rgb, bgr or grey"},
    {"--scale", "scale", "X", "pixels become (x * scale - mean) / std; a number or a fraction such as 1/255"},
    {"--mean", "mean", "X", "one number, or one a channel"},
    {"--std", "std", "X", "one number, or one a channel"},
    {"--layout", "layout", "LAYOUT", "nchw or nhwc (default: by the model's shape)"}};

}  // namespace

void PresetFlags::add_to(CLI::App& command) {
  std::string names;
  for (const PresetInfo& info : builtin_presets()) names += fmt::format("{}, ", info.name);
  command
      .add_option("--preset", name, "how images become tensors: " + names + "or a TOML file (default: unit)")
      ->type_name("PRESET")
      ->group("Images");
  for (const PresetFlag& flag : kPresetFlags)
    command.add_option(flag.flag, keys[flag.key], flag.about)->type_name(flag.value)->group("Images");
  command.add_option("--save-preset", save, "write preset and flags as a TOML file")
      ->type_name("FILE")
      ->group("Images");
}

Result<Preset> PresetFlags::preset() const {
  DISCO_TRY(Preset preset, load_preset(name.empty() ? "unit" : name));
  for (const PresetFlag& flag : kPresetFlags) {
    const std::string& value = keys.at(flag.key);
    if (value.empty()) continue;
    const Status status = set_preset_key(preset, flag.key, value);
    if (!status) return in_context(flag.flag, status.error());
  }
  DISCO_CHECK(check_preset(preset));
  return preset;
}

Status PresetFlags::check_raw() const {
  for (const char* key : {"scale", "mean", "std"}) {
    if (!keys.at(key).empty())
      return error(ErrorCode::InvalidArgument, "--{}: the model takes uint8 pixels as they are; leave it out",
                   key);
  }
  return {};
}

bool PresetFlags::any() const {
  return !name.empty() ||
         std::any_of(keys.begin(), keys.end(), [](const auto& k) { return !k.second.empty(); });
}

Status PresetFlags::save_file(const Preset& preset) const {
  if (save.empty()) return {};
  const std::string text = to_toml(preset);
  return write_file(save, std::as_bytes(std::span(text)));
}

}  // namespace disco::cli
